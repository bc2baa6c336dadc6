package infra

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A waiter looks at environments or queues again and again, and has each get what is next
// for it, until all are done.
type waiter struct {
	*Manager
	kind  Kind
	names []string // that are not done
	state map[string]*progress
}

func (m *Manager) waiting(kind Kind) *waiter {
	return &waiter{Manager: m, kind: kind, state: map[string]*progress{}}
}

func (w *waiter) add(name string) {
	now := w.o.Now()
	w.names = append(w.names, name)
	w.state[name] = &progress{since: now, told: now}
}

// loop calls next with each as it is now, nil if it is not there, until it says "": done.
// What it says else is what is waited for.
func (w *waiter) loop(ctx context.Context, next func(ctx context.Context, name string, t *thing) (string, error)) error {
	for len(w.names) > 0 {
		found, err := w.look(ctx, w.kind, w.names)
		if err != nil {
			return err
		}
		for _, name := range slices.Clone(w.names) {
			doing, err := next(ctx, name, found.get(w.kind, name))
			if err != nil {
				return err
			}
			if doing == "" {
				w.names = slices.DeleteFunc(w.names, func(n string) bool { return n == name })
				continue
			}
			if err := w.tired(name, doing); err != nil {
				return err
			}
			w.report(name, doing)
		}
		if len(w.names) == 0 {
			return nil
		}
		if err := w.o.Sleep(ctx, w.o.Poll); err != nil {
			return err
		}
	}
	return nil
}

// tired ends the wait for something that has taken too long.
func (w *waiter) tired(name, doing string) error {
	if w.o.Timeout == 0 || w.o.Now().Sub(w.state[name].since) < w.o.Timeout {
		return nil
	}
	return fmt.Errorf("%s %s: after %s it is still waiting for %s, and waits no longer. AWS goes on with what was begun: see flow infra status, or give it longer with -timeout",
		w.kind, name, w.o.Timeout, doing)
}

// report says what is waited for, when that has changed or some time has passed.
func (w *waiter) report(name, doing string) {
	p, now := w.state[name], w.o.Now()
	if doing == p.doing && now.Sub(p.told) < progressEvery {
		return
	}
	if p.doing = doing; now.Sub(p.since) < progressEvery { // what is quick needs no words
		return
	}
	p.told = now
	w.tell("%s %s: waiting for %s for %s", w.kind, name, doing, now.Sub(p.since).Round(time.Second))
}
