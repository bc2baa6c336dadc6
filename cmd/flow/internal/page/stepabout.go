package page

import (
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// about says what the step asks for, what its tasks used of it, and what is around it.
func (m *StepDetail) about() g.Node {
	return g.Group{m.used(), m.definition()}
}

func (m *StepDetail) used() g.Node {
	u := &m.Used
	if u.Duration.N == 0 {
		return nil
	}
	cols := []Col{{Text: "Of a task"}, {Text: "Tasks", Right: true}, {Text: "Least", Right: true}, {Text: "Quarter", Right: true}, {Text: "Median", Right: true},
		{Text: "Three quarters", Right: true}, {Text: "Most", Right: true}, {Text: "Asked for", Right: true}}
	duration := func(ms int64) string { return view.Duration(time.Duration(ms) * time.Millisecond) }
	rows := g.Group{fiveRow(cols, "Duration", u.Duration, duration, m.limit())}
	if u.Memory.N > 0 {
		rows = append(rows, fiveRow(cols, "Peak memory", u.Memory, view.Bytes, between(u.Asked.MemoryMiB, u.AskedMost.MemoryMiB)))
	}
	if u.CPU.N > 0 {
		rows = append(rows, fiveRow(cols, "CPU time", u.CPU, duration, vcpus(u.Asked.VCPUs, u.AskedMost.VCPUs)))
	}
	return Section("used", "What its tasks used", nil,
		g.Map(u.Advice, func(a runstat.Advice) g.Node { return Notice("info", g.Text(a.Text)) }),
		h.Div(h.Class("below-notice"), Table("What the tasks used", cols, rows)),
		g.If(u.Bounded > 0, h.P(h.Class("dim note-below"), g.Text("Of "+view.Plural(u.Bounded, "task")+" the peak is not known, but that it was no higher than "+
			view.Bytes(u.AtMost)+": Linux counts what flow itself has to what it starts."))))
}

func fiveRow(cols []Col, name string, f runstat.Five, write func(int64) string, asked string) g.Node {
	cells := []g.Node{g.Text(name), g.Text(view.Count(f.N))}
	for _, v := range []int64{f.Min, f.Low, f.Median, f.High, f.Max} {
		cells = append(cells, g.Text(write(v)))
	}
	return Row(cols, append(cells, dash(asked))...)
}

func (m *StepDetail) limit() string {
	if m.Spec == nil || m.Spec.Timeout == 0 {
		return ""
	}
	return "at most " + view.Duration(m.Spec.Timeout)
}

func between(least, most int) string {
	if least == most {
		return mebibytes(least)
	}
	return mebibytes(least) + " to " + mebibytes(most)
}

func mebibytes(n int) string { return view.Bytes(int64(n) << 20) }

func vcpus(least, most float64) string {
	if least == most {
		return decimal(least) + " vCPU"
	}
	return decimal(least) + " to " + decimal(most) + " vCPU"
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func (m *StepDetail) definition() g.Node {
	step := m.Status.Step
	var facts []Fact
	fact := func(name string, value g.Node) { facts = append(facts, Fact{name, value}) }
	if len(step.Deps) > 0 {
		names := make([]string, len(step.Deps))
		for i, d := range step.Deps {
			names[i] = string(d.Step)
		}
		fact("Depends on", m.stepLinks(names))
	}
	if len(m.Next) > 0 {
		fact("Needed by", m.stepLinks(m.Next))
	}
	if s := m.Spec; s != nil {
		for _, f := range specFacts(s, 1) {
			fact(f.Name, f.Value)
		}
	}
	if step.MaxParallel > 0 {
		fact("At once", g.Text("at most "+view.Count(step.MaxParallel)))
	}
	if t := toleranceText(step.Tolerate); t != "" {
		fact("Tolerates", g.Text(t))
	}
	if len(step.Was) > 0 {
		was := make([]string, len(step.Was))
		for i, w := range step.Was {
			was[i] = string(w)
		}
		fact("Was called", g.Text(strings.Join(was, ", ")))
	}
	if len(facts) == 0 {
		return nil
	}
	return Section("definition", "What it is", nil, Facts(facts...))
}

func (m *StepDetail) stepLinks(names []string) g.Node {
	var out g.Group
	for i, n := range names {
		if i > 0 {
			out = append(out, g.Text(", "))
		}
		out = append(out, h.A(h.Href(StepURL(m.Run, n)), g.Text(n)))
	}
	return out
}

func toleranceText(t engine.Tolerance) string {
	switch {
	case t.Count > 0:
		return view.Plural(t.Count, "failed task")
	case t.Percent > 0:
		return decimal(t.Percent) + " % of its tasks failed"
	}
	return ""
}

// specFacts lists what attempt (from 1) of a task asks for.
func specFacts(s *engine.TaskSpec, attempt int) []Fact {
	r := s.ResourcesFor(attempt)
	asked := vcpus(r.VCPUs, r.VCPUs) + ", " + mebibytes(r.MemoryMiB)
	if r.GPUs > 0 {
		asked += ", " + view.Plural(r.GPUs, "GPU")
	}
	if r.DiskGiB > 0 {
		asked += ", " + view.Bytes(int64(r.DiskGiB)<<30) + " disk"
	}
	facts := []Fact{{"Resources", g.Text(asked)}}
	add := func(name, text string) {
		if text != "" {
			facts = append(facts, Fact{name, g.Text(text)})
		}
	}
	add("Image", s.Image)
	add("Queue", s.Queue)
	add("Job definition", s.JobDefinition)
	if s.Retry.Attempts > 1 {
		text := "up to " + view.Plural(s.Retry.Attempts, "attempt")
		if n := len(s.Retry.Rules); n > 0 {
			names := make([]string, n)
			for i, r := range s.Retry.Rules {
				names[i] = r.Class
			}
			text += ", rules: " + strings.Join(names, ", ")
		}
		add("Retry", text)
	}
	if s.Timeout > 0 {
		add("Timeout", view.Duration(s.Timeout)+" an attempt")
	}
	if s.NoCache {
		add("Cache", "its results are not kept")
	}
	return facts
}
