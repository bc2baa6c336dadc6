package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/batch/diagnose"
	"flow/executor/local"
	"flow/executor/local/model"
)

// The causes why a task of the embedded executor waits; the others are of AWS Batch.
const (
	causeNoRoom   diagnose.Cause = "busy"
	causeOthers   diagnose.Cause = "dependencies"
	causeUndriven diagnose.Cause = "undriven"
)

// explainWait adds why the last job of a task, which has not ended, does not run. found is
// what AWS Batch said of it.
func (a *app) explainWait(ctx context.Context, p *past, t *engine.TaskStatus, found []engine.Job, e *explanation) {
	id := jobOf(t)
	if len(found) == 0 {
		if t.Child < 0 {
			return // it is told already
		}
		id = t.Job // of an array that waits there are no children yet
	} else if found[0].Status >= engine.JobRunning {
		return
	}
	c, err := a.cloudOf(ctx, p)
	if err != nil {
		e.Unseen = append(e.Unseen, firstLineOf(err))
		return
	}
	defer c.Close()
	facts, notes, err := diagnose.Gather(ctx, c, string(id))
	switch {
	case errors.Is(err, diagnose.ErrUnknown):
		return
	case err != nil:
		e.Note = firstLineOf(err)
		return
	}
	if facts.Job.Status.Ended() {
		return // meanwhile
	}
	e.Unseen = append(e.Unseen, notes...)
	e.Findings = diagnose.Diagnose(facts, a.now())
	if len(found) == 0 {
		e.Batch = &batchJobJSON{ID: facts.Job.ID, Status: facts.Job.Status.String(), Reason: facts.Job.Reason}
		if facts.Queue != nil {
			e.Batch.Queue = facts.Queue.Name
		}
	}
}

// explainHere adds to an explanation of a run on this machine the last lines of a task's log,
// or what it waits for.
func (a *app) explainHere(ctx context.Context, p *past, step engine.StepName, i int, e *explanation) {
	t := p.run.Task(step, i)
	switch {
	case t.Status == engine.Failed:
		e.LastLog = logTailOf(hereDir(p.home(), t.Dir), logTail)
	case t.Status == engine.Pending && t.Job != "" && !p.run.Ended():
		if f := a.waitsHere(ctx, p, &t); f != nil {
			e.Findings = []diagnose.Finding{*f}
		}
	}
}

// waitsHere says what a task waits for whose job the embedded executor has: a driver, what
// it depends on, or room.
func (a *app) waitsHere(ctx context.Context, p *past, t *engine.TaskStatus) *diagnose.Finding {
	if p.holder(ctx) == nil {
		return &diagnose.Finding{
			Cause: causeUndriven, Sure: true, Text: "nobody drives the run: it was interrupted",
			Fix: []string{"Go on: flow resume " + string(p.run.ID()) + "."},
		}
	}
	if waits := dependsHere(p.run, t); len(waits) > 0 {
		return &diagnose.Finding{Cause: causeOthers, Sure: true, Text: "it waits for what it depends on: " + strings.Join(waits, ", ")}
	}
	if f := scarceHere(p.run, t); f != nil {
		return f
	}
	if f := poolHere(ctx, p, t); f != nil {
		return f
	}
	return roomHere(p, t)
}

// scarceHere says which consumable resource a task waits for. nil: none.
func scarceHere(run *engine.Run, t *engine.TaskStatus) *diagnose.Finding {
	spec := run.Spec(t.Step, t.Index)
	if spec == nil {
		return nil
	}
	for _, c := range consumablesHere(run.Workflow()) {
		taken, by := takenHere(run, c)
		for _, n := range spec.Consumables {
			if n.Name() != c.Name || n.Quantity <= c.Total-taken {
				continue
			}
			f := &diagnose.Finding{
				Cause: diagnose.ConsumableGone, Sure: true,
				Text: fmt.Sprintf("it waits for consumable resource %s: it wants %d, and %d of %d are in use", c.Name, n.Quantity, taken, c.Total),
				Fix:  []string{fmt.Sprintf("Wait, or raise total_quantity of consumable_resource %q.", c.Name)},
			}
			if len(by) > 0 {
				f.Evidence = []string{"running: " + strings.Join(by[:min(len(by), namedRunning)], ", ")}
			}
			return f
		}
	}
	return nil
}

// takenHere returns how much of a consumable resource the tasks of a run have, and which
// of them run; of one that does not replenish what all have had that were tried.
func takenHere(run *engine.Run, c model.Consumable) (taken int64, by []string) {
	for _, v := range run.Steps() {
		for i := range max(v.Size, 0) {
			t := run.Task(v.Step.Name, i)
			runs := t.Status == engine.Running
			spec := run.Spec(v.Step.Name, i)
			if spec == nil || !runs && (c.Replenishes || t.Attempts == 0) {
				continue
			}
			for _, n := range spec.Consumables {
				if n.Name() != c.Name {
					continue
				}
				if taken += n.Quantity; runs {
					by = append(by, t.Name)
				}
			}
		}
	}
	return taken, by
}

// dependsHere names the steps that a task depends on and that have not ended.
func dependsHere(run *engine.Run, t *engine.TaskStatus) (waits []string) {
	for _, d := range run.Workflow().Step(t.Step).Deps {
		v := run.StepStatus(d.Step)
		if v.Status.Ended() {
			continue
		}
		if d.Kind == engine.Element && t.Index < v.Size {
			if other := run.Task(d.Step, t.Index); !other.Status.Ended() {
				waits = append(waits, fmt.Sprintf("%s, which is %s", other.Name, other.Status))
			}
			continue
		}
		waits = append(waits, fmt.Sprintf("%s (%s)", d.Step, view.Counts(v.Counts).Words(view.Style{})))
	}
	return waits
}

// namedRunning is how many tasks that run are named.
const namedRunning = 3

// roomHere says what the tasks that run have of this machine. nil: nothing is known of the
// one that waits.
func roomHere(p *past, t *engine.TaskStatus) *diagnose.Finding {
	spec := p.run.Spec(t.Step, t.Index)
	kept, err := paramsOf(p.row)
	if spec == nil || err != nil {
		return nil
	}
	machine := local.Machine(model.Capacity{VCPUs: kept.Machine.VCPUs, MemoryMiB: kept.Machine.MemoryMiB})
	var vcpus float64
	memory, tasks := 0, 0
	var names []string
	for _, v := range p.run.Steps() {
		for i := range p.run.Select(v.Step.Name, engine.Running).All() {
			other := p.run.Task(v.Step.Name, i)
			if tasks++; tasks <= namedRunning {
				names = append(names, other.Name)
			}
			if s := p.run.Spec(v.Step.Name, i); s != nil {
				r := s.ResourcesFor(other.Attempts + 1)
				vcpus, memory = vcpus+r.VCPUs, memory+r.MemoryMiB
			}
		}
	}
	r := spec.ResourcesFor(t.Attempts + 1)
	f := &diagnose.Finding{Cause: causeNoRoom, Sure: tasks > 0}
	switch {
	case tasks == 0:
		f.Text = "it is about to start: nothing of the run is known to run"
		return f
	case min(r.VCPUs, machine.VCPUs)+vcpus > machine.VCPUs:
		f.Text = fmt.Sprintf("%v of the %v vCPUs of this machine are in use, and it asks for %v", vcpus, machine.VCPUs, r.VCPUs)
		f.Fix = []string{"Wait, or ask for less: resources { vcpus = 0.5 }; -vcpus N lets flow use more or fewer of them."}
	case min(r.MemoryMiB, machine.MemoryMiB)+memory > machine.MemoryMiB:
		f.Text = fmt.Sprintf("%d of the %d MiB of memory of this machine are promised to what runs, and it asks for %d", memory, machine.MemoryMiB, r.MemoryMiB)
		f.Fix = []string{"Wait, or ask for less: resources { memory = \"...\" }."}
	default:
		f.Text, f.Sure = "others are before it", false
	}
	line := "running: " + strings.Join(names, ", ")
	if more := tasks - len(names); more > 0 {
		line += fmt.Sprintf(", and %s more", view.Count(more))
	}
	f.Evidence = []string{line}
	return f
}
