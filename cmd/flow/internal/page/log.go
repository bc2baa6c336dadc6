package page

import (
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
)

// A Log is the end of what an attempt of a task wrote, and where the rest of it is.
type Log struct {
	URL     string // of the whole log, as text
	Attempt int    // 0: none has begun
	Newest  int    // attempt; the log may be that of an earlier one
	Piece   LogPiece
	Live    bool   // more may be written
	Remote  bool   // it is kept elsewhere: the script asks for it
	Note    string // why there is nothing
}

// A LogPiece is some lines of a log, as assets/log.js takes them. Places are bytes of a log
// that is a file here, else lines.
type LogPiece struct {
	From  int64       `json:"from"`  // where the first line begins
	Next  int64       `json:"next"`  // behind the last one
	Size  int64       `json:"size"`  // of the log, as far as it is written
	First int         `json:"first"` // number of the first line, from 1; 0: not known
	Lines [][]LogSpan `json:"lines"`
	Live  bool        `json:"live"`   // more may be written
	New   int         `json:"newest"` // attempt that has a log
	Note  string      `json:"note,omitempty"`
}

// LogTail is how many lines at the end of a log a page has.
const LogTail = 200

func (l *Log) node(m *TaskDetail) g.Node {
	if l == nil {
		return nil
	}
	title := "Log"
	if l.Attempt > 0 {
		title = "Log of attempt " + strconv.Itoa(l.Attempt)
	}
	aside := g.Group{}
	if l.Attempt > 0 {
		aside = append(aside, g.If(l.Attempt != l.Newest, g.Group{h.A(h.Href(m.url()+"#log"), g.Text("Newest attempt")), g.Text(" · ")}),
			h.A(h.Href(l.URL), g.Text("Whole log as text")), g.Text(" · "), h.A(h.Href(l.URL+"&download=1"), g.Text("Download")))
	}
	return Section("log-title", title, aside, l.lines())
}

func (l *Log) lines() g.Node {
	if l.Note != "" && !l.Live && !l.Remote {
		return Empty(l.Note)
	}
	p := &l.Piece
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	first := p.First
	var lines g.Group
	for i, line := range p.Lines {
		lines = append(lines, logLine(first, i, line))
	}
	note := l.Note
	if note == "" && len(lines) == 0 {
		note = "Nothing has been written yet."
	}
	return g.El("flow-log", h.ID("log-lines"), h.Data("keep", ""), h.Data("url", l.URL), h.Data("from", number(p.From)), h.Data("next", number(p.Next)),
		h.Data("first", strconv.Itoa(first)), h.Data("attempt", strconv.Itoa(l.Attempt)),
		g.If(l.Live, h.Data("live", "")), g.If(l.Remote, h.Data("remote", "")),
		h.P(h.Class("log-note dim"), g.If(p.From > 0, g.Text("The last "+view.Plural(len(p.Lines), "line")+".")), g.If(len(lines) == 0, g.Text(note))),
		h.Div(h.Class("log"), h.Role("region"), h.Aria("label", "Lines of the log"), h.TabIndex("0"), h.Ol(lines)))
}

// logLine is a line of a log; log.js makes the same.
func logLine(first, i int, line []LogSpan) g.Node {
	if first == 0 {
		return h.Li(h.Span(h.Class("ln")), h.Span(Spans(line)))
	}
	n := strconv.Itoa(first + i)
	return h.Li(h.ID("L"+n), h.A(h.Class("ln"), h.Href("#L"+n), g.Text(n)), h.Span(Spans(line)))
}
