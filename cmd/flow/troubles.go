package main

import (
	"slices"

	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// mostTroubles is how many causes of failures of a run that goes on are remembered. Reasons
// may have anything in them, and so there may be as many as tasks.
const mostTroubles = 50

// A troubleList is what went wrong with tasks of a run, by step and cause.
type troubleList struct {
	list  []view.Trouble // by when something was added, the newest last
	ids   []int          // their numbers
	added int            // so far
}

// add takes in tasks that failed for a cause. It returns the number of the trouble, and
// whether it is one that is not known yet.
func (l *troubleList) add(t view.Trouble) (id int, isNew bool) {
	at := slices.IndexFunc(l.list, func(o view.Trouble) bool { return o.Step == t.Step && o.Why == t.Why && o.Retry == t.Retry })
	if at >= 0 {
		t.Tasks, t.Log, id = t.Tasks+l.list[at].Tasks, l.list[at].Log, l.ids[at]
		l.drop(at)
	} else {
		l.added++
		id, isNew = l.added, true
	}
	l.list, l.ids = append(l.list, t), append(l.ids, id)
	if len(l.list) > mostTroubles {
		l.drop(0)
	}
	return id, isNew
}

func (l *troubleList) drop(at int) {
	l.list, l.ids = slices.Delete(l.list, at, at+1), slices.Delete(l.ids, at, at+1)
}

// wrote notes what a task of a trouble wrote at last, if that is not known yet.
func (l *troubleList) wrote(id int, log []string) {
	at := slices.Index(l.ids, id)
	if at < 0 || l.list[at].Log != "" {
		return
	}
	for _, line := range slices.Backward(log) {
		if text := view.CleanLog(line); text != "" {
			l.list[at].Log = text
			return
		}
	}
}

// newest returns the troubles, the newest first; of steps that have ended well, none.
func (l *troubleList) newest(steps []engine.StepStatus) []view.Trouble {
	var list []view.Trouble
	for _, t := range slices.Backward(l.list) {
		over := slices.ContainsFunc(steps, func(v engine.StepStatus) bool {
			return string(v.Step.Name) == t.Step && v.Status.Ended() && t.Retry
		})
		if !over {
			list = append(list, t)
		}
	}
	return list
}

// troublesOf returns why tasks of a run have failed, step by step, the last step first.
func troublesOf(run *engine.Run) []view.Trouble {
	var list []view.Trouble
	for _, v := range slices.Backward(run.Steps()) {
		if v.Counts[engine.Failed] == 0 {
			continue
		}
		for _, g := range runstat.Failures(run, v.Step.Name) {
			list = append(list, view.Trouble{Step: string(v.Step.Name), Task: g.Example, Tasks: g.Tasks, Why: g.Text})
		}
	}
	return list
}
