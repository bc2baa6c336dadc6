package main

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"flow/engine"
	"flow/executor/batch"
)

const (
	// AWS Batch lists a job some seconds after it was submitted; how many nobody says.
	defaultDoubt = 2 * time.Minute
	pollFar      = 2 * time.Second
	maxPollFar   = time.Minute
	pollNear     = 250 * time.Millisecond // of AWS Batch on this machine
	maxPollNear  = 5 * time.Second
	// pollGrowth is how many times longer the time between two looks becomes at most, if
	// -poll says how long it is at first.
	pollGrowth = 20
)

// driver puts the driver of the session's run together. x may be nil, if it only loads.
func (s *session) driver(x executor) *engine.Driver {
	files := s.files()
	d := &engine.Driver{
		Workflow: s.workflow, Template: s.template, Log: s.lease, Files: files, Cache: s.marking(s.knownResults(files)), Requests: s.requests(),
	}
	if x != nil {
		d.Executor = x
	}
	if b, ok := x.(batchJobs); ok {
		d.Executor, d.Price = b.Executor, s.pricer()
		d.Quiet = cmp.Or(s.batch.Doubt, defaultDoubt)
		d.Poll, d.PollMax = pollFar, maxPollFar
		if b.Near() {
			d.Poll, d.PollMax = pollNear, maxPollNear
		}
		if p := s.batch.Poll; p > 0 {
			d.Poll, d.PollMax = p, pollGrowth*p
		}
	}
	return d
}

// show has a driver tell a display what happens.
func (s *session) show(d *engine.Driver, f display) {
	d.OnEvents = f.events
	t := troubles{tell: f.tell}
	if s.executor != batchExecutor {
		d.OnTrouble = t.toldOfFiles
		return
	}
	d.OnCounts, d.OnAlive, d.OnTrouble = f.counts, f.alive, t.told
}

// troubles tells a person that AWS Batch does not do what it is asked for: once when that
// begins, and once when it is over.
// What is for want of credentials the executor tells itself, with what to do.
type troubles struct {
	tell func(string)
	ops  map[string]bool // in which there is trouble now that was told
}

// troubleText says what does not work, by operation.
var troubleText = map[string]string{
	"submit": "jobs cannot be submitted", "find": "jobs cannot be looked up", "describe": "jobs cannot be looked at",
	"list": "jobs cannot be listed", "terminate": "jobs cannot be ended", filesTrouble: "files cannot be looked at",
	waitTrouble: "what steps wait for cannot be looked for",
}

// filesTrouble is the operation that is none of the executor: looking at files, and publishing.
const filesTrouble = "files"

// waitTrouble is another one: looking for what steps wait for.
const waitTrouble = "wait_for"

// toldOfFiles takes in only what is not of the executor.
func (t *troubles) toldOfFiles(op string, err error) {
	if op == filesTrouble || op == waitTrouble {
		t.told(op, err)
	}
}

// told takes in an error of an operation; nil: all is well again.
func (t *troubles) told(op string, err error) {
	missing := (*engine.MissingError)(nil)
	switch {
	case errors.As(err, &missing):
		t.tell("AWS Batch: " + err.Error())
	case err == nil && len(t.ops) > 0:
		text := "AWS Batch does what it is asked for again"
		switch {
		case len(t.ops) == 1 && t.ops[filesTrouble]:
			text = "files can be looked at again"
		case len(t.ops) == 1 && t.ops[waitTrouble]:
			text = "what steps wait for can be looked for again"
		}
		t.ops = nil
		t.tell(text)
	case err != nil && !t.ops[op] && !batch.LoggedOut(err):
		if t.ops == nil {
			t.ops = map[string]bool{}
		}
		t.ops[op] = true
		if op == "submit" && !errors.Is(err, engine.ErrLater) && !errors.Is(err, engine.ErrRefused) {
			t.tell(fmt.Sprintf("nobody knows whether jobs were submitted, and they are looked for: %s", firstLineOf(err)))
			return
		}
		what := cmp.Or(troubleText[op], op)
		if errors.Is(err, engine.ErrRefused) {
			t.tell(fmt.Sprintf("%s: %s", what, firstLineOf(err)))
			return
		}
		t.tell(fmt.Sprintf("%s, and it is tried again: %s", what, firstLineOf(err)))
	}
}

// counts is told that more is known of how many tasks are in which state.
func (f *follower) counts(run *engine.Run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.run != nil {
		f.run.Steps = run.Steps()
	}
}

// alive is told how many tasks of a run are alive that is being cancelled.
func (f *follower) alive(n, doubted, total int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := aliveText(n, total)
	if doubted > 0 {
		text += fmt.Sprintf(", %d in doubt: their jobs are looked for", doubted)
	}
	if text == f.living {
		return
	}
	f.living = text
	f.notes = append(f.notes, "cancelling: "+text)
	if f.run != nil && f.run.Note != "" {
		f.run.Note = "cancelling, " + text
	}
}

func aliveText(n, total int) string { return fmt.Sprintf("%d of %s still alive", n, tasksOf(total)) }

// tasksOf writes a number of tasks as programs read it.
func tasksOf(n int) string {
	if n == 1 {
		return "1 task"
	}
	return fmt.Sprintf("%d tasks", n)
}
