package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/service"
	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/state"
)

// A backfillRequest is what flow schedule backfill is asked for.
type backfillRequest struct {
	run      runFlags
	here     scheduleHere
	from, to string
	parallel int
	dry      bool
	wait     bool
}

func newScheduleBackfill(a *app) *cobra.Command {
	r := &backfillRequest{}
	cmd := &cobra.Command{
		Use:   "backfill NAME --from TIME --to TIME",
		Short: "Begin runs for slots of the past that have none",
		Long: `Begin a run for each slot of a schedule from one time until before another that has none and is
past, in their order, each with its own schedule.time. TIME is 2026-01-31 for its midnight in the schedule's
zone, 2026-01-31T08:30 there, or with an offset.

The service of the state file begins and drives them, if there is one; --wait waits until all are
over. Else this process does; killed or interrupted, the same command goes on: a slot that has got
its run never gets another.

  flow schedule backfill daily --from 2026-01-01 --to 2026-02-01 --max-parallel 3
  flow schedule backfill list
  flow schedule backfill cancel 1`,
		Args:              args(1, 1),
		ValidArgsFunction: a.completeSchedules,
		RunE: func(cmd *cobra.Command, argv []string) error {
			if cmd.Flags().Changed("max-parallel") && r.run.maxParallel < 1 {
				return errUsage(cmd.CommandPath(), "-max-parallel takes a number from 1 to %d", mostParallel)
			}
			if err := r.check(cmd.CommandPath()); err != nil {
				return err
			}
			return a.backfill(cmd.Context(), argv[0], r)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.from, "from", "", "from `TIME` on")
	flags.StringVar(&r.to, "to", "", "until before `TIME`")
	r.run.register(flags)
	flags.Lookup("max-parallel").Usage = "at most `N` runs at a time (default 1)"
	flags.BoolVar(&r.dry, "dry-run", false, "print the slots, and begin nothing")
	flags.BoolVar(&r.wait, "wait", false, "wait until all runs are over that a service drives")
	r.here.register(cmd)
	cmd.AddCommand(newBackfillList(a), newBackfillCancel(a))
	return cmd
}

func (r *backfillRequest) check(cmd string) error {
	if r.from == "" || r.to == "" {
		return errUsage(cmd, "say from when until when: --from 2026-01-01 --to 2026-02-01")
	}
	// How many tasks of a run are in flight at a time is for the workflow to say.
	r.parallel, r.run.maxParallel = max(r.run.maxParallel, 1), min(r.run.maxParallel, 0)
	if r.parallel > mostParallel {
		return errUsage(cmd, "-max-parallel takes a number from 1 to %d", mostParallel)
	}
	return r.run.check(cmd)
}

// between returns the slots that are meant.
func (r *backfillRequest) between(sch *state.Schedule, now time.Time) (b state.Backfill, times []time.Time, err error) {
	zone := zoneOf(&sch.Spec)
	b = state.Backfill{Schedule: sch.ID, MaxParallel: r.parallel}
	if b.From, err = slotTime(r.from, zone); err != nil {
		return b, nil, errUsage("flow schedule backfill", "-from: %w", err)
	}
	if b.To, err = slotTime(r.to, zone); err != nil {
		return b, nil, errUsage("flow schedule backfill", "-to: %w", err)
	}
	times, bad := slotsBetween(&sch.Spec, b.From, b.To, now)
	if bad != "" {
		return b, nil, fmt.Errorf("%s from %s to %s: %s", sch.Full(), slotText(b.From.In(zone)), slotText(b.To.In(zone)), bad)
	}
	return b, times, nil
}

func (a *app) backfill(ctx context.Context, name string, r *backfillRequest) error {
	db, sch, err := a.openSchedule(ctx, name, r.here)
	if err != nil {
		return err
	}
	defer db.Close()
	b, times, err := r.between(&sch, a.now())
	if err != nil {
		return err
	}
	if r.dry {
		return a.backfillPlan(ctx, db, &sch, times)
	}
	held, err := db.TermHolder(ctx, state.ServiceTerm)
	if err != nil {
		return err
	}
	if held != nil && r.special() {
		return errors.New("the service begins the runs where it begins all others, with its own variables: of where and with what they run, nothing can be said here")
	}
	b, added, err := db.AddBackfill(ctx, b, times)
	if err != nil {
		return err
	}
	if added == 0 && !b.Open() {
		a.say("each of the %s has its run already: flow schedule history %s", view.Plural(len(times), "slot"), sch.Full())
		return a.backfillEnd(ctx, db, &sch, b.ID)
	}
	if held == nil {
		return a.backfillHere(ctx, db, &sch, &b, r)
	}
	a.say("backfill %d: %s of %s; %s begins their runs, %d at a time. End it: flow schedule backfill cancel %[1]d",
		b.ID, view.Plural(b.Slots.Waiting+b.Slots.Active, "slot"), sch.Full(), processOf(&held.Owner), b.MaxParallel)
	if r.wait {
		if err := a.untilFilled(ctx, db, b.ID); err != nil {
			return err
		}
		return a.backfillEnd(ctx, db, &sch, b.ID)
	}
	return a.printBackfills(ctx, db, b.ID)
}

// special reports whether flags say something of the runs themselves.
func (r *backfillRequest) special() bool {
	f := &r.run
	return len(f.vars) > 0 || f.site != "" || f.workDir != "" || f.noCache || f.batch != (batchFlags{}) || f.machine != (machineFlags{})
}

// backfillPlan prints the slots that a backfill would have runs of.
func (a *app) backfillPlan(ctx context.Context, db *state.DB, sch *state.Schedule, times []time.Time) error {
	list := []slotJSON{}
	for _, at := range times {
		slot, err := db.SlotAt(ctx, sch.ID, at)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return err
		}
		if err == nil && (slot.Run != "" || slot.Status == state.SlotWaiting) {
			continue
		}
		list = append(list, slotData(sch.Full(), &state.Slot{Time: at, Due: at, Kind: state.SlotBackfill, Status: state.SlotWaiting}, zoneOf(&sch.Spec)))
	}
	if a.asJSON() {
		return a.printJSON(list)
	}
	table := &view.Table{Header: []string{"SLOT", "SCHEDULE"}}
	for i := range list {
		table.Add(slotText(list[i].Time), view.Clean(list[i].Schedule))
	}
	a.say("%s of %d would get a run", view.Plural(len(list), "slot"), len(times))
	return table.Write(a.stdout, a.outTerm())
}

// backfillHere begins and drives the runs of a backfill in this process.
func (a *app) backfillHere(ctx context.Context, db *state.DB, sch *state.Schedule, b *state.Backfill, r *backfillRequest) error {
	log := a.serveLog()
	ctx, done := context.WithCancel(ctx)
	defer done()
	outer := ctx
	d, err := a.newDuty(ctx, db, &serveFlags{run: r.run, most: b.MaxParallel}, []string{sch.Path}, log)
	if err != nil {
		return err
	}
	if _, err := d.files.Look(ctx, a.now()); err != nil {
		return err
	}
	a.say("backfill %d: %s of %s, %d at a time; interrupted or killed, the same command goes on",
		b.ID, view.Plural(b.Slots.Waiting+b.Slots.Active, "slot"), sch.Full(), b.MaxParallel)
	s := &service.Service{
		State: db, Owner: state.Self(version()), Start: d.start, Cancel: d.cancel, News: d.news, Backfill: b.ID, Clock: engine.SystemClock{}, Log: log,
		Lead: func(ctx context.Context) { d.fillUp(ctx, b.ID) },
	}
	if err := s.Run(ctx); err != nil {
		return err
	}
	if outer.Err() != nil {
		a.say("interrupted; nothing is lost. Go on with: flow schedule backfill %s --from %s --to %s --max-parallel %d", sch.Full(),
			b.From.In(zoneOf(&sch.Spec)).Format(time.RFC3339), b.To.In(zoneOf(&sch.Spec)).Format(time.RFC3339), b.MaxParallel)
		return exit(stoppedCode(outer))
	}
	return a.backfillEnd(ctx, db, sch, b.ID)
}

// fillUp drives the runs of a backfill until ctx is done: those that begin, and those of before.
func (d *duty) fillUp(ctx context.Context, id int64) {
	f := d.newFleet(fleetOptions{})
	_, active, err := d.db.BackfillRecord(ctx, id)
	if err != nil {
		d.log.Error("the runs that the backfill has begun before cannot be seen", "error", err)
	}
	for _, run := range active {
		if row, err := d.db.Run(ctx, run.Run); err == nil { // else somebody has removed it
			f.take(row)
		}
	}
	d.driveWith(ctx, f)
}

// untilFilled waits until all slots of a backfill are over.
func (a *app) untilFilled(ctx context.Context, db *state.DB, id int64) error {
	var seen int64
	tick := time.NewTicker(fleetLook)
	defer tick.Stop()
	for {
		now, changed, err := db.Changed(ctx, seen)
		if err != nil {
			return err
		}
		if changed || seen == 0 {
			seen = now
			b, err := db.Backfill(ctx, id)
			if err != nil || !b.Open() {
				return err
			}
		}
		select {
		case <-ctx.Done():
			a.say("stopped waiting; the service goes on with the backfill")
			return exit(stoppedCode(ctx))
		case <-tick.C:
		}
	}
}

// backfillEnd says how a backfill that is over has ended. The exit code is that of a run that
// failed if one of its runs did, or if a slot has none.
func (a *app) backfillEnd(ctx context.Context, db *state.DB, sch *state.Schedule, id int64) error {
	b, err := db.Backfill(ctx, id)
	if err != nil {
		return err
	}
	if err := a.printBackfills(ctx, db, id); err != nil {
		return err
	}
	switch c := b.Slots; {
	case c.Failed+c.Missed > 0:
		a.say("not all went well: flow schedule history %s", sch.Full())
		return exit(exitRunFailed)
	case c.Cancelled > 0 || !b.Cancelled.IsZero() && c.Skipped > 0:
		return exit(exitCancelled)
	}
	return nil
}

func newBackfillList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List backfills, with how far each is",
		Args:    args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := a.openState(true)
			if errors.Is(err, engine.ErrNotFound) {
				return a.printBackfillData(nil)
			}
			if err != nil {
				return err
			}
			defer db.Close()
			return a.printBackfills(cmd.Context(), db, 0)
		},
	}
}

// printBackfills prints a backfill, or, with 0, all.
func (a *app) printBackfills(ctx context.Context, db *state.DB, id int64) error {
	all, err := db.Backfills(ctx, false)
	if err != nil {
		return err
	}
	var list []backfillJSON
	for i := range all {
		b := &all[i]
		if id != 0 && b.ID != id {
			continue
		}
		sch, err := db.ScheduleByID(ctx, b.Schedule)
		if err != nil {
			return err
		}
		list = append(list, backfillData(sch.Full(), b, zoneOf(&sch.Spec)))
	}
	if a.asJSON() && id != 0 && len(list) == 1 {
		return a.printJSON(list[0])
	}
	return a.printBackfillData(list)
}

func (a *app) printBackfillData(list []backfillJSON) error {
	if a.asJSON() {
		return a.printJSON(append([]backfillJSON{}, list...))
	}
	if len(list) == 0 {
		a.say("no backfills")
		return nil
	}
	table := &view.Table{Header: []string{"BACKFILL", "SCHEDULE", "FROM", "TO", "AT A TIME", "SLOTS"}, Whole: []bool{2: true, 3: true}}
	for i := range list {
		b := &list[i]
		table.Add(strconv.FormatInt(b.Backfill, 10), view.Clean(b.Schedule), slotText(b.From), slotText(b.To), strconv.Itoa(b.MaxParallel), backfillText(b))
	}
	return table.Write(a.stdout, a.outTerm())
}

// backfillText says how far a backfill is.
func backfillText(b *backfillJSON) string {
	total, text := 0, ""
	for _, word := range []string{"waiting", "active", "succeeded", "failed", "cancelled", "removed", "skipped", "missed"} {
		if n := b.Slots[word]; n > 0 {
			total += n
			text += fmt.Sprintf(", %d %s", n, word)
		}
	}
	if total == 0 {
		return "none"
	}
	return strconv.Itoa(total) + ": " + text[len(", "):]
}

func newBackfillCancel(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel BACKFILL",
		Short: "Begin no more runs of a backfill",
		Long:  `Begin no more runs of a backfill. Those that have begun go on; flow cancel ends them.`,
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, argv []string) error {
			id, err := strconv.ParseInt(argv[0], 10, 64)
			if err != nil {
				return errUsage(cmd.CommandPath(), "%q is no number of a backfill: see flow schedule backfill list", argv[0])
			}
			db, err := a.openState(false)
			if err != nil {
				return err
			}
			defer db.Close()
			err = db.CancelBackfill(cmd.Context(), id)
			if errors.Is(err, engine.ErrNotFound) {
				err = fmt.Errorf("there is no backfill %d: see flow schedule backfill list", id)
			}
			if err != nil {
				return err
			}
			return a.printBackfills(cmd.Context(), db, id)
		},
	}
}
