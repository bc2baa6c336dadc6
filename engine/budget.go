package engine

import (
	"fmt"
	"time"
)

// CauseBudget is the cause of a run that is cancelled since it is over its budget.
const CauseBudget = "budget"

// A Pause is why a run submits nothing more until somebody resumes it.
type Pause struct {
	Reason    string
	Spent     Money // when it was paused
	Allowance Money // what it could have cost
	At        time.Time
}

// Paused returns why the run goes no further, if it is paused: what was submitted goes on,
// and nothing more is.
func (r *Run) Paused() (Pause, bool) {
	if r.paused == nil || r.Ended() || r.cancel != nil {
		return Pause{}, false
	}
	return *r.paused, true
}

// Allowance returns what the run may cost in all; 0: there is no limit.
func (r *Run) Allowance() Money {
	switch {
	case r.allowed > 0:
		return r.allowed
	case r.wf.Budget != nil:
		return r.wf.Budget.Max
	}
	return 0
}

// Allow returns the event by which somebody lets the run cost more: max in all, or, with 0,
// its budget once more on top of what it has cost. No event: there is no budget. An error
// says that it has cost max already.
func (r *Run) Allow(max Money) ([]Event, error) {
	spent := r.Spent()
	switch {
	case max > 0 && spent >= max:
		return nil, fmt.Errorf("the run has cost %s already, which is not less than %s", spent, max)
	case max > 0:
	case r.wf.Budget == nil || r.wf.Budget.Max <= 0:
		return nil, nil
	case r.paused == nil && spent <= r.Allowance():
		return nil, nil
	default:
		max = spent + r.wf.Budget.Max
	}
	return []Event{{Kind: RunResumed, Reason: "may cost " + max.String(), Allowance: max}}, nil
}

// allow lets the run go on.
func (r *Run) allow(e *Event) {
	r.allowed = e.Allowance
	if r.paused != nil && e.At.After(r.paused.At) {
		rest := e.At.Sub(r.paused.At)
		r.opened = r.opened.Add(rest) // a run that is paused is not late
		for _, s := range r.steps {
			if s.waits() {
				s.gate.since = s.gate.since.Add(rest) // nobody looked
			}
		}
	}
	r.paused = nil
}

// overBudget says that the run has cost more than it may; "" as long as it has not.
func (r *Run) overBudget() (reason string, spent Money) {
	allowed := r.Allowance()
	if allowed == 0 {
		return "", 0
	}
	if spent = r.Spent(); spent <= allowed {
		return "", spent
	}
	text := spent.String()
	if text == allowed.String() { // over it by less than what is shown
		text = spent.exact()
	}
	return fmt.Sprintf("spent %s of the budget of %s", text, allowed), spent
}

// budgetCancels decides whether the run is to be cancelled by its budget.
func (d *decision) budgetCancels() bool {
	if d.wf.Budget == nil || !d.wf.Budget.Cancel {
		return false
	}
	reason, _ := d.overBudget()
	if reason == "" || !d.goesOn() {
		return false
	}
	d.event(Event{Kind: CancelRequested, Reason: reason, Cause: CauseBudget})
	return true
}

// goesOn reports whether something of the run is in a job, or waits for one.
func (d *decision) goesOn() bool {
	for _, s := range d.steps {
		if s.exp != nil && (s.waiting > 0 || len(s.live) > 0) {
			return true
		}
	}
	return false
}

// frugal reports whether nothing more may be submitted now. A run pauses when there is
// something to submit, and not before: what is the last of it may cost more than is left.
func (d *decision) frugal() bool {
	if d.cancel != nil || d.paused != nil {
		return d.paused != nil && d.cancel == nil
	}
	if d.wf.Budget != nil && d.wf.Budget.Cancel {
		return false
	}
	if !d.reckoned {
		d.over, d.overSpent = d.overBudget()
		d.reckoned = true
	}
	if d.over == "" {
		return false
	}
	d.denied = true
	return true
}

// spentUp reports whether no job may be submitted, not even one that is in doubt: the run
// is paused, or is to be.
func (r *Run) spentUp() bool {
	if r.paused != nil {
		return true
	}
	reason, _ := r.overBudget()
	return reason != ""
}

// pauses decides whether the run is paused: it is over its budget, and something would have
// been submitted.
func (d *decision) pauses() {
	if d.denied && d.paused == nil {
		d.event(Event{Kind: RunPaused, Reason: d.over, Spent: d.overSpent})
	}
}

// Rests reports whether the run is paused and nothing of it is in a job any more, so that
// there is nothing to do until somebody lets it go on. A run all of whose steps have ended,
// since what was left of it was skipped, has its end still to come.
func (r *Run) Rests() bool {
	if _, paused := r.Paused(); !paused || r.WantsConclusion() {
		return false
	}
	for _, j := range r.liveJobs() {
		if j.state != jobOver {
			return false
		}
	}
	return true
}
