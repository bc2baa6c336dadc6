package state

import (
	"os"
	"strings"
)

// Self returns this process as an Owner.
func Self(version string) Owner {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return Owner{Host: host, Boot: bootOf(), PID: os.Getpid(), Start: startOf(os.Getpid()), Version: version}
}

// lookMark is what the version of an owner ends with that only looks, as build metadata of
// semantic versions is written.
const lookMark = "+look"

// Looker returns this process as an Owner that has a lease for a moment only, to record what
// jobs have done, and that does nothing else for the run: no wish reaches it.
func Looker(version string) Owner { return Self(version + lookMark) }

// Looks reports whether the owner is a [Looker].
func (o Owner) Looks() bool { return strings.HasSuffix(o.Version, lookMark) }
