package engine

import (
	"context"
	"slices"
	"time"
)

// actFor is how long the driver acts before it looks again: commands are level-triggered,
// and what was left comes again.
const actFor = time.Second

// act carries out commands: it ends jobs first, then looks for those in doubt, then
// submits, removes what nobody needs, and concludes.
func (d *Driver) act(ctx context.Context, commands []Command) error {
	until := d.Clock.Now().Add(actFor)
	var submits []int
	var finds []Command
	var discards, probes []StepName
	sweep, conclude := false, false
	for _, c := range commands {
		switch c.Op {
		case Submit:
			submits = append(submits, c.Job)
		case Find:
			finds = append(finds, c)
		case Survey:
			if err := d.survey(ctx, c.Step); err != nil {
				return err
			}
		case Sweep:
			sweep = true
		case Conclude:
			conclude = true
		case Probe:
			probes = append(probes, c.Step)
		case Discard:
			discards = append(discards, c.Step)
		case Terminate:
			if stop, err := d.stops(ctx, until); stop || err != nil {
				d.wakeAt(d.Clock.Now())
				return err
			}
			d.terminate(ctx, d.run.jobs[c.Job-1].id, c.Reason)
		}
	}
	again, err := d.resolve(ctx, finds)
	if err != nil {
		return err
	}
	if len(again) > 0 {
		submits = append(submits, again...)
		slices.Sort(submits)
	}
	if err := d.submitAll(ctx, submits, until); err != nil {
		return err
	}
	if err := d.probe(ctx, probes, until); err != nil {
		return err
	}
	for _, name := range discards {
		if err := d.discard(ctx, name, until); err != nil {
			return err
		}
	}
	if err := d.sweepIfDue(ctx, sweep); err != nil {
		return err
	}
	if conclude {
		events, err := d.conclude(ctx)
		if err != nil {
			return err
		}
		return d.record(ctx, events...)
	}
	return nil
}

// stops reports whether the driver is to look again before it acts any further: another
// process wants something, it has acted for long enough, or it is to stop.
func (d *Driver) stops(ctx context.Context, until time.Time) (bool, error) {
	if err := d.ask(ctx); err != nil {
		return true, err
	}
	return ctx.Err() != nil || len(d.wishes) > 0 || !d.Clock.Now().Before(until), nil
}

// terminate asks for the end of a job, and again only if that was long ago or failed.
func (d *Driver) terminate(ctx context.Context, id JobID, reason string) {
	now := d.Clock.Now()
	if again, ok := d.terminated[id]; ok && now.Before(again) {
		d.wakeAt(again)
		return
	}
	err := d.Executor.Terminate(ctx, id, reason)
	if d.noted(ctx, opTerminate, err) != nil {
		return
	}
	again := now.Add(terminateAgain)
	if err != nil { // no answer
		again = now.Add(d.poll())
	}
	d.terminated[id] = again
	d.wakeAt(again)
	d.quicken()
}

// terminateAgain is how long a job may take to end before it is asked to once more.
const terminateAgain = 30 * time.Second
