package page

import (
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// order is how statuses are listed, and lie in a bar: results first, what is to come last.
var order = []engine.Status{engine.Succeeded, engine.Cached, engine.Failed, engine.Running, engine.Skipped, engine.Cancelled, engine.Pending}

var words = [...]string{"Pending", "Running", "Succeeded", "Failed", "Skipped", "Cancelled", "Cached"}

// Word is how a page writes a status.
func Word(s engine.Status) string { return words[s] }

// Badge shows a status: the word, in its colour, with a sign of its own.
func Badge(s engine.Status) g.Node { return BadgeAs(s, Word(s)) }

// BadgeAs is a badge in the colour and with the sign of a status that says something else:
// "Paused".
func BadgeAs(s engine.Status, text string) g.Node {
	return h.Span(h.Class("badge "+s.String()), g.Text(text))
}

// Sign is the sign of a status alone, for where there is no room; its word is for screen
// readers and on hovering.
func Sign(s engine.Status) g.Node {
	return h.Span(h.Class("badge sign "+s.String()), h.Title(Word(s)), h.Span(h.Class("hide"), g.Text(Word(s))))
}

// Moment shows a time: in UTC, and by the script in the time of whoever looks; the exact one
// is for machines and on hovering.
func Moment(t time.Time) g.Node {
	if t.IsZero() {
		return g.Text("-")
	}
	u := t.UTC()
	return g.El("time", h.DateTime(u.Format(time.RFC3339Nano)), h.Title(u.Format("2006-01-02 15:04:05.000 UTC")),
		g.Text(u.Format("2006-01-02 15:04:05")))
}

// Span shows how long something took.
func Span(d time.Duration) g.Node { return g.Text(view.Duration(d)) }

// Took shows how long something took that began at begin: until end, or, if that is zero,
// until now, which the script lets go on. "-": it has not begun.
func Took(begin, end, now time.Time) g.Node {
	switch {
	case begin.IsZero():
		return g.Text("-")
	case end.IsZero():
		return h.Span(h.Class("ticks"), h.Data("since", begin.UTC().Format(time.RFC3339Nano)), g.Text(view.Duration(now.Sub(begin))))
	}
	return Span(end.Sub(begin))
}

// Bar shows how many tasks are in which state, as a bar of segments; label is the text of it
// for those who do not see it. In a region that changes it costs less than 500 bytes.
func Bar(c view.Counts) g.Node {
	total := c.Total()
	if total == 0 {
		return g.El("svg", h.Class("bar"), h.Role("img"), h.Aria("label", "no tasks yet"))
	}
	var segments g.Group
	at := 0.0
	for _, s := range order {
		if c[s] == 0 {
			continue
		}
		// A failure among many is seen: no segment is thinner than 1 %.
		width := max(100*float64(c[s])/float64(total), 1)
		segments = append(segments, g.El("rect", h.Class("fill "+s.String()), g.Attr("x", num(min(at, 99))), h.Width(num(min(width, 100-min(at, 99)))), h.Height("8")))
		at += 100 * float64(c[s]) / float64(total)
	}
	return g.El("svg", h.Class("bar"), g.Attr("viewBox", "0 0 100 8"), g.Attr("preserveAspectRatio", "none"),
		h.Role("img"), h.Aria("label", c.Words(view.Style{})), segments)
}

// Counts lists how many tasks are in which state, in words and colours.
func Counts(c view.Counts) g.Node {
	var list g.Group
	for _, s := range order {
		if c[s] > 0 {
			list = append(list, h.Li(h.Span(h.Class("n "+s.String()), g.Text(view.Count(c[s]))), g.Text(" "+lower(s))))
		}
	}
	if list == nil {
		return h.Span(h.Class("dim"), g.Text("no tasks yet"))
	}
	return h.Ul(h.Class("counts"), list)
}

func lower(s engine.Status) string {
	w := Word(s)
	return string(w[0]+'a'-'A') + w[1:]
}

// num writes a coordinate with at most two decimals.
func num(f float64) string {
	s := strconv.FormatFloat(f, 'f', 2, 64)
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	return s
}
