package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"flow/cmd/flow/internal/workdir"
	"flow/dsl"
	"flow/engine"
	"flow/executor/batch"
	"flow/state"
)

// A loadedWorkflow is a workflow whose files have been read.
type loadedWorkflow struct {
	path     string // of its files, as a person would name it
	program  *dsl.Program
	sources  []dsl.Source
	mistakes hcl.Diagnostics // that loading it has found
}

// A runStart says what a run is created for.
type runStart struct {
	Slot    *engine.Slot     // nil: no schedule starts it
	Claim   *state.SlotClaim // has the run get that slot, which nobody else can have then; nil: none
	Entrust bool             // the service is to drive it
}

// createRun makes a run of a workflow that nobody drives yet, and that no terminal shows: what
// is wrong with it is the text of the error. Of a slot that has a run already, or is not to get
// one any more, it makes none: engine.ErrConflict.
func (a *app) createRun(ctx context.Context, db *state.DB, wf *loadedWorkflow, f *runFlags, start runStart) (engine.RunID, error) {
	h := a.hushed()
	s, err := h.makeRun(ctx, db, *wf, f, start)
	if err != nil {
		return "", h.spoken(err)
	}
	return s.id, nil
}

// makeRun makes a run of a workflow. It has no lease yet.
func (a *app) makeRun(ctx context.Context, db *state.DB, wf loadedWorkflow, f *runFlags, start runStart) (*session, error) {
	s := &session{a: a, db: db, home: filepath.Dir(db.Path()), program: wf.program, id: a.newRunID(), created: a.now(), slot: start.Slot}
	if start.Slot != nil && !wf.mistakes.HasErrors() {
		var mistakes hcl.Diagnostics
		s.scheduled, mistakes = wf.program.ScheduleVars(start.Slot.Schedule, *start.Slot)
		wf.mistakes = append(wf.mistakes[:len(wf.mistakes):len(wf.mistakes)], mistakes...)
	}
	site, template, err := s.settle(ctx, f, wf.mistakes)
	if err != nil {
		return nil, err
	}
	if err := f.leave.possible(s.executor, s.program); err != nil {
		return nil, err
	}
	info, err := s.info(f, template)
	if err != nil {
		return nil, err
	}
	if start.Entrust {
		if err := s.drivable(template, info.Variables); err != nil {
			return nil, err
		}
	}
	if err := s.fitsBatch(ctx, f, info); err != nil {
		return nil, err
	}
	if s.executor == batchExecutor {
		s.used = s.namesUsed(f, nil)
		if s.jobs, err = batch.PlaceOf(ctx, s.batchOptions()); err != nil {
			return nil, err
		}
		if err := s.applied(ctx, wf.path); err != nil {
			return nil, err
		}
	}
	kept, err := json.Marshal(params{Machine: f.machine, Batch: f.batch, Site: site, Place: s.jobs})
	if err != nil {
		return nil, err
	}
	run := state.NewRun{Info: info, Dir: wf.program.Workflow.Dir, Params: kept, Notices: s.workflow.Notices}
	for _, src := range wf.sources {
		run.Sources = append(run.Sources, state.Source(src))
	}
	for _, src := range wf.program.Embedded() {
		run.Sources = append(run.Sources, state.Source(src))
	}
	for _, st := range wf.program.Workflow.Steps {
		run.Steps = append(run.Steps, state.StepInfo{Name: st.Name, FanOut: st.FanOut})
	}
	run.Created = s.created
	record := workdir.NewRecord(run, s.created)
	run.Slot, run.Entrust = start.Claim, start.Entrust
	if err := s.workDirOf().Create(ctx, record); err != nil {
		return nil, err
	}
	err = db.CreateRun(ctx, run)
	if start.Claim != nil && errors.Is(err, engine.ErrConflict) {
		err = errors.Join(err, s.workDirOf().Withdraw(context.WithoutCancel(ctx), s.id))
	}
	return s, err
}

// drivable says why a service that takes the run up, and has nothing but its environment and the
// files beside the workflow, would not have the values of sensitive variables that the run was
// created with.
func (s *session) drivable(template *dsl.Template, stored map[string]string) error {
	given := template.SensitiveEnv()
	if len(given) == 0 {
		return nil
	}
	again, diags := s.program.Bind((&runFlags{}).input(stored), dsl.RunContext{ID: s.id, Time: s.created, Defaults: s.site.Defaults})
	var has []string
	if !diags.HasErrors() {
		has = again.SensitiveEnv()
	}
	for _, kv := range given {
		if name, _, _ := strings.Cut(kv, "="); !slices.Contains(has, kv) {
			return fmt.Errorf("the value of the sensitive variable %s is kept nowhere, so that it is not there when the run is driven: set %s in the environment instead of giving it with -var or -var-file", strings.TrimPrefix(name, dsl.EnvPrefix), name)
		}
	}
	return nil
}
