package draw

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// A Timeline is a stretch of time, and what is drawn along it: a track for each row. All
// coordinates across are percentages, so that tracks fill whatever width there is while
// their text, which the page has, stays as it is.
type Timeline struct {
	From, To time.Time
	Now      time.Time // where a line stands; zero: nowhere
}

// A Bar is a part of a track.
type Bar struct {
	From, To time.Time
	Kind     string // its class: queued, starting, running, ...
	Tip      string
	Lane     int // from the top, 0 first
}

// A Tick is a place on the axis: so long after From.
type Tick struct {
	At    float64 // percent
	After time.Duration
}

const (
	laneHeight = 14
	laneGap    = 3
	leastWidth = 0.25 // percent: of a bar, however short it is
)

// steps between ticks that people like.
var tickSteps = []time.Duration{
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 365 * 24 * time.Hour,
}

// Ticks returns where the axis has ticks: at most n+1, at round times after origin, which
// is where the run began.
func (t *Timeline) Ticks(origin time.Time, n int) []Tick {
	length := t.To.Sub(t.From)
	if length <= 0 || n < 1 {
		return nil
	}
	step := tickSteps[len(tickSteps)-1]
	for _, s := range tickSteps {
		if length/s <= time.Duration(n) {
			step = s
			break
		}
	}
	for length/step > time.Duration(n) { // of centuries
		step *= 2
	}
	var out []Tick
	first := t.From.Sub(origin)
	at := first.Truncate(step)
	if at < first {
		at += step
	}
	for ; at <= first+length; at += step {
		out = append(out, Tick{t.percent(origin.Add(at)), at})
	}
	return out
}

// Axis draws the ticks with what text says of each.
func (t *Timeline) Axis(ticks []Tick, text func(time.Duration) string) []byte {
	var b bytes.Buffer
	b.WriteString(`<svg class="axis" width="100%" height="16" aria-hidden="true">`)
	for _, k := range ticks {
		anchor := "middle"
		switch {
		case k.At < 3:
			anchor = "start"
		case k.At > 97:
			anchor = "end"
		}
		fmt.Fprintf(&b, `<text x="%s%%" y="12" text-anchor="%s">%s</text>`, pct(k.At), anchor, escape(text(k.After)))
	}
	b.WriteString("</svg>")
	return b.Bytes()
}

// Track draws a row: the ticks, its bars, and the line of now.
func (t *Timeline) Track(bars []Bar, ticks []Tick) []byte {
	lanes := 1
	for _, r := range bars {
		lanes = max(lanes, r.Lane+1)
	}
	height := lanes*(laneHeight+laneGap) + laneGap
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg class="track" width="100%%" height="%d" aria-hidden="true">`, height)
	line := func(class string, at float64) {
		fmt.Fprintf(&b, `<line class="%s" x1="%s%%" x2="%[2]s%%" y1="0" y2="%d"/>`, class, pct(at), height)
	}
	for _, k := range ticks {
		line("tick", k.At)
	}
	for _, r := range bars {
		t.bar(&b, &r)
	}
	if !t.Now.IsZero() && !t.Now.Before(t.From) && !t.Now.After(t.To) {
		line("now", t.percent(t.Now))
	}
	b.WriteString("</svg>")
	return b.Bytes()
}

// bar draws what can be seen of a bar.
func (t *Timeline) bar(b *bytes.Buffer, r *Bar) {
	if r.To.Before(t.From) || r.From.After(t.To) || r.To.Before(r.From) {
		return
	}
	x, end := max(0, t.percent(r.From)), min(100, t.percent(r.To))
	w := max(end-x, leastWidth)
	x = min(x, 100-leastWidth)
	fmt.Fprintf(b, `<rect class="job %s" x="%s%%" y="%d" width="%s%%" height="%d"><title>%s</title></rect>`,
		r.Kind, pct(x), laneGap+r.Lane*(laneHeight+laneGap), pct(w), laneHeight, escape(r.Tip))
}

// percent returns where a time is between From and To.
func (t *Timeline) percent(at time.Time) float64 {
	length := t.To.Sub(t.From)
	if length <= 0 {
		return 0
	}
	return 100 * float64(at.Sub(t.From)) / float64(length)
}

// pct writes a percentage, to less than a pixel of a wide screen.
func pct(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }
