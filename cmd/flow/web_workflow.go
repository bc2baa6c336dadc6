package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/dsl"
	"flow/engine"
	"flow/state"
)

// newestRuns is how many runs the page of a workflow lists.
const newestRuns = 10

// workflowPage is the page of a workflow.
func (s *site) workflowPage(ctx context.Context, r web.Request) (*web.View, error) {
	name := r.Path["workflow"]
	all, err := s.src.db().Schedules(ctx)
	if err != nil {
		return nil, err
	}
	own := slices.DeleteFunc(slices.Clone(all), func(sch state.Schedule) bool { return sch.Workflow != name || sch.Gone })
	runs, err := s.runsOf(ctx, name)
	if err != nil && (len(own) == 0 || !errors.Is(err, engine.ErrNotFound)) {
		return nil, err
	}
	m := &page.Workflow{Name: name, Now: s.now(), All: len(runs)}
	if m.Troubles, err = s.fileTroubles(ctx, all, name); err != nil {
		return nil, err
	}
	if m.Schedules, err = s.scheduleRows(ctx, own, m.Now); err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return page.WorkflowView(m), nil // its first run is to come
	}
	m.Acts = []page.Act{{Text: "Launch", URL: page.LaunchURL(name), Primary: true, Page: true}}
	m.Description = s.describe(ctx, &runs[0])
	m.Rows = s.runRows(ctx, runs[:min(newestRuns, len(runs))], zonesOf(own), r.Open)
	if err := s.fillGrid(ctx, m, runs); err != nil {
		return nil, err
	}
	return page.WorkflowView(m), nil
}

// runsOf returns the runs of a workflow, the newest first. There is one at least.
func (s *site) runsOf(ctx context.Context, workflow string) ([]state.Run, error) {
	runs, err := s.src.db().Runs(ctx, state.RunFilter{Workflow: workflow})
	if err == nil && (workflow == "" || len(runs) == 0) {
		err = fmt.Errorf("no run of a workflow %q: %w", workflow, engine.ErrNotFound)
	}
	return runs, err
}

// A memo keeps what of runs does not change.
type memo struct {
	mu    sync.Mutex
	about map[engine.RunID]string // description of its workflow
}

// describe returns the description of a run's workflow.
func (s *site) describe(ctx context.Context, row *state.Run) string {
	s.memo.mu.Lock()
	text, ok := s.memo.about[row.ID]
	s.memo.mu.Unlock()
	if ok {
		return text
	}
	program, err := s.programOf(ctx, row)
	if err != nil {
		return ""
	}
	s.memo.mu.Lock()
	defer s.memo.mu.Unlock()
	if s.memo.about == nil || len(s.memo.about) >= keptCosts {
		s.memo.about = map[engine.RunID]string{}
	}
	text = descriptionOf(program)
	s.memo.about[row.ID] = text
	return text
}

// descriptionOf returns what a workflow says of itself, as far as no variable needs a value.
func descriptionOf(program *dsl.Program) string {
	wf, _ := program.Sketch(dsl.VarInput{}, dsl.RunContext{})
	return wf.Description
}

// programOf loads the workflow that is kept with a run, and tells nobody of its warnings.
func (s *site) programOf(ctx context.Context, row *state.Run) (*dsl.Program, error) {
	stored, err := s.src.db().Sources(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	sources := make([]dsl.Source, len(stored))
	for i, src := range stored {
		sources[i] = dsl.Source(src)
	}
	program, diags := dsl.Load(row.Dir, sources)
	if diags.HasErrors() {
		return nil, fmt.Errorf("the workflow that is kept with run %s cannot be read any more: %w", row.ID, errors.New(diags[0].Summary))
	}
	return program, nil
}

// fillGrid fills in how the newest of runs, which are the newest first, went by step.
func (s *site) fillGrid(ctx context.Context, m *page.Workflow, runs []state.Run) error {
	steps, err := s.src.db().Steps(ctx, runs[0].ID)
	if err != nil {
		return err
	}
	shown := runs[:min(len(runs), page.GridRuns(len(steps)))]
	at := map[engine.StepName]int{} // index of its row
	for k := range shown {
		row, column := &shown[k], len(shown)-1-k
		if k > 0 {
			if steps, err = s.src.db().Steps(ctx, row.ID); err != nil {
				return err
			}
		}
		for i := range steps {
			y, ok := at[steps[i].Name]
			if !ok {
				y = len(m.Steps)
				at[steps[i].Name] = y
				m.Steps = append(m.Steps, page.GridStep{Name: string(steps[i].Name), Cells: make([]page.GridCell, len(shown))})
			}
			m.Steps[y].Cells[column] = page.GridCell{There: true, Status: steps[i].Status, Tasks: view.Counts(steps[i].Tasks)}
		}
		m.Runs = append(m.Runs, page.GridRun{ID: string(row.ID), Status: row.Status, Paused: isPaused(row), Created: row.Created, Ended: row.Ended})
	}
	slices.Reverse(m.Runs)
	return nil
}
