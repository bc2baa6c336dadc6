package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// open returns what begins a step: StepWaits if it has something to wait for first and does
// not yet, else what expand does.
func (x *expander) open(ctx context.Context, name StepName) (Event, error) {
	s := x.run.step(name)
	if !s.closed() {
		return x.expand(ctx, name)
	}
	t, ok := x.template.(GateTemplate)
	if !ok {
		return Event{}, fmt.Errorf("step %s waits for files, and its template knows of none", name)
	}
	gate, err := t.Gate(name, scope{r: x.run})
	switch {
	case err != nil:
		return Event{Kind: StepEnded, Step: name, Status: Failed, Reason: err.Error()}, nil
	case gate == nil || len(gate.Sensors) == 0:
		return x.expand(ctx, name)
	}
	return Event{Kind: StepWaits, Step: name, Gate: gate}, nil
}

// A look is what this driver has seen of what a step waits for.
type look struct {
	since   time.Time // gateState.since: a step that waits anew is looked after anew
	sensors []sighting
}

// A sighting is what the last look at a sensor showed.
type sighting struct {
	at, next time.Time // when it was, and when the next is due
	met      bool
	seen     string
	err      error // an ErrLater
	last     int   // looks since it has timed out
}

// lastLooks is how often is looked for what has timed out, if nobody can tell whether it is
// there.
const lastLooks = 2

// probe looks for what steps wait for, where it is time to, and records what follows.
func (d *Driver) probe(ctx context.Context, names []StepName, until time.Time) error {
	if len(names) == 0 {
		return nil
	}
	var trouble error
	var events []Event
	for _, name := range names {
		e, err := d.probeStep(ctx, name, &trouble)
		if err != nil {
			return err
		}
		if e.Kind != "" {
			events = append(events, e)
		}
		if stop, err := d.stops(ctx, until); stop || err != nil {
			d.wakeAt(d.Clock.Now())
			if err != nil {
				return err
			}
			break
		}
	}
	if err := d.noted(ctx, opProbe, trouble); err != nil {
		return err
	}
	if len(events) > 0 {
		d.wakeAt(d.Clock.Now())
	}
	return d.record(ctx, events...)
}

// probeStep looks for what a step waits for. It returns StepGateOpened, StepEnded, or no event
// if the step waits on. trouble gets what keeps it from knowing.
func (d *Driver) probeStep(ctx context.Context, name StepName, trouble *error) (Event, error) {
	s := d.run.step(name)
	ended := func(reason string) (Event, error) {
		return Event{Kind: StepEnded, Step: name, Status: Failed, Reason: reason}, nil
	}
	files, ok := d.Files.(Prober)
	if !ok {
		return ended("what it waits for cannot be looked for here")
	}
	l := d.looks[name]
	if l == nil || !l.since.Equal(s.gate.since) {
		l = &look{since: s.gate.since, sensors: make([]sighting, len(s.gate.gate.Sensors))}
		d.looks[name] = l
	}
	met := 0
	for i := range l.sensors {
		sensor, at, deadline := &s.gate.gate.Sensors[i], &l.sensors[i], s.gate.deadline(i)
		now := d.Clock.Now()
		over := !deadline.IsZero() && !now.Before(deadline)
		if !now.Before(at.next) || over && at.at.Before(deadline) {
			if over {
				at.last++
			}
			if err := at.look(ctx, files, sensor, now); err != nil {
				if ctx.Err() != nil {
					return Event{}, ctx.Err()
				}
				return ended(fmt.Sprintf("waiting for %s: %v", sensor.What(), err))
			}
		}
		switch {
		case at.met:
			met++
		case over && (at.err == nil || at.last >= lastLooks):
			return s.timedOut(sensor, at), nil
		}
		if at.err != nil && *trouble == nil {
			*trouble = fmt.Errorf("step %s waits for %s: %w", name, sensor.What(), at.err)
		}
		d.wakeAt(at.next)
	}
	if met < len(l.sensors) {
		return Event{}, nil
	}
	delete(d.looks, name)
	return Event{Kind: StepGateOpened, Step: name, Reason: l.seen()}, nil
}

// look looks for what a sensor waits for. An error is final.
func (a *sighting) look(ctx context.Context, files Prober, sensor *Sensor, now time.Time) error {
	met, seen, err := files.Probe(ctx, sensor)
	if err != nil && (ctx.Err() != nil || !errors.Is(err, ErrLater)) {
		return err
	}
	*a = sighting{at: now, next: now.Add(max(sensor.Every, time.Second)), met: met && err == nil, seen: seen, err: err, last: a.last}
	return nil
}

// seen says what was there, for people.
func (l *look) seen() string {
	var all []string
	for i := range l.sensors {
		all = append(all, l.sensors[i].seen)
	}
	return strings.Join(all, "; ")
}

// timedOut is the end of s, which has waited long enough for a sensor.
func (s *stepState) timedOut(sensor *Sensor, last *sighting) Event {
	e := Event{Kind: StepEnded, Step: s.Name, Status: Failed}
	e.Reason = fmt.Sprintf("waited %s for %s", shortDuration(sensor.Timeout), sensor.What())
	switch {
	case last.err != nil:
		e.Reason += ": " + last.err.Error()
	case last.seen != "":
		e.Reason += ": " + last.seen
	}
	if !sensor.Skip {
		return e
	}
	e.Status, e.Cause = Skipped, CauseGate
	for _, dep := range s.deps { // of which elements have failed: it is no success to skip those
		if !dep.status.OK() && !dep.benign() {
			e.Status, e.Reason, e.Cause = skipOf(dep.status), "needs "+string(dep.Name), dep.rootCause()
		}
	}
	return e
}
