package view

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"flow/engine"
)

// A Run is what is shown of a run: a copy, taken at one moment.
type Run struct {
	ID       string
	Workflow string
	Status   engine.Status
	Note     string // "cancelling", ...
	Created  time.Time
	Steps    []engine.StepStatus // source order
}

// Counts returns the run's tasks by status; of steps whose size is not known, none.
func (r *Run) Counts() Counts {
	var sum Counts
	for i := range r.Steps {
		for st, n := range r.Steps[i].Counts {
			sum[st] += n
		}
	}
	return sum
}

// A Progress draws a run that goes on. It remembers how fast its steps were.
type Progress struct {
	meters map[engine.StepName]*meter
}

// NewProgress returns a Progress that has seen nothing.
func NewProgress() *Progress { return &Progress{meters: map[engine.StepName]*meter{}} }

// A meter holds how many tasks of a step had run at some moments of the last minute.
type meter struct {
	at   []time.Time
	done []int
}

// window is the time over which a rate is measured.
const window = time.Minute

// measure notes that done tasks had ended at now, and returns the rate, per second.
func (m *meter) measure(now time.Time, done int) float64 {
	if n := len(m.at); n == 0 || now.Sub(m.at[n-1]) >= time.Second {
		m.at, m.done = append(m.at, now), append(m.done, done)
	}
	for len(m.at) > 2 && now.Sub(m.at[0]) > window {
		m.at, m.done = m.at[1:], m.done[1:]
	}
	if past := now.Sub(m.at[0]); past >= time.Second {
		return float64(done-m.done[0]) / past.Seconds()
	}
	return 0
}

// Observe notes where the run is. Frame must be asked after it, with the same time.
func (p *Progress) observe(s *engine.StepStatus, now time.Time) (rate float64) {
	ran := s.Counts[engine.Succeeded] + s.Counts[engine.Failed]
	if s.Status != engine.Running || s.Size < 2 {
		return 0
	}
	m := p.meters[s.Step.Name]
	if m == nil {
		m = &meter{}
		p.meters[s.Step.Name] = m
	}
	return m.measure(now, ran)
}

// Frame returns the lines that show r at now: a head, one line a step, and what did not
// fit into the height of the terminal as one line at the end.
func (p *Progress) Frame(r *Run, now time.Time, term Term) []string {
	s := term.Style
	columns := term.Columns()
	if columns > 0 {
		columns-- // the last column makes some terminals wrap
	}
	status := r.Status.String()
	if r.Note != "" {
		status = strings.ToUpper(r.Note)
	}
	lines := []string{fmt.Sprintf("%s  %s  %s  %s", s.Bold(Clean(r.Workflow)), s.Dim(r.ID), s.ByStatus(r.Status, status), Duration(now.Sub(r.Created)))}
	names := 4
	for i := range r.Steps {
		names = max(names, min(Width(string(r.Steps[i].Step.Name)), 32))
	}
	shown, hidden := fit(r.Steps, term.Height-3)
	for _, i := range shown {
		lines = append(lines, p.stepLine(&r.Steps[i], now, s, names))
	}
	for i := range r.Steps { // the rate of a step that is not shown is measured as well
		p.observe(&r.Steps[i], now)
	}
	if len(hidden) > 0 {
		by := map[engine.Status]int{}
		for _, i := range hidden {
			by[r.Steps[i].Status]++
		}
		var c Counts
		for st, n := range by {
			c[st] = n
		}
		lines = append(lines, s.Dim("  … "+Plural(len(hidden), "more step")+": ")+c.Words(s))
	}
	if columns > 0 {
		for i := range lines {
			lines[i] = Cut(lines[i], columns)
		}
	}
	return lines
}

// fit chooses which of the steps are shown if only so many lines fit: those that run or
// failed, then those that come next, then those that ended last.
func fit(steps []engine.StepStatus, lines int) (shown, hidden []int) {
	all := make([]int, len(steps))
	for i := range steps {
		all[i] = i
	}
	if lines <= 0 || len(steps) <= lines {
		return all, nil
	}
	lines-- // for the line about the rest
	chosen := make([]bool, len(steps))
	take := func(i int, when bool) {
		if when && !chosen[i] && lines > 0 {
			chosen[i] = true
			lines--
		}
	}
	for i := range steps {
		take(i, steps[i].Status == engine.Running)
	}
	for i := range steps {
		take(i, steps[i].Status == engine.Failed)
	}
	next := lines / 2
	for i := range steps {
		if steps[i].Status == engine.Pending && next > 0 {
			take(i, true)
			next--
		}
	}
	for i := len(steps) - 1; i >= 0; i-- {
		take(i, steps[i].Status.Ended())
	}
	for i := range steps {
		take(i, true)
	}
	for i, yes := range chosen {
		if yes {
			shown = append(shown, i)
		} else {
			hidden = append(hidden, i)
		}
	}
	return shown, hidden
}

// stepLine draws one step: status, name, how many of how many, what is worth a word,
// rate and time left.
func (p *Progress) stepLine(v *engine.StepStatus, now time.Time, s Style, names int) string {
	c := Counts(v.Counts)
	var b strings.Builder
	fmt.Fprintf(&b, "  %s  %s", s.ByStatus(v.Status, Pad(v.Status.String(), 9, false)), Pad(Cut(string(v.Step.Name), names), names, false))
	switch {
	case v.Size < 0:
		b.WriteString("  " + s.Dim("waits"))
	case v.Step.FanOut:
		b.WriteString("  " + bar(c, s) + " " + Pad(Count(c.OK())+"/"+Count(v.Size), 11, true))
	}
	for _, st := range []engine.Status{engine.Failed, engine.Running, engine.Skipped, engine.Cancelled, engine.Cached} {
		if v.Step.FanOut && c[st] > 0 {
			b.WriteString("  " + s.ByStatus(st, Count(c[st])+" "+word[st]))
		}
	}
	if v.Reason != "" && v.Status.Ended() && !v.Status.OK() {
		b.WriteString("  " + s.Dim(Reason(v.Reason)))
	}
	if rate := p.observe(v, now); rate > 0 {
		b.WriteString("  " + s.Dim(Rate(rate)))
		if left := v.Size - c.Done(); left > 0 {
			b.WriteString("  " + s.Dim(timeLeft(float64(left)/rate)+" left"))
		}
	} else if d := elapsed(v, now); d > 0 {
		b.WriteString("  " + s.Dim(Duration(d)))
	}
	return b.String()
}

// timeLeft writes an estimate in seconds, which is never more exact than that.
func timeLeft(seconds float64) string {
	if seconds < 60 {
		return strconv.Itoa(max(1, int(seconds+0.5))) + "s"
	}
	return Duration(time.Duration(min(seconds, 1e9)) * time.Second)
}

// elapsed returns how long a step has run; 0 if it has not.
func elapsed(v *engine.StepStatus, now time.Time) time.Duration {
	switch {
	case v.Started.IsZero() || v.Status == engine.Pending || v.Status == engine.Cached || v.Status == engine.Skipped:
		return 0
	case v.Ended.IsZero():
		return now.Sub(v.Started)
	}
	return v.Ended.Sub(v.Started)
}

// barCells is how wide the bar of a fan-out is.
const barCells = 16

// bar draws the tasks of a fan-out: done, failed, running and the rest.
func bar(c Counts, s Style) string {
	total := c.Total()
	if total == 0 {
		return s.Dim(strings.Repeat("·", barCells))
	}
	cells := func(n int) int {
		if n == 0 {
			return 0
		}
		return max(1, n*barCells/total)
	}
	failed := cells(c[engine.Failed])
	running := min(cells(c[engine.Running]), barCells-failed)
	ended := min(c.Done()*barCells/total, barCells-running)
	ok := max(ended-failed, 0)
	rest := max(barCells-ok-failed-running, 0)
	return s.Green(strings.Repeat("█", ok)) + s.Red(strings.Repeat("█", failed)) + s.Blue(strings.Repeat("▒", running)) + s.Dim(strings.Repeat("·", rest))
}
