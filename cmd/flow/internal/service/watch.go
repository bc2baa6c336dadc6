package service

import (
	"context"
	"errors"
	"time"

	"flow/engine"
	"flow/state"
)

// A Watcher knows the workflows whose schedules are to be fired.
type Watcher interface {
	// Look returns all workflows that there are, by their paths. It is called often.
	Look(ctx context.Context, now time.Time) ([]Workflow, error)
}

// A Workflow is what the files of one say.
type Workflow struct {
	Path      string // absolute, of its files
	Name      string
	Revision  string // another one once anything of this has changed
	Schedules []*engine.Schedule
	// Sources are its files in that version, and files that they read.
	Sources []state.Source
	// Notices are whom it tells of what happens.
	Notices []*engine.Notice
	// Problem is what is wrong with the files as they are now, for people: the rest is as in the
	// last version without mistakes. "": nothing.
	Problem string
	// Broken: no version without mistakes is known.
	Broken bool
}

// takeFiles looks at the files of workflows, if that is due, and records what has changed.
func (s *Service) takeFiles(ctx context.Context, now time.Time) error {
	if s.Files == nil || now.Before(s.filesDue) && s.filesDue.Sub(now) <= filesEvery {
		return nil
	}
	s.filesDue = now.Add(filesEvery)
	found, err := s.Files.Look(ctx, now)
	if err != nil {
		return err
	}
	var errs []error
	there := map[string]bool{}
	for _, wf := range found {
		there[wf.Path] = true
	}
	errs = append(errs, s.takeGone(ctx, there, now))
	for _, wf := range found {
		if s.applied[wf.Path] == wf.Revision && s.conflicts[wf.Path] == "" {
			continue
		}
		if err := s.takeWorkflow(ctx, wf, now); err != nil {
			errs = append(errs, err)
			continue
		}
		s.applied[wf.Path] = wf.Revision
	}
	return errors.Join(errs...)
}

// takeGone records that the files of schedules are not there any more.
func (s *Service) takeGone(ctx context.Context, there map[string]bool, now time.Time) error {
	var rows []state.Schedule
	for _, p := range s.inOrder() {
		rows = append(rows, p.Schedule)
	}
	if s.looked.IsZero() {
		var err error
		if rows, err = s.State.Schedules(ctx); err != nil {
			return err
		}
	}
	var errs []error
	for _, row := range rows {
		if row.Gone || there[row.Path] {
			continue
		}
		there[row.Path] = true // once
		delete(s.applied, row.Path)
		s.Log.Warn("the files of a workflow are not there any more: its schedules end", "workflow", row.Workflow, "path", row.Path)
		errs = append(errs, s.put(ctx, Workflow{Path: row.Path, Name: row.Workflow}, now))
	}
	return errors.Join(errs...)
}

// takeWorkflow records what the files of a workflow say. While they have mistakes, what is in the
// state stays as it is.
func (s *Service) takeWorkflow(ctx context.Context, wf Workflow, now time.Time) error {
	if wf.Problem != "" {
		delete(s.conflicts, wf.Path)
		what := "a workflow has mistakes; its last version without goes on"
		if wf.Broken {
			what = "a workflow has mistakes, and nothing of it runs: no version without is known"
		}
		s.Log.Error(what, "path", wf.Path, "problem", wf.Problem)
		return s.State.SetProblem(ctx, s.term, wf.Path, wf.Problem)
	}
	err := s.put(ctx, wf, now)
	var conflict *state.ConflictError
	if errors.As(err, &conflict) {
		// The other one may get another name, or go away: it may be this one, which was moved.
		if s.conflicts[wf.Path] == conflict.Error() {
			return nil
		}
		s.conflicts[wf.Path] = conflict.Error()
		s.Log.Error("the schedules of a workflow are not fired", "path", wf.Path, "problem", conflict)
		return s.State.SetProblem(ctx, s.term, wf.Path, conflict.Error())
	}
	if err != nil {
		return err
	}
	delete(s.conflicts, wf.Path)
	s.Log.Info("workflow read", "path", wf.Path, "workflow", wf.Name, "schedules", len(wf.Schedules))
	return errors.Join(s.State.KeepSources(ctx, s.term, wf.Path, wf.Sources), s.State.SetProblem(ctx, s.term, wf.Path, ""))
}

// put records the schedules of a workflow. What was due of them as they were before is decided
// first: a schedule that has changed counts from then on.
func (s *Service) put(ctx context.Context, wf Workflow, now time.Time) error {
	for _, p := range s.inOrder() {
		if p.Path != wf.Path {
			continue
		}
		if err := s.settle(ctx, p, now); err != nil {
			return err
		}
	}
	if err := s.State.PutSchedules(ctx, s.term, wf.Path, wf.Name, wf.Schedules, wf.Notices); err != nil {
		return err
	}
	s.looked = time.Time{}
	return nil
}
