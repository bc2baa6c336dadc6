package main

import (
	"fmt"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/executor/registry"
)

// A pushFollower shows on stderr how far a push is: redrawn in place on a terminal, and
// elsewhere a line at the beginning of what it does, and one now and then.
type pushFollower struct {
	a      *app
	image  string
	screen *view.Screen // nil: no terminal

	phase  string    // what it does
	since  time.Time // that
	last   time.Time // when something was shown
	before int64     // bytes that were sent when it began to send
}

// followPush returns a follower of a push.
func (a *app) followPush(image string) *pushFollower {
	v := &pushFollower{a: a, image: view.Clean(image)}
	if a.errTerm().Live {
		v.screen = view.NewScreen(a.stderr)
	}
	return v
}

// note shows what a person should know.
func (v *pushFollower) note(text string) {
	line := "note: " + view.Clean(text) + "\n"
	switch {
	case v.a.quiet:
	case v.screen != nil:
		v.screen.Print(line, nil)
	default:
		fmt.Fprint(v.a.stderr, line)
	}
}

// progress shows how far the push is. It is called for every few kilobytes.
func (v *pushFollower) progress(p registry.Progress) {
	now := v.a.now()
	phase := "reading"
	if p.Sending {
		phase = "sending to " + v.image
	}
	begins := phase != v.phase
	if begins {
		v.phase, v.since, v.before = phase, now, p.Sent
	}
	every := heartbeatEvery
	if v.screen != nil {
		every = redrawEvery
	}
	if v.a.quiet || !begins && now.Sub(v.last) < every {
		return
	}
	v.last = now
	line := v.line(p, now)
	if begins {
		line = phase
	}
	if v.screen == nil {
		fmt.Fprintln(v.a.stderr, line)
		return
	}
	if columns := v.a.errTerm().Columns(); columns > 0 {
		line = view.Cut(line, columns-1)
	}
	v.screen.Draw([]string{line})
}

// line is how far the push is at a moment.
func (v *pushFollower) line(p registry.Progress, now time.Time) string {
	line, done := v.phase, p.Read
	if p.Sending {
		done = p.Sent - v.before
		if p.Total > 0 {
			line += ": " + view.Bytes(p.There) + " of " + view.Bytes(p.Total)
		}
	} else if p.Read > 0 {
		line += ": " + view.Bytes(p.Read)
	}
	if past := now.Sub(v.since); past >= time.Second && done > 0 {
		line += ", " + view.Bytes(int64(float64(done)/past.Seconds())) + "/s"
	}
	return line
}

// end takes the last line away.
func (v *pushFollower) end() {
	if v.screen != nil {
		v.screen.Draw(nil)
	}
}
