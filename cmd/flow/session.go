package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/dsl"
	"flow/engine"
	"flow/executor/batch"
	"flow/executor/batch/cost"
	"flow/executor/batch/infra"
	"flow/state"
)

// A session is a run that this process drives: it holds the run's lease.
type session struct {
	a         *app
	db        *state.DB
	lease     *state.Lease
	home      string // directory of the state file
	program   *dsl.Program
	workflow  *engine.Workflow // with what variables decide
	template  engine.Template
	secret    func(ref string) (string, error)
	executor  string       // where its jobs run: "local" or "batch"
	site      dsl.Site     // zero: none; with what flags said
	jobs      batch.Place  // where those of a run on AWS Batch are
	batch     batchFlags   // what flags said of AWS Batch, when the run was started and now
	machine   machineFlags // with what the site says
	journal   string       // path of the local executor's journal
	filesAt   string       // work_dir of the run, once that is settled
	objects   opener       // see store; nil: nobody has asked yet
	id        engine.RunID
	created   time.Time
	slot      *engine.Slot      // what a schedule starts it for, of a new run; nil: none does
	scheduled map[string]string // values of variables that the schedule gives

	takenUp bool // the run was there before: not all that flags say is kept with it
	looks   bool // it only looks at jobs, with the lease for a moment; see lookAt
	noticed bool // the state knows the notices of the workflow
	// prepare, if not nil, changes the run before it is driven; see resume.
	prepare func(ctx context.Context, d *engine.Driver) error
	used    infra.Used  // what its steps name of AWS Batch, as far as is known before they are evaluated
	prices  *cost.Known // what is known of where its jobs run; nil: it is not asked for
	// untilHanded says to stop driving when nothing more can be handed over to AWS Batch
	// without knowing how jobs end.
	untilHanded bool
	fleet       *fleet // that drives the run among others; nil: it is driven alone, before a person's eyes
}

// A display shows a run that is driven.
type display interface {
	events(run *engine.Run, events []engine.Event) // that are durable
	counts(run *engine.Run)                        // more is known of how many tasks are in which state
	alive(n, doubted, total int)                   // how many tasks are alive of a run that is being cancelled
	tell(text string)                              // what a person should know, whatever is shown
	close()
}

// drive drives the run until it ends or ctx is done, and shows it meanwhile. It returns the
// ended run; the error carries an exit code if it did not end. It gives the lease back.
func (s *session) drive(ctx context.Context, title string) (run *engine.Run, err error) {
	defer s.giveBack(&err)
	// The second Ctrl-C kills what does not want to end.
	patience, hurry := context.WithCancel(context.Background())
	defer hurry()
	s.a.atSecondSignal(hurry)
	show := s.a.newTeller()
	executor, err := s.openExecutor(ctx, show.tell)
	if err != nil {
		return nil, err
	}
	if !s.a.errTerm().Live {
		s.a.say("%s", title)
	}
	run, interrupted, failure := s.driveOn(ctx, patience, executor, show)
	switch {
	case interrupted:
		s.a.say("%s", s.interrupted(run))
		return nil, exit(stoppedCode(ctx))
	case errors.Is(failure, engine.ErrConflict):
		return nil, &exitError{code: exitNotStarted, err: failure}
	case errors.As(failure, new(*usageError)):
		return nil, failure
	case failure != nil:
		return nil, fmt.Errorf("%w\nThe run is not over. Once this is mended, go on with: flow resume %s", failure, s.id)
	}
	return run, nil
}

// driveOn drives the run on an executor until it ends or ctx is done, closes the executor, and
// sends what there is to tell. What does not want to end is killed when patience is done.
// interrupted says that ctx was done first; run may be nil then, and with an error.
func (s *session) driveOn(ctx, patience context.Context, x executor, show *teller) (run *engine.Run, interrupted bool, err error) {
	run, err = s.watch(ctx, x, show)
	interrupted = ctx.Err() != nil && (run == nil || !run.Ended())
	if interrupted && s.executor == localExecutor {
		s.a.say("stopping what runs; Ctrl-C again to leave at once")
	}
	err = errors.Join(err, x.Close(patience))
	if err == nil && !interrupted && run != nil {
		s.tellOf(patience, ctx, run, show.tell)
	}
	if run != nil && run.Ended() && s.journal != "" {
		_ = os.Remove(s.journal) // there is nothing in it that could go on
	}
	return run, interrupted, err
}

// tellOf sends the notices of a run that has ended or rests. That it could not even be tried is
// no failure of the run.
func (s *session) tellOf(ctx, impatient context.Context, run *engine.Run, tell func(string)) {
	if err := s.newCourier(tell).finish(ctx, impatient, run); err != nil && ctx.Err() == nil {
		tell(fmt.Sprintf("notices of the run could not be sent, which is tried again by any later flow run, resume or wait with this state file: %s", firstLineOf(err)))
	}
}

// giveBack gives the lease back. If that is all that went wrong, it is err.
func (s *session) giveBack(err *error) {
	if failed := s.lease.Release(context.Background()); *err == nil {
		*err = failed // else it is most likely the same again
	}
}

// interrupted says how things are with a run that this process stops driving. run may be nil.
func (s *session) interrupted(run *engine.Run) string {
	if s.executor == localExecutor {
		return fmt.Sprintf("run %s is interrupted, nothing is lost. Go on with: flow resume %s", s.id, s.id)
	}
	jobs, tasks, doubted := 0, 0, 0
	held := ""
	cancelling := false
	if run != nil {
		jobs, tasks = run.Alive()
		doubted = run.InDoubt()
		held = heldNote(run, s.a.now())
		_, cancelling = run.Cancelling()
	}
	text := "stopped watching; "
	if jobs > 0 {
		text += goOn(jobs, tasks)
	} else {
		text += "nothing of the run is in AWS Batch now"
	}
	if doubted > 0 {
		text += fmt.Sprintf(", as far as is known: of %s nobody knows whether they were submitted", view.Plural(doubted, "task"))
	}
	switch text += held; {
	case cancelling:
		return fmt.Sprintf("%s. The run is not cancelled yet; go on with: flow cancel %s", text, s.id)
	case jobs+doubted == 0:
		return fmt.Sprintf("%s. Go on with: flow resume %s", text, s.id)
	}
	return fmt.Sprintf("%s. Follow them again: flow resume %s. End them: flow cancel %[2]s", text, s.id)
}

// heldNote names the steps that wait for a driver, if there are any.
func heldNote(run *engine.Run, now time.Time) string {
	held := run.Holds(now)
	if len(held) == 0 {
		return ""
	}
	const most = 5
	var names []string
	for _, h := range held[:min(len(held), most)] {
		names = append(names, view.Clean(string(h.Step)))
	}
	if more := len(held) - most; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return "; held until somebody drives the run: " + strings.Join(names, ", ")
}

// goOn says that jobs go on without us.
func goOn(jobs, tasks int) string {
	goes := "go"
	if jobs == 1 {
		goes = "goes"
	}
	return fmt.Sprintf("%s (%s) %s on in AWS Batch", view.Plural(jobs, "job"), view.Plural(tasks, "task"), goes)
}

// watch drives the run with its progress shown.
func (s *session) watch(outer context.Context, x executor, show *teller) (run *engine.Run, err error) {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	shown := s.display(x)
	show.to(shown.tell)
	s.learnPrices(ctx, shown.tell)
	driver := s.driver(x)
	s.show(driver, shown)
	var beats sync.WaitGroup
	letters := s.newCourier(shown.tell)
	letters.foresee(s.workflow)
	if s.fleet != nil {
		s.fleet.letters.listen(driver)
	} else {
		letters.listen(driver)
		beats.Go(func() { letters.loop(outer, ctx) })
	}
	beats.Go(func() {
		if err := s.keepLease(ctx); err != nil {
			cancel(err)
		}
	})
	run, err = s.start(ctx, driver)
	cause := context.Cause(ctx)
	cancel(nil)
	beats.Wait()
	shown.close()
	show.to(nil)
	switch {
	case errors.Is(cause, engine.ErrConflict):
		return run, cause
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return run, nil
	}
	return run, err
}

// display opens what shows the run while it is driven.
func (s *session) display(x executor) display {
	if s.fleet != nil {
		return s.fleet.display(s)
	}
	return s.a.follow(s.tail(x))
}

func (s *session) start(ctx context.Context, driver *engine.Driver) (*engine.Run, error) {
	if s.prepare != nil {
		if err := s.prepare(ctx, driver); err != nil {
			return nil, err
		}
	}
	const most = 10 // who removes runs all the time is not to be fought
	for try := 1; ; try++ {
		drive := driver.Drive
		if s.untilHanded {
			drive = driver.HandOver
		}
		run, err := drive(ctx, s.id)
		var removed *state.RemovedError
		if !errors.As(err, &removed) || try == most {
			return run, err
		}
		// flow clean was faster: look again for what is known.
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(try) * 50 * time.Millisecond):
		}
	}
}

// keepLease confirms the lease until ctx is done, or until another driver has it. A state
// file that cannot be written for a while is the driver's concern.
func (s *session) keepLease(ctx context.Context) error {
	beat := time.NewTicker(state.LeaseBeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if err := s.lease.Renew(ctx); errors.Is(err, engine.ErrConflict) {
				return err
			}
		}
	}
}
