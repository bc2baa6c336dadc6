package export

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"strconv"
	"time"

	"flow/cmd/flow/internal/runstat"
	"flow/engine"
)

// A Span is a span of OpenTelemetry as its protocol has it in JSON: identifiers are hexadecimal,
// 64-bit numbers text, names of fields in lower camel case, enumerations numbers (OTLP 1.x,
// JSON Protobuf Encoding).
type Span struct {
	TraceID    string      `json:"traceId"`
	SpanID     string      `json:"spanId"`
	Parent     string      `json:"parentSpanId,omitempty"`
	Name       string      `json:"name"`
	Kind       int         `json:"kind"`
	Start      string      `json:"startTimeUnixNano"`
	End        string      `json:"endTimeUnixNano"`
	Attributes []Attribute `json:"attributes,omitempty"`
	Status     *SpanStatus `json:"status,omitempty"`
}

// A SpanStatus says that what a span stands for failed, and why.
type SpanStatus struct {
	Code    int    `json:"code"`
	Message string `json:"message,omitempty"`
}

const (
	kindInternal = 1 // SPAN_KIND_INTERNAL
	codeError    = 2 // STATUS_CODE_ERROR
)

// An Attribute is a name and a value.
type Attribute struct {
	Key   string `json:"key"`
	Value Value  `json:"value"`
}

// A Value is a text or a whole number: one of them.
type Value struct {
	Text *string `json:"stringValue,omitempty"`
	Int  *string `json:"intValue,omitempty"`
}

// attributes gathers what is known.
type attributes []Attribute

func (a *attributes) text(key, value string) {
	if value != "" {
		*a = append(*a, Attribute{key, Value{Text: &value}})
	}
}

func (a *attributes) number(key string, n int64) {
	text := strconv.FormatInt(n, 10)
	*a = append(*a, Attribute{key, Value{Int: &text}})
}

// Spans yields a span for the run, below it one for each step that ran, below that one for each
// task, and below that one for each of its tries: as far as they have ended. Their identifiers
// are the same each time.
func Spans(r *Run) iter.Seq[Span] {
	return func(yield func(Span) bool) {
		s := spanner{r: r, trace: digest(16, string(r.ID())), hulls: r.hulls()}
		if span, ended := s.run(); ended && !yield(span) {
			return
		}
		tries := r.triesByTask()
		for _, v := range r.Steps() {
			if span, ended := s.step(&v); ended && !yield(span) {
				return
			}
			for i := range max(v.Size, 0) {
				for _, span := range s.task(v.Step.Name, i, tries[v.Step.Name][i]) {
					if !yield(span) {
						return
					}
				}
			}
		}
	}
}

// triesByTask returns the tries of each task by step and index.
func (r *Run) triesByTask() map[engine.StepName]map[int][]*runstat.Try {
	out := map[engine.StepName]map[int][]*runstat.Try{}
	for i := range r.Tries {
		t := &r.Tries[i]
		if out[t.Step] == nil {
			out[t.Step] = map[int][]*runstat.Try{}
		}
		out[t.Step][t.Index] = append(out[t.Step][t.Index], t)
	}
	return out
}

type spanner struct {
	r     *Run
	trace string
	hulls map[engine.StepName]hull
}

// A hull is from when to when something of a step was tried, in milliseconds since 1970.
type hull struct{ from, to int64 }

// hulls returns the hulls of the steps. A step that was run again began before it last did, and the
// clock of an executor may be another one: a span has all that is below it.
func (r *Run) hulls() map[engine.StepName]hull {
	out := map[engine.StepName]hull{}
	for i := range r.Tries {
		t := &r.Tries[i]
		if t.Started == 0 || t.Stopped == 0 {
			continue
		}
		h, known := out[t.Step]
		if !known {
			h = hull{t.Started, t.Stopped}
		}
		out[t.Step] = hull{min(h.from, t.Started), max(h.to, t.Stopped, t.Started)}
	}
	return out
}

// around returns the times from and to, zero if they are not known, or those of h if it is longer.
func (h hull) around(from, to time.Time) (time.Time, time.Time) {
	if first := time.UnixMilli(h.from); from.IsZero() || first.Before(from) {
		from = first
	}
	if last := time.UnixMilli(h.to); to.IsZero() || last.After(to) {
		to = last
	}
	return from, to
}

// digest returns n bytes that stand for parts, in hexadecimal digits.
func digest(n int, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:n])
}

// id returns the identifier of the span of a part of the run: a step, a task of it, a try of that.
func (s *spanner) id(parts ...string) string {
	return digest(8, append([]string{string(s.r.ID())}, parts...)...)
}

func (s *spanner) span(name string, from, to time.Time, a attributes) Span {
	if to.Before(from) {
		to = from
	}
	return Span{TraceID: s.trace, Name: name, Kind: kindInternal, Start: nano(from), End: nano(to), Attributes: a}
}

func nano(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func (s *spanner) run() (Span, bool) {
	from, to := s.r.Times()
	if to.IsZero() {
		return Span{}, false
	}
	for _, h := range s.hulls {
		from, to = h.around(from, to)
	}
	var a attributes
	info := s.r.Info()
	a.text("flow.run.id", string(s.r.ID()))
	a.text("flow.workflow", s.r.Workflow().Name)
	a.text("flow.run.status", s.r.Status().String())
	a.text("flow.executor", info.Executor)
	a.text("flow.version", info.Version)
	span := s.span("run "+s.r.Workflow().Name, from, to, a)
	span.SpanID = s.id()
	if st := s.r.Status(); st == engine.Failed || st == engine.Cancelled {
		span.Status = &SpanStatus{codeError, s.r.Reason()}
	}
	return span, true
}

func (s *spanner) step(v *engine.StepStatus) (Span, bool) {
	from, to := v.Started, v.Ended
	if h, known := s.hulls[v.Step.Name]; known && !to.IsZero() {
		from, to = h.around(from, to)
	}
	if from.IsZero() || to.IsZero() {
		return Span{}, false
	}
	var a attributes
	a.text("flow.step", string(v.Step.Name))
	a.text("flow.step.status", v.Status.String())
	a.number("flow.step.tasks", int64(v.Size))
	span := s.span("step "+string(v.Step.Name), from, to, a)
	span.SpanID, span.Parent = s.id(string(v.Step.Name)), s.id()
	if v.Status == engine.Failed {
		span.Status = &SpanStatus{codeError, v.Reason}
	}
	return span, true
}

// task returns the spans of a task and of its tries, of which the times are known; none if there
// are none.
func (s *spanner) task(step engine.StepName, i int, tries []*runstat.Try) (out []Span) {
	t := s.r.Task(step, i)
	at := []string{string(step), strconv.Itoa(i)}
	var from, to int64
	for _, try := range tries {
		if try.Started == 0 || try.Stopped == 0 {
			continue
		}
		if from == 0 || try.Started < from {
			from = try.Started
		}
		to = max(to, try.Stopped, try.Started)
		out = append(out, s.try(&t, try, at))
	}
	if len(out) == 0 || !t.Status.Ended() {
		return out
	}
	var a attributes
	a.text("flow.step", string(step))
	a.text("flow.task", t.Name)
	a.number("flow.task.index", int64(i))
	a.text("flow.task.status", t.Status.String())
	a.number("flow.task.attempts", int64(t.Attempts))
	span := s.span(t.Name, time.UnixMilli(from), time.UnixMilli(to), a)
	span.SpanID, span.Parent = s.id(at...), s.id(string(step))
	if t.Status == engine.Failed {
		span.Status = &SpanStatus{codeError, t.Reason}
	}
	return append([]Span{span}, out...)
}

func (s *spanner) try(t *engine.TaskStatus, try *runstat.Try, at []string) Span {
	var a attributes
	a.text("flow.task", t.Name)
	a.number("flow.attempt", int64(try.Attempt))
	a.text("flow.outcome", string(try.Outcome))
	a.text("flow.job.id", string(s.r.jobID(try.Job, try.Index)))
	a.text("container.image.name", s.r.image(try.Step, try.Index))
	if try.ExitCode != nil {
		a.number("process.exit.code", int64(*try.ExitCode))
	}
	if sent := s.r.Log.Submitted(try.Job); !sent.IsZero() && try.Started > sent.UnixMilli() {
		a.number("flow.waited_ms", try.Started-sent.UnixMilli())
	}
	if try.Memory > 0 && !try.AtMost {
		a.number("flow.memory.peak_bytes", try.Memory)
	}
	if try.CPU > 0 {
		a.number("flow.cpu.time_ms", try.CPU)
	}
	span := s.span(t.Name+" attempt "+strconv.Itoa(try.Attempt), time.UnixMilli(try.Started), time.UnixMilli(try.Stopped), a)
	span.SpanID, span.Parent = s.id(append(at, strconv.Itoa(try.Job), strconv.Itoa(try.Attempt))...), s.id(at...)
	if !ok(try) {
		span.Status = &SpanStatus{codeError, try.Reason}
	}
	return span
}
