package engine

import (
	"context"
	"fmt"
	"time"
)

// pace is how often the driver looks at jobs that are far away.
type pace struct {
	interval time.Duration // between looks
	next     time.Time     // when to look again; zero: at once
	news     bool          // this look has seen something change
}

func (d *Driver) poll() time.Duration {
	if d.Poll > 0 {
		return d.Poll
	}
	return 2 * time.Second
}

func (d *Driver) pollMax() time.Duration {
	if d.PollMax > 0 {
		return max(d.PollMax, d.poll())
	}
	return max(time.Minute, d.poll())
}

// patience is how long something may take its time that costs calls to hurry: half a
// minute, at a poll of two seconds.
func (d *Driver) patience() time.Duration { return 15 * d.poll() }

// looked notes that the jobs were looked at: the next look is soon after news, and
// later each time after none.
func (d *Driver) looked() {
	if d.pace.news {
		d.pace.interval = d.poll()
	} else {
		d.pace.interval = min(max(d.pace.interval*3/2, d.poll()), d.pollMax())
	}
	d.pace.news = false
	d.pace.next = d.Clock.Now().Add(d.pace.interval)
}

// quicken brings the next look near, since the driver itself has changed something.
func (d *Driver) quicken() {
	d.pace.interval = d.poll()
	if next := d.Clock.Now().Add(d.pace.interval); next.Before(d.pace.next) {
		d.pace.next = next
	}
}

// wait waits until there may be news, gathering what happens within a short window so
// that many endings share one transaction. Nothing is gathered when nothing runs.
func (d *Driver) wait(ctx context.Context, wake time.Time) error {
	notifier, _ := d.Executor.(Notifier)
	var changed <-chan struct{}
	now := d.Clock.Now()
	until := d.pace.next
	if notifier != nil {
		changed = notifier.Changed()
		until = now.Add(time.Minute)
	}
	if !wake.IsZero() && wake.Before(until) {
		until = wake
	}
	for now.Before(until) && ctx.Err() == nil && len(d.wishes) == 0 {
		left := until.Sub(now)
		if d.Requests != nil {
			left = min(left, requestsEvery)
		}
		if d.Clock.Wait(ctx, left, changed) {
			break
		}
		now = d.Clock.Now()
		if err := d.ask(ctx); err != nil {
			return err
		}
	}
	if notifier != nil && ctx.Err() == nil && !notifier.Idle() {
		if left := d.window - d.Clock.Now().Sub(d.recorded); left > 0 {
			d.Clock.Wait(ctx, left, nil)
		}
	}
	return ctx.Err()
}

const requestsEvery = 250 * time.Millisecond

// requests records what other processes want.
func (d *Driver) requests(ctx context.Context, events *[]Event) error {
	if err := d.ask(ctx); err != nil {
		return err
	}
	for _, w := range d.wishes {
		if w.Kind == "cancel" && d.run.cancel == nil {
			if err := d.apply(events, Event{Kind: CancelRequested, Reason: w.Reason, Cause: CauseUser}); err != nil {
				return err
			}
			d.pace.next = time.Time{} // what runs is to be known now
		}
	}
	d.wishes = nil
	return nil
}

// ask looks for wishes of other processes, if it has not done so just now.
func (d *Driver) ask(ctx context.Context) error {
	now := d.Clock.Now()
	if d.Requests == nil || now.Sub(d.asked) < requestsEvery {
		return nil
	}
	d.asked = now
	wishes, err := d.Requests(ctx)
	if err != nil {
		return fmt.Errorf("reading requests: %w", err)
	}
	d.wishes = append(d.wishes, wishes...)
	return nil
}
