package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/state"
)

func newSchedulePause(a *app) *cobra.Command {
	var h scheduleHere
	var reason string
	cmd := &cobra.Command{
		Use:   "pause NAME",
		Short: "Have a schedule start no runs for a while",
		Long: `Have a schedule start no runs until it is resumed. Runs that have begun go on. Slots that pass
meanwhile are not made up for by themselves; flow schedule backfill does so.`,
		Args:              args(1, 1),
		ValidArgsFunction: a.completeSchedules,
		RunE: func(cmd *cobra.Command, argv []string) error {
			return a.changeSchedule(cmd.Context(), argv[0], h, func(ctx context.Context, db *state.DB, sch *state.Schedule) error {
				if !sch.Paused.IsZero() {
					a.say("%s is paused already, since %s", sch.Full(), slotText(sch.Paused.In(zoneOf(&sch.Spec))))
					return nil
				}
				if err := db.PauseSchedule(ctx, sch.ID, reason); err != nil {
					return err
				}
				a.say("%s is paused. Go on with: flow schedule resume %[1]s", sch.Full())
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that others are shown")
	h.register(cmd)
	return cmd
}

func newScheduleResume(a *app) *cobra.Command {
	var h scheduleHere
	cmd := &cobra.Command{
		Use:               "resume NAME",
		Short:             "Have a paused schedule start runs again, from its next slot on",
		Args:              args(1, 1),
		ValidArgsFunction: a.completeSchedules,
		RunE: func(cmd *cobra.Command, argv []string) error {
			return a.changeSchedule(cmd.Context(), argv[0], h, func(ctx context.Context, db *state.DB, sch *state.Schedule) error {
				if sch.Paused.IsZero() {
					a.say("%s is not paused", sch.Full())
					return nil
				}
				if err := db.ResumeSchedule(ctx, sch.ID); err != nil {
					return err
				}
				a.say("%s goes on; its next slot is %s", sch.Full(), slotText(inZone(nextOf(&sch.Spec, a.now()), zoneOf(&sch.Spec))))
				return nil
			})
		},
	}
	h.register(cmd)
	return cmd
}

// changeSchedule does something to a schedule, and prints it with -json.
func (a *app) changeSchedule(ctx context.Context, name string, h scheduleHere, change func(context.Context, *state.DB, *state.Schedule) error) error {
	db, sch, err := a.openSchedule(ctx, name, h)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := change(ctx, db, &sch); err != nil || !a.asJSON() {
		return err
	}
	if sch, err = db.ScheduleByID(ctx, sch.ID); err != nil {
		return err
	}
	waiting, active, err := db.Record(ctx, sch.ID)
	if err != nil {
		return err
	}
	return a.printJSON(scheduleData(&sch, waiting, active, a.now()))
}

func newScheduleHistory(a *app) *cobra.Command {
	var f state.SlotFilter
	var status []string
	cmd := &cobra.Command{
		Use:   "history [NAME]",
		Short: "List what became of slots, the newest first",
		Long: `List the slots of a schedule, or of all: which run each has, or why it has none. STARTED slots
have a run, whose status is shown instead; WAITING ones are to get one; SKIPPED ones do not since
another run was not over; MISSED ones since nobody was there in time.`,
		Args:              args(0, 1),
		ValidArgsFunction: a.completeSchedules,
		RunE: func(cmd *cobra.Command, argv []string) error {
			for _, text := range status {
				s, ok := slotStatusOf(text)
				if !ok {
					return errUsage(cmd.CommandPath(), "-status %q: there are WAITING, STARTED, SKIPPED and MISSED", text)
				}
				f.Status = append(f.Status, s)
			}
			return a.scheduleHistory(cmd.Context(), argv, f)
		},
	}
	cmd.Flags().StringSliceVar(&status, "status", nil, "only slots with that `STATUS`: WAITING, STARTED, SKIPPED, MISSED")
	cmd.Flags().IntVarP(&f.Limit, "limit", "n", 20, "at most `N` slots; 0: all")
	return cmd
}

func (a *app) scheduleHistory(ctx context.Context, argv []string, f state.SlotFilter) error {
	db, err := a.openState(true)
	if errors.Is(err, engine.ErrNotFound) && len(argv) == 0 {
		return a.printSlots(nil, nil)
	}
	if err != nil {
		return err
	}
	defer db.Close()
	if len(argv) > 0 {
		sch, err := db.Schedule(ctx, argv[0])
		if err != nil {
			return err
		}
		f.Schedule = sch.ID
	}
	all, err := db.Schedules(ctx)
	if err != nil {
		return err
	}
	slots, err := db.Slots(ctx, f)
	if err != nil {
		return err
	}
	return a.printSlots(all, slots)
}

func (a *app) printSlots(all []state.Schedule, slots []state.Slot) error {
	byID := map[int64]*state.Schedule{}
	for i := range all {
		byID[all[i].ID] = &all[i]
	}
	list := []slotJSON{}
	for i := range slots {
		sch := byID[slots[i].Schedule]
		list = append(list, slotData(sch.Full(), &slots[i], zoneOf(&sch.Spec)))
	}
	if a.asJSON() {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		a.say("no slots")
		return nil
	}
	term := a.outTerm()
	table := &view.Table{Header: []string{"SLOT", "SCHEDULE", "STATUS", "RUN", "TIME", "WHY"}, Whole: []bool{true}}
	for i := range list {
		d := &list[i]
		took := ""
		if !d.Started.IsZero() && !slots[i].Removed {
			took = view.Duration(span(d.Started, d.Ended, a.now()))
		}
		table.Add(slotText(d.Time), view.Clean(d.Schedule), slotStatusText(term.Style, d), d.Run, took, slotWhy(d))
	}
	return table.Write(a.stdout, term)
}

// slotStatusText is what became of a slot: of its run, if it has one.
func slotStatusText(s view.Style, d *slotJSON) string {
	switch {
	case d.RunStatus != nil:
		return s.Status(*d.RunStatus)
	case d.Run != "":
		return "removed"
	case string(d.Status) == string(state.SlotMissed):
		return s.Red(string(d.Status))
	}
	return string(d.Status)
}

// slotWhy says why a slot is as it is, and where it comes from unless that is the clock.
func slotWhy(d *slotJSON) string {
	text := view.Clean(view.Brief(d.Reason))
	add := func(more string) {
		if text != "" {
			text += "; "
		}
		text += more
	}
	if kind := slotKind(d.Kind); kind != "" {
		add(kind)
	} else if d.Late && d.Run != "" {
		add("caught up")
	}
	return text
}
