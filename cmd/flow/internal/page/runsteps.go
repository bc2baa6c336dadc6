package page

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/draw"
	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// A Timeline is the steps of a run along time.
type Timeline struct {
	Began, Until time.Time // of the run; Until is now if it goes on
	From, To     time.Time // what is shown of it
	Live         bool      // the run goes on
	Rows         []TimelineRow
	Running      []float64 // tasks that ran in equal parts of what is shown, on average
}

// A TimelineRow is a step.
type TimelineRow struct {
	runstat.Lane
	Note           string // why it waits, or ended as it did
	Started, Ended time.Time
}

const ticks = 6

// maxLanes is how many jobs of a step are shown below one another that overlap in time.
const maxLanes = 4

func (t *Timeline) section(run *Run) g.Node {
	return Section("steps-title", "Steps", t.zoom(run), t.Table(run.ID, run.Now), trackLegend())
}

// Table lists the steps with their tracks.
func (t *Timeline) Table(run string, now time.Time) g.Node {
	d := draw.Timeline{From: t.From, To: t.To}
	if t.Live {
		d.Now = t.Until
	}
	marks := d.Ticks(t.Began, ticks)
	cols := []Col{{Text: "Step"}, {Text: "Tasks"}, {Text: "Duration", Right: true}, {Text: "", Class: "wide tracks"}}
	rows := g.Group{}
	for i := range t.Rows {
		rows = append(rows, t.row(run, now, cols, &t.Rows[i], &d, marks))
	}
	axis := string(d.Axis(marks, axisText(marks)))
	return h.Div(h.Class("scroll steps"), h.Role("region"), h.Aria("label", "Steps and timeline"), h.TabIndex("0"), h.Table(
		h.THead(h.Tr(
			h.Th(h.Scope("col"), g.Text("Step")), h.Th(h.Scope("col"), g.Text("Tasks")), h.Th(h.Scope("col"), h.Class("num"), g.Text("Duration")),
			h.Th(h.Scope("col"), h.Class("wide tracks"), h.Span(h.Class("hide"), g.Text("Timeline")),
				g.If(len(t.Running) > 0, g.Raw(string(draw.Area(t.Running, "running", 22)))), g.Raw(axis)),
		)),
		h.TBody(rows),
	))
}

// axisText returns how ticks are written, so that each differs from the one before: 0, 5s,
// 1m30s; 0.02s or 1m05.2s where they are less than a second apart.
func axisText(marks []draw.Tick) func(time.Duration) string {
	step := time.Second
	if len(marks) > 1 {
		step = marks[1].After - marks[0].After
	}
	decimals := 1
	if step < 100*time.Millisecond {
		decimals = 2
	}
	return func(d time.Duration) string {
		whole := d.Truncate(time.Minute)
		switch {
		case d == 0:
			return "0"
		case step >= time.Second:
			return strings.Replace(view.Duration(d), ".0s", "s", 1)
		case whole == 0:
			return strconv.FormatFloat(d.Seconds(), 'f', decimals, 64) + "s"
		}
		minutes := strings.TrimSuffix(view.Duration(whole), "00s")
		return fmt.Sprintf("%s%0*.*fs", minutes, 3+decimals, decimals, (d - whole).Seconds())
	}
}

func (t *Timeline) row(run string, now time.Time, cols []Col, r *TimelineRow, d *draw.Timeline, marks []draw.Tick) g.Node {
	name := string(r.Step)
	return Row(cols,
		h.Div(h.Class("step"), Sign(r.Status), h.A(h.Href(StepURL(run, name)), g.Text(name)),
			g.If(r.Note != "", h.P(h.Class("dim note"), g.Text(r.Note)))),
		r.tasks(),
		Took(r.Started, r.Ended, now),
		g.Group{g.Raw(string(d.Track(t.shown(r), marks))), h.Span(h.Class("hide"), g.Text(r.said(t.Until)))},
	)
}

// tasks says how many tasks are done, of how many.
func (r *TimelineRow) tasks() g.Node {
	c := view.Counts(r.Counts)
	switch {
	case r.Size < 0 && !r.Status.Ended():
		return h.Span(h.Class("dim nowrap"), g.Text("not known yet"))
	case r.Size <= 1:
		return h.Span(h.Class("dim"), g.Text(lower(r.Status)))
	}
	bad := c[engine.Failed]
	return h.Div(h.Class("tasks"), h.P(h.Span(g.Text(view.Count(c.OK())+" of "+view.Count(r.Size))),
		g.If(bad > 0, h.Span(h.Class("n FAILED"), g.Text(view.Count(bad)+" failed")))), Bar(c))
}

// said is what the track shows, for those who do not see it.
func (r *TimelineRow) said(until time.Time) string {
	if len(r.Bars) == 0 {
		return "nothing submitted"
	}
	text := ""
	for i := range r.Bars {
		if i == maxLanes {
			return text + "; and " + view.Plural(len(r.Bars)-i, "more job")
		}
		if i > 0 {
			text += "; "
		}
		text += tip(&r.Bars[i], until)
	}
	return text
}

// bars turns jobs into what is drawn of them: those that overlap stand below one another.
func bars(jobs []runstat.Bar, until time.Time) []draw.Bar {
	var waits, out []draw.Bar
	var free [maxLanes]time.Time // from when each lane is
	for i := range jobs {
		j := &jobs[i]
		end := j.Until(until)
		lane := 0
		for lane < maxLanes-1 && free[lane].After(j.Queued) {
			lane++
		}
		if end.After(free[lane]) {
			free[lane] = end
		}
		text := tip(j, until)
		at := j.Queued
		part := func(kind string, until time.Time) {
			if until.After(at) {
				waits = append(waits, draw.Bar{From: at, To: until, Kind: kind, Tip: text, Lane: lane})
				at = until
			}
		}
		ran := j.Running
		if ran.IsZero() {
			ran = end
		}
		if j.Starting.IsZero() {
			part("queued", ran)
		} else {
			part("queued", j.Starting)
			part("starting", ran)
		}
		if !j.Running.IsZero() {
			out = append(out, draw.Bar{From: j.Running, To: end, Kind: kindOf(j), Tip: text, Lane: lane})
		}
	}
	return append(waits, out...) // what ran is drawn over what waited
}

// mostJobs is up to how many jobs each is a bar of its own.
const mostJobs = 60

// merged joins bars of a kind and lane that a screen would not show apart, so that a step of
// many jobs is no larger than the page can take. A gap is what is too short to be seen.
func merged(list []draw.Bar, gap time.Duration) (out []draw.Bar) {
	type track struct {
		kind string
		lane int
	}
	last := map[track]int{}
	for _, b := range list {
		key := track{b.Kind, b.Lane}
		i, ok := last[key]
		if ok && !b.From.Before(out[i].From) && b.From.Sub(out[i].To) <= gap {
			if b.To.After(out[i].To) {
				out[i].To = b.To
			}
			out[i].Tip = "several jobs"
			continue
		}
		last[key] = len(out)
		out = append(out, b)
	}
	return out
}

// shown are the bars of a row.
func (t *Timeline) shown(r *TimelineRow) []draw.Bar {
	list := bars(r.Bars, t.Until)
	if len(r.Bars) > mostJobs {
		list = merged(list, t.To.Sub(t.From)/250)
	}
	return list
}

// kindOf is the class of the part of a bar where its job ran.
func kindOf(j *runstat.Bar) string {
	switch {
	case j.Failed > 0 && j.Failed == j.Tasks:
		return "ran failed"
	case j.Failed > 0:
		return "ran some-failed"
	case j.Retried > 0:
		return "ran retried"
	case j.Ended.IsZero():
		return "ran running"
	}
	return "ran"
}

// tip says in words what a bar shows.
func tip(j *runstat.Bar, until time.Time) string {
	text := view.Plural(j.Tasks, "task")
	if j.Attempt > 1 {
		text += ", attempt " + strconv.Itoa(j.Attempt)
	}
	end := j.Until(until)
	switch {
	case j.Running.IsZero() && j.Starting.IsZero():
		text += ": queued " + view.Duration(end.Sub(j.Queued))
	case j.Running.IsZero():
		text += ": queued " + view.Duration(j.Starting.Sub(j.Queued)) + ", starting " + view.Duration(end.Sub(j.Starting))
	case j.Starting.IsZero():
		text += ": queued " + view.Duration(j.Running.Sub(j.Queued)) + ", ran " + view.Duration(end.Sub(j.Running))
	default:
		text += ": queued " + view.Duration(j.Starting.Sub(j.Queued)) + ", starting " + view.Duration(j.Running.Sub(j.Starting)) + ", ran " + view.Duration(end.Sub(j.Running))
	}
	if j.Failed > 0 {
		text += ", " + view.Count(j.Failed) + " failed"
	}
	if j.Retried > 0 {
		text += ", " + view.Count(j.Retried) + " tried again"
	}
	return text
}

// zoom links other stretches of time. Dragging over the tracks does the same, with scripts.
func (t *Timeline) zoom(run *Run) g.Node {
	whole := t.Until.Sub(t.Began)
	if whole <= 0 {
		return nil
	}
	from, length := t.From.Sub(t.Began), t.To.Sub(t.From)
	link := func(text string, from, length time.Duration) g.Node {
		from = max(0, min(from, whole-length))
		return h.A(h.Href(zoomURL(run, from, from+length)), g.Text(text))
	}
	zoomed := from > 0 || length < whole
	links := g.Group{link("Zoom in", from+length/4, length/2)}
	if zoomed {
		links = append(links, link("Zoom out", from-length/2, min(2*length, whole)), link("Earlier", from-length/2, length),
			link("Later", from+length/2, length), h.A(h.Href(run.URL(RunOverview)), g.Text("Whole run")))
	}
	return h.Nav(h.Class("zoom"), h.Aria("label", "Timeline"), h.Data("zoom", ""),
		h.Data("from", strconv.FormatInt(from.Milliseconds(), 10)), h.Data("to", strconv.FormatInt((from+length).Milliseconds(), 10)), links)
}

// zoomURL is the overview with a stretch of the run's time, in milliseconds since its beginning.
func zoomURL(run *Run, from, to time.Duration) string {
	q := url.Values{"from": {strconv.FormatInt(from.Milliseconds(), 10)}, "to": {strconv.FormatInt(to.Milliseconds(), 10)}}
	return RunURL(run.ID) + "?" + q.Encode()
}

// trackLegend says what the colours of the tracks mean.
func trackLegend() g.Node {
	kinds := []struct{ class, text string }{
		{"queued", "queued"}, {"starting", "starting"}, {"ran running", "running"}, {"ran", "done"},
		{"ran retried", "some tried again"}, {"ran some-failed", "some failed"}, {"ran failed", "failed"},
	}
	items := g.Group{}
	for _, k := range kinds {
		items = append(items, h.Li(g.El("svg", h.Aria("hidden", "true"), h.Width("14"), h.Height("10"),
			g.El("rect", h.Class("job "+k.class), h.Width("14"), h.Height("10"))), g.Text(k.text)))
	}
	return h.Ul(h.Class("legend"), items)
}
