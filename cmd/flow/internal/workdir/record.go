package workdir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"flow/engine"
	"flow/state"
)

// recordVersion is the version of records written here.
const recordVersion = 1

// A Record is what a run is: all that its state file knows when it is created. Values of
// sensitive variables and of secrets are not in it, as they are not in the state.
type Record struct {
	Version int              `json:"version"`
	Created time.Time        `json:"created"`
	Info    engine.RunInfo   `json:"info"`
	Dir     string           `json:"dir"` // of the workflow's files, on the machine that started the run
	Steps   []state.StepInfo `json:"steps"`
	Sources []state.Source   `json:"sources"`
	Params  json.RawMessage  `json:"params,omitempty"` // of the command line
}

// NewRecord returns the record of a run that is created.
func NewRecord(r state.NewRun, created time.Time) *Record {
	return &Record{
		Version: recordVersion, Created: created.UTC().Truncate(time.Millisecond), Info: r.Info, Dir: r.Dir,
		Steps: r.Steps, Sources: r.Sources, Params: r.Params,
	}
}

// NewRun returns what the run is created with once more, at a time.
func (r *Record) NewRun(recovered time.Time) state.NewRun {
	n := state.NewRun{Info: r.Info, Dir: r.Dir, Sources: r.Sources, Steps: r.Steps, Params: r.Params, Created: r.Created}
	n.Info.Recovered = recovered.UTC().Truncate(time.Millisecond)
	return n
}

// A GoingError says that a run is being removed.
type GoingError struct {
	Run  engine.RunID
	By   string // who removes it
	Dir  string
	Mine bool // it was begun with the same state file
}

func (e *GoingError) Error() string {
	if e.Mine {
		return fmt.Sprintf("flow clean was removing run %s when it was stopped: call it again, and it goes on", e.Run)
	}
	return fmt.Sprintf("run %s is being removed by flow clean, with the state file %s", e.Run, e.By)
}

// Create keeps the record of a new run with its files, before anything of it is submitted.
func (d Dir) Create(ctx context.Context, r *Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if d.Far() {
		// First, so that no run is there that is in no list.
		if err := d.putNew(ctx, d.listed(r.Info.Run), nil); err != nil && !exists(err) {
			return d.cannotKeep(r, err)
		}
	}
	if err := d.putNew(ctx, d.Run(r.Info.Run)+recordName, data); err != nil && !exists(err) {
		return d.cannotKeep(r, err)
	}
	return nil
}

// Withdraw removes the record of a run that Create made, and that came to nothing.
func (d Dir) Withdraw(ctx context.Context, run engine.RunID) error {
	if !d.Far() {
		return os.RemoveAll(d.Run(run))
	}
	st, err := d.Store(ctx)
	if err != nil {
		return err
	}
	return st.Remove(ctx, d.Run(run)+recordName, d.listed(run))
}

// Put is Create for a run that is taken up: a record that is there stays. me names the state
// file of the run. *GoingError if the run is being removed; a removal that was only thought
// of with the same state file is called off.
func (d Dir) Put(ctx context.Context, r *Record, me string) error {
	if err := d.callOff(ctx, r.Info.Run, me); err != nil {
		return err
	}
	there, err := d.there(ctx, d.Run(r.Info.Run)+recordName)
	if there || err != nil {
		return d.cannotKeep(r, err)
	}
	return d.Create(ctx, r)
}

func (d Dir) cannotKeep(r *Record, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("what run %s is cannot be kept in its work_dir %s: %w", r.Info.Run, d.Path, err)
}

func (d Dir) listed(run engine.RunID) string {
	return strings.TrimRight(d.Path, "/") + runsDir + string(run)
}

// callOff ends the removal of a run that was begun with the same state file, if nothing of
// the run is gone.
func (d Dir) callOff(ctx context.Context, run engine.RunID, me string) error {
	if !d.Far() {
		return nil
	}
	is, err := d.removing(ctx, run)
	if err != nil || is == nil {
		return err
	}
	if is.By != me || is.Gone {
		return &GoingError{Run: run, By: is.By, Dir: d.Run(run), Mine: is.By == me}
	}
	st, err := d.Store(ctx)
	if err != nil {
		return err
	}
	return st.Remove(ctx, d.Run(run)+removingName)
}

// Get returns the record of a run. The error is engine.ErrNotFound, wrapped, if there is
// none; a *[GoingError] if the run is being removed.
func (d Dir) Get(ctx context.Context, run engine.RunID) (*Record, error) {
	if d.Far() {
		switch is, err := d.removing(ctx, run); {
		case err != nil:
			return nil, err
		case is != nil:
			return nil, &GoingError{Run: run, By: is.By, Dir: d.Run(run)}
		}
	}
	return d.read(ctx, run)
}

func (d Dir) read(ctx context.Context, run engine.RunID) (*Record, error) {
	name := d.Run(run) + recordName
	data, err := d.get(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s: %w", name, engine.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	r := &Record{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s is no record of a run: %w", name, err)
	}
	switch {
	case r.Version != recordVersion:
		return nil, fmt.Errorf("%s has version %d, and this flow knows %d", name, r.Version, recordVersion)
	case r.Info.Run != run:
		return nil, fmt.Errorf("%s is of run %s: it was moved here", name, r.Info.Run)
	case strings.TrimRight(r.Info.WorkDir, "/") != strings.TrimRight(d.Path, "/"):
		return nil, fmt.Errorf("%s says that the work_dir of the run is %s: its files were moved here, and what they name is there", name, r.Info.WorkDir)
	}
	return r, nil
}

// readAtOnce is how many records are read side by side.
const readAtOnce = 64

// List returns the records of the runs of a work_dir, the oldest first. Those that cannot be
// read are left out; bad tells of each of them.
func (d Dir) List(ctx context.Context, bad func(engine.RunID, error)) ([]*Record, error) {
	ids, err := d.ids(ctx)
	if err != nil {
		return nil, err
	}
	records, errs := make([]*Record, len(ids)), make([]error, len(ids))
	var g errgroup.Group
	g.SetLimit(readAtOnce)
	for i, id := range ids {
		g.Go(func() error {
			records[i], errs[i] = d.Get(ctx, id)
			return nil
		})
	}
	_ = g.Wait() // each has its own error
	for i, err := range errs {
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			bad(ids[i], err)
		}
	}
	records = slices.DeleteFunc(records, func(r *Record) bool { return r == nil })
	return records, ctx.Err()
}

// ids returns the runs of a work_dir, and names of some that are gone, sorted.
func (d Dir) ids(ctx context.Context) (ids []engine.RunID, err error) {
	if !d.Far() {
		entries, err := os.ReadDir(d.Path)
		for _, e := range entries {
			if IsRun(e.Name()) {
				ids = append(ids, engine.RunID(e.Name()))
			}
		}
		return ids, err
	}
	st, err := d.Store(ctx)
	if err != nil {
		return nil, err
	}
	for o, err := range st.List(ctx, strings.TrimRight(d.Path, "/")+runsDir) {
		if err != nil {
			return nil, err
		}
		if name := path.Base(o.URI); IsRun(name) {
			ids = append(ids, engine.RunID(name))
		}
	}
	return ids, nil
}
