package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Temporary outputs are removed when nobody needs them any more: all steps that read them
// have ended well. That nobody does is recorded before anything is removed, so that whoever
// comes later never counts on files that may be half gone; and that they are gone, after.
// Whatever has to run and reads them makes the tasks run again that left them.

// temporary returns the names of the outputs of s that are temporary.
func (s *stepState) temporary() (names []string) {
	if s.exp == nil || len(s.exp.Groups) == 0 { // what is temporary does not differ between tasks
		return nil
	}
	for _, o := range s.exp.Groups[0].Outputs {
		if o.Temporary {
			names = append(names, o.Name)
		}
	}
	return names
}

// reads reports whether one of the outputs with these names is read through d.
func (d *Dep) reads(names []string) bool {
	if len(names) == 0 || d.Need == NeedOrder {
		return false
	}
	return d.Outputs == nil || slices.ContainsFunc(d.Outputs, func(n string) bool { return slices.Contains(names, n) })
}

// discarding decides what is to be removed, and reports whether something is left to be.
func (d *decision) discarding() (some bool) {
	for _, s := range d.order {
		d.unneeded(s)
		if len(s.unneeded) > 0 {
			some = true
			d.Commands = append(d.Commands, Command{Op: Discard, Step: s.Name})
		}
	}
	return some
}

// unneeded decides whether the temporary outputs of s are to be removed.
func (d *decision) unneeded(s *stepState) {
	if !d.discards || s.status != Succeeded || d.cancel != nil {
		return
	}
	names := s.temporary()
	if len(names) == 0 {
		return
	}
	if read, over := s.readers(names); !read || !over { // if nobody reads them, nobody has said that they may go
		return
	}
	var tasks Ranges
	for i, t := range s.task {
		if t == Succeeded && !s.gone.Contains(i) {
			tasks = tasks.Add(i)
		}
	}
	if len(tasks) > 0 {
		d.event(Event{Kind: OutputsUnneeded, Step: s.Name, Tasks: tasks})
	}
}

// readers reports whether steps read outputs of s with these names, and whether all of them
// have ended well and will not run again: those of whose own results files are gone may,
// for who reads these.
func (s *stepState) readers(names []string) (some, over bool) {
	for _, next := range s.next {
		reads := slices.ContainsFunc(next.deps, func(dep depState) bool { return dep.stepState == s && dep.reads(names) })
		if !reads {
			continue
		}
		some = true
		if !next.status.OK() && !next.benign() {
			return true, false
		}
		if len(next.gone) > 0 {
			if _, over := next.readers(next.temporary()); !over {
				return true, false
			}
		}
	}
	return some, true
}

// with returns the indices of r and o.
func (r Ranges) with(o Ranges) (out Ranges) {
	for len(r) > 0 || len(o) > 0 {
		if len(o) == 0 || len(r) > 0 && r[0].From <= o[0].From {
			r, o = o, r
		}
		switch n := len(out); {
		case n > 0 && o[0].From <= out[n-1].To+1:
			out[n-1].To = max(out[n-1].To, o[0].To)
		default:
			out = append(out, o[0])
		}
		o = o[1:]
	}
	return out
}

// without returns r without the elements of o.
func (r Ranges) without(o Ranges) (out Ranges) {
	if len(r) == 0 || len(o) == 0 {
		return r
	}
	for i := range r.All() {
		if !o.Contains(i) {
			out = out.Add(i)
		}
	}
	return out
}

// refetch makes tasks run again whose temporary outputs are gone, if tasks that can be
// planned now read them. It reports whether there are any.
func (w *wave) refetch() (some bool) {
	s := w.s
	for k := range s.deps {
		dep := &s.deps[k]
		if len(dep.gone) == 0 || !dep.reads(dep.temporary()) {
			continue
		}
		need := dep.gone
		if dep.Kind == Element {
			need = nil
			for i := range dep.gone.All() {
				if slices.ContainsFunc(w.parts, func(p *part) bool { return p.tasks.Contains(i) }) {
					need = need.Add(i)
				}
			}
		}
		if len(need) > 0 {
			w.d.event(Event{Kind: TasksReset, Step: dep.Name, Tasks: need,
				Reason: fmt.Sprintf("its temporary files are gone, and step %s needs them", s.Name)})
			some = true
		}
	}
	return some
}

// An againReason is why tasks run again that had a result.
type againReason struct {
	tasks  Ranges
	reason string
}

// whyAgain returns why task i ran again, or is to, though its result was known; "" if it did not.
func (s *stepState) whyAgain(i int) string {
	for _, a := range slices.Backward(s.again) {
		if a.tasks.Contains(i) {
			return a.reason
		}
	}
	return ""
}

// discardsAtOnce is how many results are removed from together, before the driver looks
// whether somebody wants something of it.
const discardsAtOnce = 100

// discard removes the temporary outputs of steps that are unneeded. What cannot be removed
// is left to whoever cleans up, and told: it keeps no run from ending.
func (d *Driver) discard(ctx context.Context, name StepName, until time.Time) error {
	s := d.run.step(name)
	files, ok := d.Files.(Discarder)
	if !ok {
		return d.record(ctx, Event{Kind: OutputsDiscarded, Step: name, Tasks: s.unneeded, Reason: "they cannot be removed here"})
	}
	var failed error
	names := s.temporary()
	for left := s.unneeded; len(left) > 0; {
		part := left.First(discardsAtOnce)
		left = left.After(part[len(part)-1].To)
		var dirs []string
		for i := range part.All() {
			dirs = append(dirs, d.run.ownDir(s, i))
		}
		err := discardAll(ctx, files, dirs, names)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed = errors.Join(failed, err)
		if stop, err := d.stops(ctx, until); len(left) > 0 && (stop || err != nil) {
			d.wakeAt(d.Clock.Now())
			return errors.Join(err, d.discarded(ctx, name, s.unneeded.without(left), failed))
		}
	}
	return d.discarded(ctx, name, s.unneeded, failed)
}

func (d *Driver) discarded(ctx context.Context, name StepName, tasks Ranges, failed error) error {
	d.wakeAt(d.Clock.Now()) // it may have been the last thing that the run waited for
	e := Event{Kind: OutputsDiscarded, Step: name, Tasks: tasks}
	if failed != nil {
		e.Reason = failed.Error()
		if err := d.noted(ctx, opFiles, fmt.Errorf("temporary files of step %s stay where they are: %w", name, failed)); err != nil {
			return err
		}
	}
	return d.record(ctx, e)
}

// discardAll removes outputs of results, and returns the first error.
func discardAll(ctx context.Context, files Discarder, dirs, outputs []string) (first error) {
	if bulk, ok := files.(BulkDiscarder); ok && len(dirs) > 1 {
		for _, err := range bulk.DiscardAll(ctx, dirs, outputs) {
			if first == nil {
				first = err
			}
		}
		return first
	}
	for _, dir := range dirs {
		if err := files.Discard(ctx, dir, outputs); err != nil && first == nil {
			first = err
		}
	}
	return first
}
