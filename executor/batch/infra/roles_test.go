package infra

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"flow/engine"
)

// noProfile refuses environments with an instance profile, some times.
func noProfile(times *int) func(string, []byte) *http.Response {
	return func(operation string, body []byte) *http.Response {
		if operation != "createcomputeenvironment" || !bytes.Contains(body, []byte("instanceRole")) || *times == 0 {
			return nil
		}
		*times--
		return answer(http.StatusBadRequest, `{"message":"Error executing request, Exception : Instance profile does not exist, RequestId: 1"}`)
	}
}

// An instance profile that somebody has made for a role of flow's is not flow's; one of
// flow's with a role of others in it cannot be used.
func testForeignProfiles(t *testing.T, iamURL string) {
	w := newWorld(t, iamURL)
	w.apply("guest", rolesOnly(false))
	job, instance := aws.String("flow-guest-us-east-1-job"), aws.String("flow-guest-us-east-1-instance")
	_, err := w.iam.CreateInstanceProfile(t.Context(), &iam.CreateInstanceProfileInput{InstanceProfileName: job})
	w.must(err)
	_, err = w.iam.RemoveRoleFromInstanceProfile(t.Context(), &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: instance, RoleName: instance})
	w.must(err)
	_, err = w.iam.AddRoleToInstanceProfile(t.Context(), &iam.AddRoleToInstanceProfileInput{InstanceProfileName: instance, RoleName: job})
	w.must(err)
	_, err = w.manager("guest").Plan(t.Context(), rolesOnly(false))
	if want := "w.hcl:20: role flow-guest-us-east-1-instance: its instance profile has the role flow-guest-us-east-1-job in it"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the error is %v, want %s", err, want)
	}
	w.apply("guest", nil)
	if diff := w.roles("guest"); diff != "profile us-east-1-job with 0 roles\n" {
		t.Errorf("there is left:\n%s", diff)
	}
}

// Nor is a role of flow's touched whose instance profile somebody has made anew.
func testReplacedProfile(t *testing.T, iamURL string) {
	w := newWorld(t, iamURL)
	w.apply("swap", rolesOnly(false))
	name := aws.String("flow-swap-us-east-1-instance")
	_, err := w.iam.RemoveRoleFromInstanceProfile(t.Context(), &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: name, RoleName: name})
	w.must(err)
	_, err = w.iam.DeleteInstanceProfile(t.Context(), &iam.DeleteInstanceProfileInput{InstanceProfileName: name})
	w.must(err)
	_, err = w.iam.CreateInstanceProfile(t.Context(), &iam.CreateInstanceProfileInput{InstanceProfileName: name})
	w.must(err)
	_, err = w.manager("swap").Plan(t.Context(), rolesOnly(false))
	if want := "role flow-swap-us-east-1-instance is there already, and it was not made by flow"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

// An apply that goes on from one that was interrupted knows a role as one that was made a
// moment ago as well.
func testFreshFromBefore(t *testing.T, iamURL string) {
	w := newWorld(t, iamURL)
	w.clock = time.Now()
	e := spot("e", 4)
	e.CreateRoles, e.InstanceRole = true, ""
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{e}}
	w.refuse = func(operation string, _ []byte) *http.Response {
		if operation != "createcomputeenvironment" {
			return nil
		}
		r := answer(http.StatusForbidden, `{"message":"not now"}`)
		r.Header.Set("X-Amzn-Errortype", "AccessDeniedException")
		return r
	}
	m := w.manager("again")
	p, err := m.Plan(t.Context(), in)
	w.must(err)
	if err := m.Apply(t.Context(), p); err == nil {
		t.Fatal("the first apply ends well")
	}
	times := 2
	w.refuse = noProfile(&times)
	w.apply("again", in)
	if times != 0 {
		t.Errorf("%d refusals were not met", times)
	}
}

// A role may have more policies than IAM tells of at once; all of them go with it.
func testManyPolicies(t *testing.T, iamURL string) {
	w := newWorld(t, iamURL)
	w.apply("many", rolesOnly(false))
	role := aws.String("flow-many-us-east-1-job")
	for i := range 3 {
		document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
		_, err := w.iam.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: role, PolicyName: aws.String(fmt.Sprint("own", i)), PolicyDocument: &document})
		w.must(err)
		arn := aws.String("arn:aws:iam::aws:policy/" + []string{"AmazonS3ReadOnlyAccess", "AmazonEC2ReadOnlyAccess", "CloudWatchLogsReadOnlyAccess"}[i])
		_, err = w.iam.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: role, PolicyArn: arn})
		w.must(err)
	}
	w.form = func(action, form string) string {
		if strings.HasPrefix(action, "List") {
			return form + "&MaxItems=1"
		}
		return form
	}
	w.refuse = func(operation string, body []byte) *http.Response { // moto has all of these on one page
		if operation != "ListRolePolicies" || !bytes.Contains(body, []byte("-job")) {
			return nil
		}
		page := `<PolicyNames><member>own0</member></PolicyNames><IsTruncated>true</IsTruncated><Marker>next</Marker>`
		if bytes.Contains(body, []byte("Marker=next")) {
			page = `<PolicyNames><member>own1</member><member>own2</member></PolicyNames><IsTruncated>false</IsTruncated>`
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(strings.NewReader(
			`<ListRolePoliciesResponse><ListRolePoliciesResult>` + page + `</ListRolePoliciesResult></ListRolePoliciesResponse>`))}
	}
	w.settledOn("many", rolesOnly(false))
	w.apply("many", nil)
	if left := w.roles("many"); left != "" {
		t.Errorf("there is left:\n%s", left)
	}
}

// Without the permission to look at roles, what needs none goes on; a destroy says that
// roles may stay.
func testRolesDenied(t *testing.T, iamURL string) {
	w := newWorld(t, iamURL)
	w.refuse = func(operation string, _ []byte) *http.Response {
		if operation != "GetRole" {
			return nil
		}
		return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(strings.NewReader(
			`<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: me is not authorized</Message></Error><RequestId>1</RequestId></ErrorResponse>`))}
	}
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{fargate("e", 4)}}
	w.apply("denied", in)
	if p := w.plan("denied", in); len(p.Warnings) > 0 {
		t.Errorf("the plan warns: %q", p.Warnings)
	}
	p, err := w.manager("denied").PlanDestroy(t.Context())
	w.must(err)
	if want := "roles that create_roles has made, if there are any, stay, since they cannot be looked at: cannot look at the role flow-denied-us-east-1-instance: the credentials may not do that: they need the permission iam:GetRole"; len(p.Warnings) != 1 || !strings.HasPrefix(p.Warnings[0], want) {
		t.Errorf("destroy warns: %q", p.Warnings)
	}
	if _, err = w.manager("denied").Plan(t.Context(), rolesOnly(false)); err == nil || !strings.Contains(err.Error(), "create_roles: the role flow-denied-us-east-1-instance cannot be made") {
		t.Errorf("roles that are wanted: %v", err)
	}
	s, err := w.manager("denied").Status(t.Context(), in)
	if err != nil || !strings.Contains(s.Roles, "iam:GetRole") {
		t.Errorf("status says of roles %q, %v", s.Roles, err)
	}
}

// Nobody waits for ever; what AWS has begun goes on.
func TestTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{fargate("e", 4)}}
	m := w.manager("wf")
	m.o.Timeout = 10 * time.Second
	p, err := m.Plan(t.Context(), in)
	w.must(err)
	err = m.Apply(t.Context(), p)
	if want := "compute_environment e: after 10s it is still waiting for CREATING, and waits no longer. AWS goes on with what was begun: see flow infra status, or give it longer with -timeout"; err == nil || err.Error() != want {
		t.Errorf("the error is %v", err)
	}
	w.apply("wf", in)
}

// An update may take its time, and what it changes be told a moment after it has ended.
func TestSlowUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	e := fargate("e", 4)
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{e}}
	w.apply("wf", in)
	var asked time.Time
	w.ask = func(operation string, _ object) {
		if operation == "updatecomputeenvironment" {
			asked = w.now()
		}
	}
	w.fill = func(operation string, body object) {
		if operation != "describecomputeenvironments" || asked.IsZero() {
			return
		}
		for _, o := range objects(body["computeEnvironments"]) {
			switch since := w.now().Sub(asked); {
			case since < 10*time.Minute:
				o["status"] = "UPDATING"
				fallthrough
			case since < 10*time.Minute+20*time.Second:
				o["computeResources"].(object)["maxvCpus"] = 4
			}
		}
	}
	e.MaxVCPUs = 8
	w.apply("wf", in)
	for _, line := range w.said {
		if strings.Contains(line, "AWS keeps") {
			t.Error(line)
		}
	}
	if calls := w.changing(); len(calls) != 2 {
		t.Errorf("it makes the calls %v", calls)
	}
}

// What is gone already is no error when it is to go.
func TestGoneAlready(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.apply("wf", everyKind(false))
	for operation, message := range map[string]string{
		"deleteschedulingpolicy": "SchedulingPolicy fair not found", "deleteconsumableresource": "consumable-resource/licenses does not exist", "deregisterjobdefinition": "JobDefinition does not exist",
	} {
		w.refuse = func(op string, _ []byte) *http.Response {
			if op != operation {
				return nil
			}
			return answer(http.StatusBadRequest, `{"message":"Error executing request, Exception : `+message+`, RequestId: 1"}`)
		}
		m := w.manager("wf")
		p, err := m.PlanDestroy(t.Context())
		w.must(err)
		if err := m.Apply(t.Context(), p); err != nil {
			t.Errorf("%s: %v", operation, err)
		}
	}
}

// IAM knows of what it has made only a while later: a read does not tell of it, and a call
// that names it is refused.
func testEventually(t *testing.T, iamURL string) {
	w := newWorld(t, iamURL)
	var made time.Time
	w.refuse = func(operation string, _ []byte) *http.Response {
		switch operation {
		case "CreateRole":
			made = w.now()
		case "GetRole", "GetInstanceProfile", "AttachRolePolicy", "AddRoleToInstanceProfile":
			if !made.IsZero() && w.now().Sub(made) < 10*time.Second {
				return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(strings.NewReader(
					`<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>there is none</Message></Error><RequestId>1</RequestId></ErrorResponse>`))}
			}
		}
		return nil
	}
	w.apply("late", rolesOnly(false))
	w.refuse = nil
	const want = `profile us-east-1-instance with 1 roles
role us-east-1-execution of us: AmazonECSTaskExecutionRolePolicy
role us-east-1-instance of us: AmazonEC2ContainerServiceforEC2Role
role us-east-1-job of us:
role us-east-1-spot of us: AmazonEC2SpotFleetTaggingRole
`
	if got := w.roles("late"); got != want {
		t.Errorf("the roles are\n%s", got)
	}
}

// A queue can lose the environment that is replaced only for one that is VALID; one that an
// interrupted apply has begun to make is waited for, and the queue with its jobs stays.
func TestEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	first, second := fargate("first", 4), fargate("second", 4)
	w.apply("wf", &engine.Infra{Environments: []*engine.ComputeEnvironment{first}, Queues: []*engine.JobQueue{queueOn("q", "first")}})
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{first, second}, Queues: []*engine.JobQueue{queueOn("q", "second", "first")}}
	for _, r := range mustDesire(t, in) {
		if create, ok := r.Input.(*batch.CreateComputeEnvironmentInput); ok && r.Name == "second" {
			_, err := w.batch.CreateComputeEnvironment(t.Context(), create)
			w.must(err)
		}
	}
	first.Type = engine.TypeFargateSpot
	if c := w.plan("wf", in).find(KindQueue, "q"); c.Action != Update {
		t.Errorf("the plan is to %s the queue", c.Action)
	}
	w.apply("wf", in)
}

// A policy that was just made may not be listed yet; the queue gets its ARN all the same.
func TestUnlistedPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	sent := ""
	w.ask = func(_ string, body object) {
		if policy, ok := body["schedulingPolicyArn"].(string); ok {
			sent = policy
		}
	}
	w.fill = func(operation string, body object) {
		if operation == "listschedulingpolicies" && sent == "" {
			body["schedulingPolicies"] = []any{}
		}
	}
	w.apply("wf", everyKind(false))
	if !strings.HasPrefix(sent, "arn:") {
		t.Errorf("the queue was made with the policy %q", sent)
	}
}
