package local

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/local/model"
)

// A request is cut down to the machine, so that the same file runs on a laptop; with
// Strict it is not, and waits.
func TestResourcesOfTheMachine(t *testing.T) {
	big := spec("big", 0)
	big.Resources = engine.Resources{VCPUs: 64, MemoryMiB: 1 << 30, GPUs: 8}
	r := &noteRunner{}
	x := openTest(t, Options{Runner: r, VCPUs: 2, MemoryMiB: 1000})
	until(t, x, submit(t, x, big), engine.JobSucceeded)
	until(t, x, submit(t, x, spec("small", 0)), engine.JobSucceeded)
	tries := r.all()
	if got, want := tries[0].Resources, (engine.Resources{VCPUs: 2, MemoryMiB: 1000}); got != want {
		t.Errorf("granted %+v, want %+v", got, want)
	}
	if got, want := tries[1].Resources, (engine.Resources{VCPUs: 1, MemoryMiB: 1000}); got != want {
		t.Errorf("by default granted %+v, want %+v", got, want)
	}

	strict := openTest(t, Options{Runner: r, VCPUs: 2, MemoryMiB: 1000, Strict: true})
	id := submit(t, strict, big)
	if j := describe(t, strict, id)[0]; j.Status != engine.JobRunnable || !strings.HasPrefix(j.StatusReason, "MISCONFIGURATION:") {
		t.Errorf("what never fits is %v: %s", j.Status, j.StatusReason)
	}
	if !strict.Idle() {
		t.Error("not idle though nothing runs")
	}
	if c := (&Options{}).capacity(); c.VCPUs < 1 || c.MemoryMiB < 64 {
		t.Errorf("this machine has %+v", c)
	}
}

// A job has of consumable resources what is known here, by name or ARN, and no more than there
// is.
func TestConsumables(t *testing.T) {
	there := []model.Consumable{{Name: "license", Total: 2, Replenishes: true}, {Name: "seat", Total: 9}}
	s := spec("a", 0)
	s.Task.Consumables = []engine.Consumable{
		{Resource: "arn:aws:batch:us-east-1:123456789012:consumable-resource/seat", Quantity: 3}, {Resource: "license", Quantity: 5}, {Resource: "other", Quantity: 1},
	}
	want := []model.Need{{Consumable: "license", Quantity: 2}, {Consumable: "seat", Quantity: 3}}
	if diff := cmp.Diff(want, request(s, there).Consumables); diff != "" {
		t.Error(diff)
	}
	if got := request(s, nil).Consumables; got != nil {
		t.Errorf("where there are none it has %v", got)
	}
	x := openTest(t, Options{Runner: &noteRunner{}, Consumables: there})
	until(t, x, submit(t, x, s), engine.JobSucceeded)
}

// A noteRunner notes what it is given.
type noteRunner struct {
	nothingRunner
	mu    sync.Mutex
	tries []*Try
}

func (r *noteRunner) Run(t *Try, started func()) Exit {
	r.mu.Lock()
	r.tries = append(r.tries, t)
	r.mu.Unlock()
	return r.nothingRunner.Run(t, started)
}

func (r *noteRunner) all() []*Try {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tries)
}

// What a Runner is told of a try.
func TestTry(t *testing.T) {
	r := &noteRunner{}
	x := openTest(t, Options{Runner: r, VCPUs: 1})
	s := spec("a", 2)
	s.Queue, s.Attempt = "arn:aws:batch:eu-west-1:111122223333:job-queue/spot", 3
	id := submit(t, x, s)
	j := until(t, x, id, engine.JobSucceeded)
	if j.Queue != "spot" {
		t.Errorf("queue is %q, want its name", j.Queue)
	}
	try := r.all()[1]
	if try.Job != id.Child(1) || try.Index != 1 || !try.Array || try.Attempt != 3 || try.BatchAttempt != 1 || try.Spec != s || try.Queue != "spot" {
		t.Errorf("try is %+v", try)
	}
	if c := describe(t, x, id.Child(1))[0]; c.Attempts[0].LogStream != try.LogStream || !strings.HasPrefix(try.LogStream, "a/default/") {
		t.Errorf("log stream is %q, and %q", try.LogStream, c.Attempts[0].LogStream)
	}
	want := []string{
		"AWS_BATCH_CE_NAME=local", "AWS_BATCH_JQ_NAME=spot", "AWS_BATCH_JOB_ID=" + string(id) + ":1", "AWS_BATCH_JOB_ATTEMPT=1",
		"AWS_BATCH_JOB_ARRAY_INDEX=1", "AWS_BATCH_JOB_ARRAY_SIZE=2",
	}
	if got := try.Environment(); !slices.Equal(got, want) {
		t.Errorf("environment is %q, want %q", got, want)
	}
	if jobs, err := x.Find(t.Context(), s.Queue, s.Name); err != nil || len(jobs) != 1 {
		t.Errorf("Find by the queue's ARN = %v, %v", jobs, err)
	}
}

// A job that does not fit together is refused, not run half.
func TestRefusedSpecs(t *testing.T) {
	x := openTest(t, Options{Runner: nothingRunner{}})
	for name, change := range map[string]func(*engine.JobSpec){
		"no task":        func(s *engine.JobSpec) { s.Task = nil },
		"too few tasks":  func(s *engine.JobSpec) { s.Tasks = engine.Upto(1) },
		"too many tasks": func(s *engine.JobSpec) { s.Tasks = engine.Upto(9) },
		"keys":           func(s *engine.JobSpec) { s.Keys = []string{"a"} },
		"items":          func(s *engine.JobSpec) { s.Items = []*engine.Item{nil} },
		"negative size":  func(s *engine.JobSpec) { s.ArraySize, s.Tasks = -3, engine.Upto(1) },
		"no memory":      func(s *engine.JobSpec) { s.MemoryMiB = -1 },
	} {
		s := spec("a", 2)
		change(s)
		if id, err := x.Submit(t.Context(), s); !errors.Is(err, engine.ErrRefused) {
			t.Errorf("%s: Submit = %q, %v", name, id, err)
		}
	}
}

// No more runs at once than fits, and parts of a vCPU count.
func TestParallelism(t *testing.T) {
	r := newGateRunner()
	x := openTest(t, Options{Runner: r, VCPUs: 1, MemoryMiB: 1 << 20})
	s := spec("a", 20)
	s.VCPUs = 0.125
	id := submit(t, x, s)
	r.wait(t, 8)
	if j := describe(t, x, id)[0]; j.Summary[engine.JobRunnable] != 12 || x.Idle() {
		t.Errorf("summary is %v, idle %v", j.Summary, x.Idle())
	}
	for i := range 20 {
		r.wait(t, min(8+i, 20))
		r.end(id.Child(i), 0)
		until(t, x, id.Child(i), engine.JobSucceeded)
	}
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	if x.b.workers > 9 {
		t.Errorf("%d workers for 8 tries at once", x.b.workers)
	}
}

// What is terminated before its program runs does not run, or is stopped once it does.
func TestTerminateEarly(t *testing.T) {
	r := &lateRunner{gateRunner: newGateRunner(), hold: make(chan struct{}), entered: make(chan struct{}, 10)}
	x := openTest(t, Options{Runner: r, VCPUs: 1, MemoryMiB: 1 << 20})
	id := submit(t, x, spec("a", 0))
	<-r.entered // STARTING, and not known to the Runner's Stop yet
	if err := x.Terminate(t.Context(), id, "early"); err != nil {
		t.Fatal(err)
	}
	close(r.hold)
	if j := until(t, x, id, engine.JobFailed); j.StatusReason != "early" || !j.Terminated {
		t.Errorf("job is %+v", j)
	}

	// A try that no worker has taken is dropped.
	x.b.mu.Lock()
	workers := x.b.workers
	x.b.workers = maxWorkers // none can be made
	x.b.idle, x.b.coming = 0, x.b.coming+x.b.idle
	x.b.mu.Unlock()
	other := submit(t, x, spec("b", 0))
	if j := describe(t, x, other)[0]; j.Status != engine.JobStarting {
		t.Fatalf("job is %+v", j)
	}
	if err := x.Terminate(t.Context(), other, "earlier"); err != nil {
		t.Fatal(err)
	}
	if j := describe(t, x, other)[0]; j.StatusReason != "earlier" || !j.Started.IsZero() {
		t.Errorf("job is %+v", j)
	}
	x.b.mu.Lock()
	x.b.workers = workers
	x.b.work.Broadcast()
	x.b.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ran) != 1 {
		t.Errorf("ran %v", r.ran)
	}
}

// A lateRunner takes its time before it knows of a try.
type lateRunner struct {
	*gateRunner
	hold    chan struct{}
	entered chan struct{}
}

func (r *lateRunner) Run(t *Try, started func()) Exit {
	r.entered <- struct{}{}
	<-r.hold
	return r.gateRunner.Run(t, started)
}

// A timeout comes by itself, and the journal knows of it.
func TestTimeoutIsJournaled(t *testing.T) {
	r := newGateRunner()
	x := openTest(t, Options{Runner: r, Journal: journalPath(t), VCPUs: 2, MemoryMiB: 1 << 20, Grace: 7 * time.Second})
	slow, slower := spec("slow", 0), spec("slower", 0)
	slow.Timeout, slower.Timeout = 20*time.Millisecond, time.Hour
	slow.Attempts = 3
	b := submit(t, x, slower)
	a := submit(t, x, slow)
	j := until(t, x, a, engine.JobFailed)
	if j.StatusReason != engine.ReasonTimeout || len(j.Attempts) != 1 || j.Stopped.Sub(j.Started) < slow.Timeout {
		t.Errorf("job is %+v", j)
	}
	if !slices.Equal(r.graces, []time.Duration{7 * time.Second}) {
		t.Errorf("stopped with %v", r.graces)
	}
	y := openTest(t, Options{Runner: newGateRunner(), Journal: crash(t, x)})
	if again := describe(t, y, a)[0]; again.StatusReason != j.StatusReason || !again.Stopped.Equal(j.Stopped) {
		t.Errorf("after a crash it is %+v", again)
	}
	r.end(b, 0)
	until(t, x, b, engine.JobSucceeded)
}

// Many at once, from many goroutines.
func TestConcurrentUse(t *testing.T) {
	x := openTest(t, Options{Runner: nothingRunner{}, Journal: journalPath(t), VCPUs: 8, MemoryMiB: 1 << 20})
	ids := make([]engine.JobID, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			s := spec("many", 50)
			if i%2 == 1 {
				s.Timeout = time.Millisecond
			}
			id, err := x.Submit(t.Context(), s)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = id
			for _, err := range x.Children(t.Context(), id, engine.JobSucceeded) {
				if err != nil {
					t.Error(err)
				}
			}
			if i%4 == 3 {
				if err := x.Terminate(t.Context(), id.Child(i), "some"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		deadline := time.After(30 * time.Second)
		for !describe(t, x, id)[0].Status.Ended() {
			select {
			case <-x.Changed():
			case <-deadline:
				t.Fatalf("%+v does not end", describe(t, x, id)[0])
			}
		}
	}
	if jobs, err := x.Find(t.Context(), "", "many"); err != nil || len(jobs) != len(ids) {
		t.Errorf("Find = %d jobs, %v", len(jobs), err)
	}
	// Whatever happened in whatever order, the journal tells the same.
	y := openTest(t, Options{Runner: nothingRunner{}, Journal: crash(t, x)})
	for _, id := range ids {
		all := []engine.JobID{id}
		for i := range 50 {
			all = append(all, id.Child(i))
		}
		if diff := cmp.Diff(describe(t, x, all...), describe(t, y, all...)); diff != "" {
			t.Fatalf("after a crash it is different (-before +after):\n%s", diff)
		}
	}
}
