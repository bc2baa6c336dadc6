package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

const (
	redrawEvery    = 200 * time.Millisecond
	heartbeatEvery = time.Minute
	shownFailures  = 5 // failed tasks whose log is shown, and as many more that are the first of their cause
	shownNotes     = 20
	logTail        = 10 // lines of the log of a failed task
)

// A follower shows a run on stderr while it goes on: redrawn in place on a terminal, a
// line for each change elsewhere. Drivers tell it what happened; a goroutine of its own
// draws, so that a slow terminal never slows a run down.
type follower struct {
	w     io.Writer
	term  func() view.Term // as it is now: windows change their size
	quiet bool
	now   func() time.Time
	tail  func(t *engine.TaskStatus) []string // last lines of a task's log
	hub   *github                             // nil: not there

	screen   *view.Screen // nil: plain
	progress *view.Progress

	mu       sync.Mutex
	run      *view.Run // newest state; nil: nothing happened yet
	failures []failure // to be shown
	failed   int       // tasks that were, and are to be
	troubles troubleList
	notes    []string
	noted    int
	news     []string // what a person should know, whatever is shown
	living   string   // how many tasks are alive, of a run that is being cancelled; "": not known

	shown    *view.Run // last state whose changes were printed; nil: none
	blocks   string    // of failed tasks, to be printed when the run is not shown any more
	lastLine time.Time
	stop     chan struct{}
	stopped  chan struct{}
}

// A failure is a failed task of which more is to be shown than a line.
type failure struct {
	task  engine.TaskStatus
	why   string
	cause int  // number of its trouble
	whole bool // with its last lines, and the command for the rest
}

// follow starts to show a run.
func (a *app) follow(tail func(*engine.TaskStatus) []string) *follower {
	return a.followOn(a.errTerm, tail)
}

// followOn is follow, where term says what is known of stderr.
func (a *app) followOn(term func() view.Term, tail func(*engine.TaskStatus) []string) *follower {
	f := &follower{
		w: a.stderr, term: term, quiet: a.quiet, now: a.now, tail: tail, hub: a.github(),
		lastLine: a.now(), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if f.term().Live {
		f.screen, f.progress = view.NewScreen(a.stderr), view.NewProgress()
	}
	go f.loop()
	return f
}

// events is told of what happened, by the driver, after it is durable.
func (f *follower) events(run *engine.Run, events []engine.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.run == nil
	f.update(run, events)
	if first && (events[0].Kind == engine.RunResumed || events[0].Kind == engine.RunReopened) {
		f.shown = f.copyRun() // what was before is no change
	}
	for i := range events {
		if events[i].Kind == engine.TasksEnded {
			f.ended(run, &events[i])
		}
	}
}

// ended takes in that tasks have failed, or will be tried again.
func (f *follower) ended(run *engine.Run, e *engine.Event) {
	switch e.Outcome {
	case engine.TaskFailed, engine.TaskLost:
		first := run.Task(e.Step, e.Tasks.At(0))
		cause, isNew := f.troubles.add(view.Trouble{
			Step: string(e.Step), Task: run.Task(e.Step, e.Tasks.At(e.Tasks.Len()-1)).Name, Tasks: e.Tasks.Len(), Why: failedText(run, &first),
		})
		for task := range e.Tasks.All() {
			whole := f.failed < shownFailures || isNew && f.failed < 2*shownFailures
			if !whole && !(isNew && f.screen != nil) { // only there is its last line shown
				break
			}
			f.failed++
			t := run.Task(e.Step, task)
			f.failures = append(f.failures, failure{t, failedText(run, &t), cause, whole})
			isNew = false
		}
	case engine.TaskRetrying:
		if f.noted++; f.noted <= shownNotes {
			f.notes = append(f.notes, retryNote(run, e))
		}
		f.troubles.add(view.Trouble{
			Step: string(e.Step), Task: run.Task(e.Step, e.Tasks.At(0)).Name, Tasks: e.Tasks.Len(), Why: retryReason(run, e), Retry: true,
		})
	}
}

// begin is told of a run that goes on already: what was before is no change.
func (f *follower) begin(run *engine.Run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.update(run, nil)
	f.shown = f.copyRun()
}

// tell shows a line that a person should see whatever else is shown.
func (f *follower) tell(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.news = append(f.news, text)
}

// update takes a copy of the state of the steps that events touched.
func (f *follower) update(run *engine.Run, events []engine.Event) {
	if f.run == nil {
		created, _ := run.Times()
		f.run = &view.Run{ID: string(run.ID()), Workflow: run.Workflow().Name, Created: created, Steps: run.Steps()}
	} else {
		at := make(map[engine.StepName]bool, 4)
		whole := false
		for i := range events {
			whole = whole || events[i].Kind == engine.RunReopened
			at[events[i].Step] = true
		}
		for i := range f.run.Steps {
			if name := f.run.Steps[i].Step.Name; whole || at[name] {
				f.run.Steps[i] = run.StepStatus(name)
			}
		}
	}
	f.run.Status = run.Status()
	f.run.Note = runNote(run, f.now())
	if _, cancelling := run.Cancelling(); cancelling && f.run.Note != "" && f.living != "" {
		f.run.Note += ", " + f.living
	}
	if f.screen != nil {
		f.run.Waits = waitsOf(run, f.now())
	}
}

// retryNote says that tasks are tried again, and why.
func retryNote(run *engine.Run, e *engine.Event) string {
	what := run.Task(e.Step, e.Tasks.At(0)).Name
	if n := e.Tasks.Len(); n > 1 {
		what = fmt.Sprintf("%s of %s", view.Plural(n, "task"), e.Step)
	}
	if localReason(run, e.Reason) == hostLost {
		return fmt.Sprintf("%s will run again: %s", what, retryReason(run, e))
	}
	return fmt.Sprintf("%s failed and will be tried again: %s", what, retryReason(run, e))
}

// retryReason says why tasks are tried again, and by which rule.
func retryReason(run *engine.Run, e *engine.Event) string {
	text := localReason(run, e.Reason)
	if text != hostLost {
		text = whyText(e.ExitCode, text, "")
	}
	if e.Rule != "" {
		text += " (rule " + e.Rule + ")"
	}
	return text
}

func (f *follower) loop() {
	defer close(f.stopped)
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-f.stop:
			f.show(true)
			return
		case <-tick.C:
			f.show(false)
		}
	}
}

// show brings what is on the terminal up to date.
func (f *follower) show(last bool) {
	now := f.now()
	f.mu.Lock()
	text := ""
	for _, line := range f.news {
		text += view.Stamp(now) + " " + view.Clean(line) + "\n"
	}
	f.news = nil
	if f.run == nil {
		f.mu.Unlock()
		f.put(text, now)
		return
	}
	run, before := f.copyRun(), f.shown
	f.shown = run
	failures, notes := f.failures, f.notes
	f.failures, f.notes = nil, nil
	f.mu.Unlock()

	term := f.term()
	blocks := f.tails(run, failures, term)
	if f.screen != nil {
		f.draw(run, text, blocks, now, term, last)
		return
	}
	text += blocks
	lines := ""
	if !f.quiet {
		for _, note := range notes {
			lines += view.Stamp(now) + " " + view.Clean(note) + "\n"
		}
		for _, line := range view.Changes(before, run, now) {
			lines += line + "\n"
		}
		if lines == "" && text == "" && !last && now.Sub(f.lastLine) >= heartbeatEvery {
			lines = view.Heartbeat(run, now) + "\n"
		}
	}
	f.put(lines+text, now)
}

// draw shows the run in place, below text that stays. What failed tasks wrote comes when it
// is drawn for the last time: until then nothing pushes the steps off the screen.
func (f *follower) draw(run *view.Run, text, blocks string, now time.Time, term view.Term, last bool) {
	f.blocks += blocks
	f.mu.Lock()
	run.Troubles = f.troubles.newest(run.Steps)
	f.mu.Unlock()
	if last {
		text, run.Troubles = text+f.blocks, nil // the summary names them
	}
	f.screen.Fit(term)
	f.screen.Print(text, f.progress.Frame(run, now, term))
}

// tails reads the last lines of failed tasks, notes the last one with its trouble, and
// returns what is printed of those that are shown whole.
func (f *follower) tails(run *view.Run, failures []failure, term view.Term) string {
	text := ""
	for i := range failures {
		t := &failures[i].task
		log := f.tail(t)
		f.mu.Lock()
		f.troubles.wrote(failures[i].cause, log)
		f.mu.Unlock()
		if failures[i].whole {
			text += f.block(run, &failures[i], log, term)
		}
	}
	return text
}

// put writes lines, if there are any.
func (f *follower) put(lines string, now time.Time) {
	if lines != "" {
		f.lastLine = now
		_, _ = io.WriteString(f.w, lines) // nobody listening is no reason to stop
	}
}

// A teller hands lines for a person to a display, while there is one.
type teller struct {
	a         *app
	otherwise func(string) // gets them then; nil: they are printed
	mu        sync.Mutex
	fn        func(string)
}

func (a *app) newTeller() *teller { return &teller{a: a} }

// to says who gets the lines from now on; nil: nobody but the terminal.
func (t *teller) to(fn func(string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fn = fn
}

func (t *teller) tell(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.fn != nil:
		t.fn(text)
	case t.otherwise != nil:
		t.otherwise(text)
	default:
		_, _ = io.WriteString(t.a.stderr, view.Stamp(t.a.now())+" "+view.Clean(text)+"\n")
	}
}

// copyRun returns a copy of the newest state. The caller holds the lock.
func (f *follower) copyRun() *view.Run {
	run := *f.run
	run.Steps = slices.Clone(f.run.Steps)
	return &run
}

// block is what is printed of a failed task.
func (f *follower) block(run *view.Run, failed *failure, log []string, term view.Term) string {
	t := &failed.task
	fail := view.Failure{
		Task: t.Name, Why: failed.why, Attempts: knownAttempts(t),
		Log: log, More: "flow logs " + shellWord(run.ID+"/"+t.Name),
	}
	text := fail.Block(term)
	if f.hub != nil {
		return f.hub.group("FAILED "+t.Name+": "+fail.Why, text)
	}
	return text
}

// close shows the last state, which stays where it is.
func (f *follower) close() {
	close(f.stop)
	<-f.stopped
}
