package engine

import (
	"errors"
	"fmt"
)

var (
	// ErrRefused is what [Executor.Submit] returns, wrapped, when the job was surely
	// not accepted, and never will be as it is. Any other error of Submit but ErrLater
	// leaves the outcome unknown.
	ErrRefused = errors.New("job refused")
	// ErrLater is what methods of an [Executor] return, wrapped, when the call was surely
	// not carried out, but may be later: it was throttled, the credentials have expired,
	// the network is down, the queue is disabled. It is likewise what [Files] and a [Cache]
	// return when nothing can be said now of what was asked for.
	ErrLater = errors.New("not now")
	// ErrConflict is what [Log.Append] returns, wrapped, when another driver has appended.
	ErrConflict = errors.New("the run was changed by another driver")
	// ErrNotFound says that a run, step, task or log does not exist.
	ErrNotFound = errors.New("not found")
)

func errUnknownName(what, name string) error { return fmt.Errorf("unknown %s %q", what, name) }
