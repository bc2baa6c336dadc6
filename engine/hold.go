package engine

import (
	"fmt"
	"time"
)

// A Hold is why a step, though its tasks are known, is not handed over to the executor
// at once. The zero Hold holds nothing.
type Hold struct {
	Reason string
	On     StepName
}

// hold returns why the jobs of s cannot be handed over while dependency dep runs.
func (d *decision) hold(s *stepState, dep *depState) Hold {
	if h := d.undecidable(s, dep); h != (Hold{}) {
		return h
	}
	switch {
	case dep.waiting > 0, len(dep.live) == 0:
		return Hold{string(dep.Name) + " is not submitted yet", dep.Name}
	case dep.counts[Failed]+dep.counts[Cancelled]+dep.hurt > 0:
		return Hold{"tasks of " + string(dep.Name) + " failed", dep.Name}
	}
	return Hold{}
}

// undecidable returns why the executor, which knows nothing but the success of jobs,
// cannot decide by itself when the tasks of s that wait for dep may run.
func (d *decision) undecidable(s *stepState, dep *depState) Hold {
	switch {
	case dep.exp == nil:
		return Hold{"the tasks of " + string(dep.Name) + " are not known yet", dep.Name}
	case dep.Tolerates():
		return Hold{string(dep.Name) + " tolerates failures", dep.Name}
	case dep.Partial:
		return Hold{"tasks of " + string(dep.Name) + " may be missing", dep.Name}
	case dep.EngineRetries:
		return Hold{"flow retries tasks of " + string(dep.Name) + " by itself", dep.Name}
	case d.limit() > 0 || s.MaxParallel > 0:
		return Hold{"max_parallel", dep.Name}
	}
	return Hold{}
}

// A Waiting step is one whose known tasks are not in jobs; see [Run.Holds].
type Waiting struct {
	Step StepName
	Hold Hold
}

// Holds returns why each step that has not ended is not handed over to the executor, in
// source order; steps that are handed over are left out.
func (r *Run) Holds(now time.Time) []Waiting {
	d := decision{Run: r, now: now}
	var out []Waiting
	for _, s := range r.steps {
		if s.status.Ended() || (s.exp != nil && s.waiting == 0) {
			continue
		}
		w := Waiting{Step: s.Name}
		jobs := 0
		for k := range s.deps {
			dep := &s.deps[k]
			jobs += len(dep.live)
			if dep.status.Ended() || w.Hold != (Hold{}) {
				continue
			}
			switch {
			case s.closed():
				w.Hold = Hold{"waits for files once " + string(dep.Name) + " has run", dep.Name}
			case s.exp == nil && dep.exp == nil:
				w.Hold = Hold{"known after " + string(dep.Name), dep.Name}
			case s.exp == nil && dep.Need == NeedValues:
				w.Hold = Hold{"known after " + string(dep.Name) + " has run", dep.Name}
			case s.exp == nil && dep.Need == NeedOrder:
				w.Hold = Hold{"reads files that " + string(dep.Name) + " may write", dep.Name}
			default:
				w.Hold = d.hold(s, dep)
			}
		}
		switch {
		case w.Hold != (Hold{}):
		case r.paused != nil:
			w.Hold.Reason = "the run is paused"
		case s.waits():
			w.Hold.Reason = "waits for " + s.gate.gate.What() + s.gate.within()
		case jobs > MaxDependencies:
			w.Hold.Reason = fmt.Sprintf("depends on %d jobs, and Batch takes %d", jobs, MaxDependencies)
		case s.MaxParallel > 0 || r.limit() > 0:
			w.Hold.Reason = "max_parallel"
		case jobs == 0:
			w.Hold.Reason = "can be submitted now"
		default:
			w.Hold.Reason = "its elements do not stand beside those of the jobs they wait for"
		}
		out = append(out, w)
	}
	return out
}
