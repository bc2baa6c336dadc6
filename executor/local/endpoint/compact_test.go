package endpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"
)

// A service that has run for long has a short journal, and after a restart it tells the
// same of everything.
func TestJournalIsRewritten(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "jobs")
	keep := func(o *Options) { o.Journal, o.KeepEnded = journal, 5 }
	w := newEmulator(t, keep)
	ctx := t.Context()
	_, err := w.CreateConsumableResource(ctx, &batch.CreateConsumableResourceInput{ConsumableResourceName: new("licence"), TotalQuantity: new(int64(3)), Tags: map[string]string{"a": "b"}})
	w.must(err)
	policy, err := w.CreateSchedulingPolicy(ctx, &batch.CreateSchedulingPolicyInput{Name: new("fair"), FairsharePolicy: &types.FairsharePolicy{ShareDecaySeconds: new(int32(60))}})
	w.must(err)
	_, err = w.CreateJobQueue(ctx, &batch.CreateJobQueueInput{
		JobQueueName: new("shared"), Priority: new(int32(3)), SchedulingPolicyArn: policy.Arn,
		ComputeEnvironmentOrder: []types.ComputeEnvironmentOrder{{Order: new(int32(1)), ComputeEnvironment: new("ce")}},
	})
	w.must(err)
	w.define("job", container("busybox", "second", "revision"))

	running := w.submit(withName("running"), array(2), func(in *batch.SubmitJobInput) {
		in.RetryStrategy = &types.RetryStrategy{Attempts: new(int32(2)), EvaluateOnExit: []types.EvaluateOnExit{{OnReason: new("*"), Action: types.RetryActionRetry}}}
		in.ConsumableResourcePropertiesOverride = &types.ConsumableResourceProperties{ConsumableResourceList: []types.ConsumableResourceRequirement{
			{ConsumableResource: new("licence"), Quantity: new(int64(1))},
		}}
	})
	waiting := w.submit(withName("waiting"), after(running, ""), func(in *batch.SubmitJobInput) {
		in.JobQueue, in.ShareIdentifier, in.SchedulingPriorityOverride = new("shared"), new("red"), new(int32(7))
		in.Tags = map[string]string{"team": "x"}
		in.Timeout = &types.JobTimeout{AttemptDurationSeconds: new(int32(90))}
		in.ContainerOverrides = &types.ContainerOverrides{Command: []string{"other"}}
	})
	w.until(running+":1", types.JobStatusRunning)
	long := strings.Repeat("x", 20<<10)
	var last string
	for range 600 {
		last = w.submit(withName("gone"), func(in *batch.SubmitJobInput) { in.Parameters = map[string]string{"long": long} })
		w.stage.end(last, exits(4))
		w.untilEnded(last)
	}
	w.close() // waits for what is being rewritten
	if info, err := os.Stat(journal); err != nil || info.Size() > 8<<20 {
		t.Errorf("the journal has %d bytes, %v, where 12 MiB were written", info.Size(), err)
	}

	again := newEmptyEmulator(t, keep)
	for name, ask := range map[string]func(*emulator) any{
		"environments": func(w *emulator) any { return w.post("/v1/describecomputeenvironments", `{}`, 200) },
		"queues":       func(w *emulator) any { return w.post("/v1/describejobqueues", `{}`, 200) },
		"definitions":  func(w *emulator) any { return w.post("/v1/describejobdefinitions", `{}`, 200) },
		"policies": func(w *emulator) any {
			return w.post("/v1/describeschedulingpolicies", `{"arns":["`+*policy.Arn+`"]}`, 200)
		},
		"a job that has ended": func(w *emulator) any {
			return w.post("/v1/describejobs", `{"jobs":["`+last+`"]}`, 200)
		},
		"a job that waits": func(w *emulator) any { return w.post("/v1/describejobs", `{"jobs":["`+waiting+`"]}`, 200) },
	} {
		third := newEmptyEmulator(t) // knows nothing
		if got, none := ask(again), ask(third); cmp.Equal(got, none) {
			t.Errorf("of %s nothing is left", name)
		}
	}
	detail := again.describe(waiting)
	got := string(encode(&detail))
	for _, want := range []string{`"status":"PENDING"`, `"team":"x"`, `"attemptDurationSeconds":90`, `"shareIdentifier":"red"`, `"schedulingPriority":7`, `"command":["other"]`, `job-definition/job:2`, `"jobId":"` + running + `"`} {
		if !strings.Contains(got, want) {
			t.Errorf("the job that waits has lost %s: %s", want, got)
		}
	}
	again.stage.end(running+":0", exits(0))
	again.stage.end(running+":1", exits(0))
	child := again.untilEnded(running + ":1")
	if child.Status != types.JobStatusSucceeded || len(child.Attempts) != 2 {
		t.Errorf("what ran is %s", encode(&child))
	}
	again.stage.end(waiting, exits(0))
	again.until(waiting, types.JobStatusSucceeded)
	resource, err := again.DescribeConsumableResource(ctx, &batch.DescribeConsumableResourceInput{ConsumableResource: new("licence")})
	again.must(err)
	if value(resource.InUseQuantity) != 0 || value(resource.AvailableQuantity) != 3 || resource.Tags["a"] != "b" {
		t.Errorf("the consumable resource is %s", encode(resource))
	}
}
