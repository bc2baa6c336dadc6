package view

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"flow/engine"
)

// mostTroubles is how many causes of failures are shown below the steps.
const mostTroubles = 5

// Frame returns the lines that show r at now: a head, a line for each step, one for all of
// them, and below the newest troubles. Of what does not fit into the height of the terminal
// it says how much that is. No line is wider than the terminal.
func (p *Progress) Frame(r *Run, now time.Time, term Term) []string {
	s := term.Style
	status := s.Bold(s.Status(r.Status))
	if r.Note != "" {
		status += ", " + s.Yellow(Clean(r.Note))
	}
	lines := []string{fmt.Sprintf("%s  %s  %s  %s", s.Bold(Clean(r.Workflow)), s.Dim(r.ID), status, Duration(now.Sub(r.Created)))}
	steps, troubles := room(r, term.Height)
	shown, hidden := fit(r.Steps, steps)
	lines = append(lines, p.table(r, shown, hidden, now, term)...)
	lines = append(lines, troubleLines(r.Troubles, troubles, s)...)
	if term.Height > 1 && len(lines) > term.Height-1 {
		lines = lines[:term.Height-1]
	}
	if columns := usable(term); columns > 0 {
		for i := range lines {
			lines[i] = Cut(lines[i], columns)
		}
	}
	return lines
}

// usable is how many columns a line of a frame takes at most; 0: as many as it likes.
func usable(term Term) int {
	if columns := term.Columns(); columns > 0 {
		return max(columns-1, 1) // the last column makes some terminals wrap
	}
	return 0
}

// room says how many lines of a screen the steps get and how many the troubles; 0 steps:
// as many as there are. The head takes one, the line for all steps another, and the cursor
// stands on the last.
func room(r *Run, height int) (steps, troubles int) {
	for i := range r.Troubles[:min(len(r.Troubles), mostTroubles)] {
		troubles++
		if r.Troubles[i].Log != "" {
			troubles++
		}
	}
	if height <= 0 {
		return 0, troubles
	}
	left := max(height-3, 1)
	if len(r.Steps)+troubles > left {
		troubles = min(troubles, max(left/3, left-len(r.Steps)))
	}
	return max(left-troubles, 1), troubles
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

// A row is a line of the table of steps.
type row struct {
	word, name string
	bar        Counts // of a fan-out
	count      string // 409/1,000
	failed     string
	running    string
	other      string
	rate, took string
	left       string
	note       string
}

// table returns a line for each step that is shown, one about those that are not, and one
// for the run.
func (p *Progress) table(r *Run, shown, hidden []int, now time.Time, term Term) []string {
	s := term.Style
	rows := make([]row, 0, len(shown)+1)
	all := p.total(r, now, s)
	rates := make([]float64, len(r.Steps))
	for i := range r.Steps { // the rate of a step that is not shown is measured as well
		rates[i] = p.observe(&r.Steps[i], now)
	}
	for _, i := range shown {
		v := &r.Steps[i]
		rows = append(rows, stepRow(v, rates[i], r.Waits[v.Step.Name], now, s))
	}
	if len(r.Steps) > 1 {
		if strings.HasSuffix(all.count, "+") {
			for i := range rows {
				rows[i].count += " " // digits stand under digits
			}
		}
		rows = append(rows, all)
	}
	lines := layout(rows, usable(term), s)
	if len(hidden) > 0 {
		var c Counts
		for _, i := range hidden {
			c[r.Steps[i].Status]++
		}
		more := s.Dim("  … "+Plural(len(hidden), "more step")+": ") + c.Words(s)
		last := len(lines) - 1
		lines = append(lines[:last:last], more, lines[last])
	}
	return lines
}

// stepRow says of a step: its status, how many of how many tasks have ended, what is worth
// a word, how fast, and how long.
func stepRow(v *engine.StepStatus, rate float64, waits string, now time.Time, s Style) row {
	c := Counts(v.Counts)
	out := row{word: s.ByStatus(v.Status, v.Status.String()), name: Clean(string(v.Step.Name))}
	out.fill(c, s)
	switch {
	case v.Size >= 0:
		out.count = Count(c.Done()) + "/" + Count(v.Size)
		if v.Step.FanOut {
			out.bar = c
		}
	case !v.Status.Ended():
		out.note = s.Dim("waits")
	}
	if waits != "" && v.Status == engine.Pending {
		out.note = s.Dim(Clean(waits))
	}
	if v.Reason != "" && v.Status.Ended() && !v.Status.OK() {
		out.note = s.Dim(Reason(v.Reason))
	}
	if d := elapsed(v, now); d > 0 {
		out.took = s.Dim(Duration(d))
	}
	if rate > 0 {
		out.rate = s.Dim(Rate(rate))
		if left := v.Size - c.Done(); left > 0 {
			out.left = s.Dim(timeLeft(float64(left)/rate) + " left")
		}
	}
	return out
}

// fill sets the counts that are worth a word.
func (out *row) fill(c Counts, s Style) {
	say := func(st engine.Status) string {
		if c[st] == 0 {
			return ""
		}
		return s.ByStatus(st, Count(c[st])+" "+word[st])
	}
	out.failed, out.running = say(engine.Failed), say(engine.Running)
	for _, st := range []engine.Status{engine.Skipped, engine.Cancelled, engine.Cached} {
		if text := say(st); text != "" {
			out.other = strings.TrimPrefix(out.other+", "+text, ", ")
		}
	}
}

// total is the row for all tasks of the run. While the size of a step is not known, there
// are more than it counts, and no time left is told.
func (p *Progress) total(r *Run, now time.Time, s Style) row {
	c := r.Counts()
	out := row{name: s.Bold("total"), bar: c}
	out.fill(c, s)
	out.other = "" // the steps say it
	known := true
	for i := range r.Steps {
		known = known && (r.Steps[i].Size >= 0 || r.Steps[i].Status.Ended())
	}
	out.count = Count(c.Done()) + "/" + Count(c.Total())
	if !known {
		out.count += "+"
	}
	if r.Status != engine.Running {
		return out
	}
	rate := p.whole.measure(now, ran(c))
	out.rate = s.Dim(Rate(rate))
	if left := c.Total() - c.Done(); rate > 0 && left > 0 && known {
		out.left = s.Dim(timeLeft(float64(left)/rate) + " left")
	}
	return out
}

// What a line is made of, from left to right.
const (
	colWord = iota
	colName
	colBar
	colCount
	colFailed
	colRunning
	colOther
	colRate
	colTook
	colLeft
	colNote
	columnCount
)

// spared are the columns that are left out where there is no room, the first ones first.
var spared = [...]int{colTook, colRate, colBar, colOther, colLeft, colRunning, colWord}

const (
	statusWidth = 9  // columns for the word of a status: SUCCEEDED
	longestName = 32 // columns for the name of a step
	leastNote   = 12 // columns for a note behind all others, or it is left out
)

// layout puts rows under one another in columns, for lines of at most limit columns; 0: of
// any width. A column in which nothing stands is left out.
func layout(rows []row, limit int, s Style) []string {
	var cells [columnCount][]string
	for i := range rows {
		r := &rows[i]
		word := Pad(r.word, statusWidth, false)
		for k, text := range [columnCount]string{word, Cut(r.name, longestName), "", r.count, r.failed, r.running, r.other, r.rate, r.took, r.left, r.note} {
			cells[k] = append(cells[k], text)
		}
	}
	drawBars(&cells[colBar], rows, barCells, s)
	if limit > 0 && needs(&cells) > limit {
		drawBars(&cells[colBar], rows, barCells/2, s)
	}
	for _, k := range spared {
		if limit > 0 && needs(&cells) > limit {
			cells[k] = nil
		}
	}
	return joined(&cells, len(rows), limit)
}

// drawBars puts the bar of each row that has one into its cell.
func drawBars(cells *[]string, rows []row, width int, s Style) {
	for i := range rows {
		if (*cells)[i] = ""; rows[i].bar.Total() > 0 {
			(*cells)[i] = bar(rows[i].bar, s, width)
		}
	}
}

// widest returns how wide a column is; 0 if nothing stands in it.
func widest(cells []string) int {
	n := 0
	for _, text := range cells {
		n = max(n, Width(text))
	}
	return n
}

// needs returns how wide a line with all columns is, but for notes, which may be cut.
func needs(cells *[columnCount][]string) int {
	n := 0
	for k := range cells[:colNote] {
		if w := widest(cells[k]); w > 0 {
			n += gap + w
		}
	}
	return n
}

// joined returns the lines. Numbers are aligned to the right; a note stands behind the
// columns, or behind the name of a step of which there are no numbers, if more of it than a
// word has room.
func joined(cells *[columnCount][]string, rows, limit int) []string {
	lines := make([]string, rows)
	begins := make([]string, rows) // with the names
	for k := range cells[:colNote] {
		w := widest(cells[k])
		for i, text := range cells[k] {
			if w > 0 {
				lines[i] += strings.Repeat(" ", gap) + Pad(text, w, k >= colCount && k != colOther)
			}
			if k == colName {
				begins[i] = lines[i]
			}
		}
	}
	for i, note := range cells[colNote] {
		switch {
		case note == "":
		case strings.TrimRight(lines[i], " ") == strings.TrimRight(begins[i], " "):
			lines[i] = begins[i] + strings.Repeat(" ", gap) + note
		case limit == 0 || limit-Width(lines[i])-gap >= min(Width(note), leastNote):
			lines[i] += strings.Repeat(" ", gap) + note
		}
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// troubleLines tells of the newest troubles, in at most so many lines.
func troubleLines(troubles []Trouble, most int, s Style) []string {
	var lines []string
	for i := range troubles[:min(len(troubles), mostTroubles)] {
		t := &troubles[i]
		lines = append(lines, t.line(s))
		if t.Log != "" {
			lines = append(lines, "          "+s.Dim("│ "+CleanLog(t.Log)))
		}
	}
	return lines[:min(len(lines), most)]
}

func (t *Trouble) line(s Style) string {
	mark := s.Red(s.Bold("FAILED"))
	if t.Retry {
		mark = s.Yellow("RETRY ")
	}
	if t.Tasks == 1 {
		return fmt.Sprintf("  %s  %s: %s", mark, Clean(t.Task), Clean(t.Why))
	}
	return fmt.Sprintf("  %s  %s of %s: %s %s", mark, Plural(t.Tasks, "task"), Clean(t.Step), Clean(t.Why), s.Dim("(such as "+Clean(t.Task)+")"))
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

// barCells is how wide the bar of a fan-out is; half as wide where there is little room.
const barCells = 16

// bar draws the tasks of a fan-out: done, failed, running and the rest.
func bar(c Counts, s Style, width int) string {
	total := c.Total()
	if total == 0 {
		return s.Dim(strings.Repeat("·", width))
	}
	cells := func(n int) int {
		if n == 0 {
			return 0
		}
		return max(1, n*width/total)
	}
	failed := cells(c[engine.Failed])
	running := min(cells(c[engine.Running]), width-failed)
	ended := min(c.Done()*width/total, width-running)
	ok := max(ended-failed, 0)
	rest := max(width-ok-failed-running, 0)
	return s.Green(strings.Repeat("━", ok)) + s.Red(strings.Repeat("━", failed)) + s.Blue(strings.Repeat("─", running)) + s.Dim(strings.Repeat("·", rest))
}
