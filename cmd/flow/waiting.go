package main

import (
	"fmt"
	"strings"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// A lateJSON says that a run is late, or was when it ended.
type lateJSON struct {
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

func lateData(run *engine.Run, now time.Time) *lateJSON {
	since, why, late := run.Late(now)
	if !late {
		return nil
	}
	return &lateJSON{Since: since, Why: why}
}

// lateText says since when a run is late, and what says so.
func lateText(since time.Time, why string) string {
	text := "late since " + since.UTC().Format(time.RFC3339)
	if why != "" {
		text += ": it " + why
	}
	return view.Clean(text)
}

// A waitingJSON is a step that waits for files.
type waitingJSON struct {
	Step    string          `json:"step"`
	Since   time.Time       `json:"since"`
	Sensors []engine.Sensor `json:"for"`
	Until   []time.Time     `json:"until"` // of each; the zero time: it does not time out
}

func waitingData(run *engine.Run) (out []waitingJSON) {
	for _, g := range run.Waiting() {
		out = append(out, waitingJSON{Step: string(g.Step), Since: g.Since, Sensors: g.Gate.Sensors, Until: g.Until})
	}
	return out
}

// gateText says in a few words how a step waited for files, or waits; "" if it did not.
func gateText(run *engine.Run, step engine.StepName, now time.Time) string {
	g := run.Gate(step)
	switch {
	case g == nil:
		return ""
	case !g.Opened.IsZero():
		return view.Clean(fmt.Sprintf("waited %s until it was there: %s", view.Duration(g.Opened.Sub(g.Since)), g.Seen))
	case !g.Waits:
		return ""
	}
	text := fmt.Sprintf("has waited %s for %s", view.Duration(now.Sub(g.Since)), g.Gate.What())
	var ends []string
	for i, at := range g.Until {
		if !at.IsZero() {
			then := "fails"
			if g.Gate.Sensors[i].Skip {
				then = "is skipped"
			}
			ends = append(ends, fmt.Sprintf("%s at %s", then, at.UTC().Format(time.RFC3339)))
		}
	}
	if len(ends) > 0 {
		text += "; else it " + strings.Join(ends, ", ")
	}
	return view.Clean(text)
}
