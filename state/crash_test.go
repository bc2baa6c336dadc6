package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"flow/engine"
)

// childEnv makes the test binary a process that tests kill: "crash PATH" or "full DIR".
const childEnv = "FLOW_STATE_TEST_CHILD"

func TestMain(m *testing.M) {
	if task, path, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		run := children[task]
		if err := run(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// children are what a child can be.
var children = map[string]func(path string) error{"crash": crashChild}

// child returns the command that runs the test binary as a child.
func child(t *testing.T, task, path string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+task+" "+path)
	cmd.Stderr = os.Stderr
	return cmd
}

const (
	crashTasks = 40 // of each run that a child makes
	crashGroup = 4  // ended by each commit
)

// crashChild drives runs until it is killed. It tells each event that is acknowledged,
// after it is: "RUN SEQ".
func crashChild(path string) error {
	fmt.Println("start 0")
	db, err := Open(path, Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	for n := 0; ; n++ {
		run := engine.RunID(fmt.Sprintf("run-%d-%d", os.Getpid(), n))
		if err := db.CreateRun(ctx, NewRun{Info: info(run), Steps: []StepInfo{{"align", true}}, Sources: []Source{{"a.hcl", []byte(run)}}}); err != nil {
			return err
		}
		fmt.Println(run, 1)
		l, err := db.Acquire(ctx, run, Self(""))
		if err != nil {
			return err
		}
		batches := [][]engine.Event{{expanded("align", crashTasks, string(run))}, {planned("align", 1, engine.Upto(crashTasks))}}
		for i := 0; i < crashTasks; i += crashGroup {
			tasks := engine.Ranges{{From: i, To: i + crashGroup - 1}}
			batches = append(batches, []engine.Event{
				{At: epoch, Kind: engine.TasksRunning, Step: "align", Job: 1, Tasks: tasks}, ended("align", 1, tasks, engine.TaskSucceeded)})
		}
		seq := int64(1)
		for _, batch := range batches {
			if err := l.Append(ctx, run, seq, batch...); err != nil {
				return err
			}
			seq += int64(len(batch))
			fmt.Println(run, seq)
		}
		if err := l.Release(ctx); err != nil {
			return err
		}
	}
}

// TestCrash kills processes while they write, at any moment: what was acknowledged is
// there, and the file is whole.
func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".flow", "flow.db")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	acked := map[engine.RunID]int64{}
	for range 20 {
		crash(t, path, rng.IntN(80), acked)
		db := value(Open(path, Options{}))(t)
		must(t, db.Check(t.Context()))
		for run, seq := range acked {
			got := collect(t, db, run, 0)
			if n := int64(len(got)); n < seq || n > seq+2 { // a batch may be there that was not acknowledged yet
				t.Errorf("run %s has %d events, %d were acknowledged", run, n, seq)
			}
		}
		must(t, db.Close())
	}
	db := mustOpen(t, path, Options{})
	for _, r := range value(db.Runs(t.Context(), RunFilter{}))(t) {
		before := dump(t, db, r.ID)
		must(t, db.Rebuild(t.Context(), r.ID))
		if diff := cmp.Diff(before, dump(t, db, r.ID)); diff != "" {
			t.Errorf("run %s is not what its events say (-table +events):\n%s", r.ID, diff)
		}
		keys := make([]engine.CacheKey, crashTasks)
		for i := range keys {
			keys[i] = cacheKey(string(r.ID), i)
		}
		for i, h := range value(db.Lookup(t.Context(), keys))(t) {
			if (h.Dir != "") != (i < r.Tasks[engine.Succeeded]) {
				t.Errorf("run %s, task %d of %d that succeeded: hit %+v", r.ID, i, r.Tasks[engine.Succeeded], h)
			}
		}
		l := value(db.Acquire(t.Context(), r.ID, Self("")))(t) // its owner is dead
		must(t, l.Release(t.Context()))
	}
}

// crash runs a child, kills it once it has told so many things, and notes what it told.
func crash(t *testing.T, path string, lines int, acked map[engine.RunID]int64) {
	cmd := child(t, "crash", path)
	out := value(cmd.StdoutPipe())(t)
	must(t, cmd.Start())
	told := bufio.NewScanner(out)
	for n := 0; told.Scan(); n++ {
		run, number, _ := strings.Cut(told.Text(), " ")
		seq := value(strconv.ParseInt(number, 10, 64))(t)
		if run != "start" {
			acked[engine.RunID(run)] = seq
		}
		if n == lines {
			must(t, cmd.Process.Kill())
		}
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("child: %v, want it killed", err)
	}
}
