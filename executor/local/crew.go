package local

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"flow/engine"
)

// A stage is where a container of a task is in its life.
type stage uint8

const (
	isWaiting  stage = iota // for what it depends on
	isStarting              // somebody has been told to start it
	isRunning
	isEnded
)

// A crew is the containers of a task: it decides which may start, which must stop, and
// when the task is over. It is pure: its caller starts and stops them, and tells it what
// happened. It follows the ECS agent:
//   - a container starts when its dependencies are where they have to be; START is also
//     fulfilled by a container that has ended since;
//   - a dependency that can never be fulfilled ends the container that waits for it,
//     with exit code 143 though it never ran;
//   - when an essential container has ended, for whatever reason, all others are stopped,
//     those first that no other depends on, and what has not started never does;
//   - the task is over when all of its containers are.
type crew struct {
	task    *Task
	members []member
	over    bool // an essential container has ended, or the task is to stop
	blame   int  // the first essential container that failed; -1: none yet
}

// A member is a container of a crew.
type member struct {
	*Container
	stage   stage
	ran     bool // it got as far as running
	stopped bool // its end was asked for
	exit    Exit
}

func newCrew(t *Task) *crew {
	c := &crew{task: t, members: make([]member, len(t.Containers)), blame: -1}
	for i := range t.Containers {
		c.members[i].Container = &t.Containers[i]
	}
	return c
}

// next returns the containers to start and those to stop now, each of them once.
func (c *crew) next() (start, stop []int) {
	for again := true; again; {
		again = false // the end of one may be the end of another
		for i := range c.members {
			if m := &c.members[i]; m.stage == isWaiting {
				switch ready, err := c.ready(m); {
				case c.over:
					m.stage = isEnded
				case err != nil:
					c.refuse(i, err)
					again = true
				case ready:
					m.stage = isStarting
					start = append(start, i)
				}
			}
		}
	}
	if len(start) == 0 && !c.any((*member).live) { // they wait for one another
		for i := range c.members {
			if c.members[i].stage == isWaiting {
				c.refuse(i, errors.New("dependency on containers not resolved"))
			}
		}
	}
	for i := range c.members {
		if m := &c.members[i]; c.over && m.live() && !m.stopped && !c.needed(m) {
			m.stopped = true
			stop = append(stop, i)
		}
	}
	return start, stop
}

func (m *member) live() bool { return m.stage == isStarting || m.stage == isRunning }

// ready reports whether what a container depends on is where it has to be. An error
// says that it never will be.
func (c *crew) ready(m *member) (bool, error) {
	all := true
	for _, d := range m.DependsOn {
		on := c.member(d.Container)
		if on == nil {
			return false, fmt.Errorf("container ordering dependency %s does not exist", d.Container)
		}
		if on.stage == isEnded && !on.ran {
			return false, fmt.Errorf("failed to resolve container ordering dependency %s because dependency will never start", d.Container)
		}
		switch d.Condition {
		case ContainerCompleted:
			all = all && on.stage == isEnded
		case ContainerSucceeded:
			if on.stage == isEnded && !on.succeeded() {
				return false, fmt.Errorf("failed to resolve container ordering dependency %s as dependency did not exit successfully", d.Container)
			}
			all = all && on.stage == isEnded
		default:
			all = all && on.ran
		}
	}
	return all, nil
}

func (c *crew) member(name string) *member {
	i := slices.IndexFunc(c.members, func(m member) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &c.members[i]
}

func (m *member) succeeded() bool { return m.exit.ExitCode != nil && *m.exit.ExitCode == 0 }

// needed reports whether a container that is still live depends on this one.
func (c *crew) needed(m *member) bool {
	return c.any(func(o *member) bool {
		return o.live() && o != m && slices.ContainsFunc(o.DependsOn, func(d ContainerDependency) bool { return d.Container == m.Name })
	})
}

// exitRefused is the exit code that the ECS agent gives a container whose dependencies
// can never be fulfilled: that of SIGTERM, though it never ran.
const exitRefused = 143

// refuse ends a container that can never start.
func (c *crew) refuse(i int, err error) {
	exit := startFailed("CannotStartContainerError: dependency graph: ", err)
	exit.ExitCode = new(exitRefused)
	c.ended(i, exit)
}

// started notes that the program of a container runs.
func (c *crew) started(i int) {
	if m := &c.members[i]; m.stage == isStarting {
		m.stage, m.ran = isRunning, true
	}
}

// ended notes that a container has ended, or could not be started.
func (c *crew) ended(i int, e Exit) {
	m := &c.members[i]
	m.stage, m.exit = isEnded, e
	if m.Essential {
		c.over = true
		if !m.succeeded() && c.blame < 0 {
			c.blame = i
		}
	}
}

// overdue is called when a container has run for its StartTimeout: what waits for its
// end gives up (TaskContainerProperties, startTimeout).
func (c *crew) overdue(i int) {
	on := &c.members[i]
	if on.stage == isEnded {
		return
	}
	for k := range c.members {
		if m := &c.members[k]; m.stage == isWaiting && m.awaitsEnd(on.Name) {
			c.refuse(k, fmt.Errorf("container ordering dependency %s has timed out", on.Name))
		}
	}
}

// awaitsEnd reports whether a container waits for the end of another.
func (m *member) awaitsEnd(name string) bool {
	return slices.ContainsFunc(m.DependsOn, func(d ContainerDependency) bool {
		return d.Container == name && (d.Condition == ContainerCompleted || d.Condition == ContainerSucceeded)
	})
}

// startTimeout returns how long after its start overdue is to be called for a container;
// 0: never.
func (c *crew) startTimeout(i int) time.Duration {
	on := &c.members[i]
	if c.any(func(m *member) bool { return m.awaitsEnd(on.Name) }) {
		return on.StartTimeout
	}
	return 0
}

// quit has everything stopped.
func (c *crew) quit() { c.over = true }

// up reports whether all containers have started, as far as they can: then the task is
// RUNNING.
func (c *crew) up() bool {
	return !c.over && !c.any(func(m *member) bool { return m.stage < isRunning })
}

// done reports whether the task is over.
func (c *crew) done() bool {
	return !c.any(func(m *member) bool { return m.stage != isEnded })
}

func (c *crew) any(is func(*member) bool) bool {
	for i := range c.members {
		if is(&c.members[i]) {
			return true
		}
	}
	return false
}

// exit returns how the task ended: as the first essential container that failed, if one
// did. One that never ran has no exit code to give.
func (c *crew) exit() Exit {
	e := exited(0)
	if c.blame >= 0 {
		m := &c.members[c.blame]
		e = m.exit
		if !m.ran {
			e.ExitCode = nil
		}
	} else if c.any(func(m *member) bool { return m.Essential && !m.succeeded() }) {
		e = startFailed("", errStopped)
	}
	return e
}

// maxContainerReason is how much Batch keeps of a container's reason
// (AttemptTaskContainerDetails).
const maxContainerReason = 255

// results returns how each container ended.
func (c *crew) results(stream func(*Container) string) []engine.ContainerResult {
	out := make([]engine.ContainerResult, len(c.members))
	for i := range c.members {
		m := &c.members[i]
		out[i] = engine.ContainerResult{Name: m.Name, ExitCode: m.exit.ExitCode, Reason: m.exit.Reason}
		if r := &out[i].Reason; len(*r) > maxContainerReason {
			*r = strings.ToValidUTF8((*r)[:maxContainerReason], "")
		}
		if m.ran {
			out[i].LogStream = stream(m.Container)
		}
	}
	return out
}
