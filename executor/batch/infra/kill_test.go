package infra

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/executortest/fetched"
)

// moto starts the server of IAM that tests judge roles by.
func moto(t testing.TB) string { return fetched.Moto(t, "MOTO_IAM_LOAD_MANAGED_POLICIES=true") }

// change is one way from what is there to what is wanted, nil: nothing.
type change struct{ from, to func(bool) *engine.Infra }

// begin makes what a change starts from.
func (c change) begin(w *world, workflow string) {
	if c.from != nil {
		w.apply(workflow, c.from(false))
	}
	w.wire.calls = nil
}

// carryOut plans and applies in one go, as a process that may die does.
func (c change) carryOut(w *world, workflow string, retryer ...aws.Retryer) error {
	m := w.manager(workflow, retryer...)
	var to *engine.Infra
	if c.to != nil {
		to = c.to(false)
	}
	p, err := m.Plan(w.Context(), to)
	if err != nil {
		return err
	}
	return m.Apply(w.Context(), p)
}

// end writes what there is afterwards, without the workflow's name.
func (w *world) end(workflow string) string {
	return strings.ReplaceAll(w.everything(), workflow, "us") + w.roles(workflow)
}

// rolesOnly has what needs a role of each use, and is small.
func rolesOnly(bool) *engine.Infra {
	e := spot("e", 4)
	e.CreateRoles, e.InstanceRole, e.AllocationStrategy = true, "", "BEST_FIT"
	d := definition("d", "true")
	d.CreateRoles = true
	return &engine.Infra{Environments: []*engine.ComputeEnvironment{e}, Definitions: []*engine.JobDefinition{d}}
}

// However often it is killed, at whatever call that changes something, before it is sent or
// with its answer lost: it is run again, and the end is the same.
func TestKilled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]change{
		"made":    {nil, everyKind},
		"changed": {everyKind, changed},
		"gone":    {everyKind, nil},
	} {
		t.Run(name, func(t *testing.T) { c.killed(t, name, "") })
	}
}

// All that needs IAM is judged by one server of it.
func TestIAM(t *testing.T) {
	t.Parallel()
	iamURL := moto(t)
	for name, test := range map[string]func(*testing.T, string){
		"roles": testRoles, "foreign role": testForeignRole, "fresh roles": testFreshRoles, "killed": testKilledAtRoles,
		"profiles of others": testForeignProfiles, "made anew by others": testReplacedProfile, "made by an interrupted apply": testFreshFromBefore, "many policies": testManyPolicies, "denied": testRolesDenied,
		"not known everywhere": testEventually,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, iamURL)
		})
	}
}

func testKilledAtRoles(t *testing.T, iamURL string) {
	for name, c := range map[string]change{"roles-made": {nil, rolesOnly}, "roles-gone": {rolesOnly, nil}} {
		t.Run(name, func(t *testing.T) { c.killed(t, name, iamURL) })
	}
}

func (c change) killed(t *testing.T, name, iamURL string) {
	undisturbed := newWorld(t, iamURL)
	workflow := name + "-x"
	c.begin(undisturbed, workflow)
	undisturbed.must(c.carryOut(undisturbed, workflow))
	want, calls := undisturbed.end(workflow), undisturbed.changing()
	if c.to == nil && want != "" {
		t.Fatalf("there is still:\n%s", want)
	}
	for n := 1; n <= len(calls); n += stride {
		for _, answer := range []bool{false, true} {
			workflow := fmt.Sprintf("%s-%d-%v", name, n, answer)
			w := newWorld(t, iamURL)
			c.begin(w, workflow)
			w.cutAt, w.answer = n, answer
			if err := c.carryOut(w, workflow); err == nil {
				t.Errorf("cut at call %d (%s): no error", n, calls[n-1])
			}
			w.mend()
			if err := c.carryOut(w, workflow); err != nil {
				t.Errorf("cut at call %d (%s): then %v", n, calls[n-1], err)
			}
			if diff := cmp.Diff(want, w.end(workflow)); diff != "" {
				t.Errorf("cut at call %d (%s, only its answer: %v); the end (-want +got):\n%s", n, calls[n-1], answer, diff)
			}
		}
	}
}

// Lost answers alone stop nothing: the call is made again, and what is there then is known
// for our own.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]change{
		"made":    {nil, everyKind},
		"changed": {everyKind, changed},
		"gone":    {everyKind, nil},
	} {
		t.Run(name, func(t *testing.T) {
			undisturbed := newWorld(t, "")
			c.begin(undisturbed, "us")
			undisturbed.must(c.carryOut(undisturbed, "us"))
			want, calls := undisturbed.end("us"), undisturbed.changing()
			for n := 1; n <= len(calls); n += stride {
				w := newWorld(t, "")
				c.begin(w, "us")
				w.cutAt, w.answer, w.once = n, true, true
				if err := c.carryOut(w, "us", hasty()); err != nil {
					t.Errorf("the answer to call %d (%s) is lost: %v", n, calls[n-1], err)
				}
				if diff := cmp.Diff(want, w.end("us")); diff != "" {
					t.Errorf("the answer to call %d (%s) is lost; the end (-want +got):\n%s", n, calls[n-1], diff)
				}
			}
		})
	}
}

// The roles that are asked for are made, with what AWS's guides say of them, and used by
// their ARNs; a second look changes nothing, and mends what is missing of them.
func testRoles(t *testing.T, iamURL string) {
	w := newWorld(t, iamURL)
	w.apply("wf", everyKind(true))
	const want = `profile us-east-1-instance with 1 roles
role us-east-1-execution of us: AmazonECSTaskExecutionRolePolicy
role us-east-1-instance of us: AmazonEC2ContainerServiceforEC2Role
role us-east-1-job of us:
role us-east-1-spot of us: AmazonEC2SpotFleetTaggingRole
`
	if diff := cmp.Diff(want, w.roles("wf")); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	found, err := w.manager("wf").read(t.Context())
	w.must(err)
	in := found.get(KindDefinition, "align").input
	if args := argumentsOf(in, nil); args.values["container.job_role"] != `"flow-wf-us-east-1-job"` {
		t.Errorf("the job role is %s", args.values["container.job_role"])
	}
	name := aws.String("flow-wf-us-east-1-instance")
	_, err = w.iam.RemoveRoleFromInstanceProfile(t.Context(), &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: name, RoleName: name})
	w.must(err)
	_, err = w.iam.DetachRolePolicy(t.Context(), &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: aws.String("arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role")})
	w.must(err)
	_, err = w.iam.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("flow-wf-us-east-1-job"), PolicyName: aws.String("mine"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`),
	})
	w.must(err)
	wantPlan(t, w.plan("wf", everyKind(true)), `
update role flow-wf-us-east-1-instance
  policies:  -> ["arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"]
  instance_profile:  -> true
`)
	w.apply("wf", everyKind(true))
	if diff := cmp.Diff(want, w.roles("wf")); diff != "" {
		t.Errorf("mended roles (-want +got):\n%s", diff)
	}
	w.apply("wf", nil)
	if left := w.everything() + w.roles("wf"); left != "" {
		t.Errorf("there is still:\n%s", left)
	}
}

// A role that was there before is not taken for ours.
func testForeignRole(t *testing.T, iamURL string) {
	w := newWorld(t, iamURL)
	_, err := w.iam.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("flow-foreign-us-east-1-instance"), AssumeRolePolicyDocument: aws.String(roleFor(useInstance, "foreign", "us-east-1").Trust()),
	})
	w.must(err)
	_, err = w.manager("foreign").Plan(t.Context(), everyKind(true))
	if want := "role flow-foreign-us-east-1-instance is there already, and it was not made by flow"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want %q", err, want)
	}
	w.apply("foreign", nil)
	if got := w.roles("foreign"); !strings.Contains(got, "us-east-1-instance") {
		t.Error("destroy has deleted a role of others")
	}
}

// IAM takes a moment to be known everywhere: what is refused because of it is tried again.
func testFreshRoles(t *testing.T, iamURL string) {
	w := newWorld(t, iamURL)
	refusals := 3
	noProfile := func(operation string, body []byte) *http.Response {
		if operation != "createcomputeenvironment" || !bytes.Contains(body, []byte("flow-fresh-us-east-1-instance")) || refusals == 0 {
			return nil
		}
		refusals--
		return &http.Response{
			StatusCode: http.StatusBadRequest, Header: http.Header{"X-Amzn-Errortype": {"ClientException"}},
			Body: io.NopCloser(strings.NewReader(`{"message":"Error executing request, Exception : Instance profile flow-fresh-us-east-1-instance does not exist, RequestId: 1"}`)),
		}
	}
	w.refuse = noProfile
	e := spot("e", 4)
	e.CreateRoles, e.InstanceRole = true, ""
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{e}}
	w.apply("fresh", in)
	if refusals != 0 {
		t.Errorf("%d refusals were not met", refusals)
	}
	// Or the environment is INVALID for a while, until AWS Batch looks anew.
	d := spot("later", 4)
	d.CreateRoles, d.InstanceRole, d.AllocationStrategy = true, "", "BEST_FIT"
	broken := false
	w.refuse = func(operation string, body []byte) *http.Response {
		switch {
		case operation == "describecomputeenvironments" && !broken && bytes.Contains(body, []byte("later")) && strings.Contains(w.everything(), "environment later"):
			broken = true
			w.admin("invalidate", url.Values{"environment": {"later"}, "reason": {"CLIENT_ERROR - Parameter: SpotFleetRequestConfig.IamFleetRole is invalid."}})
		case operation == "updatecomputeenvironment" && broken:
			w.admin("invalidate", url.Values{"environment": {"later"}, "reason": {""}})
		}
		return nil
	}
	w.apply("fresh", &engine.Infra{Environments: []*engine.ComputeEnvironment{e, d}})
	if !broken {
		t.Error("it was never INVALID")
	}
	// Of a role that was not made just now it is an error at once.
	refusals, w.refuse = 3, noProfile
	e.Name = "f"
	m := w.manager("fresh")
	p, err := m.Plan(t.Context(), in)
	w.must(err)
	err = m.Apply(t.Context(), p)
	if want := "cannot create compute_environment f: Instance profile flow-fresh-us-east-1-instance does not exist"; err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}
