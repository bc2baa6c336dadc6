package infra

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
)

// answer answers a call of AWS Batch.
func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"X-Amzn-Errortype": {"ClientException"}}, Body: io.NopCloser(strings.NewReader(body))}
}

func (w *world) hasSaid(want string) {
	w.Helper()
	if !slices.ContainsFunc(w.said, func(line string) bool { return strings.HasPrefix(line, want) }) {
		w.Errorf("it has not said %q, but:\n%s", want, strings.Join(w.said, "\n"))
	}
}

// Who waits is told what for, and for how long.
func TestProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.apply("wf", &engine.Infra{Environments: []*engine.ComputeEnvironment{fargate("e", 4)}, Queues: []*engine.JobQueue{queueOn("q", "e")}})
	w.hasSaid("creating compute_environment e")
	w.hasSaid("compute_environment e: waiting for CREATING for 12s")
	w.hasSaid("compute_environment e: waiting for CREATING for 24s")
	w.hasSaid("job_queue q: waiting for CREATING for 12s")
}

// An argument that AWS keeps as it is does not hold up for ever.
func TestKeptArgument(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	e := fargate("e", 4)
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{e}}
	w.apply("wf", in)
	w.refuse = func(operation string, _ []byte) *http.Response {
		if operation == "updatecomputeenvironment" {
			return answer(http.StatusOK, "{}")
		}
		return nil
	}
	e.MaxVCPUs = 8
	m := w.manager("wf")
	p, err := m.Plan(t.Context(), in)
	w.must(err)
	w.must(m.Apply(t.Context(), p))
	w.hasSaid("compute_environment e: AWS keeps max_vcpus as 4")
	if calls := w.changing(); len(calls) != 2 {
		t.Errorf("it makes the calls %v", calls)
	}
}

// An environment of Fargate on which jobs run cannot go: it is INVALID until they have
// ended, and deleted then. The queue goes on without it.
func TestFargateWithJobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	first, second := fargate("first", 4), fargate("second", 4)
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{first, second}, Queues: []*engine.JobQueue{queueOn("q", "first", "second")}}
	w.apply("wf", in)
	id := w.submitFargate("q")
	deletes := 0
	w.refuse = func(operation string, _ []byte) *http.Response {
		if operation != "deletecomputeenvironment" {
			return nil
		}
		if deletes++; deletes == 3 {
			_, err := w.batch.TerminateJob(t.Context(), &batch.TerminateJobInput{JobId: &id, Reason: aws.String("it is enough")})
			w.must(err)
			w.until(func() bool {
				out, err := w.batch.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
				w.must(err)
				return out.Jobs[0].Status == types.JobStatusFailed
			})
		}
		return nil
	}
	first.Type = engine.TypeFargateSpot
	wantPlan(t, w.plan("wf", in), `
replace compute_environment first
  type: "FARGATE" -> "FARGATE_SPOT" (AWS Batch cannot change it)
update job_queue q
  # it goes on without first while that is replaced
`)
	w.apply("wf", in)
	if deletes < 3 {
		t.Errorf("it was deleted after %d calls", deletes)
	}
}

// submitFargate submits a job, and waits until it runs.
func (w *world) submitFargate(queue string) string {
	w.Helper()
	_, err := w.batch.RegisterJobDefinition(w.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("far"), Type: types.JobDefinitionTypeContainer, PlatformCapabilities: []types.PlatformCapability{types.PlatformCapabilityFargate},
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String("busybox"), ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/run"),
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("2048")}},
		},
	})
	w.must(err)
	out, err := w.batch.SubmitJob(w.Context(), &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: &queue, JobDefinition: aws.String("far")})
	w.must(err)
	w.until(func() bool {
		jobs, err := w.batch.DescribeJobs(w.Context(), &batch.DescribeJobsInput{Jobs: []string{*out.JobId}})
		w.must(err)
		return jobs.Jobs[0].Status == types.JobStatusRunning
	})
	return *out.JobId
}

// until looks until something is so.
func (w *world) until(ok func() bool) {
	w.Helper()
	for range 10_000 {
		if ok() {
			return
		}
	}
	w.Fatal("it is not so")
}

// What is being created or deleted by a process that is no more is waited for.
func TestTakenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{fargate("e", 4)}}
	made := argumentsOf(mustDesire(t, in)[0].Input, nil)
	_, err := w.batch.CreateComputeEnvironment(t.Context(), mustDesire(t, in)[0].Input.(*batch.CreateComputeEnvironmentInput))
	w.must(err)
	p := w.plan("wf", in)
	if !p.Empty() {
		t.Errorf("there is something to do though it is CREATING with %v:\n%s", made, describe(p))
	}
	w.must(w.manager("wf").Apply(t.Context(), p))
	if found := w.everything(); !strings.Contains(found, "compute_environment e wf VALID") {
		t.Errorf("it was not waited for:\n%s", found)
	}
	_, err = w.batch.UpdateComputeEnvironment(t.Context(), &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String("e"), State: types.CEStateDisabled})
	w.must(err)
	w.must(w.sleep(t.Context(), settling))
	_, err = w.batch.DeleteComputeEnvironment(t.Context(), &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: aws.String("e")})
	w.must(err)
	wantPlan(t, w.plan("wf", in), "create compute_environment e\n  # the one that is being deleted is waited for\n")
	w.apply("wf", in)
}

func mustDesire(t *testing.T, in *engine.Infra) []Resource {
	t.Helper()
	out, err := Desired("wf", "us-east-1", in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The names of roles fit into IAM's limit, and stay different.
func TestRoleNames(t *testing.T) {
	if got := roleName(useInstance, "genome", "us-east-1"); got != "flow-genome-us-east-1-instance" {
		t.Errorf("it is %s", got)
	}
	long := strings.Repeat("long-", 20)
	seen := map[string]bool{}
	for _, use := range roleUses {
		for _, region := range []string{"us-east-1", "ap-southeast-2"} {
			name := roleName(use, long, region)
			if len(name) != maxRoleName || seen[name] {
				t.Errorf("%s has %d characters, seen: %v", name, len(name), seen[name])
			}
			seen[name] = true
		}
	}
}

func TestRolesForEKS(t *testing.T) {
	e := onDemand("e", 4)
	e.EKSCluster, e.EKSNamespace, e.CreateRoles, e.InstanceRole = "arn:aws:eks:us-east-1:123456789012:cluster/c", "jobs", true, ""
	_, err := Desired("wf", "us-east-1", &engine.Infra{Environments: []*engine.ComputeEnvironment{e}})
	if want := `w.hcl:20: compute_environment "e": create_roles makes roles of instances for ECS, and this environment is on EKS: give instance_role, that of the cluster's nodes`; err == nil || err.Error() != want {
		t.Errorf("the error is %v", err)
	}
}

// Somebody else's that came between the plan and the apply is not touched.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	in := &engine.Infra{Environments: []*engine.ComputeEnvironment{fargate("e", 4)}}
	m := w.manager("wf")
	p, err := m.Plan(t.Context(), in)
	w.must(err)
	w.apply("other", in)
	before := w.everything()
	if err := m.Apply(t.Context(), p); err == nil || !strings.Contains(err.Error(), "compute_environment e is not of workflow wf: somebody else has made it in the meantime") {
		t.Errorf("the error is %v", err)
	}
	if w.everything() != before {
		t.Error("it was changed")
	}
	// Nor is what came to be there in place of ours removed.
	p, err = w.manager("other").PlanDestroy(t.Context())
	w.must(err)
	w.apply("other", nil)
	w.apply("wf", in)
	before = w.everything()
	if err := w.manager("other").Apply(t.Context(), p); err == nil || !strings.Contains(err.Error(), "compute_environment e is not of workflow other") {
		t.Errorf("the error is %v", err)
	}
	if w.everything() != before {
		t.Error("it was removed")
	}
}

// A refusal for want of permission names the permission.
func TestDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.refuse = func(operation string, _ []byte) *http.Response {
		if operation == "describejobqueues" {
			r := answer(http.StatusForbidden, `{"message":"User: me is not authorized"}`)
			r.Header.Set("X-Amzn-Errortype", "AccessDeniedException")
			return r
		}
		return nil
	}
	_, err := w.manager("wf").Plan(t.Context(), everyKind(false))
	if want := "cannot look at the job queues: the credentials may not do that: they need the permission batch:DescribeJobQueues (User: me is not authorized)"; err == nil || err.Error() != want {
		t.Errorf("the error is %v", err)
	}
}
