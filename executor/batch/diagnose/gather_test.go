package diagnose_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/batch/cloud"
	"flow/executor/batch/diagnose"
	"flow/executor/local"
	"flow/executor/local/endpoint"
)

// A forever is a runner whose tries end only when they are stopped.
type forever struct{ stopped chan struct{} }

func (f forever) Run(_ *local.Try, started func()) local.Exit {
	started()
	<-f.stopped
	return local.Exit{ExitCode: new(143), StatusReason: engine.ReasonExited}
}
func (f forever) Stop(engine.JobID, time.Duration) {}
func (f forever) Close()                           {}

// An account is an emulator with a clock of its own, in which jobs run for ever.
type account struct {
	t      *testing.T
	cloud  *cloud.Cloud
	b      *batch.Client
	url    string
	server *endpoint.Server
	clock  atomic.Int64 // nanoseconds that it is ahead
}

func newAccount(t *testing.T) *account {
	t.Helper()
	none := t.TempDir() + "/none"
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
		"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL": "",
	} {
		t.Setenv(name, value)
	}
	a := &account{t: t}
	run := forever{make(chan struct{})}
	var err error
	if a.server, err = endpoint.New(endpoint.Options{Runner: run, Now: a.now}); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(a.server)
	a.url = front.URL
	t.Cleanup(func() {
		close(run.stopped)
		front.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := a.server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if a.cloud, err = cloud.Open(t.Context(), cloud.Options{Endpoint: a.url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.cloud.Close)
	a.b = a.cloud.Batch()
	a.environment("ce", 4)
	a.queue("q", "ce")
	a.define("job", "1", "1024")
	return a
}

func (a *account) now() time.Time { return time.Now().Add(time.Duration(a.clock.Load())) }

func (a *account) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *account) environment(name string, vcpus int32, change ...func(*types.ComputeResource)) {
	a.t.Helper()
	r := &types.ComputeResource{
		Type: types.CRTypeEc2, MinvCpus: new(int32(0)), MaxvCpus: &vcpus, InstanceTypes: []string{"m5.large"},
		Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}, InstanceRole: new("ecsInstanceRole"),
	}
	for _, c := range change {
		c(r)
	}
	_, err := a.b.CreateComputeEnvironment(a.t.Context(), &batch.CreateComputeEnvironmentInput{ComputeEnvironmentName: &name, Type: types.CETypeManaged, ComputeResources: r})
	a.must(err)
}

func (a *account) queue(name, environment string) {
	a.t.Helper()
	_, err := a.b.CreateJobQueue(a.t.Context(), &batch.CreateJobQueueInput{
		JobQueueName: &name, Priority: new(int32(1)),
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: new(int32(1)), ComputeEnvironment: &environment}},
	})
	a.must(err)
}

func (a *account) define(name, vcpus, memory string) {
	a.t.Helper()
	_, err := a.b.RegisterJobDefinition(a.t.Context(), &batch.RegisterJobDefinitionInput{
		JobDefinitionName: &name, Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{Image: new("lab/tools:1"), Command: []string{"true"}, ResourceRequirements: []types.ResourceRequirement{
			{Type: types.ResourceTypeVcpu, Value: &vcpus}, {Type: types.ResourceTypeMemory, Value: &memory},
		}},
	})
	a.must(err)
}

// submit submits a job named as its definition, and returns its id.
func (a *account) submit(definition string, change ...func(*batch.SubmitJobInput)) string {
	a.t.Helper()
	in := &batch.SubmitJobInput{JobName: &definition, JobQueue: new("q"), JobDefinition: &definition}
	for _, c := range change {
		c(in)
	}
	out, err := a.b.SubmitJob(a.t.Context(), in)
	a.must(err)
	return *out.JobId
}

// until waits for a job to be in a status.
func (a *account) until(id string, want types.JobStatus) {
	a.t.Helper()
	for last := types.JobStatus(""); ; {
		out, err := a.b.DescribeJobs(a.t.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
		a.must(err)
		if len(out.Jobs) == 1 {
			if last = out.Jobs[0].Status; last == want {
				return
			}
		}
		select {
		case <-a.t.Context().Done():
			a.t.Fatalf("job %s is %s, want %s", id, last, want)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// tell tells the emulator what AWS would have made of something by itself.
func (a *account) tell(what string, form url.Values) {
	a.t.Helper()
	answer, err := http.PostForm(a.url+"/_flow/"+what, form)
	a.must(err)
	defer answer.Body.Close()
	if body, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		a.t.Fatalf("%s: %s", what, body)
	}
}

// explain returns the causes why a job waits, and all that is said.
func (a *account) explain(id string) (causes []diagnose.Cause, sure bool, text string) {
	a.t.Helper()
	facts, notes, err := diagnose.Gather(a.t.Context(), a.cloud, id)
	a.must(err)
	for _, f := range diagnose.Diagnose(facts, a.now()) {
		causes, sure = append(causes, f.Cause), f.Sure
		text += strings.Join(slices.Concat([]string{f.Says()}, f.Evidence, f.Fix), "\n") + "\n"
	}
	return causes, sure, text + strings.Join(notes, "\n")
}

func (a *account) wants(id string, sure bool, text string, want ...diagnose.Cause) {
	a.t.Helper()
	causes, got, said := a.explain(id)
	if d := cmp.Diff(want, causes); d != "" || got != sure || !strings.Contains(said, text) {
		a.t.Errorf("sure is %v, want %v and %q in\n%s%s", got, sure, text, said, d)
	}
}

// block has nothing of the queue be placed, as AWS Batch has no reason for, or for one.
func (a *account) block(reason string) {
	a.tell("block", url.Values{"queue": {"q"}, "reason": {reason}})
}

const requirement = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue."

// What keeps a job waiting is made in an emulator, and found by its API alone.
func TestGathered(t *testing.T) {
	for name, test := range map[string]func(a *account){
		"a queue that is DISABLED": func(a *account) {
			a.block("UNDETERMINED - x")
			id := a.submit("job")
			a.until(id, types.JobStatusRunnable)
			_, err := a.b.UpdateJobQueue(a.t.Context(), &batch.UpdateJobQueueInput{JobQueue: new("q"), State: types.JQStateDisabled})
			a.must(err)
			a.wants(id, false, "update-job-queue --job-queue q --state ENABLED", diagnose.Undetermined, diagnose.QueueDisabled)
		},
		"an environment that is DISABLED": func(a *account) {
			_, err := a.b.UpdateComputeEnvironment(a.t.Context(), &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: new("ce"), State: types.CEStateDisabled})
			a.must(err)
			id := a.submit("job")
			a.until(id, types.JobStatusRunnable)
			a.wants(id, true, "compute environment ce is DISABLED", diagnose.EnvDisabled)
		},
		"an environment that is INVALID": func(a *account) {
			a.tell("invalidate", url.Values{"environment": {"ce"}, "reason": {"CLIENT_ERROR - Not authorized to perform sts:AssumeRole (Service: AWSSecurityTokenService; Status Code: 403; Error Code: AccessDenied)"}})
			id := a.submit("job")
			a.until(id, types.JobStatusRunnable)
			a.wants(id, true, "AWS Batch may not assume the service role", diagnose.EnvInvalid)
		},
		"an environment that is full": func(a *account) {
			a.define("wide", "2", "1024")
			for range 2 {
				a.until(a.submit("wide"), types.JobStatusRunning)
			}
			id := a.submit("job")
			a.until(id, types.JobStatusRunnable)
			a.wants(id, true, "its jobs have 4 of the 4 vCPUs that its compute environments may have, and this one needs 1\nrunning: wide, wide", diagnose.Busy)
		},
		"a job with too much memory": func(a *account) {
			a.define("large", "1", "8192")
			id := a.submit("large")
			a.until(id, types.JobStatusRunnable)
			a.wants(id, true, "Ask for 237 MiB less, or add m5.xlarge", diagnose.TooLarge)
			behind := a.submit("job")
			a.until(behind, types.JobStatusRunnable)
			a.clock.Store(int64(time.Hour))
			a.wants(behind, true, "and that one can never be placed: the job needs 8192 MiB", diagnose.TooLarge, diagnose.BehindOthers)
		},
		"a job with too many vCPUs": func(a *account) {
			a.define("wide", "8", "1024")
			id := a.submit("wide")
			a.until(id, types.JobStatusRunnable)
			a.wants(id, true, "Raise max_vcpus of ce to 8", diagnose.MaxVCPUs)
		},
		"no capacity": func(a *account) {
			a.block("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [m5.large]")
			id := a.submit("job")
			a.until(id, types.JobStatusRunnable)
			a.wants(id, true, "AWS has no instances", diagnose.NoCapacity)
		},
		"a code that may pass, and does not": func(a *account) {
			a.block(requirement)
			id := a.submit("job")
			a.until(id, types.JobStatusRunnable)
			a.wants(id, false, "may be passing: no instance", diagnose.TooLarge)
			a.clock.Store(int64(9 * time.Minute))
			a.wants(id, false, "may be passing: no instance", diagnose.TooLarge, diagnose.NoScaling)
			a.clock.Store(int64(11 * time.Minute))
			a.wants(id, false, "fits on m5.large", diagnose.TooLarge, diagnose.NoScaling)
		},
		"instances that do not come": func(a *account) {
			a.block("UNDETERMINED - x")
			a.tell("desired", url.Values{"environment": {"ce"}, "vcpus": {"2"}})
			id := a.submit("job")
			a.until(id, types.JobStatusRunnable)
			a.clock.Store(int64(11 * time.Minute))
			a.wants(id, false, "ECS is not looked at: AWS Batch is on this machine, and AWS_ENDPOINT_URL_ECS says of no ECS beside it", diagnose.Undetermined, diagnose.Scaling)
		},
		"a consumable resource that is used up": func(a *account) {
			_, err := a.b.CreateConsumableResource(a.t.Context(), &batch.CreateConsumableResourceInput{ConsumableResourceName: new("licences"), TotalQuantity: new(int64(1))})
			a.must(err)
			wants := func(in *batch.SubmitJobInput) {
				in.ConsumableResourcePropertiesOverride = &types.ConsumableResourceProperties{ConsumableResourceList: []types.ConsumableResourceRequirement{{ConsumableResource: new("licences"), Quantity: new(int64(1))}}}
			}
			a.until(a.submit("job", wants), types.JobStatusRunning)
			id := a.submit("job", wants)
			a.until(id, types.JobStatusRunnable)
			a.wants(id, true, "it wants 1, and 0 of 1 are free", diagnose.ConsumableGone)
		},
		"dependencies": func(a *account) {
			on := func(id string) func(*batch.SubmitJobInput) {
				return func(in *batch.SubmitJobInput) { in.DependsOn = []types.JobDependency{{JobId: &id}} }
			}
			first := a.submit("job")
			a.until(first, types.JobStatusRunning)
			second := a.submit("job", on(first))
			third := a.submit("job", on(second))
			a.until(third, types.JobStatusPending)
			a.wants(third, true, "at the beginning of what it waits for is job ("+first+") is RUNNING", diagnose.Dependencies)
		},
		"an array, and its children": func(a *account) {
			array := func(in *batch.SubmitJobInput) {
				in.ArrayProperties = &types.ArrayProperties{Size: new(int32(6))}
			}
			id := a.submit("job", array)
			a.until(id+":3", types.JobStatusRunning)
			a.wants(id, true, "0 of 6 done, 4 running, 2 in the queue", diagnose.ArrayGoesOn)
			a.wants(id+":5", true, "running: job (4 tasks)\nit is number 2 in the queue", diagnose.Busy)
			each := a.submit("job", array, func(in *batch.SubmitJobInput) {
				in.DependsOn = []types.JobDependency{{JobId: &id, Type: types.ArrayJobDependencyNToN}}
			})
			a.until(each+":2", types.JobStatusPending)
			a.wants(each+":2", true, "job ("+id+":2) is RUNNING", diagnose.Dependencies)
		},
	} {
		t.Run(name, func(t *testing.T) { test(newAccount(t)) })
	}
}

// A job that nobody knows is told from one that nobody can be asked about.
func TestUnknown(t *testing.T) {
	a := newAccount(t)
	if _, _, err := diagnose.Gather(t.Context(), a.cloud, "nobody"); !errors.Is(err, diagnose.ErrUnknown) {
		t.Errorf("the error is %v, want %v", err, diagnose.ErrUnknown)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := diagnose.Gather(ctx, a.cloud, "nobody"); err == nil || errors.Is(err, diagnose.ErrUnknown) {
		t.Errorf("the error is %v, want that of the call", err)
	}
}

// A neighbour answers for ECS and EC2, which flow emulate is not.
func neighbour(t *testing.T, answer func(operation string) (status int, body string)) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		operation := r.Header.Get("X-Amz-Target")
		if form, err := url.ParseQuery(string(body)); err == nil && operation == "" {
			operation = form.Get("Action")
		}
		status, text := answer(operation[strings.LastIndexByte(operation, '.')+1:])
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL_ECS", server.URL)
	t.Setenv("AWS_ENDPOINT_URL_EC2", server.URL)
}

// instances are what ECS says of a cluster with one instance.
func instances(connected bool, attributes ...string) func(string) (int, string) {
	type pair map[string]any
	var named []pair
	for _, a := range attributes {
		named = append(named, pair{"name": a})
	}
	described, _ := json.Marshal(pair{"containerInstances": []pair{{
		"ec2InstanceId": "i-0123456789abcdef0", "status": "ACTIVE", "agentConnected": connected, "attributes": named,
		"remainingResources": []pair{{"name": "CPU", "type": "INTEGER", "integerValue": 2048}, {"name": "MEMORY", "type": "INTEGER", "integerValue": 7955}, {"name": "GPU", "type": "STRINGSET", "stringSetValue": []string{}}},
	}}})
	return func(operation string) (int, string) {
		if operation == "ListContainerInstances" {
			return http.StatusOK, `{"containerInstanceArns":["arn:aws:ecs:us-east-1:123456789012:container-instance/c/1"]}`
		}
		return http.StatusOK, string(described)
	}
}

// What ECS and EC2 say is looked at where they are, and what they refuse is noted.
func TestNeighbours(t *testing.T) {
	price := func(dollars string) func(string) (int, string) {
		return func(string) (int, string) {
			return http.StatusOK, `<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><spotPriceHistorySet>
				<item><instanceType>m5.large</instanceType><productDescription>Linux/UNIX</productDescription><spotPrice>0.090000</spotPrice><availabilityZone>us-east-1b</availabilityZone></item>
				<item><instanceType>m5.large</instanceType><productDescription>Linux/UNIX</productDescription><spotPrice>` + dollars + `</spotPrice><availabilityZone>us-east-1a</availabilityZone></item>
				</spotPriceHistorySet><nextToken/></DescribeSpotPriceHistoryResponse>`
		}
	}
	for _, test := range []struct {
		name   string
		answer func(operation string) (int, string)
		bid    int32
		sure   bool
		text   string
		want   []diagnose.Cause
	}{
		{"no instance", func(string) (int, string) { return http.StatusOK, `{"containerInstanceArns":[]}` }, 0, true, "wants 2 vCPUs, and no instance has joined its cluster", []diagnose.Cause{diagnose.InstancesAbsent}},
		{"no agent", instances(false), 0, true, "first instance: i-0123456789abcdef0", []diagnose.Cause{diagnose.AgentsGone}},
		{"no awslogs", instances(true, "ecs.os-type"), 0, true, "awslogs", []diagnose.Cause{diagnose.NoLogDriver}},
		{"room", instances(true, "com.amazonaws.ecs.capability.logging-driver.awslogs"), 0, false, "1 of the instances", []diagnose.Cause{diagnose.Undetermined, diagnose.NotPlaced}},
		{"not allowed", func(string) (int, string) {
			return http.StatusBadRequest, `{"__type":"AccessDeniedException","message":"User: x is not authorized"}`
		}, 0, false, "the instances of ce in ECS could not be looked at: these credentials may not do that", []diagnose.Cause{diagnose.Undetermined, diagnose.Scaling}},
		{"Spot too dear", price("0.040100"), 30, true, "m5.large costs $0.0401 an hour in us-east-1a now, and spot pays at most $0.0288 (30 % of $0.0960)", []diagnose.Cause{diagnose.SpotPrice}},
		{"Spot cheap", price("0.020000"), 30, false, "", []diagnose.Cause{diagnose.Undetermined, diagnose.NoScaling}},
	} {
		t.Run(test.name, func(t *testing.T) {
			neighbour(t, test.answer)
			a := newAccount(t)
			in := func(*batch.SubmitJobInput) {}
			queue := "q"
			if test.bid > 0 {
				queue = "dear"
				a.environment("spot", 4, func(r *types.ComputeResource) {
					r.Type, r.BidPercentage, r.AllocationStrategy = types.CRTypeSpot, &test.bid, types.CRAllocationStrategySpotPriceCapacityOptimized
				})
				a.queue(queue, "spot")
				in = func(in *batch.SubmitJobInput) { in.JobQueue = &queue }
			} else {
				a.tell("desired", url.Values{"environment": {"ce"}, "vcpus": {"2"}})
			}
			a.tell("block", url.Values{"queue": {queue}, "reason": {"UNDETERMINED - x"}})
			id := a.submit("job", in)
			a.until(id, types.JobStatusRunnable)
			a.clock.Store(int64(11 * time.Minute))
			a.wants(id, test.sure, test.text, test.want...)
		})
	}
}
