package local

import (
	"context"
	"syscall"
)

// Of file descriptors.
const (
	ownFiles   = 32 // what flow needs besides: the state file, the journal, the terminal
	filesOfTry = 8  // what staging a try in or out, or starting it, opens at a time at most
)

// descriptors bounds how many tries have files open at a time, so that flow does not run
// out of descriptors however many tasks begin or end at once. A try that runs has none.
type descriptors chan struct{}

// newDescriptors returns a bound that fits the limit of this process (ulimit -n).
func newDescriptors() descriptors {
	room := uint64(maxWorkers)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		files := max(uint64(limit.Cur), ownFiles) - ownFiles
		room = min(max(files/filesOfTry, 1), maxWorkers)
	}
	return make(descriptors, room)
}

// enter waits until there is room; leave gives it back. It reports false, and there is
// nothing to give back, if ctx is done before.
func (d descriptors) enter(ctx context.Context) bool {
	select {
	case d <- struct{}{}:
		return true
	default:
	}
	select {
	case d <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (d descriptors) leave() { <-d }
