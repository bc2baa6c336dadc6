package local

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"flow/engine"
)

// A gateRunner holds every try until the test lets it end.
type gateRunner struct {
	mu       sync.Mutex
	gates    map[engine.JobID]chan Exit
	ran      []string // "<id>#<attempt>"
	graces   []time.Duration
	changed  chan struct{}
	left     []string // what Leftovers was asked to end
	leftErr  error
	finished map[engine.JobID]Exit
}

func newGateRunner() *gateRunner {
	return &gateRunner{gates: map[engine.JobID]chan Exit{}, changed: make(chan struct{}, 1000), finished: map[engine.JobID]Exit{}}
}

func (r *gateRunner) Run(t *Try, started func()) Exit {
	gate := make(chan Exit, 1)
	r.mu.Lock()
	r.gates[t.Job] = gate
	r.ran = append(r.ran, fmt.Sprintf("%s#%d", t.Job, t.Attempt))
	r.mu.Unlock()
	started()
	r.changed <- struct{}{}
	e := <-gate
	r.mu.Lock()
	delete(r.gates, t.Job)
	r.mu.Unlock()
	return e
}

func (r *gateRunner) Stop(id engine.JobID, grace time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.graces = append(r.graces, grace)
	r.pass(id, 143)
}

func (r *gateRunner) pass(id engine.JobID, code int) {
	if gate := r.gates[id]; gate != nil {
		select {
		case gate <- Exit{ExitCode: &code, StatusReason: engine.ReasonExited}:
		default: // it has been told
		}
	}
}

// end lets a try end.
func (r *gateRunner) end(id engine.JobID, code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pass(id, code)
}

func (r *gateRunner) Leftovers(tries []*Try, _ time.Duration) error {
	for _, t := range tries {
		r.left = append(r.left, fmt.Sprintf("%s#%d", t.Job, t.Attempt))
	}
	return r.leftErr
}

func (r *gateRunner) Finished(t *Try) (Exit, bool) {
	e, ok := r.finished[t.Job]
	return e, ok
}

func (r *gateRunner) Close() {}

// wait waits until n tries have begun in all.
func (r *gateRunner) wait(t *testing.T, n int) {
	t.Helper()
	for {
		r.mu.Lock()
		have := len(r.ran)
		r.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-r.changed:
		case <-time.After(30 * time.Second):
			t.Fatalf("%d tries have begun, want %d", have, n)
		}
	}
}

func spec(name string, size int) *engine.JobSpec {
	s := &engine.JobSpec{
		Name: name, Run: "01jtest", Step: engine.StepName(name), FanOut: size > 0, ArraySize: size, Tasks: engine.Upto(max(size, 1)),
		Task: &engine.TaskSpec{Command: []string{"true"}}, WorkDir: "/nowhere", Attempts: 1,
	}
	return s
}

func submit(t testing.TB, x *Executor, s *engine.JobSpec) engine.JobID {
	t.Helper()
	id, err := x.Submit(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func describe(t testing.TB, x *Executor, ids ...engine.JobID) []engine.Job {
	t.Helper()
	jobs, err := x.Describe(t.Context(), ids)
	if err != nil || len(jobs) != len(ids) {
		t.Fatalf("Describe(%v) = %v, %v", ids, jobs, err)
	}
	return jobs
}

// until waits for a job to have ended.
func until(t testing.TB, x *Executor, id engine.JobID, s engine.JobStatus) engine.Job {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		if j := describe(t, x, id)[0]; j.Status == s {
			return j
		}
		select {
		case <-x.Changed():
		case <-deadline:
			t.Fatalf("%s is not %v: %+v", id, s, describe(t, x, id)[0])
		}
	}
}

// crash returns the journal as it would be found if the process died now.
func crash(t testing.TB, x *Executor) string {
	t.Helper()
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	b, err := os.ReadFile(x.b.journal.path)
	if err != nil {
		t.Fatal(err)
	}
	path := journalPath(t)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
