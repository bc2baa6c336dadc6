package main

import (
	"net"
	"os"
	"strings"
	"time"
)

// A manager is the service manager that has started this process, such as systemd, and wants to
// know how things are: sd_notify(3). The zero one does not.
type manager struct{ socket string }

// serviceManager returns the service manager that the environment names. It takes what is for this
// process alone out of the environment: a program that is started, such as podman, would take
// itself for the service.
func serviceManager() manager {
	m := manager{os.Getenv("NOTIFY_SOCKET")}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name) // fails for no name like these
	}
	return m
}

// managerPatience is how long a manager that does not listen is waited for: few datagrams fit into
// its queue.
const managerPatience = 100 * time.Millisecond

// tell sends a datagram with lines. That nobody gets it is no failure of ours.
func (m manager) tell(state ...string) {
	if m.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"}) // @ is an abstract one
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetWriteDeadline(time.Now().Add(managerPatience)) // else it would wait for ever
	_, _ = conn.Write([]byte(strings.Join(state, "\n")))
}
