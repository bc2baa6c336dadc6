package engine

import (
	"errors"
	"fmt"
)

var (
	// ErrRefused is what [Executor.Submit] returns, wrapped, when the job was surely
	// not accepted. Any other error of Submit leaves the outcome unknown.
	ErrRefused = errors.New("job refused")
	// ErrConflict is what [Log.Append] returns, wrapped, when another driver has appended.
	ErrConflict = errors.New("the run was changed by another driver")
	// ErrNotFound says that a run, step, task or log does not exist.
	ErrNotFound = errors.New("not found")
)

func errUnknownName(what, name string) error { return fmt.Errorf("unknown %s %q", what, name) }
