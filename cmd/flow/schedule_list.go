package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/engine/schedule"
	"flow/state"
)

func newScheduleList(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "list [PATH]",
		Aliases: []string{"ls"},
		Short:   "List schedules, with the next time of each",
		Long: `List the schedules that a service has seen with this state file; or those in the files of the
workflow at PATH, as they are.`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, argv []string) error {
			path := ""
			if len(argv) > 0 {
				path = argv[0]
			}
			return a.listSchedules(cmd.Context(), path, all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that are not in their files any more")
	return cmd
}

func (a *app) listSchedules(ctx context.Context, path string, gone bool) error {
	known, err := a.schedulesAt(ctx, path)
	if err != nil {
		return err
	}
	defer known.close()
	list := []scheduleJSON{}
	for i := range known.all {
		sch := &known.all[i]
		if sch.Gone && !gone {
			continue
		}
		var waiting []state.Slot
		var active []state.ActiveRun
		if known.db != nil {
			if waiting, active, err = known.db.Record(ctx, sch.ID); err != nil {
				return err
			}
		}
		list = append(list, scheduleData(sch, waiting, active, a.now()))
	}
	if a.asJSON() {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		a.say("no schedules; a service (flow serve DIR) finds them in the files of workflows")
		return nil
	}
	table := &view.Table{Header: []string{"SCHEDULE", "CRON", "ZONE", "NEXT", "STATE"}, Whole: []bool{3: true}}
	for i := range list {
		d := &list[i]
		next := slotText(d.Next)
		if d.Gone || !d.Enabled || !d.Paused.IsZero() {
			next = "-"
		}
		table.Add(view.Clean(d.Schedule), strings.Join(d.Cron, ", "), d.TimeZone, next, scheduleState(d))
	}
	if err := table.Write(a.stdout, a.outTerm()); err != nil {
		return err
	}
	return a.sayService(ctx, known.db)
}

// scheduleState says in a few words how a schedule is.
func scheduleState(d *scheduleJSON) string {
	var words []string
	switch {
	case d.Gone:
		words = append(words, "gone from its file")
	case !d.Enabled:
		words = append(words, "disabled")
	case !d.Paused.IsZero():
		text := "paused"
		if d.PausedFor != "" {
			text += ": " + view.Clean(d.PausedFor)
		}
		words = append(words, text)
	}
	if n := len(d.Active); n > 0 {
		words = append(words, view.Plural(n, "run")+" going on")
	}
	if d.Waiting > 0 {
		words = append(words, view.Plural(d.Waiting, "slot")+" waiting")
	}
	if d.Problem != "" {
		words = append(words, "its file is broken, and the last good version goes on")
	}
	return strings.Join(words, "; ")
}

// sayService tells a person at a terminal whether anybody fires the schedules of a state file.
func (a *app) sayService(ctx context.Context, db *state.DB) error {
	if db == nil {
		return nil
	}
	held, err := db.TermHolder(ctx, state.ServiceTerm)
	switch {
	case err != nil:
		return err
	case held == nil:
		a.say("no service fires them now: start one with flow serve DIR")
	default:
		a.say("%s fires them", processOf(&held.Owner))
	}
	return nil
}

// knownSchedules are schedules, and the state that they are from.
type knownSchedules struct {
	db  *state.DB // nil: they are from files
	all []state.Schedule
}

func (k *knownSchedules) close() {
	if k.db != nil {
		_ = k.db.Close()
	}
}

// schedulesAt returns the schedules in the files at path; with "" those in the state, or, if it
// has none, those of the workflow here.
func (a *app) schedulesAt(ctx context.Context, path string) (*knownSchedules, error) {
	if path == "" {
		db, err := a.openState(true)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			all, err := db.Schedules(ctx)
			if err != nil {
				return nil, errors.Join(err, db.Close())
			}
			if len(all) > 0 {
				return &knownSchedules{db, all}, nil
			}
			if err := db.Close(); err != nil {
				return nil, err
			}
		}
	}
	program, at, err := a.workflowHere(path)
	if err != nil || program == nil {
		return &knownSchedules{}, err
	}
	k := &knownSchedules{}
	for _, spec := range program.Workflow.Schedules {
		k.all = append(k.all, state.Schedule{Workflow: program.Workflow.Name, Path: at, Spec: *spec})
	}
	return k, nil
}

// mostNext is how many times flow schedule next prints at most.
const mostNext = 10_000

func newScheduleNext(a *app) *cobra.Command {
	var n int
	cmd := &cobra.Command{
		Use:   "next [NAME | PATH]",
		Short: "Print when runs begin next",
		Long: `Print the next times of a schedule, or of all, in the time zone of each, with the
offset that holds then: what a change of the clocks does to them can be seen. With the PATH of a
workflow, those of its files as they are; no service needs to have seen them.`,
		Args:              args(0, 1),
		ValidArgsFunction: a.completeSchedules,
		RunE: func(cmd *cobra.Command, argv []string) error {
			if n < 1 || n > mostNext {
				return errUsage(cmd.CommandPath(), "-n takes a number from 1 to %d", mostNext)
			}
			of := ""
			if len(argv) > 0 {
				of = argv[0]
			}
			return a.printNext(cmd.Context(), of, n)
		},
	}
	cmd.Flags().IntVarP(&n, "number", "n", 10, "print `N` times")
	return cmd
}

// A nextJSON is a time at which a run is to begin.
type nextJSON struct {
	Schedule string    `json:"schedule"`
	Time     time.Time `json:"time"` // schedule.time
	Due      time.Time `json:"due"`  // with the jitter
}

func (a *app) printNext(ctx context.Context, of string, n int) error {
	name, path := of, ""
	if _, err := os.Stat(of); of != "" && err == nil {
		name, path = "", of
	}
	known, err := a.schedulesAt(ctx, path)
	if err != nil {
		return err
	}
	defer known.close()
	if name != "" {
		if known, err = known.named(ctx, name); err != nil {
			return err
		}
	}
	list, off, err := nextOfAll(known.all, a.now(), n)
	if err != nil {
		return err
	}
	for _, why := range off {
		a.say("%s", why)
	}
	if a.asJSON() {
		return a.printJSON(list)
	}
	if len(known.all) == 0 {
		a.say("no schedules here")
		return nil
	}
	table := &view.Table{Header: []string{"TIME", "IN", "SCHEDULE", "ZONE"}}
	for _, x := range list {
		table.Add(slotText(x.Time), view.Duration(x.Due.Sub(a.now())), view.Clean(x.Schedule), x.Time.Location().String())
	}
	return table.Write(a.stdout, a.outTerm())
}

// named returns the schedule of a name alone.
func (k *knownSchedules) named(ctx context.Context, name string) (*knownSchedules, error) {
	if k.db != nil {
		sch, err := k.db.Schedule(ctx, name)
		return &knownSchedules{k.db, []state.Schedule{sch}}, err
	}
	e := &state.ScheduleRefError{Ref: name}
	for i := range k.all {
		if k.all[i].Full() == name || k.all[i].Spec.Name == name {
			return &knownSchedules{all: k.all[i : i+1]}, nil
		}
		e.Names = append(e.Names, k.all[i].Full())
	}
	return nil, e
}

// nextOfAll returns the next n times of all schedules together. off says which of them fire
// nothing, and why.
func nextOfAll(all []state.Schedule, now time.Time, n int) (list []nextJSON, off []string, err error) {
	list = []nextJSON{}
	for i := range all {
		sch := &all[i]
		switch {
		case sch.Gone:
			continue
		case sch.Spec.Disabled:
			off = append(off, fmt.Sprintf("%s is disabled", sch.Full()))
			continue
		case !sch.Paused.IsZero():
			off = append(off, fmt.Sprintf("%s is paused: flow schedule resume %[1]s", sch.Full()))
			continue
		}
		times, err := schedule.Parse(&sch.Spec)
		if err != nil {
			return nil, nil, fmt.Errorf("schedule %s: %w", sch.Full(), err)
		}
		at := now
		for range n {
			if at = times.Next(at); at.IsZero() {
				break
			}
			list = append(list, nextJSON{sch.Full(), at.In(times.Zone()), at.Add(times.Jitter(sch.Full(), at)).In(times.Zone())})
		}
	}
	slices.SortStableFunc(list, func(x, y nextJSON) int { return cmp.Or(x.Time.Compare(y.Time), cmp.Compare(x.Schedule, y.Schedule)) })
	return list[:min(n, len(list))], off, nil
}
