package judges

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/batch"
	"flow/executor/executortest/apimodel"
	"flow/executor/executortest/fetched"
)

// A cloud is an executor and a queue.
type cloud struct {
	*testing.T
	*batch.Executor
	queue string
}

const judgedRun = engine.RunID("01jmoto0000000000000000000")

// job returns a plain job that runs a script after others.
func (a *cloud) job(step, script string, after ...engine.JobID) *engine.JobSpec {
	spec := &engine.JobSpec{
		Name: "flow-" + string(judgedRun) + "-" + step + "-1-x", Workflow: "judged", Run: judgedRun, Step: engine.StepName(step), Queue: a.queue,
		Task:  &engine.TaskSpec{Script: script, Shell: []string{"sh", "-c"}, Image: "busybox", Queue: a.queue, Env: map[string]string{"GREETING": "good day, $HOME"}},
		Tasks: engine.Upto(1), WorkDir: a.TempDir(), Attempt: 1, Attempts: 10,
		Resources: engine.Resources{VCPUs: 1, MemoryMiB: 128},
		Evaluate:  []engine.EvaluateOn{{StatusReason: engine.ReasonHostLost + "*", Retry: true}, {Reason: "*"}},
		Tags:      map[string]string{"project": "hg38"},
	}
	for _, id := range after {
		spec.DependsOn = append(spec.DependsOn, engine.Dependency{Job: id})
	}
	return spec
}

func (a *cloud) submit(step, script string, after ...engine.JobID) engine.JobID {
	a.Helper()
	id, err := a.Submit(a.Context(), a.job(step, script, after...))
	if err != nil {
		a.Fatalf("Submit of %s: %v", step, err)
	}
	return id
}

// await looks at a job until it is as wanted.
func (a *cloud) await(id engine.JobID, what string, is func(engine.Job) bool) engine.Job {
	a.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		jobs, err := a.Describe(a.Context(), []engine.JobID{id})
		if err != nil || len(jobs) != 1 || jobs[0].ID != id {
			a.Fatalf("Describe(%s): %+v, %v", id, jobs, err)
		}
		if is(jobs[0]) {
			return jobs[0]
		}
		if time.Now().After(deadline) {
			a.Fatalf("never %s: %+v", what, jobs[0])
		}
	}
}

// ended waits for the end of a job, and for this status.
func (a *cloud) ended(id engine.JobID, want engine.JobStatus) engine.Job {
	a.Helper()
	j := a.await(id, "ended", func(j engine.Job) bool { return j.Status.Ended() })
	if j.Status != want {
		a.Fatalf("%s is %v, not %v: %+v", j.Name, j.Status, want, j)
	}
	return j
}

func (a *cloud) lines(id engine.JobID) []string {
	a.Helper()
	var lines []string
	for l, err := range a.Logs(a.Context(), id, engine.LogOptions{}) {
		if err != nil {
			a.Fatalf("Logs(%s): %v", id, err)
		}
		lines = append(lines, l.Text)
	}
	return lines
}

// found returns the ids of the jobs of a name, sorted.
func (a *cloud) found(name string) []engine.JobID {
	a.Helper()
	jobs, err := a.Find(a.Context(), a.queue, name)
	if err != nil {
		a.Fatalf("Find(%s): %v", name, err)
	}
	var ids []engine.JobID
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	slices.Sort(ids)
	return ids
}

func sorted(ids ...engine.JobID) []engine.JobID { return slices.Sorted(slices.Values(ids)) }

func TestMoto(t *testing.T) {
	aside(t)
	server := moto(t)
	t.Run("executor", func(t *testing.T) { motoJobs(t, server) })
	t.Run("refusals", func(t *testing.T) { motoRefuses(t, server) })
	t.Run("flow", func(t *testing.T) { motoFlow(t, server) })
}

// Plain and dependent jobs run on moto's Batch, are found, told of, ended and read.
func motoJobs(t *testing.T, server *apimodel.Recorder) {
	model := fetched.Model(t)
	a := &cloud{t, open(t, server.URL), motoQueue}

	first := a.submit("first", `echo "$GREETING"; echo "$FLOW_STEP $FLOW_INDEX $FLOW_ATTEMPT"`)
	second := a.submit("second", "true", first)
	third := a.submit("third", "true", first, second)
	bad := a.submit("bad", "echo oops >&2; exit 3", first)
	never := a.submit("never", "true", bad)
	long := a.submit("long", "sleep 600")

	if j := a.await(long, "running", func(j engine.Job) bool { return j.Status == engine.JobRunning }); len(j.Attempts) != 0 {
		t.Errorf("what runs has ended attempts: %+v", j)
	}
	if err := a.Terminate(t.Context(), long, "no more of it"); err != nil {
		t.Fatal(err)
	}
	a.ended(third, engine.JobSucceeded)
	for i, id := range []engine.JobID{first, second, third} {
		j := a.ended(id, engine.JobSucceeded)
		if len(j.Attempts) != 1 || j.Created.IsZero() || j.Started.Before(j.Created) || j.Stopped.Before(j.Started) || j.Size != 0 {
			t.Errorf("job %d is %+v", i, j)
		}
	}
	if before, after := a.ended(first, engine.JobSucceeded), a.ended(second, engine.JobSucceeded); after.Started.Before(before.Stopped) {
		t.Errorf("the second started at %v, before the first had stopped at %v", after.Started, before.Stopped)
	}
	if j := a.ended(bad, engine.JobFailed); len(j.Attempts) != 1 || j.Terminated {
		t.Errorf("what exits with 3 is %+v", j)
	}
	if j := a.ended(never, engine.JobFailed); len(j.Attempts) != 0 || !j.Started.IsZero() || j.Terminated {
		t.Errorf("what depends on what failed is %+v", j)
	}
	if j := a.ended(long, engine.JobFailed); !strings.Contains(j.StatusReason, "no more of it") {
		t.Errorf("what was ended is %+v", j)
	}

	if d := cmp.Diff([]string{"good day, $HOME", "first 0 1"}, a.lines(first)); d != "" {
		t.Errorf("log (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]string{"oops"}, a.lines(bad)); d != "" {
		t.Errorf("log of what failed (-want +got)\n%s", d)
	}
	if got := a.lines(never); len(got) != 0 {
		t.Errorf("log of what never ran: %q", got)
	}

	if d := cmp.Diff(sorted(bad), a.found(a.job("bad", "").Name)); d != "" {
		t.Errorf("found by name (-want +got)\n%s", d)
	}
	if d := cmp.Diff(sorted(first, second, third, bad, never, long), a.found("flow-"+string(judgedRun)+"-*")); d != "" {
		t.Errorf("found by the beginning of the name (-want +got)\n%s", d)
	}
	if got := a.found("flow-no-such"); len(got) != 0 {
		t.Errorf("found %v", got)
	}
	if err := a.Terminate(t.Context(), first, "too late"); err != nil {
		t.Errorf("Terminate of what has ended: %v", err)
	}
	if jobs, err := a.Describe(t.Context(), []engine.JobID{"00000000-0000-4000-8000-000000000000"}); err != nil || len(jobs) != 0 {
		t.Errorf("Describe of an unknown job: %+v, %v", jobs, err)
	}

	// Another process finds the definition again.
	again := &cloud{t, open(t, server.URL), motoQueue}
	again.ended(again.submit("again", "true"), engine.JobSucceeded)
	if got := server.Count(model)["RegisterJobDefinition"]; got != 1 {
		t.Errorf("%d definitions of one content were registered", got)
	}
	other := again.job("other", "true")
	other.Task.Image = "debian:12"
	id, err := again.Submit(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	again.ended(id, engine.JobSucceeded)
	if got := server.Count(model)["RegisterJobDefinition"]; got != 2 {
		t.Errorf("%d definitions of two contents were registered", got)
	}
}

// What moto's Batch refuses was surely not accepted.
func motoRefuses(t *testing.T, server *apimodel.Recorder) {
	a := &cloud{t, open(t, server.URL), "no-such-queue"}
	_, err := a.Submit(t.Context(), a.job("first", "true"))
	if !errors.Is(err, engine.ErrRefused) || !strings.Contains(err.Error(), "no-such-queue") {
		t.Errorf("a job for a queue that is not there: %v", err)
	}
}

// The whole of flow on moto's Batch: plain and dependent steps, one that fails, a log, and
// a run that is left alone and taken up again.
func motoFlow(t *testing.T, server *apimodel.Recorder) {
	sh := newShell(t)
	sh.copy("chain.hcl")
	sh.copy("fails.hcl")
	at := []string{"--endpoint", server.URL, "--region", region}
	sh.flow(0, append([]string{"run", "chain.hcl"}, at...)...)
	expectStatuses(t, sh, "SUCCEEDED", map[string]string{"one": "SUCCEEDED", "two": "SUCCEEDED", "three": "SUCCEEDED"})
	if got := sh.flow(0, "logs", "@last/two"); !strings.Contains(got, "two") {
		t.Errorf("log of a step: %q", got)
	}
	sh.flow(0, append([]string{"run", "chain.hcl", "--no-cache", "--detach"}, at...)...)
	sh.flow(0, "resume", "@last")
	expectStatuses(t, sh, "SUCCEEDED", map[string]string{"one": "SUCCEEDED", "two": "SUCCEEDED", "three": "SUCCEEDED"})
	sh.flow(4, append([]string{"run", "fails.hcl", "--executor", "batch", "--queue", motoQueue}, at...)...)
	expectStatuses(t, sh, "FAILED", map[string]string{"bad": "FAILED", "never": "SKIPPED", "good": "SUCCEEDED"})
}
