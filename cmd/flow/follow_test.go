package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// A fakeRun applies events to a run and tells a follower of them, as a driver does.
type fakeRun struct {
	t   *testing.T
	run *engine.Run
	f   *follower
	out *lockedWriter
}

func newFakeRun(t *testing.T, quiet bool) *fakeRun {
	return newFakeRunOn(t, quiet, view.Term{})
}

func newFakeRunOn(t *testing.T, quiet bool, term view.Term) *fakeRun {
	wf := &engine.Workflow{Name: "genome", Steps: []*engine.Step{{Name: "align", FanOut: true}, {Name: "merge"}}}
	run, err := engine.NewRun(wf)
	if err != nil {
		t.Fatal(err)
	}
	out := &lockedWriter{}
	a := &app{stderr: out, now: time.Now, quiet: quiet}
	tail := func(t *engine.TaskStatus) []string { return []string{"log of " + t.Name} }
	return &fakeRun{t, run, a.followOn(func() view.Term { return term }, tail), out}
}

// lockedWriter lets a test read what another goroutine writes.
type lockedWriter struct {
	mu     sync.Mutex
	w      bytes.Buffer
	writes int
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes++
	return l.w.Write(p)
}

func (l *lockedWriter) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.String()
}

func (r *fakeRun) happens(events ...engine.Event) {
	r.t.Helper()
	for i := range events {
		e := &events[i]
		e.Seq, e.At = r.run.Seq()+1, time.Now()
		if err := r.run.Apply(*e); err != nil {
			r.t.Fatal(err)
		}
	}
	r.f.events(r.run, events)
}

// starts creates the run and its fan-out of size tasks, all of them in a job.
func (r *fakeRun) starts(size int) {
	r.happens(
		engine.Event{Kind: engine.RunStarted, Info: &engine.RunInfo{Run: "01k2", Workflow: "genome", WorkDir: "/w"}},
		engine.Event{Kind: engine.StepExpanded, Step: "align", Expanded: &engine.Expanded{Size: size, Groups: []*engine.TaskSpec{{Command: []string{"true"}}}}},
		engine.Event{Kind: engine.JobPlanned, Step: "align", Job: 1, Tasks: engine.Upto(size), Plan: &engine.JobPlan{Name: "j", Attempt: 1}},
		engine.Event{Kind: engine.JobAccepted, Job: 1, JobID: "id"},
		engine.Event{Kind: engine.TasksRunning, Step: "align", Job: 1, Tasks: engine.Upto(size)},
	)
}

func (r *fakeRun) fails(tasks ...int) {
	code := 3
	r.happens(engine.Event{Kind: engine.TasksEnded, Step: "align", Job: 1, Tasks: engine.RangesOf(tasks...), Outcome: engine.TaskFailed, ExitCode: &code, Attempts: []int{1}})
}

func (r *fakeRun) text() string { return r.out.String() }

func TestFollowerTellsWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFakeRun(t, false)
		r.starts(20)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.text(); !strings.Contains(got, "Z align RUNNING 20 tasks\n") {
			t.Errorf("at the start: %q", got)
		}
		r.fails(1, 2, 3, 4, 5, 6, 7, 8)
		time.Sleep(time.Second)
		synctest.Wait()
		got := r.text()
		for i := 1; i <= shownFailures; i++ {
			if want := fmt.Sprintf("FAILED align[\"%d\"]: exit code 3\n  │ log of align[\"%[1]d\"]\n  whole log: flow logs '01k2/align[\"%[1]d\"]'\n", i); !strings.Contains(got, want) {
				t.Errorf("%q is missing in %q", want, got)
			}
		}
		if strings.Contains(got, `align["6"]`) {
			t.Errorf("more than %d failures are shown whole: %q", shownFailures, got)
		}
		if strings.Contains(got, "done,") {
			t.Errorf("a heartbeat within two seconds: %q", got)
		}
		time.Sleep(heartbeatEvery + time.Second)
		synctest.Wait()
		if got := strings.Count(r.text(), "align 8/20 done, 8 failed, 12 running"); got != 1 {
			t.Errorf("%d heartbeats in a minute: %q", got, r.text())
		}
		r.f.close()
	})
}

func TestFollowerDrawsFiveTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, seconds = 1000, 10
		r := newFakeRunOn(t, false, view.Term{TTY: true, Live: true, Width: 100, Height: 12})
		r.starts(size)
		for i := range size { // a hundred each second
			r.fails(i)
			time.Sleep(seconds * time.Second / size)
		}
		synctest.Wait()
		r.out.mu.Lock()
		text, writes := r.out.w.String(), r.out.writes
		r.out.mu.Unlock()
		if writes < 4*seconds || writes > 5*seconds {
			t.Errorf("%d writes in %d seconds", writes, seconds)
		}
		if strings.Contains(text, "whole log") {
			t.Error("what a task wrote pushes the steps away")
		}
		r.f.close()
		text = r.text()[len(text):]
		for _, want := range []string{"1,000/1,000   1,000 failed", "whole log: flow logs '01k2/align[\"4\"]'"} {
			if strings.Count(text, want) < 1 {
				t.Errorf("%q is missing at the end: %q", want, text)
			}
		}
		if strings.Contains(text, "(such as") {
			t.Errorf("failures are told twice: %q", text)
		}
	})
}

func TestFollowerShowsWhatHappensLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFakeRun(t, true)
		r.starts(3)
		r.fails(2)
		r.f.close() // at once, before anything was drawn
		if got := r.text(); !strings.HasPrefix(got, `FAILED align["2"]: exit code 3`) || strings.Contains(got, "RUNNING") {
			t.Errorf("quietly: %q", got)
		}
	})
}

// What is new is shown even after many tasks that failed for another cause.
func TestFollowerShowsTheFirstOfEachCause(t *testing.T) {
	r := newFakeRun(t, false)
	r.starts(40)
	for i := range 20 {
		r.fails(i)
	}
	code := 9
	r.happens(engine.Event{Kind: engine.TasksEnded, Step: "align", Job: 1, Tasks: engine.RangesOf(30, 31), Outcome: engine.TaskFailed, ExitCode: &code, Attempts: []int{1}})
	r.f.close()
	text := r.text()
	if n := strings.Count(text, "│ log of "); n != shownFailures+1 || !strings.Contains(text, "log of align[\"30\"]") {
		t.Errorf("%d logs in:\n%s", n, text)
	}
}

func TestFollowerOfAResumedRunTellsOnlyWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newFakeRun(t, false)
		f := r.f
		r.f = &follower{now: time.Now} // the events before are another process's
		r.starts(3)
		r.f = f
		r.happens(engine.Event{Kind: engine.RunResumed})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.text(); got != "" {
			t.Errorf("nothing is new, but: %q", got)
		}
		r.happens(engine.Event{Kind: engine.StepEnded, Step: "align", Status: engine.Failed, Reason: "enough"})
		r.f.close()
		if got := r.text(); !strings.Contains(got, "align FAILED 3 running after 1.0s: enough") {
			t.Errorf("got %q", got)
		}
	})
}
