package engine_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"flow/engine"
)

// Some worlds have steps that wait for files, which come at some time or never; and runs that
// should be over by some time.

// simGate is what a step of such a world waits for.
type simGate struct {
	sensors []engine.Sensor
	comes   []time.Time // when what each waits for is there; zero: never, unless the world is mended
	nothing bool        // its gate says that there is nothing to wait for
}

// draw returns a number below n, always the same: nothing is taken from the world's own.
func (w *world) draw(n uint64, what ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprintln(h, w.seed, what)
	return h.Sum64() % n
}

// gates lets steps of some worlds wait; the worlds of the others are as they were.
func (w *world) gates() {
	if w.seed%4 != 3 {
		return
	}
	for _, s := range w.steps {
		if w.draw(2, "gate", s.Name) == 0 {
			s.Gated = true
			s.gate = w.drawGate(s)
		}
	}
}

func (w *world) drawGate(s *simStep) *simGate {
	g := &simGate{nothing: w.draw(8, "nothing", s.Name) == 0}
	followed := slices.ContainsFunc(w.steps, func(o *simStep) bool {
		return slices.ContainsFunc(o.Deps, func(d engine.Dep) bool { return d.Step == s.Name && d.Kind == engine.Element })
	})
	for n := range 1 + w.draw(2, "sensors", s.Name) {
		sensor := engine.Sensor{Kind: engine.SensorFile, Target: fmt.Sprintf("/%s/%d", s.Name, n), Count: 1}
		sensor.Every = []time.Duration{5 * time.Minute, 20 * time.Minute, 2 * time.Hour}[w.draw(3, "every", sensor.Target)]
		comes := w.now.Add(time.Duration(w.draw(uint64(8*time.Hour), "comes", sensor.Target)))
		switch w.draw(5, "kind", sensor.Target) {
		case 0:
			sensor.Timeout, comes = time.Duration(1+w.draw(180, "timeout", sensor.Target))*time.Minute, time.Time{}
			sensor.Skip = !followed && w.draw(2, "skip", sensor.Target) == 0
		case 1:
			sensor.Timeout = 90 * 24 * time.Hour
		}
		g.sensors, g.comes = append(g.sensors, sensor), append(g.comes, comes)
	}
	return g
}

// outcome returns how a step ends that has waited in vain, if it will: as the first sensor
// to time out says. ok: its gate opens.
func (w *world) outcome(s *simStep) (status engine.Status, ok bool) {
	if s.gate == nil || s.gate.nothing || w.repaired {
		return 0, true
	}
	var first *engine.Sensor
	for i := range s.gate.sensors {
		if sensor := &s.gate.sensors[i]; s.gate.comes[i].IsZero() && (first == nil || sensor.Timeout < first.Timeout) {
			first = sensor
		}
	}
	switch {
	case first == nil:
		return 0, true
	case first.Skip:
		return engine.Skipped, false
	}
	return engine.Failed, false
}

// skips reports whether nothing came for a step that is SKIPPED then, as if it were not there.
func (w *world) skips(s *simStep) bool {
	status, ok := w.outcome(s)
	return !ok && status == engine.Skipped
}

// Gate makes the world an engine.GateTemplate.
func (w *world) Gate(name engine.StepName, scope engine.Scope) (*engine.Gate, error) {
	s := w.step(name)
	for _, d := range s.Deps {
		if v := scope.Step(d.Step); v == nil {
			w.problem("what %s waits for is evaluated before %s", name, d.Step)
		}
	}
	if s.gate.nothing {
		return nil, nil
	}
	return &engine.Gate{Sensors: slices.Clone(s.gate.sensors)}, nil
}

// waiting returns since when a step waits, as the log has it; zero: it does not.
func (w *world) waiting(name engine.StepName) (since time.Time, opened bool) {
	for _, e := range slices.Backward(w.log) {
		if e.Step == name {
			switch e.Kind {
			case engine.StepWaits:
				return e.At, opened
			case engine.StepGateOpened:
				opened = true
			case engine.StepReset, engine.StepEnded:
				return time.Time{}, false
			}
		}
	}
	return time.Time{}, false
}

// Probe makes the world an engine.Prober.
func (w *world) Probe(_ context.Context, sensor *engine.Sensor) (bool, string, error) {
	w.boundary("probe " + sensor.Target)
	name, _, _ := strings.Cut(sensor.Target[1:], "/")
	s := w.step(engine.StepName(name))
	i := slices.IndexFunc(s.gate.sensors, func(o engine.Sensor) bool { return o.Target == sensor.Target })
	since, opened := w.waiting(s.Name)
	if since.IsZero() || opened {
		w.problem("%s is looked for, and %s does not wait for it", sensor.Target, name)
	}
	if last, ok := w.probed[sensor.Target]; ok && w.now.Sub(last) < sensor.Every && w.now.Before(since.Add(sensor.Timeout)) {
		w.problem("%s is looked for %s after the last time", sensor.Target, w.now.Sub(last))
	}
	w.probed[sensor.Target] = w.now
	if w.now.Before(w.faultsEnd) && !w.repaired && w.rng.IntN(5) == 0 {
		if w.bug == "not now is taken for there" {
			return true, "", nil
		}
		return false, "", fmt.Errorf("the network is down: %w", engine.ErrLater)
	}
	met := w.here(s, i) || w.bug == "files are seen too early" && w.now.After(since.Add(time.Hour))
	return met, "seen", nil
}

// here reports whether what sensor i of s waits for is there.
func (w *world) here(s *simStep, i int) bool {
	return w.repaired || !s.gate.comes[i].IsZero() && !w.now.Before(s.gate.comes[i])
}

// checkGate checks an event that is recorded about a step that waits, or about a run that is
// late; it is not in the log yet.
func (w *world) checkGate(e *engine.Event) {
	if e.Kind == engine.RunLate && (w.late.IsZero() || e.At.Before(w.late)) {
		w.problem("the run is told to be late at %s", e.At)
	}
	if e.Step == "" || !w.step(e.Step).Gated {
		return
	}
	s := w.step(e.Step)
	since, opened := w.waiting(e.Step)
	switch e.Kind {
	case engine.StepWaits:
		if !since.IsZero() {
			w.problem("%s waits anew", s.Name)
		}
	case engine.StepGateOpened:
		for i := range s.gate.sensors {
			if !w.here(s, i) {
				w.problem("the gate of %s opens, and %s is not there", s.Name, s.gate.sensors[i].Target)
			}
		}
		w.opened++
	case engine.StepExpanded:
		if !opened && !s.gate.nothing {
			w.problem("%s is expanded before its gate has opened", s.Name)
		}
	case engine.StepEnded:
		if !since.IsZero() && !opened && strings.HasPrefix(e.Reason, "waited ") {
			w.timeouts++
			if w.now.Before(since.Add(time.Minute)) || !slices.ContainsFunc(s.gate.sensors, func(o engine.Sensor) bool { return o.Timeout > 0 && !w.now.Before(since.Add(o.Timeout)) }) {
				w.problem("%s has waited for %s only", s.Name, w.now.Sub(since))
			}
		}
	}
}

// lateness says when the run of some worlds is late.
func (w *world) lateness(info *engine.RunInfo) {
	if w.seed%3 != 2 {
		return
	}
	w.late = w.now.Add(time.Duration(10+w.draw(600, "late")) * time.Minute)
	info.LateAt, info.LateFor = w.late, "should be over"
}

// checkLate checks that the run was told to be late once if it was, and else never.
func (w *world) checkLate(run *engine.Run) {
	told := 0
	for i := range w.log {
		if w.log[i].Kind == engine.RunLate {
			told++
		}
	}
	_, ended := run.Times()
	want := 0
	if !w.late.IsZero() && !ended.Before(w.late) {
		want = 1
	}
	_, cancelled := run.Cancelling()
	if told != want && (told > 1 || !cancelled) {
		w.problem("the run ended at %s, is late from %s on, and was told so %d times", ended, w.late, told)
	}
	w.lates += told
}

// expectNone expects the end of a step that waits in vain, whose tasks nobody knows. If it is
// to be skipped, what it comes after counts first.
func (w *world) expectNone(s *simStep, want map[string]engine.Status) {
	status, _ := w.outcome(s)
	want[string(s.Name)] = status
	for i := range s.size {
		want[taskID(s.Name, i)] = status
	}
}

// vain reports whether s waits in vain.
func (w *world) vain(s *simStep, want map[string]engine.Status) bool {
	_, opens := w.outcome(s)
	return !opens && w.wholeOK(s, want) && w.some(s, want)
}

// some reports whether tasks of s may run, as far as elements of other steps decide that.
func (w *world) some(s *simStep, want map[string]engine.Status) bool {
	for _, d := range s.Deps {
		if d.Kind == engine.Element && want[string(d.Step)] != engine.Succeeded && !w.off(d.Step, want) && w.none(d.Step, want) {
			return false
		}
	}
	return true
}

// none reports whether no task of a step has succeeded.
func (w *world) none(name engine.StepName, want map[string]engine.Status) bool {
	for i := range w.step(name).size {
		if want[taskID(name, i)] == engine.Succeeded {
			return false
		}
	}
	return true
}

// skipped reports whether the log says of a step that nothing came for it, and that it was
// SKIPPED: what was submitted since then runs.
func (w *world) skipped(name engine.StepName) bool {
	for _, e := range slices.Backward(w.log) {
		if e.Step == name && e.Kind == engine.StepEnded && e.Cause == engine.CauseGate {
			return true
		}
	}
	return false
}
