package view

import (
	"fmt"
	"strings"
	"time"

	"flow/engine"
)

// Changes returns a line for each step whose state differs between two moments of a run,
// for whoever reads along without a terminal. before may be nil.
func Changes(before, after *Run, now time.Time) []string {
	var lines []string
	for i := range after.Steps {
		v := &after.Steps[i]
		was := engine.Pending
		if before != nil && i < len(before.Steps) {
			was = before.Steps[i].Status
		}
		if v.Status != was {
			lines = append(lines, Stamp(now)+" "+changeText(v))
		}
	}
	return lines
}

// Stamp writes a moment the way every line of the plain output begins.
func Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func changeText(v *engine.StepStatus) string {
	c := Counts(v.Counts)
	text := fmt.Sprintf("%s %s", v.Step.Name, v.Status)
	switch {
	case v.Status == engine.Running && v.Step.FanOut:
		text += " " + Plural(v.Size, "task")
	case v.Status.Ended() && v.Step.FanOut && v.Size > 0:
		text += " " + c.Words(Style{})
	}
	if d := elapsed(v, v.Ended); v.Status.Ended() && d > 0 {
		text += " after " + Duration(d)
	}
	if v.Reason != "" && !v.Status.OK() {
		text += ": " + Reason(v.Reason)
	}
	return text
}

// Heartbeat returns the line that says where a run is although nothing has changed.
func Heartbeat(r *Run, now time.Time) string {
	var parts []string
	for i := range r.Steps {
		v := &r.Steps[i]
		if v.Status != engine.Running {
			continue
		}
		part := string(v.Step.Name)
		if v.Step.FanOut {
			c := Counts(v.Counts)
			part = fmt.Sprintf("%s %s/%s done", v.Step.Name, Count(c.Done()), Count(v.Size))
			for _, st := range []engine.Status{engine.Failed, engine.Running} {
				if c[st] > 0 {
					part += fmt.Sprintf(", %s %s", Count(c[st]), word[st])
				}
			}
		}
		parts = append(parts, part)
		if len(parts) == 10 {
			break
		}
	}
	text := "waiting"
	if len(parts) > 0 {
		text = strings.Join(parts, "; ")
	}
	return fmt.Sprintf("%s %s, %s", Stamp(now), text, Duration(now.Sub(r.Created)))
}
