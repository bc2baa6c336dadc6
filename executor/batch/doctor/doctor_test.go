package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/batch/cloud"
	"flow/executor/executortest/fetched"
	"flow/executor/local"
	"flow/executor/local/cloudwatch"
	"flow/executor/local/endpoint"
	"flow/executor/local/logstore"
)

// isolate lets nothing of the machine's configuration of AWS into a test.
func isolate(t testing.TB, more ...string) {
	t.Helper()
	none := t.TempDir() + "/none"
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL": "",
	} {
		t.Setenv(name, value)
	}
	for i := 0; i < len(more); i += 2 {
		t.Setenv(more[i], more[i+1])
	}
}

// at returns a patient that is reached at a URL; "": AWS itself.
func at(t testing.TB, url string) *patient {
	t.Helper()
	c, err := cloud.Open(t.Context(), cloud.Options{Endpoint: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &patient{o: Options{Cloud: c, Now: time.Now, Path: "p.hcl", Limit: defaultLimit}}
}

// still runs nothing.
type still struct{}

func (still) Run(*local.Try, func()) local.Exit { return local.Exit{} }
func (still) Stop(engine.JobID, time.Duration)  {}
func (still) Close()                            {}

// emulator starts one with an environment and a queue "q". Every request is checked against
// AWS's own model.
func emulator(t testing.TB) string {
	t.Helper()
	store, err := logstore.Open(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	server, err := endpoint.New(endpoint.Options{Runner: still{}, Logs: cloudwatch.New(store, "us-east-1", "123456789012")})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(server)
	url := fetched.Judged(t, front.URL)
	t.Cleanup(func() {
		front.Close()
		if err := server.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := server.MakeQueues(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	return url
}

// sketch returns a step in a queue.
func sketch(queue string, change ...func(*engine.TaskSpec)) Step {
	task := &engine.TaskSpec{Command: []string{"true"}, Image: "busybox", Queue: queue, Resources: []engine.Resources{{VCPUs: 1, MemoryMiB: 2048}}}
	for _, f := range change {
		f(task)
	}
	return Step{Spec: &engine.JobSpec{Step: "s", Queue: queue, Task: task, Tasks: engine.RangesOf(0), Resources: task.ResourcesFor(1)}, Sized: true, Where: func(arg string) string { return "p.hcl:" + arg }}
}

// want is a line: its status, and parts of its text and of its fix.
type want struct {
	status    Status
	text, fix string
}

func judge(t *testing.T, name string, got []Line, all ...want) {
	t.Helper()
	for i, w := range all {
		if i >= len(got) {
			t.Errorf("%s: no line %v", name, w)
			continue
		}
		if l := got[i]; l.Status != w.status || !strings.Contains(l.Name+": "+l.Text, w.text) || !strings.Contains(l.Fix, w.fix) || l.Status == Fault && l.Fix == "" {
			t.Errorf("%s: %+v, want %v", name, l, w)
		}
	}
	for _, l := range got[min(len(got), len(all)):] {
		t.Errorf("%s: one more: %+v", name, l)
	}
}

// TestLookChangesNothing: after all checks there is what was there before. With flow emulate
// alone the other services are skipped, and nothing is wrong.
func TestLookChangesNothing(t *testing.T) {
	isolate(t)
	url := emulator(t)
	p := at(t, url)
	define(t, p, noDefinition) // even if somebody has it
	lines := Look(t.Context(), Options{Cloud: p.o.Cloud, Steps: []Step{sketch("q")}, Now: time.Now})
	groups := map[string]map[Status]int{}
	for _, l := range lines {
		if groups[l.Group] == nil {
			groups[l.Group] = map[Status]int{}
		}
		groups[l.Group][l.Status]++
	}
	if d := cmp.Diff(map[string]map[Status]int{
		"credentials": {OK: 3}, "permissions": {OK: 1}, "queues": {OK: 1}, "environments": {OK: 1}, "roles": {Skipped: 1}, "network": {Skipped: 1},
		"steps": {OK: 1}, "images": {Skipped: 1}, "logs": {OK: 1},
	}, groups); d != "" {
		t.Errorf("(-want +got):\n%s\n%v", d, lines)
	}
	x := p.o.Cloud.Batch()
	jobs, err := x.ListJobs(t.Context(), &batch.ListJobsInput{JobQueue: aws.String("q"), Filters: []types.KeyValuesPair{{Name: aws.String("JOB_NAME"), Values: []string{"flow-doctor*"}}}})
	if err != nil || len(jobs.JobSummaryList) > 0 {
		t.Errorf("jobs: %v %v", jobs, err)
	}
	defs, err := x.DescribeJobDefinitions(t.Context(), &batch.DescribeJobDefinitionsInput{})
	if err != nil || len(defs.JobDefinitions) != 1 {
		t.Errorf("definitions: %v %v", defs, err)
	}
}

// TestLookAtAll: without a step and a queue all of the region is looked at.
func TestLookAtAll(t *testing.T) {
	isolate(t)
	p := at(t, emulator(t))
	w, err := p.readWorld(t.Context())
	if err != nil || len(w.queues) != 1 || w.queues[0].name != "q" || !w.queues[0].unused || len(w.environments) != 1 {
		t.Errorf("%+v %v", w, err)
	}
}

// TestPermissions: who is denied a call is told its action, and what prints the policy.
func TestPermissions(t *testing.T) {
	isolate(t)
	denied := map[string]string{"/v1/submitjob": "batch:SubmitJob", "/v1/getjobqueuesnapshot": "batch:GetJobQueueSnapshot", "/v1/registerjobdefinition": "batch:TagResource"}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if action := denied[r.URL.Path]; action != "" {
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"message":"User: arn:aws:iam::123456789012:user/x is not authorized to perform: ` + action + ` on resource: y"}`))
			return
		}
		w.Header().Set("X-Amzn-Errortype", "ClientException")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"message":"no"}`))
	}))
	t.Cleanup(s.Close)
	p := at(t, s.URL)
	p.o.Steps = []Step{sketch("q")}
	judge(t, "permissions", p.permissions(t.Context()),
		want{OK, "allowed: DescribeJobQueues, DescribeComputeEnvironments, DescribeJobDefinitions, DescribeJobs, ListJobs, TerminateJob, GetLogEvents", ""},
		want{Warning, "batch:GetJobQueueSnapshot: these credentials may not call batch:GetJobQueueSnapshot: flow can explain less", "flow infra policy p.hcl"},
		want{Fault, "batch:SubmitJob: these credentials may not call batch:SubmitJob", "allow batch:SubmitJob in a policy"},
		want{Fault, "batch:RegisterJobDefinition: these credentials may not call batch:TagResource", "allow batch:TagResource"},
	)
}

// TestRefused: what is sent to see whether it is allowed names what a run does, and is
// refused for two reasons each.
func TestRefused(t *testing.T) {
	isolate(t)
	p := at(t, "http://127.0.0.1:1")
	p.world = func() (*world, error) {
		return &world{queues: []queue{{name: "some"}}}, nil
	}
	own := sketch("q", func(task *engine.TaskSpec) {
		task.JobDefinition, task.Image = "arn:aws:batch:us-east-1:1:job-definition/tools:7", ""
	})
	roles := sketch("r", func(task *engine.TaskSpec) {
		task.Container = &engine.Container{JobRole: "job", ExecutionRole: "pull", LogOptions: map[string]string{"awslogs-group": "/lab"}}
	})
	type said struct{ Queue, Job, Image, Roles, Group string }
	for name, test := range map[string]struct {
		steps []Step
		want  said
	}{
		"no step":               {nil, said{"some", noDefinition, "flow-doctor", "", "/aws/batch/job"}},
		"plain":                 {[]Step{sketch("q"), own}, said{"q", noDefinition, "busybox", "", "/aws/batch/job"}},
		"one has roles":         {[]Step{sketch("q"), roles}, said{"q", noDefinition, "busybox", "job, pull", "/lab"}},
		"own definitions alone": {[]Step{own}, said{"q", "tools:2147483647", "", "", "/aws/batch/job"}},
	} {
		p.o.Steps = resolved(test.steps, nil)
		got := said{Queue: p.probedQueue(), Group: p.probedGroup()}
		job := p.refusedJob(got.Queue)
		if got.Job = *job.JobDefinition; *job.ArrayProperties.Size != 1 {
			t.Errorf("%s: an array of %d", name, *job.ArrayProperties.Size)
		}
		if in := p.refusedDefinition(); in != nil {
			c := in.ContainerProperties
			if got.Image = *c.Image; c.JobRoleArn != nil {
				got.Roles = *c.JobRoleArn + ", " + *c.ExecutionRoleArn
			}
			if *in.RetryStrategy.Attempts != 11 || *c.ResourceRequirements[0].Value != "0" || *in.JobDefinitionName != noDefinition {
				t.Errorf("%s: %+v", name, in)
			}
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	p.o.Steps, p.world = nil, func() (*world, error) { return &world{}, nil }
	if q := p.probedQueue(); q != "" {
		t.Errorf("a queue of nothing: %s", q)
	}
}

func TestClock(t *testing.T) {
	isolate(t)
	p := at(t, emulator(t))
	for off, w := range map[time.Duration]want{
		0:                 {OK, "as that of AWS", ""},
		45 * time.Second:  {Warning, "ahead of that of AWS", "NTP"},
		-2 * time.Minute:  {Warning, "behind that of AWS", "NTP"},
		10 * time.Minute:  {Fault, "ahead of that of AWS, which takes no request that is more than 5m0s off", "NTP"},
		-10 * time.Minute: {Fault, "behind that of AWS", "NTP"},
	} {
		p.o.Now = func() time.Time { return time.Now().Add(off) }
		judge(t, off.String(), p.region(t.Context()), want{OK, "us-east-1", ""}, w)
	}
}

func TestSkewedSignature(t *testing.T) {
	isolate(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-Errortype", "InvalidSignatureException")
		w.Header().Set("Date", "")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"message":"Signature expired: 20200101T000000Z is now earlier than"}`))
	}))
	t.Cleanup(s.Close)
	judge(t, "signature", at(t, s.URL).region(t.Context()), want{OK, "us-east-1", ""}, want{Fault, "the clock may be the reason: InvalidSignatureException", "NTP"})
}

func TestCredentials(t *testing.T) {
	isolate(t)
	judge(t, "none", at(t, "").credentials(t.Context()), want{Fault, "there are none", "aws configure"})

	config := filepath.Join(t.TempDir(), "config")
	text := "[profile old]\nregion = us-east-1\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\",\"SessionToken\":\"c\",\"Expiration\":\"2020-01-01T00:00:00Z\"}'\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", config)
	t.Setenv("AWS_PROFILE", "old")
	judge(t, "expired", at(t, "").credentials(t.Context()), want{Fault, "expired", "the credential_process echo"})

	t.Setenv("AWS_PROFILE", "")
	judge(t, "emulator", at(t, "http://127.0.0.1:1").credentials(t.Context()), want{OK, "from flow itself, since there are no others; AWS Batch is on this machine", ""})
}

// TestUnreached: what nobody answers is a fault once, and skipped where it is needed.
func TestUnreached(t *testing.T) {
	isolate(t, "AWS_MAX_ATTEMPTS", "1")
	p := at(t, "http://127.0.0.1:1")
	faults := 0
	for _, l := range Look(t.Context(), Options{Cloud: p.o.Cloud, Steps: []Step{sketch("q")}, Now: time.Now}) {
		if l.Status == Fault {
			faults++
			judge(t, "region", []Line{l}, want{Fault, "connection refused", "start flow emulate"})
		}
	}
	if faults != 1 {
		t.Errorf("%d faults", faults)
	}
}

// TestLimit: a check that waits for ever is given up.
func TestLimit(t *testing.T) {
	ended := make(chan struct{})
	defer close(ended)
	for vital, status := range map[bool]Status{true: Fault, false: Skipped} {
		c := check{"g", "n", func(context.Context) []Line { <-ended; return nil }, vital}
		judge(t, "limit", c.within(t.Context(), time.Millisecond), want{status, "there was no answer in time", "HTTPS_PROXY"})
	}
}

// TestPassing: what AWS is too busy for, or fails at, is no fault of what is looked at.
func TestPassing(t *testing.T) {
	isolate(t, "AWS_MAX_ATTEMPTS", "1")
	for answer, want := range map[string]want{
		"400 ThrottlingException":      {Skipped, "batch:X could not be answered now: ThrottlingException", ""},
		"429 TooManyRequestsException": {Skipped, "could not be answered now", ""},
		"500 ServerException":          {Skipped, "could not be answered now", ""},
		"400 ClientException":          {Fault, "batch:X: ClientException", "see what the answer says"},
	} {
		var status int
		var kind string
		if _, err := fmt.Sscan(answer, &status, &kind); err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amzn-Errortype", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"message":"no"}`))
		}))
		t.Cleanup(s.Close)
		p := at(t, s.URL)
		_, err := p.o.Cloud.Batch().DescribeJobQueues(t.Context(), &batch.DescribeJobQueuesInput{}, func(o *batch.Options) { o.RetryMaxAttempts = 1 })
		judge(t, answer, []Line{p.trouble("x", "batch:X", err)}, want)
	}
}
