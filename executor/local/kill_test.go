package local

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flow/engine"
	"flow/executor/local/model"
)

const (
	killDir   = "FLOW_TEST_KILL_DIR"   // set in the process that TestKill kills
	killTasks = "FLOW_TEST_KILL_TASKS" // set in it if it is to run a Task
	killSize  = 300
)

// killScript notes that a child ran, and that it did not run twice at the same time.
const killScript = `exec 9>"$DIR/lock-$AWS_BATCH_JOB_ARRAY_INDEX"; flock -n 9 || echo twice >> "$DIR/wrong"
	echo $AWS_BATCH_JOB_ARRAY_INDEX >> "$DIR/ran"; trap '' TERM; (sleep 0.01; :)`

// killSpec is an array of flow run.
func killSpec(dir string) *engine.JobSpec {
	return &engine.JobSpec{
		Name: "flow-kill", Run: "01jkilltest000000000000000", Step: "kill", FanOut: true, ArraySize: killSize, Tasks: engine.Upto(killSize),
		Task: &engine.TaskSpec{
			Shell:  []string{"sh", "-c"},
			Script: killScript,
			Env:    map[string]string{"DIR": dir},
		},
		WorkDir: filepath.Join(dir, "work"), Attempt: 1, Attempts: 10,
		Evaluate:  []engine.EvaluateOn{{StatusReason: "Host EC2*", Retry: true}, {Reason: "*"}},
		Resources: engine.Resources{VCPUs: 1, MemoryMiB: 64},
	}
}

// runToBeKilled is the process that TestKill kills: it opens the journal, submits the
// job if there is none, calls ready, and waits for the end of the job.
func runToBeKilled(dir string, ready func()) error {
	x, err := Open(Options{Journal: filepath.Join(dir, "journal"), VCPUs: 4, MemoryMiB: 1 << 20, Grace: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	ctx := context.Background()
	spec := killSpec(dir)
	jobs, err := x.Find(ctx, "", spec.Name)
	if err != nil {
		return err
	}
	var id engine.JobID
	if len(jobs) > 0 {
		id = jobs[0].ID
	} else if id, err = x.Submit(ctx, spec); err != nil {
		return err
	}
	ready()
	for {
		jobs, err := x.Describe(ctx, []engine.JobID{id})
		if err != nil || len(jobs) != 1 {
			return fmt.Errorf("Describe: %v, %w", jobs, err)
		}
		if jobs[0].Status.Ended() {
			return x.Close(ctx)
		}
		<-x.Changed()
	}
}

// runTasksToBeKilled is the same with a Task.
func runTasksToBeKilled(dir string, ready func()) error {
	if err := os.MkdirAll(filepath.Join(dir, "scratch"), 0o755); err != nil {
		return err
	}
	runner, err := NewRunner(RunnerOptions{Scratch: filepath.Join(dir, "scratch")})
	if err != nil {
		return err
	}
	b, err := OpenBatch(BatchOptions{
		Runner: runner, Journal: filepath.Join(dir, "journal"), Apply: applyTest, Save: saveNothing, Load: loadNothing,
		Model: model.Config{Capacity: model.Capacity{VCPUs: 4, MemoryMiB: 1 << 20}, Grace: 20 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	compactFrom(b, 4<<10)
	var id engine.JobID
	b.Look(func(m *model.Model, _ time.Time) {
		for v := range m.Named("flow-kill") {
			id = v.ID
		}
	})
	if id == "" {
		task := &Task{Containers: []Container{{Name: DefaultContainer, Command: []string{"sh", "-c", killScript}, Env: []string{"DIR=" + dir}, Essential: true}}}
		s := submission{ID: "7c9e6679-7425-40de-944b-e07fc1f90ae7", Name: "flow-kill", Size: killSize, Attempts: 10, VCPUs: 1, Task: task}
		if err := tryDo(b, "submit", &s, s.submit); err != nil {
			return err
		}
		id = s.ID
	}
	ready()
	for {
		var ended bool
		b.Look(func(m *model.Model, _ time.Time) {
			v, ok := m.Describe(id)
			ended = !ok || v.Status.Ended()
		})
		if ended {
			return b.Close(context.Background())
		}
		<-b.Changed()
	}
}

// The process is killed at random moments. In the end every child has succeeded; none
// that had been recorded as such ran again, and none ran twice at the same time.
func TestKill(t *testing.T) {
	if _, err := exec.LookPath("flock"); err != nil {
		t.Skip("this needs flock(1)")
	}
	t.Run("jobs", func(t *testing.T) { testKill(t, runToBeKilled, "") })
	t.Run("tasks", func(t *testing.T) { testKill(t, runTasksToBeKilled, "1") })
}

func testKill(t *testing.T, run func(dir string, ready func()) error, tasks string) {
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for range 8 {
		before := succeededChildren(t, dir)
		ran := countRuns(t, dir)
		p := exec.Command(os.Args[0], "-test.run=^$")
		p.Env = append(os.Environ(), killDir+"="+dir, killTasks+"="+tasks)
		p.Stderr = os.Stderr
		out, err := p.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
			t.Fatalf("the process says %q, %v", line, err)
		}
		<-time.After(time.Duration(random.IntN(120)) * time.Millisecond)
		_ = p.Process.Signal(syscall.SIGKILL)
		_ = p.Wait()
		for i, n := range countRuns(t, dir) {
			if before[i] && n != ran[i] {
				t.Errorf("child %d had succeeded and ran again", i)
			}
		}
	}
	if err := run(dir, func() {}); err != nil {
		t.Fatal(err)
	}
	if n := len(succeededChildren(t, dir)); n != killSize {
		t.Errorf("%d children succeeded in the end, want %d", n, killSize)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "wrong")); err == nil {
		t.Errorf("some ran twice at the same time: %s", b)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "scratch")); len(left) > 0 {
		t.Errorf("left in the scratch directory: %v, %v", left, err)
	}
}

// succeededChildren reads a copy of the journal.
func succeededChildren(t *testing.T, dir string) map[int]bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "journal"))
	if os.IsNotExist(err) {
		return nil
	}
	path := journalPath(t)
	if err == nil {
		err = os.WriteFile(path, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	b2, err := OpenBatch(BatchOptions{
		Journal: path, Runner: newGateRunner(), Apply: applyTest, Save: saveNothing, Load: loadNothing, Model: model.Config{Capacity: model.Capacity{VCPUs: 1, MemoryMiB: 1 << 20}},
	})
	if err != nil {
		t.Fatal(err)
	}
	x := &Executor{b: b2}
	defer closeTest(t, x)
	out := map[int]bool{}
	for _, queue := range []string{"", "queue"} {
		jobs, err := x.Find(t.Context(), queue, "flow-kill")
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range jobs {
			for c, err := range x.Children(t.Context(), j.ID, engine.JobSucceeded) {
				if err != nil {
					t.Fatal(err)
				}
				_, i := c.ID.Split()
				out[i] = true
			}
		}
	}
	return out
}

func countRuns(t *testing.T, dir string) map[int]int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "ran"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	out := map[int]int{}
	for line := range strings.Lines(string(b)) {
		var i int
		if _, err := fmt.Sscan(line, &i); err == nil {
			out[i]++
		}
	}
	return out
}
