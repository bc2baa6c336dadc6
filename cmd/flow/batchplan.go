package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/batch"
)

// submitRate is how many SubmitJob calls AWS Batch takes in a second (Batch User Guide,
// service_limits).
const submitRate = 50

// A batchPlan is what a plan means to AWS Batch.
type batchPlan struct {
	steps       []batchPlanStep // as those of the plan
	definitions int             // to register at most
	now         int             // those of them that jobs have which are handed over at once
	submits     int             // jobs that are handed over at once
	later       int             // jobs that flow submits later, as far as they are known
	alone       int             // tasks to run: what one submission each would be
	more        bool            // there may be more later and alone
	plain       bool            // some run without flow's agent
	cost        *estimate
	uploads     uploads
}

// A batchPlanStep is one of a plan's steps. Sizes are the largest of its jobs.
type batchPlanStep struct {
	submits, later int  // later is negative while jobs are counted that are handed over at once
	known          bool // its tasks are
	payload        batch.Payload
	own            bool // a job definition of the user's own
	runs           bool // there is something to run, or may be
}

// newBatchPlan measures the jobs of a plan, and of steps that are not known yet their
// sketches.
func newBatchPlan(p *engine.Plan, c *batchCheck, sketches map[engine.StepName]*engine.TaskSpec, e *estimate) *batchPlan {
	out := &batchPlan{cost: e}
	out.alone, out.more = p.ToRun()
	definitions := map[string]bool{} // whether it is needed at once
	for i := range p.Steps {
		s := &p.Steps[i]
		step := batchPlanStep{known: s.Size >= 0, submits: len(s.Jobs), later: -len(s.Jobs)}
		for spec := range jobsOf(p.Run, s) {
			step.add(spec, c.options, definitions)
			step.later++
			out.uploads.add(spec)
			e.add(i, spec, spec.Size())
		}
		if sketch := sketches[s.Step.Name]; !step.known && sketch != nil {
			step.add(c.sketched(s.Step.Name, sketch), c.options, definitions)
			out.uploads.add(c.sketched(s.Step.Name, sketch))
			e.add(i, c.sketched(s.Step.Name, sketch), 0)
		}
		out.submits += step.submits
		out.later += step.later
		out.plain = out.plain || step.runs && !step.payload.Agent
		out.steps = append(out.steps, step)
	}
	out.definitions = len(definitions)
	for _, now := range definitions {
		if now {
			out.now++
		}
	}
	return out
}

// add counts a job in.
func (s *batchPlanStep) add(spec *engine.JobSpec, o batch.CheckOptions, definitions map[string]bool) {
	p := batch.PayloadOf(spec, o)
	s.runs, s.own = true, s.own || spec.Task.JobDefinition != ""
	if p.Definition != "" {
		definitions[p.Definition] = definitions[p.Definition] || s.later < 0
	}
	s.payload.Submit = max(s.payload.Submit, p.Submit)
	s.payload.Overrides = max(s.payload.Overrides, p.Overrides)
	s.payload.Sizes.Definition = max(s.payload.Sizes.Definition, p.Sizes.Definition)
	s.payload.Agent = s.payload.Agent || p.Agent
}

// calls returns how many calls are made now, at most: of a definition one that looks for it,
// and one that registers it if it is not there.
func (b *batchPlan) calls() int { return b.submits + 2*b.now }

// atRate says how long so many calls of SubmitJob take.
func atRate(calls int) string {
	if d := submitTime(calls); d >= 10*time.Second {
		return view.Duration(d)
	}
	return strconv.FormatFloat(submitTime(calls).Seconds(), 'f', 2, 64) + "s"
}

func submitTime(calls int) time.Duration { return time.Duration(calls) * time.Second / submitRate }

// write writes the plan's part about AWS Batch; nothing if no job goes there.
func (b *batchPlan) write(w io.Writer, p *engine.Plan, term view.Term) error {
	table := &view.Table{
		Header: []string{"STEP", "CALLS", "AT 50/S", "SUBMITJOB", "OVERRIDES", "DEFINITION", "RUNS"},
		Right:  []bool{false, true, true, true, true, true},
	}
	for i := range b.steps {
		if s := &b.steps[i]; s.runs {
			table.Add(s.row(string(p.Steps[i].Step.Name))...)
		}
	}
	if len(table.Rows) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\n%s\n", term.Style.Dim("On AWS Batch:"))
	if err := table.WriteAligned(w, term, ""); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\n", term.Style.Dim(fmt.Sprintf("SUBMITJOB: bytes of %s; OVERRIDES: characters of %s; DEFINITION: bytes of %s.",
		view.Count(batch.MaxSubmit), view.Count(batch.MaxOverrides), view.Count(batch.MaxDefinition))))
	if b.plain {
		fmt.Fprintln(w, "Without flow's agent: "+plainPromise+".")
	}
	b.writeTotals(w)
	b.uploads.write(w, p.Run.Info().WorkDir, b.more)
	return b.cost.write(w, p, term)
}

// plainPromise is what a job without flow's agent cannot be spared (design 5.3.7).
const plainPromise = "a submission whose answer was lost may run twice; flow looks for it for 2 minutes first"

func (s *batchPlanStep) row(name string) []string {
	calls, took := view.Count(s.submits+s.later), atRate(s.submits+s.later)
	if !s.known {
		calls, took = "?", "?"
	}
	submit, overrides := view.Count(s.payload.Submit), view.Count(s.payload.Overrides)
	if !s.known {
		submit, overrides = "?", "?"
	}
	definition := view.Count(s.payload.Sizes.Definition)
	if s.own {
		definition = "your own"
	}
	return []string{name, calls, took, submit, overrides, definition, s.how()}
}

func (s *batchPlanStep) how() string {
	if s.payload.Agent {
		return "with flow's agent"
	}
	return "without the agent"
}

func (b *batchPlan) writeTotals(w io.Writer) {
	if b.definitions > 0 {
		fmt.Fprintf(w, "\n%s to register at most: those found again need none.\n", view.Plural(b.definitions, "job definition"))
	}
	fmt.Fprintf(w, "%s now at most, %d of them SubmitJob: %s at %d/s.\n", view.Plural(b.calls(), "call"), b.submits, atRate(b.calls()), submitRate)
	switch {
	case b.later > 0 && b.more:
		fmt.Fprintf(w, "%s by flow later, for what is held, and more once it is known.\n", view.Plural(b.later, "SubmitJob call"))
	case b.later > 0:
		fmt.Fprintf(w, "%s by flow later, for what is held.\n", view.Plural(b.later, "SubmitJob call"))
	case b.more:
		fmt.Fprintln(w, "SubmitJob calls by flow later, once what is held is known.")
	}
	more := ""
	if b.more {
		more = " or more"
	}
	fmt.Fprintf(w, "If each task were submitted alone: %s%s, %s at %d/s.\n", view.Plural(b.alone, "call"), more, atRate(b.alone), submitRate)
}

// A planBatchJSON is what a plan means to AWS Batch.
type planBatchJSON struct {
	Definitions  int     `json:"definitions"`   // to register at most
	Submits      int     `json:"submits"`       // SubmitJob calls now
	Later        int     `json:"submits_later"` // SubmitJob calls for what is held, as far as it is known
	Calls        int     `json:"calls"`         // calls now, at most
	Seconds      float64 `json:"seconds"`       // of them at 50 a second
	CallsAlone   int     `json:"calls_alone"`   // if each task were submitted alone
	SecondsAlone float64 `json:"seconds_alone"`
	Complete     bool    `json:"complete"` // all tasks are known

	Uploads *uploadsJSON `json:"uploads,omitempty"`
}

type planBatchStepJSON struct {
	Submits    int     `json:"submits"`       // now
	Later      int     `json:"submits_later"` // of what is held, as far as it is known
	Seconds    float64 `json:"seconds"`       // at 50 a second, of both
	Agent      bool    `json:"agent"`         // flow's agent runs around the command
	Promise    string  `json:"promise,omitempty"`
	Submit     int     `json:"submit_bytes,omitempty"`     // of the largest SubmitJob, of 30,720
	Overrides  int     `json:"overrides_chars,omitempty"`  // of the largest, of 8,192
	Definition int     `json:"definition_bytes,omitempty"` // of 24,576; absent: a definition of the user's own
}

func (b *batchPlan) data() *planBatchJSON {
	if b == nil {
		return nil
	}
	return &planBatchJSON{
		Definitions: b.definitions, Submits: b.submits, Later: b.later, Calls: b.calls(), Seconds: submitTime(b.calls()).Seconds(),
		CallsAlone: b.alone, SecondsAlone: submitTime(b.alone).Seconds(), Complete: !b.more, Uploads: b.uploads.data(),
	}
}

// stepData returns what is said of step i of the plan; nil if it has nothing to run.
func (b *batchPlan) stepData(i int) *planBatchStepJSON {
	if b == nil || !b.steps[i].runs {
		return nil
	}
	s := &b.steps[i]
	out := &planBatchStepJSON{
		Submits: s.submits, Later: s.later, Seconds: submitTime(s.submits + s.later).Seconds(), Agent: s.payload.Agent,
		Definition: s.payload.Sizes.Definition,
	}
	if s.known {
		out.Submit, out.Overrides = s.payload.Submit, s.payload.Overrides
	}
	if !s.payload.Agent {
		out.Promise = plainPromise
	}
	return out
}
