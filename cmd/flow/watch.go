package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// watchEvery is how often flow status -watch looks where there is no terminal.
const watchEvery = time.Second

// watchRun shows a run until it ends: its steps, or the tasks of one, again and again on a
// terminal, in place; elsewhere the changes. At the end it shows the page about it.
func (c *statusCommand) watchRun(ctx context.Context, past *past, t target) error {
	w := &watcher{c: c, past: past, target: t, looked: c.now(), every: watchEvery}
	if c.outTerm().Live && !c.asJSON() {
		w.screen, w.progress, w.every = view.NewScreen(c.stdout), view.NewProgress(), redrawEvery
	}
	for {
		if err := w.show(ctx); err != nil {
			return err
		}
		if past.run.Ended() {
			break
		}
		select {
		case <-ctx.Done():
			return exit(exitInterrupted)
		case <-time.After(w.every):
		}
		if err := w.next(ctx); err != nil {
			return err
		}
	}
	if w.screen == nil {
		return c.show(ctx, c.stdout, past, t, c.outTerm())
	}
	var page strings.Builder
	err := c.show(ctx, &page, past, t, c.outTerm())
	w.screen.Print(page.String(), nil)
	return err
}

// A watcher shows a run, or the tasks of a step, while it goes on.
type watcher struct {
	c        *statusCommand
	past     *past
	target   target
	every    time.Duration
	looked   time.Time      // when AWS Batch was looked at
	screen   *view.Screen   // nil: no terminal
	progress *view.Progress // likewise
	seen     *view.Run      // whose changes were printed
	drawn    *view.Run      // as it is on the screen
	seq      int64          // of the last event in it
}

// next takes in what has happened since.
func (w *watcher) next(ctx context.Context) error {
	if now := w.c.now(); !w.c.noLook && now.Sub(w.looked) >= lookEvery {
		w.looked = now
		w.c.lookNow(ctx, w.past)
		w.drawn = nil
		return nil
	}
	return w.past.refresh(ctx)
}

func (w *watcher) show(ctx context.Context) error {
	c := w.c
	switch {
	case c.asJSON():
		return nil
	case w.screen == nil:
		now := &view.Run{Steps: w.past.run.Steps()}
		for _, line := range view.Changes(w.seen, now, c.now()) {
			if _, err := fmt.Fprintln(c.stdout, line); err != nil {
				return err
			}
		}
		w.seen = now
		return nil
	}
	term := c.outTerm() // now: a window may have another size
	w.screen.Fit(term)
	if w.target.step == "" {
		w.screen.Draw(w.progress.Frame(w.run(), c.now(), term))
		return nil
	}
	var text strings.Builder
	if err := c.show(ctx, &text, w.past, w.target, term); err != nil {
		return err
	}
	w.screen.Draw(fitted(text.String(), term))
	return nil
}

// run returns what is shown of the run, made anew when something has happened.
func (w *watcher) run() *view.Run {
	run := w.past.run
	if w.drawn == nil || w.seq != run.Seq() {
		created, _ := run.Times()
		w.seq = run.Seq()
		w.drawn = &view.Run{
			ID: string(run.ID()), Workflow: run.Workflow().Name, Status: run.Status(), Created: created,
			Steps: run.Steps(), Waits: waitsOf(run, w.c.now()), Troubles: troublesOf(run),
		}
	}
	w.drawn.Note = w.c.note
	if note := runNote(run, w.c.now()); note != "" {
		w.drawn.Note = note
	}
	return w.drawn
}

// runNote says what is special about how a run goes on; "" if nothing is.
func runNote(run *engine.Run, now time.Time) string {
	if _, cancelling := run.Cancelling(); cancelling && !run.Ended() {
		return "cancelling"
	}
	if p, paused := run.Paused(); paused {
		return "paused: " + p.Reason
	}
	if since, why, late := run.Late(now); late && !run.Ended() {
		return lateText(since, why)
	}
	return ""
}

// waitsOf says why each step waits that is not handed over.
func waitsOf(run *engine.Run, now time.Time) map[engine.StepName]string {
	waits := map[engine.StepName]string{}
	if run.Ended() {
		return waits
	}
	for _, h := range run.Holds(now) {
		waits[h.Step] = h.Hold.Reason
	}
	return waits
}

// fitted cuts text to what a screen holds.
func fitted(text string, term view.Term) []string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if term.Height > 2 && len(lines) > term.Height-1 {
		lines = lines[:term.Height-1]
	}
	for i := range lines {
		lines[i] = view.Cut(lines[i], max(term.Columns()-1, 1))
	}
	return lines
}
