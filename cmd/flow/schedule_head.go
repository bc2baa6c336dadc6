package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/head"
	"flow/engine"
	"flow/executor/scheduler"
	"flow/executor/store"
	"flow/state"
)

// headFlags are the flags of flow schedule head.
type headFlags struct {
	at       string
	bundle   string
	schedule string
	slot     string
	timing   head.Timing
}

// newScheduleHead returns flow schedule head, which people need not know: it is what the job
// runs that Amazon EventBridge Scheduler submits.
func newScheduleHead(a *app) *cobra.Command {
	f := &headFlags{timing: head.Usual}
	cmd := &cobra.Command{
		Use:    "head",
		Short:  "What runs in the job of a schedule that was deployed: start the run of a slot, and drive it",
		Hidden: true,
		Args:   args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			slot, err := f.read(cmd.CommandPath())
			if err != nil {
				return err
			}
			return a.head(cmd.Context(), f, slot)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.at, "at", "", "`URI` of the deployment")
	flags.StringVar(&f.bundle, "bundle", "", "`SHA256` of the workflow's files")
	flags.StringVar(&f.schedule, "schedule", "", "`NAME` of the schedule")
	flags.StringVar(&f.slot, "slot", "", "`TIME` that the run is for")
	flags.DurationVar(&f.timing.Beat, "beat", f.timing.Beat, "say every `TIME` that this process lives")
	flags.DurationVar(&f.timing.Dead, "dead", f.timing.Dead, "take over from a process that has said nothing for `TIME`")
	flags.DurationVar(&f.timing.Poll, "poll", f.timing.Poll, "look every `TIME` for what others do")
	return cmd
}

// read returns the slot that the flags name.
func (f *headFlags) read(cmd string) (*head.Slot, error) {
	at, err := time.Parse(time.RFC3339, f.slot)
	switch {
	case f.at == "" || f.bundle == "" || f.schedule == "" || f.slot == "":
		return nil, errUsage(cmd, "-at, -bundle, -schedule and -slot are all needed; flow schedule deploy makes a job that gives them")
	case err != nil:
		return nil, errUsage(cmd, "-slot takes a time such as 2026-03-01T04:30:00Z, and not %q", f.slot)
	case !store.Is(f.at):
		return nil, errUsage(cmd, "-at takes s3://bucket/prefix, and not %q", f.at)
	}
	return &head.Slot{Schedule: f.schedule, Time: at.UTC().Truncate(time.Minute), Bundle: f.bundle, Job: os.Getenv("AWS_BATCH_JOB_ID")}, nil
}

// lastWords is how long a head that was told to stop may take to publish the state. AWS Batch
// gives 30 seconds between SIGTERM and SIGKILL (its User Guide, "Job timeouts").
const lastWords = 20 * time.Second

// head asks for the run of a slot, and sees to it that there is one: in this process, or in
// another one that has the state.
func (a *app) head(ctx context.Context, f *headFlags, slot *head.Slot) error {
	objects, err := store.Open(ctx, store.Options{})
	if err != nil {
		return err
	}
	defer objects.Close()
	h := &header{
		a: a, place: &head.Place{Store: objects, URI: f.at}, timing: f.timing, slot: slot, log: headLog(a.stderr, a.asJSON()),
	}
	if err := h.place.Ask(ctx, slot); err != nil {
		return err
	}
	done := h.answered
	for {
		switch ran, err := h.turn(ctx, done); {
		case err != nil:
			return h.stopped(ctx, err)
		case !ran:
			h.log.Info("another head has taken the slot", "schedule", slot.Schedule, "slot", slot.Time)
			return nil
		}
		// Whoever came while the seat was being given back has left its slot, if not itself.
		left, err := h.place.Asked(ctx)
		if err != nil {
			return h.stopped(ctx, err)
		}
		if len(left) == 0 {
			return h.outcome()
		}
		done = h.nothingLeft
	}
}

// headLog is where a head says what it does: the log of its job.
func headLog(w io.Writer, json bool) *slog.Logger {
	if json {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// answered reports whether another head has seen to the slot.
func (h *header) answered(ctx context.Context) (bool, error) {
	waits, err := h.place.Waits(ctx, h.slot)
	return !waits, err
}

// nothingLeft reports whether no slot waits.
func (h *header) nothingLeft(ctx context.Context) (bool, error) {
	left, err := h.place.Asked(ctx)
	return len(left) == 0, err
}

// stopped says how a head ends that is not done.
func (h *header) stopped(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, head.ErrLost):
		return &exitError{code: exitNotStarted, err: err}
	case ctx.Err() != nil:
		h.log.Info("told to stop: the next head goes on")
		return exit(scheduler.ExitAgain)
	case errors.Is(err, store.ErrUnanswered):
		return &exitError{code: scheduler.ExitAgain, err: err}
	}
	return err
}

// outcome says how the run of the slot has ended, with an exit code.
func (h *header) outcome() error {
	s := h.mine
	switch {
	case s == nil:
		h.log.Info("the schedule has no such slot: its times have changed, or it is not there any more", "schedule", h.slot.Schedule, "slot", h.slot.Time)
		return nil
	case s.Run == "":
		h.log.Info("no run for the slot", "schedule", h.slot.Schedule, "slot", s.Time, "status", s.Status, "why", s.Reason)
		if s.Status == state.SlotMissed {
			return exit(exitNotStarted)
		}
		return nil
	}
	h.log.Info("the run of the slot", "schedule", h.slot.Schedule, "slot", s.Time, "run", s.Run, "status", h.row.Status, "why", h.row.Reason)
	if h.row.Ended.IsZero() { // it rests
		return exit(exitTimedOut)
	}
	return exit(exitCodeOf(h.row.Status, h.row.Cause))
}

// A header is a process that has asked for the run of a slot.
type header struct {
	a      *app
	place  *head.Place
	timing head.Timing
	slot   *head.Slot
	log    *slog.Logger

	mine *state.Slot // what has become of the slot; nil: the schedule has none there
	row  state.Run   // of its run, if it has one
}

// turn has the seat for as long as there is something to do; false: another process has done
// what this one is here for.
func (h *header) turn(ctx context.Context, done func(context.Context) (bool, error)) (ran bool, err error) {
	host, _ := os.Hostname()
	me := head.Owner{Token: ulid.Make().String(), Job: h.slot.Job, Host: host, Since: h.a.now().UTC()}
	seat, err := h.place.Take(ctx, me, h.timing, done)
	if err != nil || seat == nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "flow-head-")
	if err != nil {
		return true, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	inside, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		if err := seat.Keep(inside); err != nil {
			lose(err)
		}
	}()
	w := &headWork{header: h, seat: seat, dir: dir}
	err = w.do(inside)
	cause := context.Cause(inside)
	lost := errors.Is(cause, head.ErrLost)
	if lost {
		err = cause
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	err = errors.Join(err, w.end(last, !lost && !errors.Is(err, head.ErrLost)))
	lose(nil)
	<-kept
	if !lost {
		err = errors.Join(err, seat.Release(last))
	}
	return true, err
}

// errRuns is that runs could not go on for a long time.
var errRuns = fmt.Errorf("the runs that are left cannot go on: flow status says why; the next head tries again: %w", engine.ErrConflict)
