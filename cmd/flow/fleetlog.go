package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// A logDisplay shows a run as lines of a log: the steps that end, and the first tasks that fail.
type logDisplay struct {
	log *slog.Logger

	mu     sync.Mutex
	failed int // tasks of which a line was written
}

// display opens what shows the run of a session.
func (f *fleet) display(s *session) display {
	return &logDisplay{log: f.o.Log.With("run", s.id, "workflow", s.program.Workflow.Name)}
}

func (d *logDisplay) events(run *engine.Run, events []engine.Event) {
	for i := range events {
		switch e := &events[i]; e.Kind {
		case engine.TasksEnded:
			if e.Outcome == engine.TaskFailed || e.Outcome == engine.TaskLost {
				d.failures(run, e)
			}
		case engine.StepEnded:
			d.step(run, e)
		case engine.CancelRequested:
			d.log.Info("the run is being cancelled", "why", e.Reason)
		case engine.RunLate:
			d.log.Warn("the run is late, and goes on", "why", e.Reason)
		case engine.StepWaits:
			d.log.Info("a step waits", "step", e.Step, "for", e.Gate.What())
		}
	}
}

func (d *logDisplay) failures(run *engine.Run, e *engine.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for task := range e.Tasks.All() {
		if d.failed >= shownFailures {
			return // flow status has them all
		}
		d.failed++
		t := run.Task(e.Step, task)
		d.log.Warn("a task has failed", "task", t.Name, "why", failedText(run, &t))
	}
}

func (d *logDisplay) step(run *engine.Run, e *engine.Event) {
	attrs := []any{"step", e.Step, "status", e.Status.String()}
	if size := run.StepStatus(e.Step).Size; size > 1 {
		attrs = append(attrs, "tasks", size)
	}
	if e.Reason != "" {
		attrs = append(attrs, "why", e.Reason)
	}
	d.log.Info("a step has ended", attrs...)
}

func (d *logDisplay) tell(text string)   { d.log.Info(text) }
func (d *logDisplay) counts(*engine.Run) {}
func (d *logDisplay) alive(_, _, _ int)  {}
func (d *logDisplay) close()             {}

// tellEnd logs how a run has ended, or that it rests.
func tellEnd(log *slog.Logger, run *engine.Run) {
	if p, paused := run.Paused(); paused && !run.Ended() {
		log.Warn("the run is paused", "why", p.Reason)
		return
	}
	level := slog.LevelInfo
	if !run.Status().OK() {
		level = slog.LevelWarn
	}
	created, ended := run.Times()
	attrs := []any{"status", run.Status().String(), "took", view.Duration(ended.Sub(created))}
	if why := run.Reason(); why != "" {
		attrs = append(attrs, "why", why)
	}
	log.Log(context.Background(), level, "the run has ended", attrs...)
}

// leftBehind counts what a fleet has left when it stopped.
type leftBehind struct {
	runs, here           int // all, and those on this machine
	jobs, tasks, doubted int // in AWS Batch; and tasks of which nobody knows whether they are
}

// tellStopped logs how things are with a run that is not driven any more.
func (f *fleet) tellStopped(log *slog.Logger, s *session, run *engine.Run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left.runs++
	if s.executor == localExecutor {
		f.left.here++
		log.Info("stopped: what ran on this machine goes on when the run is driven again")
		return
	}
	jobs, tasks, doubted := 0, 0, 0
	if run != nil {
		jobs, tasks = run.Alive()
		doubted = run.InDoubt()
	}
	f.left.jobs, f.left.tasks, f.left.doubted = f.left.jobs+jobs, f.left.tasks+tasks, f.left.doubted+doubted
	text := "left: nothing of it is in AWS Batch now"
	if jobs > 0 {
		text = "left: " + goOn(jobs, tasks)
	}
	log.Info(text, "jobs", jobs, "tasks", tasks, "doubted", doubted)
}

// tellStop logs that no run is driven any more from now on.
func (f *fleet) tellStop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.driven > 0 {
		f.o.Log.Info("stopping; a second signal does not wait", "runs", f.driven)
	}
}

// tellLeft sums up what was left.
func (f *fleet) tellLeft() {
	f.mu.Lock()
	defer f.mu.Unlock()
	waiting := 0
	for _, m := range f.members {
		if !m.driven {
			waiting++
		}
	}
	if f.left.runs+waiting == 0 {
		return
	}
	text := fmt.Sprintf("%s not over: they go on when somebody drives them", view.Plural(f.left.runs+waiting, "run"))
	if f.left.jobs > 0 {
		text += "; " + goOn(f.left.jobs, f.left.tasks)
	}
	f.o.Log.Info(text, "here", f.left.here, "waited", waiting, "jobs", f.left.jobs, "tasks", f.left.tasks, "doubted", f.left.doubted)
}
