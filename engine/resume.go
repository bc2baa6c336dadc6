package engine

import (
	"fmt"
)

// A Redo says what of an ended run is to run again; see [Run.Redo].
type Redo struct {
	Failed bool     // the tasks that failed, and what was skipped or cancelled because of them
	From   StepName // this step, and all that depends on it
	Only   StepName // this step
}

// Redo returns the events that make parts of the run go again. No events: there is
// nothing to do. An error says what was asked for that is not there.
func (r *Run) Redo(o Redo) ([]Event, error) {
	var events []Event
	switch {
	case o.From != "", o.Only != "":
		name := o.From
		if name == "" {
			name = o.Only
		}
		s := r.step(name)
		if s == nil {
			return nil, fmt.Errorf("workflow %s has no step %q: %w", r.wf.Name, name, ErrNotFound)
		}
		again := []*Step{s.Step}
		if o.From != "" {
			again = append(again, r.graph.After(name)...)
		}
		for _, a := range again {
			if st := r.step(a.Name); st.exp != nil || st.status.Ended() {
				events = append(events, Event{Kind: StepReset, Step: a.Name, Reason: "asked for", NoCache: true})
			}
		}
	case o.Failed:
		events = r.redoFailed()
	}
	if len(events) == 0 {
		return nil, nil
	}
	for k := range events {
		r.numberOn(&events[k], nil)
	}
	if r.Ended() || r.cancel != nil {
		events = append([]Event{{Kind: RunReopened}}, events...)
	}
	return events, nil
}

// redoFailed makes the failed tasks run again, as they are. A step that was skipped
// because of them is expanded anew if it never was; one that succeeded without them,
// since they were tolerated, has to see them now.
func (r *Run) redoFailed() []Event {
	var events []Event
	again := make([]bool, len(r.steps)) // something of the step runs again
	anew := make([]bool, len(r.steps))  // all of it
	for _, s := range r.order {
		var tasks Ranges
		for _, dep := range s.deps {
			if anew[dep.at] || (again[dep.at] && (dep.Kind == Whole || s.hasAbsent()) && s.status.OK()) {
				anew[s.at] = true
			}
		}
		switch {
		case s.exp == nil && !s.status.Ended():
			continue
		case s.exp == nil && s.benign() && !anew[s.at]: // what it waited for did not come
			continue
		case s.exp == nil, s.hasAbsent() && s.status.Ended() && !s.status.OK():
			anew[s.at] = true
		case !anew[s.at]:
			for i, t := range s.task {
				if t == Failed || t == Cancelled || (t == Skipped && !s.benignTask(i)) {
					tasks = tasks.Add(i)
				}
			}
		}
		if len(tasks) == 0 && s.status.Ended() && !s.status.OK() && !s.benign() {
			anew[s.at] = true // none of its tasks would have run, but it waited in vain
		}
		switch {
		case anew[s.at]:
			events = append(events, Event{Kind: StepReset, Step: s.Name, Reason: "what it needs runs again"})
			again[s.at] = true
		case len(tasks) > 0:
			events = append(events, Event{Kind: TasksReset, Step: s.Name, Tasks: tasks})
			again[s.at] = true
		}
	}
	return events
}

// hasAbsent reports whether tasks of s could not be evaluated for lack of a result.
func (s *stepState) hasAbsent() bool {
	if s.exp == nil {
		return false
	}
	for i := range s.exp.Absent.All() {
		if it := s.item(i); it != nil && it.Absent != ReasonWhen {
			return true
		}
	}
	return false
}
