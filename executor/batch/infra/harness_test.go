package infra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"flow/engine"
	"flow/executor/batch/cloud"
	"flow/executor/local"
	"flow/executor/local/endpoint"
)

// A world is a flow emulate with a clock that goes on only while somebody waits, a server
// of IAM if there is one, and a wire to both that can be cut.
type world struct {
	testing.TB
	*wire
	url, iamURL string
	batch       *batch.Client // past the wire
	iam         *iam.Client   // nil: there is none
	said        []string

	mu    sync.Mutex
	clock time.Time
}

// settling is how long the emulator takes for environments and queues.
const settling = 25 * time.Second

func newWorld(t testing.TB, iamURL string) *world {
	t.Helper()
	w := &world{TB: t, wire: &wire{}, iamURL: iamURL, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	server, err := endpoint.New(endpoint.Options{Runner: &idle{}, Settle: settling, Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(server)
	w.url = front.URL
	t.Cleanup(func() {
		front.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	w.batch = w.batchClient(http.DefaultTransport, aws.NopRetryer{})
	if iamURL != "" {
		w.iam = w.iamClient(http.DefaultTransport, aws.NopRetryer{})
	}
	return w
}

// An idle runner has jobs do nothing until they are stopped.
type idle struct {
	mu   sync.Mutex
	stop map[engine.JobID]chan struct{}
}

func (i *idle) of(id engine.JobID) chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stop == nil {
		i.stop = map[engine.JobID]chan struct{}{}
	}
	if i.stop[id] == nil {
		i.stop[id] = make(chan struct{})
	}
	return i.stop[id]
}

func (i *idle) Run(t *local.Try, started func()) local.Exit {
	started()
	<-i.of(t.Job)
	return local.Exit{ExitCode: aws.Int(143), StatusReason: engine.ReasonExited}
}

func (i *idle) Stop(id engine.JobID, _ time.Duration) { close(i.of(id)) }

func (i *idle) Close() {}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) sleep(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
	return ctx.Err()
}

var anybody = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, nil
})

func (w *world) batchClient(through http.RoundTripper, r aws.Retryer) *batch.Client {
	return batch.New(batch.Options{Region: "us-east-1", BaseEndpoint: &w.url, HTTPClient: &http.Client{Transport: through}, Retryer: r, Credentials: anybody})
}

func (w *world) iamClient(through http.RoundTripper, r aws.Retryer) *iam.Client {
	return iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: &w.iamURL, HTTPClient: &http.Client{Transport: through}, Retryer: r, Credentials: anybody})
}

// manager returns one whose calls go through the wire.
func (w *world) manager(workflow string, retryer ...aws.Retryer) *Manager {
	r := aws.Retryer(aws.NopRetryer{})
	if len(retryer) > 0 {
		r = retryer[0]
	}
	o := Options{
		Workflow: workflow, Region: "us-east-1", Batch: w.batchClient(w.wire, r), Poll: pollFar, Sleep: w.sleep, Now: w.now,
		IAMAbsent: &cloud.AbsentError{Service: "IAM", Variable: "AWS_ENDPOINT_URL_IAM"},
		Identity: func() (*cloud.Identity, error) {
			return &cloud.Identity{Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/me"}, nil
		},
		Tell: func(line string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.said = append(w.said, line)
		},
	}
	if w.iam != nil {
		o.IAM = w.iamClient(w.wire, r)
	}
	return New(o)
}

// hasty tries again at once.
func hasty() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.RateLimiter, o.Backoff = ratelimit.None, retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
}

// plan plans what must be possible.
func (w *world) plan(workflow string, in *engine.Infra, o ...PlanOption) *Plan {
	w.Helper()
	p, err := w.manager(workflow).Plan(w.Context(), in, o...)
	w.must(err)
	return p
}

// apply makes what must be possible, and checks that nothing is left to do.
func (w *world) apply(workflow string, in *engine.Infra, o ...PlanOption) {
	w.Helper()
	m := w.manager(workflow)
	p, err := m.Plan(w.Context(), in, o...)
	w.must(err)
	if err := m.Apply(w.Context(), p); err != nil {
		w.Fatalf("%v\nafter: %s", err, strings.Join(w.said, "\n"))
	}
	w.settledOn(workflow, in)
}

// settledOn checks that nothing is left to do, and that nothing is done to find that out.
func (w *world) settledOn(workflow string, in *engine.Infra) {
	w.Helper()
	m := w.manager(workflow)
	before := len(w.changing())
	p, err := m.Plan(w.Context(), in)
	w.must(err)
	if !p.Empty() {
		w.Errorf("there is still something to do:\n%s", describe(p))
	}
	w.must(m.Apply(w.Context(), p))
	if calls := w.changing()[before:]; len(calls) > 0 {
		w.Errorf("the second apply makes the calls %v", calls)
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// describe writes a plan as a test reads it.
func describe(p *Plan) string {
	var b strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "%s %s %s", c.Action, c.Kind, c.Name)
		for _, d := range c.Arguments {
			if c.Action == Create || c.Action == Delete {
				continue
			}
			fmt.Fprintf(&b, "\n  %s: %s -> %s", d.Name, d.Old, d.New)
			if d.Forces != "" {
				fmt.Fprintf(&b, " (%s)", d.Forces)
			}
		}
		for _, n := range c.Notes {
			fmt.Fprintf(&b, "\n  # %s", n)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// everything writes all that is there, of whomever.
func (w *world) everything() string {
	w.Helper()
	m := w.manager("nobody")
	m.o.Batch, m.o.IAM = w.batch, w.iam
	found, err := m.read(w.Context())
	w.must(err)
	var b strings.Builder
	for _, kind := range kinds {
		for _, t := range found.of(kind) {
			a := argumentsOf(t.input, t.update)
			fmt.Fprintf(&b, "%s %s %s %s\n", kind, t.name, t.owner, t.status)
			for _, n := range a.names {
				fmt.Fprintf(&b, "  %s = %s\n", n, a.values[n])
			}
		}
	}
	return b.String()
}

// roles writes the roles and instance profiles of a workflow, as IAM has them.
func (w *world) roles(workflow string) string {
	w.Helper()
	if w.iam == nil {
		return ""
	}
	var out []string
	roles, err := w.iam.ListRoles(w.Context(), &iam.ListRolesInput{MaxItems: aws.Int32(1000)})
	w.must(err)
	for _, r := range roles.Roles {
		use, ok := strings.CutPrefix(*r.RoleName, "flow-"+workflow+"-")
		if !ok {
			continue
		}
		tags, err := w.iam.ListRoleTags(w.Context(), &iam.ListRoleTagsInput{RoleName: r.RoleName})
		w.must(err)
		policies, err := w.iam.ListAttachedRolePolicies(w.Context(), &iam.ListAttachedRolePoliciesInput{RoleName: r.RoleName})
		w.must(err)
		line := "role " + use + " of " + strings.ReplaceAll(iamOwner(tags.Tags), workflow, "us") + ":"
		for _, p := range policies.AttachedPolicies {
			line += " " + *p.PolicyName
		}
		out = append(out, line+"\n")
	}
	profiles, err := w.iam.ListInstanceProfiles(w.Context(), &iam.ListInstanceProfilesInput{MaxItems: aws.Int32(1000)})
	w.must(err)
	for _, p := range profiles.InstanceProfiles {
		if use, ok := strings.CutPrefix(*p.InstanceProfileName, "flow-"+workflow+"-"); ok {
			out = append(out, fmt.Sprintf("profile %s with %d roles\n", use, len(p.Roles)))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// submit submits a job to a queue, by a definition "job", with a share if it is fair.
func (w *world) submit(queue, share string) {
	w.Helper()
	_, err := w.batch.RegisterJobDefinition(w.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("job"), Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{Image: aws.String("busybox"), ResourceRequirements: []types.ResourceRequirement{
			{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("128")}}},
	})
	w.must(err)
	_, err = w.batch.SubmitJob(w.Context(), &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: &queue, JobDefinition: aws.String("job"), ShareIdentifier: given(share)})
	w.must(err)
}

// admin calls the admin API of the emulator.
func (w *world) admin(what string, form url.Values) {
	w.Helper()
	answer, err := http.PostForm(w.url+"/_flow/"+what, form)
	w.must(err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		w.Fatalf("%s: %s %s", what, answer.Status, body)
	}
}

// A wire carries requests, notes those that change something, and can be cut.
type wire struct {
	mu    sync.Mutex
	calls []string // that change something
	untag []string // keys of tags that were taken away

	cutAt  int  // the wire is cut at that changing call, from 1; 0: never
	answer bool // only its answer is lost
	once   bool // it works again after that
	cut    bool

	// refuse, if not nil, may answer a call itself.
	refuse func(operation string, body []byte) *http.Response
	// ask and fill, if not nil, may change what is asked and what is answered.
	ask, fill func(operation string, body map[string]any)
	// form, if not nil, may change what is asked of IAM.
	form func(action, form string) string
}

var errCut = errors.New("the wire is cut")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	operation, changes := operationOf(r, body)
	if w.ask != nil {
		body = withJSON(body, operation, w.ask)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	if w.form != nil && strings.HasPrefix(string(body), "Action=") {
		body = []byte(w.form(operation, string(body)))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	lost, err := w.pass(operation, changes, r.URL.Query()["tagKeys"])
	if err != nil {
		return nil, err
	}
	if w.refuse != nil {
		if answer := w.refuse(operation, body); answer != nil {
			return answer, nil
		}
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if lost && err == nil {
		answer.Body.Close()
		return nil, errCut
	}
	if err == nil && w.fill != nil {
		return w.filled(operation, answer)
	}
	return answer, err
}

func (w *wire) pass(operation string, changes bool, keys []string) (lost bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return false, errCut
	}
	if !changes {
		return false, nil
	}
	w.calls = append(w.calls, operation)
	w.untag = append(w.untag, keys...)
	if len(w.calls) == w.cutAt {
		w.cut = !w.once
		if !w.answer {
			return false, errCut
		}
		return true, nil
	}
	return false, nil
}

// mend has the wire work from now on.
func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut, w.cutAt = false, 0
}

func (w *wire) changing() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.calls...)
}

// operationOf names the operation of a request, and tells whether it changes something.
func operationOf(r *http.Request, body []byte) (string, bool) {
	if name, ok := strings.CutPrefix(r.URL.Path, "/v1/"); ok {
		if strings.HasPrefix(name, "tags/") {
			return r.Method + " tags", r.Method != http.MethodGet
		}
		return name, !strings.HasPrefix(name, "describe") && !strings.HasPrefix(name, "list") && !strings.HasPrefix(name, "get")
	}
	form, _ := url.ParseQuery(string(body))
	name := form.Get("Action")
	return name, !strings.HasPrefix(name, "Get") && !strings.HasPrefix(name, "List")
}
