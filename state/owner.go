package state

import "os"

// Self returns this process as an Owner.
func Self(version string) Owner {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return Owner{Host: host, Boot: bootOf(), PID: os.Getpid(), Start: startOf(os.Getpid()), Version: version}
}
