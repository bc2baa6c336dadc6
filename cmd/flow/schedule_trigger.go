package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/dsl"
	"flow/engine"
	"flow/state"
)

// A triggerRequest is what flow schedule trigger is asked for.
type triggerRequest struct {
	run  runFlags
	here scheduleHere
	at   string
	wait bool
}

func newScheduleTrigger(a *app) *cobra.Command {
	r := &triggerRequest{}
	cmd := &cobra.Command{
		Use:   "trigger NAME",
		Short: "Begin a run of a schedule now",
		Long: `Begin a run of a schedule now, as if a slot were due, also while the schedule is paused or
disabled. The schedule's "vars" are evaluated for now, or for the time --at; -var wins over them.

The service of the state file begins and drives the run, if there is one; --wait follows it until it
ends. While another run of the schedule goes on it waits for the end of that, unless "overlap" is
"allow"; with "replace" it ends it. Without a service the run is driven here, as by flow run, at once; interrupted,
it goes on with flow resume, or with the next service.`,
		Args:              args(1, 1),
		ValidArgsFunction: a.completeSchedules,
		RunE: func(cmd *cobra.Command, argv []string) error {
			if err := r.run.check(cmd.CommandPath()); err != nil {
				return err
			}
			return a.trigger(cmd.Context(), argv[0], r)
		},
	}
	cmd.Flags().StringVar(&r.at, "at", "", "schedule.time is `TIME`: 2026-01-31, 2026-01-31T08:30 in the schedule's zone, or with an offset (default: now)")
	cmd.Flags().BoolVar(&r.wait, "wait", false, "follow a run that the service drives until it ends")
	r.run.register(cmd.Flags())
	r.here.register(cmd)
	return cmd
}

func (a *app) trigger(ctx context.Context, name string, r *triggerRequest) error {
	db, sch, err := a.openSchedule(ctx, name, r.here)
	if err != nil {
		return err
	}
	defer db.Close()
	slot := state.Slot{Schedule: sch.ID, Time: a.now().UTC().Truncate(time.Millisecond), Kind: state.SlotManual}
	slot.Due = slot.Time
	if r.at != "" {
		if slot.Time, err = pastTime(r.at, zoneOf(&sch.Spec), a.now()); err != nil {
			return errUsage("flow schedule trigger", "-at: %w", err)
		}
	}
	held, err := db.TermHolder(ctx, state.ServiceTerm)
	if err != nil {
		return err
	}
	if held == nil {
		return a.triggerHere(ctx, db, &sch, slot, r)
	}
	if slot.Params, err = r.params(); err != nil {
		return err
	}
	if err := a.noSecrets(ctx, db, &sch, r.run.vars); err != nil {
		return err
	}
	if err := db.AddSlot(ctx, slot); err != nil {
		return slotTaken(err, &sch, slot.Time)
	}
	id, err := a.untilStarted(ctx, db, &sch, slot, &held.Owner, r)
	if err != nil {
		return err
	}
	if r.wait {
		return a.stopped(ctx, a.wait(ctx, string(id), &r.run))
	}
	a.say("run %s of %s has begun; %s drives it. Look at it: flow status %[1]s", id, sch.Full(), processOf(&held.Owner))
	if a.asJSON() {
		started, err := db.SlotAt(ctx, sch.ID, slot.Time)
		return errors.Join(err, a.printJSON(slotData(sch.Full(), &started, zoneOf(&sch.Spec))))
	}
	_, err = fmt.Fprintln(a.stdout, id)
	return err
}

// slotTaken says what is to be done about a slot that has a run already.
func slotTaken(err error, sch *state.Schedule, at time.Time) error {
	if errors.Is(err, engine.ErrConflict) {
		return fmt.Errorf("the slot %s of %s has a run already: see flow schedule history %[2]s. To run the workflow once more for it: flow run, with -var",
			slotText(at.In(zoneOf(&sch.Spec))), sch.Full())
	}
	return err
}

// noSecrets refuses values of sensitive variables, since what goes to the service is kept in the
// state: of the workflow as its files are now, and as the service has read them last.
func (a *app) noSecrets(ctx context.Context, db *state.DB, sch *state.Schedule, vars varFlags) error {
	if len(vars) == 0 {
		return nil
	}
	kept, err := db.KeptSources(ctx, sch.Path)
	if err != nil {
		return err
	}
	var known []*dsl.Program
	add := func(dir string, sources []dsl.Source) {
		if program, diags := dsl.Load(dir, sources); len(sources) > 0 && !diags.HasErrors() {
			known = append(known, program)
		}
	}
	dir, sources, err := dsl.Read(sch.Path)
	if err == nil {
		add(dir, sources)
	}
	last := make([]dsl.Source, len(kept))
	for i, file := range kept {
		last[i] = dsl.Source(file)
	}
	add(cmp.Or(dir, sch.Path), last)
	if len(known) == 0 {
		return fmt.Errorf("the workflow in %s cannot be read, so that nobody knows which of its variables are sensitive: leave out -var, or mend it first", sch.Path)
	}
	for _, v := range vars {
		name := nameOf(v)
		if !slices.ContainsFunc(known, func(p *dsl.Program) bool { return p.Has(name) }) {
			return noVariable(name, known[0])
		}
		if slices.ContainsFunc(known, func(p *dsl.Program) bool { return p.Sensitive(name) }) {
			return fmt.Errorf("-var %s: the variable is sensitive, and what goes to the service is kept in the state. Set %s%[1]s in the environment of the service, or run the workflow here: flow run, with that in its environment", name, dsl.EnvPrefix)
		}
	}
	return nil
}

// nameOf is the name of the variable that a -var sets.
func nameOf(v dsl.VarArg) string {
	name, _, _ := strings.Cut(v.Set, "=")
	return strings.TrimSpace(name)
}

// noVariable says that a workflow has no variable of that name, and which ones it has.
func noVariable(name string, p *dsl.Program) error {
	var names []string
	for _, v := range p.Variables {
		names = append(names, v.Name)
	}
	return fmt.Errorf("-var %s: the workflow %s has no such variable.%s It has: %s", view.Clean(name), p.Workflow.Name, dsl.Suggest(name, names), cmp.Or(strings.Join(names, ", "), "none"))
}

// params are what goes with a slot to the service.
func (r *triggerRequest) params() (json.RawMessage, error) {
	p := slotParams{}
	for _, v := range r.run.vars {
		if v.File != "" {
			return nil, errors.New("the service begins the run, and -var-file is for its own runs: give -var NAME=VALUE")
		}
		p.Vars = append(p.Vars, v.Set)
	}
	if r.run.site != "" || r.run.workDir != "" || r.run.noCache || r.run.maxParallel > 0 || r.run.batch != (batchFlags{}) || r.run.machine != (machineFlags{}) {
		return nil, errors.New("the service begins the run where it begins all others: of where it runs, nothing can be said here")
	}
	if p.Vars == nil {
		return nil, nil
	}
	return json.Marshal(p)
}

const (
	// startPatience is how long flow schedule trigger waits for the service to begin the run,
	// and startHint until it says what the run waits for.
	startPatience = 30 * time.Second
	startHint     = 2 * time.Second
)

// untilStarted waits until a slot that somebody has asked for has a run. One whose run cannot be
// created is withdrawn: as long as it waited, no other slot of the schedule would begin.
func (a *app) untilStarted(ctx context.Context, db *state.DB, sch *state.Schedule, asked state.Slot, by *state.Owner, r *triggerRequest) (engine.RunID, error) {
	var seen int64
	tick := time.NewTicker(driverEvery)
	defer tick.Stop()
	hint := time.After(startHint)
	patience := make(<-chan time.Time)
	if !r.wait {
		patience = time.After(startPatience)
	}
	for {
		now, changed, err := db.Changed(ctx, seen)
		if err != nil {
			return "", err
		}
		if changed || seen == 0 {
			seen = now
			slot, err := db.SlotAt(ctx, sch.ID, asked.Time)
			switch {
			case err != nil:
				return "", err
			case slot.Run != "":
				return slot.Run, nil
			case slot.Status != state.SlotWaiting:
				return "", fmt.Errorf("the run was not begun: %s", strings.TrimSpace(slot.Reason))
			case slot.Reason != "":
				return a.withdraw(ctx, db, sch, slot, by)
			}
		}
		select {
		case <-ctx.Done():
			a.say("stopped waiting; %s begins the run all the same: see flow schedule history %s", processOf(by), sch.Full())
			return "", exit(stoppedCode(ctx))
		case <-hint:
			if why := waitsBehind(ctx, db, sch, asked.Time); why != "" {
				a.say("the run has not begun yet: %s", why)
			}
		case <-patience:
			a.say("%s has not begun the run within %s, and does so once it can: see flow schedule history %s, or wait with --wait", processOf(by), startPatience, sch.Full())
			return "", exit(exitTimedOut)
		case <-tick.C:
		}
	}
}

// withdraw has a slot get no run after all, unless it has got one meanwhile.
func (a *app) withdraw(ctx context.Context, db *state.DB, sch *state.Schedule, slot state.Slot, by *state.Owner) (engine.RunID, error) {
	why := slot.Reason
	slot.Status, slot.Reason = state.SlotSkipped, "its run could not be created when it was triggered"
	if err := db.DecideSlots(ctx, nil, sch.ID, time.Time{}, []state.Slot{slot}); err != nil {
		return "", err
	}
	slot, err := db.SlotAt(ctx, sch.ID, slot.Time)
	if err != nil || slot.Run != "" {
		return slot.Run, err
	}
	return "", fmt.Errorf("%s could not begin the run, and does not try again:\n%s", processOf(by), why)
}

// waitsBehind says what a slot that somebody asked for waits for, if something does not let it begin.
func waitsBehind(ctx context.Context, db *state.DB, sch *state.Schedule, at time.Time) string {
	waiting, active, err := db.Record(ctx, sch.ID)
	if err != nil {
		return ""
	}
	for i := range waiting {
		if w := &waiting[i]; !w.Time.Equal(at) {
			text := fmt.Sprintf("the slot of %s is before it", slotText(w.Time.In(zoneOf(&sch.Spec))))
			if w.Reason != "" {
				text += ", and waits: " + view.Clean(view.Brief(w.Reason))
			}
			return text
		}
	}
	if len(active) > 0 {
		return fmt.Sprintf("run %s of %s is not over", active[0].Run, sch.Full())
	}
	return ""
}

// triggerHere begins the run of a slot, and drives it, in this process.
func (a *app) triggerHere(ctx context.Context, db *state.DB, sch *state.Schedule, slot state.Slot, r *triggerRequest) error {
	program, sources, mistakes, err := a.read(sch.Path)
	if err != nil {
		return err
	}
	wf := &loadedWorkflow{path: sch.Path, program: program, sources: sources, mistakes: mistakes}
	start := runStart{
		Slot: &engine.Slot{Schedule: sch.Spec.Name, Time: slot.Time.UTC(), TimeZone: sch.Spec.TimeZone, Manual: true},
		// No service is to begin what is begun here, now or, if that fails, later.
		Claim: &state.SlotClaim{Schedule: sch.ID, Time: slot.Time, Add: true},
		// If this process ends before the run does: as long as that is not over, no other of the
		// schedule may begin.
		Entrust: !slices.ContainsFunc(r.run.vars, func(v dsl.VarArg) bool { return v.File != "" || program.Sensitive(nameOf(v)) }),
	}
	s, err := a.makeRun(ctx, db, *wf, &r.run, start)
	if err != nil {
		return slotTaken(err, sch, slot.Time)
	}
	if err := s.acquire(ctx); err != nil {
		return err
	}
	return s.finish(ctx, &r.run, fmt.Sprintf("run %s of %s%s", s.id, sch.Full(), s.onSite()))
}
