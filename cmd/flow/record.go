package main

import (
	"context"
	"errors"
	"os"

	"flow/cmd/flow/internal/workdir"
	"flow/engine"
	"flow/state"
)

// workDirOf returns the work_dir of the session's run.
func (s *session) workDirOf() workdir.Dir { return workdir.Dir{Path: s.filesAt, Store: s.store()} }

// stateName names a state file among those of other machines.
func stateName(db *state.DB) string {
	host, _ := os.Hostname()
	return host + ":" + db.Path()
}

// keepRecord keeps what a run is with its files, if it is not there: a run that another
// machine knew may be taken up, and one that was started by an older flow.
func (s *session) keepRecord(ctx context.Context, row state.Run, info *engine.RunInfo) error {
	run := state.NewRun{Info: *info, Dir: row.Dir, Params: row.Params}
	var err error
	if run.Sources, err = s.db.Sources(ctx, row.ID); err != nil {
		return err
	}
	for _, st := range s.program.Workflow.Steps {
		run.Steps = append(run.Steps, state.StepInfo{Name: st.Name, FanOut: st.FanOut})
	}
	return s.workDirOf().Put(ctx, workdir.NewRecord(run, row.Created), stateName(s.db))
}

// acquireWithRecord is acquire, and keeps the run's record.
func (s *session) acquireWithRecord(ctx context.Context, row state.Run, info *engine.RunInfo) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	if err := s.keepRecord(ctx, row, info); err != nil {
		return errors.Join(err, s.lease.Release(context.WithoutCancel(ctx)))
	}
	return nil
}

// marking returns a cache whose results stay as long as the session's run does; see
// workdir.Marks.
func (s *session) marking(known engine.Cache) engine.Cache {
	if known == nil {
		return nil
	}
	return &workdir.Marks{Cache: known, Run: s.id, Dir: s.workDirOf()}
}
