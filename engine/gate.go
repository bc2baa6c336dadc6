package engine

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A Gate is what a step waits for before its tasks are found out: its `wait_for` blocks, with
// values. It opens when each of them was there at its last look.
type Gate struct {
	Sensors []Sensor `json:"sensors"`
}

// A Sensor is one `wait_for` block: files that somebody else leaves.
type Sensor struct {
	Kind SensorKind `json:"kind"`
	// Target is the URI of an object or, with Prefix, what those of objects begin with; or the
	// absolute path of a file or directory, which may be a Pattern: with *, ?, [] and {}, ** for
	// any depth, and a backslash before what stands for itself.
	Target  string        `json:"target"`
	Pattern bool          `json:"pattern,omitempty"`
	Prefix  bool          `json:"prefix,omitempty"`
	Count   int           `json:"count"`             // so many, or more
	Every   time.Duration `json:"every"`             // between looks
	Timeout time.Duration `json:"timeout,omitempty"` // since the step began to wait; 0: it waits on
	Skip    bool          `json:"skip,omitempty"`    // a step that timed out is SKIPPED, as if its `when` were false; else it has FAILED
	Pos     Pos           `json:"pos,omitzero"`      // of the block
}

// SensorKind says where a sensor looks.
type SensorKind string

const (
	SensorS3   SensorKind = "s3"   // objects of S3
	SensorFile SensorKind = "file" // files of the machine where the run is driven
)

// What says what the sensor waits for, for people.
func (s *Sensor) What() string {
	switch {
	case s.Kind == SensorS3 && s.Prefix && s.Count == 1:
		return "an object below " + s.Target
	case s.Kind == SensorS3 && s.Prefix:
		return fmt.Sprintf("%d objects below %s", s.Count, s.Target)
	case s.Count > 1:
		return fmt.Sprintf("%d files %s", s.Count, s.Target)
	}
	return s.Target
}

// What says what the gate waits for, for people.
func (g *Gate) What() string {
	all := make([]string, len(g.Sensors))
	for i := range g.Sensors {
		all[i] = g.Sensors[i].What()
	}
	return strings.Join(all, " and ")
}

// A GateTemplate is a Template of a workflow in which steps have gates.
type GateTemplate interface {
	Template
	// Gate evaluates what a step with [Step.Gated] waits for. All that it depends on has ended.
	// nil: nothing, since its `when` is false, or it needs the result of a step that was
	// skipped. An error is a diagnostic for the user.
	Gate(step StepName, scope Scope) (*Gate, error)
}

// A Prober is Files that can look for what steps wait for.
type Prober interface {
	// Probe reports whether what the sensor waits for is there, and what is, for people:
	// "2 of 3 objects". ErrLater, wrapped, says that nobody knows now; any other error is
	// final.
	Probe(ctx context.Context, s *Sensor) (met bool, seen string, err error)
}

// CauseGate is the cause of a step that was SKIPPED since what it waits for did not come.
const CauseGate = "its wait_for"

// gateState is what a run knows of the gate of a step. The zero value: it does not wait yet.
type gateState struct {
	gate   *Gate     // nil: not evaluated
	since  time.Time // when it began to wait; later by as long as the run was paused
	opened time.Time // zero: it has not
	seen   string    // when it opened
}

// closed reports whether s has a gate that has not opened.
func (s *stepState) closed() bool { return s.Gated && s.gate.opened.IsZero() }

// waits reports whether s waits for its gate to open.
func (s *stepState) waits() bool {
	return s.exp == nil && !s.status.Ended() && s.gate.gate != nil && s.gate.opened.IsZero()
}

// applyGate adds an event about the gate of s.
func (s *stepState) applyGate(e *Event) error {
	switch {
	case s.exp != nil || s.status.Ended():
		return fmt.Errorf("step %q waits no more", s.Name)
	case e.Kind == StepWaits && (e.Gate == nil || len(e.Gate.Sensors) == 0 || s.gate.gate != nil):
		return fmt.Errorf("step %q waits already, or for nothing", s.Name)
	case e.Kind == StepWaits:
		s.gate.gate, s.gate.since = e.Gate, e.At
	case !s.waits():
		return fmt.Errorf("step %q does not wait", s.Name)
	default:
		s.gate.opened, s.gate.seen = e.At, e.Reason
	}
	return nil
}

// barren reports whether no task of s has succeeded.
func (s *stepState) barren() bool { return s.counts[Succeeded]+s.counts[Cached] == 0 }

// gated decides on a step that has a gate which is not open, and all of whose dependencies
// have ended well: what it waits for is found out, and then looked for. A run that is
// paused waits for nothing.
func (d *decision) gated(s *stepState) {
	switch {
	case d.paused != nil:
	case s.gate.gate == nil:
		d.Commands = append(d.Commands, Command{Op: Expand, Step: s.Name})
	default:
		d.Commands = append(d.Commands, Command{Op: Probe, Step: s.Name})
		for i := range s.gate.gate.Sensors {
			if at := s.gate.deadline(i); !at.IsZero() && d.now.Before(at) {
				d.wake(at)
			}
		}
	}
}

// deadline returns until when sensor i is waited for; zero: for ever.
func (g *gateState) deadline(i int) time.Time {
	if t := g.gate.Sensors[i].Timeout; t > 0 {
		return g.since.Add(t)
	}
	return time.Time{}
}

// within says how long is waited at most, for people; "" if for ever.
func (g *gateState) within() string {
	most := time.Duration(0)
	for i := range g.gate.Sensors {
		if t := g.gate.Sensors[i].Timeout; t > 0 && (most == 0 || t < most) {
			most = t
		}
	}
	if most == 0 {
		return ""
	}
	return fmt.Sprintf(", until %s at most", g.since.Add(most).UTC().Format(time.RFC3339))
}

// A GateView is what can be seen of the gate of a step.
type GateView struct {
	Step   StepName
	Gate   *Gate
	Since  time.Time   // when it began to wait
	Until  []time.Time // of each sensor, when it times out; zero: never
	Opened time.Time   // zero: it waits, or the step has ended
	Seen   string      // what was there when it opened
	Waits  bool        // it waits now
}

// Gate returns what can be seen of the gate of a step; nil: it has none, or does not wait yet.
// It panics if there is no such step.
func (r *Run) Gate(name StepName) *GateView {
	s := r.step(name)
	if s.gate.gate == nil {
		return nil
	}
	v := &GateView{Step: name, Gate: s.gate.gate, Since: s.gate.since, Opened: s.gate.opened, Seen: s.gate.seen, Waits: s.waits()}
	for i := range s.gate.gate.Sensors {
		v.Until = append(v.Until, s.gate.deadline(i))
	}
	return v
}

// Waiting returns the gates that are waited for now, in source order.
func (r *Run) Waiting() (all []*GateView) {
	for _, s := range r.steps {
		if s.waits() {
			all = append(all, r.Gate(s.Name))
		}
	}
	return all
}
