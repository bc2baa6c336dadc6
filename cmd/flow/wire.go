package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/oklog/ulid/v2"

	"flow/dsl"
	"flow/engine"
	"flow/executor/batch"
	"flow/executor/store"
	"flow/state"
)

// This file puts the packages together: it is the only place that knows them all.

// openState opens the state file. With look it must be there, and is not changed.
func (a *app) openState(look bool) (*state.DB, error) {
	path, err := a.statePath()
	if err != nil {
		return nil, err
	}
	if look {
		db, err := state.Open(path, state.Options{ReadOnly: true, Now: a.now})
		if errors.Is(err, engine.ErrNotFound) {
			return nil, fmt.Errorf("there are no runs here: %w", err)
		}
		return db, err
	}
	if err := makeStateDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return state.Open(path, state.Options{Now: a.now})
}

// newRunID returns the id of a run that begins now.
func (a *app) newRunID() engine.RunID {
	return engine.RunID(strings.ToLower(ulid.MustNew(ulid.Timestamp(a.now()), ulid.DefaultEntropy()).String()))
}

// params are what a run keeps of its command line, for flow resume.
type params struct {
	Machine machineFlags `json:"machine,omitzero"` // as given in flags
	Batch   batchFlags   `json:"batch,omitzero"`   // likewise
	Site    dsl.Site     `json:"site,omitzero"`    // as it was when the run was started
	Place   batch.Place  `json:"place,omitzero"`   // where its jobs are, of one on AWS Batch
}

// startRun loads a workflow, makes a run of it, and takes its lease.
func (a *app) startRun(ctx context.Context, db *state.DB, path string, f *runFlags) (*session, error) {
	program, sources, mistakes, err := a.read(path)
	if err != nil {
		return nil, err
	}
	wf := loadedWorkflow{path: path, program: program, sources: sources, mistakes: mistakes}
	s, err := a.makeRun(ctx, db, wf, f, runStart{})
	if err != nil {
		return nil, err
	}
	return s, s.acquire(ctx)
}

// takeUp loads a run's workflow as it was when the run was created, and takes its lease.
// A run that only ends may lack values of sensitive variables.
func (a *app) takeUp(ctx context.Context, db *state.DB, row state.Run, f *runFlags, onlyEnd bool) (*session, error) {
	s, info, err := a.loadSession(ctx, db, row, f)
	if err != nil {
		return nil, err
	}
	if onlyEnd {
		s.bindStored(info.Variables)
		return s, s.acquire(ctx)
	}
	if _, err := s.bind(f, info.Variables); err != nil {
		return nil, err
	}
	s.used = s.namesUsed(f, info.Variables)
	return s, s.acquireWithRecord(ctx, row, info)
}

// loadSession loads a run's workflow as it was when the run was created, with where the run
// is. Its variables have no values yet, and nobody has its lease.
func (a *app) loadSession(ctx context.Context, db *state.DB, row state.Run, f *runFlags) (*session, *engine.RunInfo, error) {
	program, err := a.storedProgram(ctx, db, row)
	if err != nil {
		return nil, nil, err
	}
	kept, err := paramsOf(row)
	if err != nil {
		return nil, nil, err
	}
	s := &session{
		a: a, db: db, home: filepath.Dir(db.Path()), program: program, id: row.ID, created: row.Created,
		workflow: program.Workflow, template: errTemplate{}, takenUp: true,
	}
	site, err := a.chooseSite(f, row.Dir, &kept)
	if err != nil {
		return nil, nil, err
	}
	info, err := runInfoOf(ctx, db, row.ID)
	if err != nil {
		return nil, nil, err
	}
	s.filesAt = info.WorkDir
	if site.Executor != "" && site.Executor != info.Executor && f.site != "" {
		return nil, nil, fmt.Errorf("run %s is on the executor %q, where its jobs are, and site %q is on %q", row.ID, info.Executor, site.Name, site.Executor)
	}
	return s, info, errors.Join(s.place(site, info.Executor, kept, f), f.leave.possible(info.Executor, s.program))
}

// storedProgram loads the workflow of a run from the bytes that are kept with it.
func (a *app) storedProgram(ctx context.Context, db *state.DB, row state.Run) (*dsl.Program, error) {
	stored, err := db.Sources(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	sources := make([]dsl.Source, len(stored))
	for i, src := range stored {
		sources[i] = dsl.Source(src)
	}
	return a.loadSources(row.Dir, sources)
}

// boundWorkflow returns the workflow of a past run with what its variables decide, or
// without, if values of sensitive ones would be needed for it.
func (a *app) boundWorkflow(ctx context.Context, p *past) *engine.Workflow {
	info, err := runInfoOf(ctx, p.db, p.row.ID)
	if err != nil {
		return p.program.Workflow
	}
	template, diags := p.program.Bind(dsl.VarInput{Stored: info.Variables}, dsl.RunContext{ID: p.row.ID, Time: p.row.Created, WorkDir: info.WorkDir})
	if diags.HasErrors() {
		return p.program.Workflow
	}
	return template.Workflow()
}

// settle chooses where a new run goes, and gives its variables their values. The site is
// returned as it is without flags. Mistakes, and those that loading the workflow found, are
// printed, with what of it AWS Batch would refuse if the run is to go there.
func (s *session) settle(ctx context.Context, f *runFlags, mistakes hcl.Diagnostics) (dsl.Site, *dsl.Template, error) {
	site, err := s.a.chooseSite(f, s.program.Workflow.Dir, nil)
	if err != nil {
		s.a.report(s.program.Workflow.Dir, s.program.Files, mistakes)
		return site, nil, err
	}
	s.site = f.batch.overSite(site)
	if mistakes.HasErrors() {
		s.a.report(s.program.Workflow.Dir, s.program.Files, s.withBatch(ctx, f, mistakes))
		return site, nil, exit(exitProblem)
	}
	s.a.report(s.program.Workflow.Dir, s.program.Files, mistakes)
	template, mistakes := s.bound(f, nil)
	if mistakes.HasErrors() {
		mistakes = s.withBatch(ctx, f, mistakes)
	}
	s.a.report(s.program.Workflow.Dir, s.program.Files, mistakes)
	if mistakes.HasErrors() {
		return site, nil, exit(exitProblem)
	}
	executor := cmp.Or(s.site.Executor, template.Workflow().Executor, localExecutor)
	return site, template, s.place(site, executor, params{}, f)
}

// bind gives the variables of the session's program their values. Mistakes are printed.
func (s *session) bind(f *runFlags, stored map[string]string) (*dsl.Template, error) {
	template, diags := s.bound(f, stored)
	s.a.report(s.program.Workflow.Dir, s.program.Files, diags)
	if diags.HasErrors() {
		return nil, exit(exitProblem)
	}
	return template, nil
}

// bound is bind, with the mistakes not printed.
func (s *session) bound(f *runFlags, stored map[string]string) (*dsl.Template, hcl.Diagnostics) {
	template, diags := s.program.Bind(s.input(f, stored), dsl.RunContext{ID: s.id, Time: s.created, Defaults: s.site.Defaults, PublishTo: s.site.PublishTo})
	if !diags.HasErrors() {
		s.workflow, s.template, s.secret = template.Workflow(), template, secrets(template)
	}
	return template, diags
}

// input returns where the values of variables come from: what flags say, and, of a new run,
// the schedule that starts it.
func (s *session) input(f *runFlags, stored map[string]string) dsl.VarInput {
	in := f.input(stored)
	in.Scheduled = s.scheduled
	for _, arg := range f.sensitive {
		if name, _, _ := strings.Cut(arg.Set, "="); s.program.Sensitive(strings.TrimSpace(name)) {
			in.Args = append(in.Args[:len(in.Args):len(in.Args)], arg)
		}
	}
	return in
}

// bindStored gives the variables the values that are kept with the run, if these are all:
// when every step has ended, it is too late to cancel, and the outputs are evaluated.
func (s *session) bindStored(stored map[string]string) {
	template, diags := s.program.Bind(dsl.VarInput{Stored: stored}, dsl.RunContext{ID: s.id, Time: s.created, Defaults: s.site.Defaults, PublishTo: s.site.PublishTo})
	if !diags.HasErrors() {
		s.workflow, s.template = template.Workflow(), template
	}
}

// info is what the session's run is created with.
func (s *session) info(f *runFlags, template *dsl.Template) (engine.RunInfo, error) {
	wf := template.Workflow()
	replace, err := f.replaced(wf)
	if err != nil {
		return engine.RunInfo{}, err
	}
	workDir, err := s.workDir(f, wf)
	if err != nil {
		return engine.RunInfo{}, err
	}
	s.filesAt = workDir
	lateAt, lateFor := engine.LateAt(wf.Expect, s.created, s.slot)
	return engine.RunInfo{
		Run: s.id, Workflow: wf.Name, Version: version(), WorkDir: workDir, Executor: s.executor,
		Variables: template.StoredVariables(),
		Limits:    engine.Limits{MaxParallel: cmp.Or(f.maxParallel, s.site.MaxParallel), NoCache: f.noCache, Replace: replace},
		Slot:      s.slot, LateAt: lateAt, LateFor: lateFor,
	}, nil
}

// workDir returns where the files of a new run's tasks live: an absolute path, or
// s3://bucket/prefix.
func (s *session) workDir(f *runFlags, wf *engine.Workflow) (string, error) {
	workDir := wf.WorkDir
	switch {
	case f.workDir != "":
		dir, err := dsl.CheckWorkDir(f.workDir)
		if err != nil {
			return "", fmt.Errorf("-work-dir: %w", err)
		}
		if store.Is(dir) {
			return dir, nil
		}
		if workDir, err = filepath.Abs(dir); err != nil {
			return "", err
		}
	case s.site.WorkDir != "":
		workDir = s.site.WorkDir
	case workDir == filepath.Join(wf.Dir, stateDir, "work"): // the default: with the state
		workDir = filepath.Join(s.home, "work")
	}
	return workDir, nil
}

// requests returns a function that asks for wishes of other processes that are new.
func (s *session) requests() func(context.Context) ([]engine.Request, error) {
	if s.fleet != nil {
		return s.fleet.wishes.requests(s)
	}
	var seen, after int64
	first := true
	return func(ctx context.Context) ([]engine.Request, error) {
		now, changed, err := s.db.Changed(ctx, seen)
		if err != nil || (!changed && !first) {
			return nil, err
		}
		seen, first = now, false
		return s.newRequests(ctx, &after)
	}
}

// newRequests returns the wishes behind number after, which becomes that of the last.
func (s *session) newRequests(ctx context.Context, after *int64) (out []engine.Request, err error) {
	wishes, err := s.db.Requests(ctx, s.id, *after)
	for _, w := range wishes {
		*after = w.Seq
		out = append(out, engine.Request{Kind: w.Kind, Reason: w.Reason})
	}
	return out, err
}

// acquire takes the lease of the session's run, and says where its jobs are kept, if that
// is here.
func (s *session) acquire(ctx context.Context) (err error) {
	if s.executor == localExecutor {
		s.journal = journalPath(s.home, s.id)
		if err := os.MkdirAll(filepath.Dir(s.journal), 0o755); err != nil {
			return err
		}
	}
	me := state.Self(version())
	if s.looks {
		me = state.Looker(version())
	}
	if s.lease, err = s.db.Acquire(ctx, s.id, me); err != nil {
		return asNotStarted(err)
	}
	if !s.takenUp || s.noticed || len(s.workflow.Notices) == 0 {
		return nil
	}
	// It may have been made of its files, or by an older flow.
	if err := s.db.SetNotices(ctx, s.id, s.workflow.Notices); err != nil {
		return errors.Join(err, s.lease.Release(context.WithoutCancel(ctx)))
	}
	s.noticed = true
	return nil
}

// journalPath is where the jobs of a run are kept by the local executor, beside the state.
func journalPath(home string, id engine.RunID) string {
	return filepath.Join(home, "jobs", string(id))
}

// runInfoOf reads what a run was created with.
func runInfoOf(ctx context.Context, db *state.DB, id engine.RunID) (*engine.RunInfo, error) {
	e, err := db.Event(ctx, id, 1)
	if err != nil {
		return nil, err
	}
	if e.Info == nil {
		return nil, fmt.Errorf("the first event of run %s does not tell what it was created with", id)
	}
	return e.Info, nil
}

// makePlan plans a run of the workflow at path, with what is known of earlier runs.
func (a *app) makePlan(ctx context.Context, path string, f *runFlags) (*planReport, error) {
	program, _, mistakes, err := a.read(path)
	if err != nil {
		return nil, err
	}
	statePath, err := a.statePath()
	if err != nil {
		return nil, err
	}
	s := &session{a: a, program: program, id: a.newRunID(), created: a.now(), home: filepath.Dir(statePath)}
	_, template, err := s.settle(ctx, f, mistakes)
	if err != nil {
		return nil, err
	}
	info, err := s.info(f, template)
	if err != nil {
		return nil, err
	}
	var before *engine.Run
	db, err := a.openState(true)
	switch {
	case err == nil:
		defer db.Close()
		s.db = db
		if before, err = a.earlier(ctx, db, info.Workflow, ""); err != nil {
			return nil, err
		}
	case !errors.Is(err, engine.ErrNotFound):
		return nil, err
	}
	files := s.files()
	driver := &engine.Driver{Workflow: template.Workflow(), Template: template, Files: files, Cache: s.knownResults(files)}
	plan, err := engine.NewPlan(ctx, driver, info)
	if err != nil {
		return nil, err
	}
	report := &planReport{plan: plan}
	var past []*engine.Run
	if s.executor == batchExecutor && db != nil {
		if past, err = a.comparable(ctx, db, info.Workflow, before); err != nil {
			return nil, err
		}
	}
	if report.batch, err = s.planBatch(ctx, f, plan, past); err != nil {
		return nil, err
	}
	report.explain(before)
	return report, nil
}
