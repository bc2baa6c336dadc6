package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"flow/cmd/flow/internal/service"
	"flow/dsl"
	"flow/engine"
	"flow/executor/local"
	"flow/executor/local/model"
	"flow/state"
)

// A duty is what the service of a state file does: schedules are fired, and runs driven.
type duty struct {
	a     *app
	db    *state.DB
	run   *runFlags
	most  int
	log   *slog.Logger
	files *service.Files
	fleet atomic.Pointer[fleet] // nil: this service does not drive now
	news  chan struct{}         // a run has ended
}

// slotParams is what a slot that somebody triggered has for its run: state.Slot.Params, as JSON.
type slotParams struct {
	Vars []string `json:"vars,omitempty"` // NAME=VALUE, as -var has them
}

func (a *app) newDuty(ctx context.Context, db *state.DB, f *serveFlags, dirs []string, log *slog.Logger) (*duty, error) {
	d := &duty{a: a, db: db, run: &f.run, most: f.most, log: log, news: make(chan struct{}, 1)}
	dirs, err := d.watched(ctx, dirs)
	if err == nil {
		d.files, err = service.NewFiles(db.KeptSources, dirs...)
	}
	return d, err
}

// watched returns the paths of the workflows whose schedules are fired.
func (d *duty) watched(ctx context.Context, dirs []string) ([]string, error) {
	if len(dirs) > 0 {
		return dirs, nil
	}
	entries, err := os.ReadDir(".")
	if err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !e.IsDir() && dsl.IsWorkflowFile(e.Name()) }) {
		return []string{"."}, nil
	}
	rows, err := d.db.Schedules(ctx)
	for _, row := range rows {
		if !row.Gone && !slices.Contains(dirs, row.Path) {
			dirs = append(dirs, row.Path)
		}
	}
	if err == nil && len(dirs) == 0 {
		d.log.Warn("there is no workflow here, and the state knows no schedule: nothing will begin by itself. Say where workflows are: flow serve DIR")
	}
	return dirs, err
}

// begin does the duty until ctx is done, and tells the service manager that it does; the function
// that it returns waits for the end.
func (d *duty) begin(ctx context.Context, notify manager) (wait func() error) {
	s := &service.Service{
		State: d.db, Owner: state.Self(version()), Files: d.files, Start: d.start, Cancel: d.cancel, Lead: d.lead, News: d.news,
		Beat: func() { notify.tell("WATCHDOG=1") }, Clock: engine.SystemClock{}, Log: d.log,
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return func() error { return <-ended }
}

// lead drives runs while this service has the term.
func (d *duty) lead(ctx context.Context) { d.driveWith(ctx, d.newFleet(fleetOptions{Entrusted: true})) }

// newFleet returns what drives runs that share this machine.
func (d *duty) newFleet(o fleetOptions) *fleet {
	m := &d.run.machine
	o.Log, o.Most, o.Vars = d.log, d.most, d.run.vars
	o.Ended = func(engine.RunID) {
		select {
		case d.news <- struct{}{}:
		default:
		}
	}
	o.Room = local.NewRoom(model.Capacity{VCPUs: m.VCPUs, MemoryMiB: m.MemoryMiB, GPUs: m.GPUs})
	return d.a.newFleet(d.db, o)
}

// driveWith drives runs until ctx is done: those that begin as well.
func (d *duty) driveWith(ctx context.Context, f *fleet) {
	d.fleet.Store(f)
	defer d.fleet.Store(nil)
	f.run(ctx)
}

// start creates the run of a slot.
func (d *duty) start(ctx context.Context, s service.Start) (engine.RunID, error) {
	wf, err := d.workflow(ctx, s.Schedule)
	if err != nil {
		return "", err
	}
	flags, err := d.flagsFor(wf, s.Params)
	if err != nil {
		return "", err
	}
	id, err := d.a.createRun(ctx, d.db, wf, flags, runStart{Slot: &s.Slot, Claim: s.Claim, Entrust: true})
	if err != nil {
		return "", err
	}
	if f := d.fleet.Load(); f != nil {
		if row, err := d.db.Run(ctx, id); err == nil { // else the fleet finds it
			f.take(row)
		}
	}
	return id, nil
}

// workflow returns the version of a schedule's workflow that goes on.
func (d *duty) workflow(_ context.Context, of state.Schedule) (*loadedWorkflow, error) {
	v := d.files.Good(of.Path)
	if v == nil {
		return nil, fmt.Errorf("no version of the workflow %s in %s is known that has no mistakes", of.Workflow, of.Path)
	}
	if v.Program.Workflow.Name != of.Workflow {
		return nil, fmt.Errorf("the workflow in %s is %s now, and not %s any more", of.Path, v.Program.Workflow.Name, of.Workflow)
	}
	return &loadedWorkflow{path: of.Path, program: v.Program, sources: v.Sources}, nil
}

// flagsFor returns the flags for a run: those of the service, without variables that the workflow
// does not have, and what whoever triggered it gave.
func (d *duty) flagsFor(wf *loadedWorkflow, params json.RawMessage) (*runFlags, error) {
	f := *d.run
	f.vars = nil
	for _, arg := range d.run.vars {
		name, _, _ := strings.Cut(arg.Set, "=")
		if arg.File != "" || slices.ContainsFunc(wf.program.Variables, func(v *dsl.Variable) bool { return v.Name == strings.TrimSpace(name) }) {
			f.vars = append(f.vars, arg)
		}
	}
	if params == nil {
		return &f, nil
	}
	var given slotParams
	if err := json.Unmarshal(params, &given); err != nil {
		return nil, fmt.Errorf("what the run was triggered with cannot be read: %w", err)
	}
	for _, set := range given.Vars {
		f.vars = append(f.vars, dsl.VarArg{Set: set})
	}
	return &f, nil
}

// cancel has whoever drives a run cancel it.
func (d *duty) cancel(ctx context.Context, run engine.RunID, reason string) error {
	_, err := d.db.AddRequest(ctx, run, state.RequestCancel, reason)
	if errors.Is(err, engine.ErrNotFound) {
		return nil // somebody has removed it
	}
	return err
}
