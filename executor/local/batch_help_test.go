package local

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"flow/engine"
	"flow/executor/local/model"
)

// A submission is what the tests record of a job: the body of their inputs.
type submission struct {
	ID        engine.JobID
	Name      string
	Size      int                 `json:",omitempty"`
	DependsOn []engine.Dependency `json:",omitempty"`
	Attempts  int                 `json:",omitempty"`
	Timeout   time.Duration       `json:",omitempty"`
	VCPUs     float64             `json:",omitempty"`
	Task      *Task
}

func (s *submission) environment(m *model.Model, now time.Time) error {
	return m.CreateEnvironment(now, model.Environment{Name: s.Name, MaxVCPUs: s.VCPUs})
}

func (s *submission) queue(m *model.Model, now time.Time) error {
	return m.CreateQueue(now, model.Queue{Name: "queue", Environments: []string{s.Name}})
}

func (s *submission) submit(m *model.Model, now time.Time) error {
	return m.Submit(now, s.ID, &model.Request{
		Name: s.Name, Queue: "queue", Definition: "definition", ArraySize: s.Size, DependsOn: s.DependsOn,
		Attempts: max(s.Attempts, 1), Timeout: s.Timeout, Payload: s.Task,
		Resources: engine.Resources{VCPUs: max(s.VCPUs, 1.0/8), MemoryMiB: 64},
	})
}

// applyTest is BatchOptions.Apply of the tests.
func applyTest(m *model.Model, now time.Time, op string, body []byte) {
	var s submission
	if err := json.Unmarshal(body, &s); err != nil {
		panic(err)
	}
	switch op {
	case "submit":
		_ = s.submit(m, now) // it was accepted the first time
	case "environment":
		_ = s.environment(m, now)
	case "queue":
		_ = s.queue(m, now)
	case "lose":
		m.Lose(now, s.ID, -1, s.Attempts)
	case "terminate":
		_ = m.Terminate(now, s.ID, s.Name)
	}
}

func saveNothing() []byte      { return nil }
func loadNothing([]byte) error { return nil }

// do submits a job, under an id of its own if it has none.
func do(t testing.TB, b *Batch, s submission) engine.JobID {
	t.Helper()
	s.ID = engine.JobID(uuid.NewString())
	if err := tryDo(b, "submit", &s, s.submit); err != nil {
		t.Fatal(err)
	}
	return s.ID
}

func terminate(t testing.TB, b *Batch, id engine.JobID, reason string) {
	t.Helper()
	s := submission{ID: id, Name: reason}
	if err := tryDo(b, "terminate", &s, func(m *model.Model, now time.Time) error { return m.Terminate(now, id, reason) }); err != nil {
		t.Fatal(err)
	}
}

func tryDo(b *Batch, op string, s *submission, fn func(*model.Model, time.Time) error) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return b.Do(op, body, fn)
}

// openBatch opens a Batch that is closed with the test. What is not in o is made up.
func openBatch(t testing.TB, o BatchOptions) *Batch {
	t.Helper()
	o.Apply = applyTest
	if o.Save == nil {
		o.Save, o.Load = saveNothing, loadNothing
	}
	if o.Runner == nil {
		o.Runner = newTestRunner(t, RunnerOptions{Logs: newTestLogs(t), Scratch: t.TempDir()})
	}
	if o.Model.Capacity.VCPUs == 0 {
		o.Model.Capacity = model.Capacity{VCPUs: 2, MemoryMiB: 1 << 20}
	}
	b, err := OpenBatch(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

// look returns jobs and children as they are.
func look(t testing.TB, b *Batch, ids ...engine.JobID) []engine.Job {
	t.Helper()
	var jobs []engine.Job
	b.Look(func(m *model.Model, _ time.Time) {
		for _, id := range ids {
			v, ok := m.Describe(id)
			if !ok {
				t.Fatalf("%s is not known", id)
			}
			jobs = append(jobs, v.Job)
		}
	})
	return jobs
}

// ended waits for the end of a job.
func ended(t testing.TB, b *Batch, id engine.JobID) engine.Job {
	t.Helper()
	return untilBatch(t, b, id, func(j *engine.Job) bool { return j.Status.Ended() })
}

func untilBatch(t testing.TB, b *Batch, id engine.JobID, ok func(*engine.Job) bool) engine.Job {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		j := look(t, b, id)[0]
		if ok(&j) {
			return j
		}
		select {
		case <-b.Changed():
		case <-deadline:
			t.Fatalf("%s stays %+v", id, j)
		}
	}
}

// crashBatch returns the journal as it would be found if the process died now.
func crashBatch(t testing.TB, b *Batch) string {
	t.Helper()
	return crash(t, &Executor{b: b})
}

// testLogs is a LogStore of files: one for each stream, in a directory for each group.
type testLogs struct {
	dir  string
	mu   sync.Mutex
	open map[string]int // how often a stream was opened and has not ended
}

func newTestLogs(t testing.TB) *testLogs {
	l := &testLogs{dir: t.TempDir(), open: map[string]int{}}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for stream, n := range l.open {
			if n != 0 {
				t.Errorf("the stream %s has not ended: %d", stream, n)
			}
		}
	})
	if err := os.Mkdir(l.dir+"/group", 0o755); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *testLogs) path(group, stream string) string {
	return filepath.Join(l.dir, group, strings.ReplaceAll(stream, "/", "_"))
}

func (l *testLogs) Open(group, stream string, create bool) (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if create {
		if err := os.MkdirAll(filepath.Join(l.dir, group), 0o755); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(l.path(group, stream), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if os.IsNotExist(err) {
		return nil, errors.New("ResourceNotFoundException: The specified log group does not exist.")
	}
	if err == nil {
		l.open[stream]++
	}
	return f, err
}

func (l *testLogs) Ended(_, stream string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[stream]--
}

func (l *testLogs) read(t testing.TB, stream string) string {
	t.Helper()
	b, err := os.ReadFile(l.path("group", stream))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sh is a Task of one container that runs a script.
func sh(script string) *Task {
	return &Task{Containers: []Container{{
		Name: DefaultContainer, Command: []string{"sh", "-euc", script}, Essential: true, LogGroup: "group",
	}}}
}
