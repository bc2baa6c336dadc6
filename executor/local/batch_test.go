package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/local/model"
)

// What Do does is done again when the journal is read: ended jobs stay ended, queued
// ones go on, and what ran has lost its host.
func TestBatchCrash(t *testing.T) {
	r := newGateRunner()
	b := openBatch(t, BatchOptions{Runner: r, Journal: journalPath(t), Model: model.Config{Capacity: model.Capacity{VCPUs: 0.25, MemoryMiB: 1 << 20}}})
	array := do(t, b, submission{Name: "array", Size: 3, Attempts: 2, Task: sh("true")})
	plain := do(t, b, submission{Name: "plain", Task: sh("true")})
	follow := do(t, b, submission{Name: "follow", DependsOn: []engine.Dependency{{Job: plain}}, Task: sh("true")})
	r.wait(t, 2)
	r.end(array.Child(1), 0)
	untilBatch(t, b, array.Child(1), func(j *engine.Job) bool { return j.Status == engine.JobSucceeded })
	r.wait(t, 3)
	terminate(t, b, array.Child(2), "no more of it")
	untilBatch(t, b, array.Child(2), func(j *engine.Job) bool { return j.Status == engine.JobFailed })
	r.wait(t, 4)
	all := []engine.JobID{array.Child(1), array.Child(2), follow}
	before := look(t, b, all...)

	r2 := newGateRunner()
	c := openBatch(t, BatchOptions{Runner: r2, Journal: crashBatch(t, b)})
	if diff := cmp.Diff(before, look(t, c, all...)[:2], cmp.Transformer("", func(jobs []engine.Job) []engine.Job { return jobs[:2] })); diff != "" {
		t.Errorf("what had ended has changed (-before +after):\n%s", diff)
	}
	if want := []string{string(array.Child(0)) + "#1", string(plain) + "#1"}; !cmp.Equal(want, r2.left) {
		t.Errorf("leftovers were looked for of %v, want %v", r2.left, want)
	}
	r2.wait(t, 1)
	jobs := look(t, c, array.Child(0), plain, follow)
	if j := jobs[0]; j.Status != engine.JobRunning || len(j.Attempts) != 1 || !strings.HasPrefix(j.Attempts[0].StatusReason, engine.ReasonHostLost) {
		t.Errorf("what ran and may run again is %+v", j)
	}
	if j := jobs[1]; j.Status != engine.JobFailed || !strings.HasPrefix(j.StatusReason, engine.ReasonHostLost) {
		t.Errorf("what ran once is %+v", j)
	}
	if j := jobs[2]; j.StatusReason != engine.ReasonDependency {
		t.Errorf("what depended on it is %+v", j)
	}
	r2.end(array.Child(0), 0)
	ended(t, c, array)

	everything := append(all, array, array.Child(0), plain)
	d := openBatch(t, BatchOptions{Runner: newGateRunner(), Journal: crashBatch(t, c)})
	if diff := cmp.Diff(look(t, c, everything...), look(t, d, everything...)); diff != "" {
		t.Errorf("a second crash changed something:\n%s", diff)
	}
}

// What fn refuses leaves no trace.
func TestDoRefuses(t *testing.T) {
	b := openBatch(t, BatchOptions{Runner: newGateRunner(), Journal: journalPath(t)})
	refused := errors.New("no")
	before, err := os.ReadFile(crashBatch(t, b))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Do("op", []byte("body"), func(*model.Model, time.Time) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("Do = %v", err)
	}
	for _, op := range []string{"", "a b", "a\nb"} {
		if err := b.Do(op, nil, func(*model.Model, time.Time) error { return nil }); err == nil {
			t.Errorf("op %q is taken", op)
		}
	}
	after, err := os.ReadFile(crashBatch(t, b))
	if err != nil || !cmp.Equal(before, after) {
		t.Errorf("the journal has changed: %v\n%s", err, after)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Do("op", nil, func(*model.Model, time.Time) error { return nil }); !errors.Is(err, errClosed) {
		t.Errorf("Do of a closed Batch: %v", err)
	}
	b.Look(func(*model.Model, time.Time) {})
}

// A Batch whose journal cannot be written takes no more inputs; what runs goes on.
func TestDoWithoutJournal(t *testing.T) {
	r := newGateRunner()
	b := openBatch(t, BatchOptions{Runner: r, Journal: journalPath(t)})
	id := do(t, b, submission{Name: "a", Task: sh("true")})
	r.wait(t, 1)
	b.mu.Lock()
	real := b.journal.f
	broken, err := os.Open(real.Name()) // for reading only
	if err != nil {
		t.Fatal(err)
	}
	b.journal.f = broken
	b.mu.Unlock()
	t.Cleanup(func() { real.Close() })
	calls := 0
	for range 2 {
		if err := b.Do("op", nil, func(*model.Model, time.Time) error { calls++; return nil }); err == nil {
			t.Error("Do without a journal succeeds")
		}
	}
	if calls != 1 {
		t.Errorf("%d inputs were taken", calls)
	}
	r.end(id, 0)
	ended(t, b, id)
}

// The journal of an endpoint is none of flow run.
func TestJournalOfTheOther(t *testing.T) {
	path := journalPath(t)
	b := openBatch(t, BatchOptions{Runner: newGateRunner(), Journal: path})
	do(t, b, submission{Name: "a", Task: sh("true")})
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Runner: newGateRunner(), Journal: path}); err == nil || !strings.Contains(err.Error(), "not submitted by flow run") {
		t.Errorf("Open = %v", err)
	}
}

// A host that is lost takes its try with it, at once, and the try comes again elsewhere.
func TestLose(t *testing.T) {
	dir := t.TempDir()
	b := openBatch(t, BatchOptions{Journal: journalPath(t), Model: model.Config{Grace: time.Hour}})
	id := do(t, b, submission{Name: "a", Attempts: 2, Task: sh(`trap '' TERM; test $AWS_BATCH_JOB_ATTEMPT = 1 || exit 0; echo ready > ` + dir + `/ready; while :; do sleep 0.01; done`)})
	awaitFile(t, dir+"/ready")
	lost := submission{ID: id, Attempts: 1}
	if err := tryDo(b, "lose", &lost, func(m *model.Model, now time.Time) error {
		if !m.Lose(now, id, -1, 1) {
			return errors.New("nothing was lost")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	j := ended(t, b, id)
	if j.Status != engine.JobSucceeded || len(j.Attempts) != 2 {
		t.Fatalf("job is %+v", j)
	}
	if a := j.Attempts[0]; a.ExitCode != nil || !strings.HasPrefix(a.StatusReason, engine.ReasonHostLost) {
		t.Errorf("the lost attempt is %+v", a)
	}
	c := openBatch(t, BatchOptions{Runner: newGateRunner(), Journal: crashBatch(t, b)})
	if diff := cmp.Diff(j, look(t, c, id)[0]); diff != "" {
		t.Errorf("after a crash it is different:\n%s", diff)
	}
}

// Declared environments and queues settle by themselves, jobs that wait for that start
// then, and all of it is there again after a crash.
func TestDeclared(t *testing.T) {
	config := model.Config{Declared: true, Settle: 20 * time.Millisecond, Submitting: 10 * time.Millisecond}
	r := &noteRunner{}
	b := openBatch(t, BatchOptions{Runner: r, Journal: journalPath(t), Model: config})
	declared := submission{Name: "ce", VCPUs: 4}
	if err := tryDo(b, "environment", &declared, func(m *model.Model, now time.Time) error {
		err := declared.environment(m, now)
		if _, life, _ := m.Environment("ce"); life.Health != model.Creating {
			t.Errorf("the environment is %+v", life)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for life := (model.Life{}); ; <-b.Changed() {
		b.Look(func(m *model.Model, _ time.Time) { _, life, _ = m.Environment("ce") })
		if life.Health == model.Valid {
			break
		}
	}
	if err := tryDo(b, "queue", &declared, declared.queue); err != nil {
		t.Fatal(err)
	}
	id := do(t, b, submission{Name: "a", VCPUs: 1, Task: sh("true")})
	j := ended(t, b, id)
	if j.Started.Sub(j.Created) < config.Submitting {
		t.Errorf("job was not SUBMITTED for long enough: %+v", j)
	}
	if try := r.all()[0]; try.ComputeEnvironment != "ce" || try.TaskID == "" || !strings.HasSuffix(try.LogStream, try.TaskID) || j.Attempts[0].TaskID != try.TaskID {
		t.Errorf("try is %+v", try)
	}
	c := openBatch(t, BatchOptions{Runner: newGateRunner(), Journal: crashBatch(t, b), Model: config})
	if diff := cmp.Diff(j, look(t, c, id)[0]); diff != "" {
		t.Errorf("after a crash it is different:\n%s", diff)
	}
	for _, b := range []*Batch{b, c} {
		b.Look(func(m *model.Model, _ time.Time) {
			if q, life, ok := m.JobQueue("queue"); !ok || life.Health != model.Valid || !cmp.Equal(q.Environments, []string{"ce"}) {
				t.Errorf("queue is %+v, %+v", q, life)
			}
		})
	}
}

// A try stays STARTING for the delay, and can be ended in it.
func TestStartDelay(t *testing.T) {
	r := newGateRunner()
	var mu sync.Mutex
	begun := map[engine.JobID]int{}
	b := openBatch(t, BatchOptions{Runner: r, StartDelay: 50 * time.Millisecond, OnStart: func(e *model.Effect) {
		mu.Lock()
		defer mu.Unlock()
		begun[e.ID()]++
	}})
	began := time.Now()
	stopped := do(t, b, submission{Name: "b", Task: sh("true")})
	id := do(t, b, submission{Name: "a", Task: sh("true")})
	if j := look(t, b, id)[0]; j.Status != engine.JobStarting {
		t.Errorf("job is %+v", j)
	}
	terminate(t, b, stopped, "early")
	if j := ended(t, b, stopped); j.StatusReason != "early" {
		t.Errorf("job is %+v", j)
	}
	r.wait(t, 1)
	if d := time.Since(began); d < 50*time.Millisecond {
		t.Errorf("it ran after %v", d)
	}
	r.end(id, 0)
	ended(t, b, id)
	mu.Lock()
	defer mu.Unlock()
	if want := map[engine.JobID]int{id: 1, stopped: 1}; !cmp.Equal(want, begun) {
		t.Errorf("OnStart was told of %v", begun)
	}
}

// Tasks as processes: what they see and how they end.
func TestProcessTasks(t *testing.T) {
	logs := newTestLogs(t)
	scratch := t.TempDir()
	b := openBatch(t, BatchOptions{Runner: newTestRunner(t, RunnerOptions{
		Logs: logs, Scratch: scratch, Secret: func(ref string) (string, error) {
			if ref == "none" {
				return "", errors.New("there is no such secret")
			}
			return "value of " + ref, nil
		},
	})})
	failed := Exit{StatusReason: engine.ReasonStartFailed}
	because := func(reason string) Exit { e := failed; e.Reason = reason; return e }
	container := func(change func(*Container)) *Task {
		task := sh(`pwd; ls -A; echo "${A-} ${TOKEN-} $AWS_BATCH_JOB_ATTEMPT $AWS_BATCH_JQ_NAME" >&2; touch left; env | grep FLOW_ || :`)
		change(&task.Containers[0])
		return task
	}
	tests := []struct {
		name string
		task *Task
		want Exit
		log  string
	}{
		{"success", container(func(c *Container) {
			c.Env, c.Secrets = []string{"A=a  b", "AWS_BATCH_JQ_NAME=stolen"}, map[string]string{"TOKEN": "x"}
		}), code(0), "DIR\na  b value of x 1 queue\n"},
		{"failure", sh("exit 3"), code(3), ""},
		{"signal", sh("kill -9 $$"), code(137), ""},
		{"no command", container(func(c *Container) { c.Command = nil }), because("CannotStartContainerError: Error response from daemon: No command specified"), ""},
		{"no program", container(func(c *Container) { c.Command = []string{"nosuchprogram"} }),
			because(`CannotStartContainerError: exec: "nosuchprogram": executable file not found in $PATH`), ""},
		{"no container", &Task{}, because("CannotCreateContainerError: the task has no container"), ""},
		{"no secret", container(func(c *Container) { c.Secrets = map[string]string{"TOKEN": "none"} }),
			because("ResourceInitializationError: unable to pull secrets or registry auth: secret TOKEN: there is no such secret"), ""},
		{"no group", container(func(c *Container) { c.LogGroup = "other" }), because("CannotStartContainerError: Error response from daemon: failed to initialize logging driver: " +
			"failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist."), ""},
		{"new group", container(func(c *Container) { c.LogGroup, c.LogCreateGroup = "new", true }), code(0), ""},
		{"no log", container(func(c *Container) { c.LogGroup = "" }), code(0), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := ended(t, b, do(t, b, submission{Name: "a", Task: tt.task}))
			got := Exit{ExitCode: j.ExitCode, Reason: j.Reason, StatusReason: j.StatusReason}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if tt.log != "" {
				log := logs.read(t, j.Attempts[0].LogStream)
				dir, _, _ := strings.Cut(log, "\n")
				if diff := cmp.Diff(tt.log, strings.Replace(log, dir, "DIR", 1)); diff != "" || filepath.Dir(dir) != scratch {
					t.Errorf("it ran in %s: %s", dir, diff)
				}
			}
		})
	}
	assertEmpty(t, scratch)
}

// Arrays, dependencies, retries, timeouts and ends by request, with processes.
func TestProcessTaskLives(t *testing.T) {
	dir := t.TempDir()
	b := openBatch(t, BatchOptions{Model: model.Config{Grace: 50 * time.Millisecond}})
	array := do(t, b, submission{Name: "array", Size: 5, Task: sh(fmt.Sprintf(`echo "$AWS_BATCH_JOB_ARRAY_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE" > %s/$AWS_BATCH_JOB_ID`, dir))})
	retried := do(t, b, submission{Name: "retried", Attempts: 3, Task: sh("test $AWS_BATCH_JOB_ATTEMPT = 2"), DependsOn: []engine.Dependency{{Job: array}}})
	hard := do(t, b, submission{Name: "hard", Timeout: 20 * time.Millisecond, Attempts: 2, Task: sh("trap '' TERM; while :; do sleep 0.01; done")})
	soft := sh("trap 'exit 7' TERM; while :; do sleep 0.01; done")
	soft.Containers[0].StopTimeout = time.Minute
	stopped := do(t, b, submission{Name: "stopped", Task: soft})
	for i := range 5 {
		ended(t, b, array.Child(i))
		got, err := os.ReadFile(filepath.Join(dir, string(array.Child(i))))
		if want := fmt.Sprintf("%d of 5\n", i); err != nil || string(got) != want {
			t.Errorf("child %d wrote %q, %v", i, got, err)
		}
	}
	if j := ended(t, b, retried); j.Status != engine.JobSucceeded || len(j.Attempts) != 2 || *j.Attempts[0].ExitCode != 1 {
		t.Errorf("what is tried again is %+v", j)
	}
	if j := ended(t, b, hard); j.StatusReason != engine.ReasonTimeout || len(j.Attempts) != 1 || *j.ExitCode != 137 {
		t.Errorf("what runs too long is %+v", j)
	}
	untilBatch(t, b, stopped, func(j *engine.Job) bool { return j.Status == engine.JobRunning })
	terminate(t, b, stopped, "enough")
	if j := ended(t, b, stopped); j.StatusReason != "enough" || *j.ExitCode != 7 && *j.ExitCode != 143 {
		t.Errorf("what is ended is %+v", j)
	}
}
