package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/batch/cost"
	"flow/executor/instances"
	"flow/state"
)

const (
	comparedRuns = 3       // how many runs say how long tasks take
	comparedSize = 100_000 // tasks of a run that is read for it, beside the last one
	comparedRows = 50      // how many of the last runs these are looked for among
)

// comparable returns the last runs of a workflow on AWS Batch, the newest first; before is
// the last run of it anywhere, or nil. A run that cannot be read says nothing.
func (a *app) comparable(ctx context.Context, db *state.DB, workflow string, before *engine.Run) (runs []*engine.Run, err error) {
	var row state.Run
	for range comparedRows {
		if row, err = db.PreviousRun(ctx, workflow, row.ID); errors.Is(err, engine.ErrNotFound) {
			break
		} else if err != nil {
			return nil, err
		}
		if row.Executor != batchExecutor {
			continue
		}
		run := before
		if before == nil || before.ID() != row.ID {
			if row.Tasks.Total() > comparedSize {
				break
			}
			p := &past{db: db, row: row}
			if p.load(ctx, a) != nil {
				continue
			}
			run = p.run
		}
		if runs = append(runs, run); len(runs) == comparedRuns {
			break
		}
	}
	return runs, ctx.Err()
}

// An estimate is what a planned run will cost.
type estimate struct {
	known     *cost.Known
	past      []*engine.Run
	budget    *engine.Budget
	steps     []stepEstimate // as those of the plan
	low, high engine.Money   // of steps whose tasks take a known time
	runs      int            // how many earlier runs said how long tasks take
	assumed   []string       // queues that nothing is known of
	spot      bool
}

// A stepEstimate is what a step of a plan will cost.
type stepEstimate struct {
	tasks             int // to run, and counted in
	timed, bounded    bool
	fastest, slowest  time.Duration // of a task, if timed; slowest at most, if bounded
	hourLow, hourHigh engine.Money  // of a task
	low, high         engine.Money  // of all, if timed
	priced, unpriced  bool
	whyNot            string
	more              bool // tasks are not known yet
}

func newEstimate(p *engine.Plan, past []*engine.Run) *estimate {
	wf := p.Run.Workflow()
	e := &estimate{known: cost.FromBlocks(wf.Infra), budget: wf.Budget, past: past, steps: make([]stepEstimate, len(p.Steps))}
	for i := range p.Steps {
		s := &e.steps[i]
		s.more = p.Steps[i].Size < 0
		e.time(s, p.Steps[i].Step.Name)
	}
	return e
}

// time takes over how long tasks of a step took in earlier runs: the least and the most that
// they took on average in one.
func (e *estimate) time(s *stepEstimate, name engine.StepName) {
	runs := 0
	for _, run := range e.past {
		n, total := run.Took(name)
		if n == 0 {
			continue
		}
		mean := total / time.Duration(n)
		if runs++; runs == 1 || mean < s.fastest {
			s.fastest = mean
		}
		s.slowest, s.timed = max(s.slowest, mean), true
	}
	e.runs = max(e.runs, runs)
}

// add counts a job of step i in, with so many tasks; 0: a sketch of tasks that are not known.
func (e *estimate) add(i int, spec *engine.JobSpec, tasks int) {
	s := &e.steps[i]
	q := e.known.Quote(spec.Task, spec.Queue, spec.Resources)
	if q.Likely == 0 {
		s.unpriced, s.whyNot = true, q.Why
		return
	}
	if name := spec.Queue; q.Assumed && !slices.Contains(e.assumed, name) {
		e.assumed = append(e.assumed, name)
	}
	e.spot = e.spot || q.Spot || q.Low < q.Likely
	if !s.priced || q.Low < s.hourLow {
		s.hourLow = q.Low
	}
	s.hourHigh, s.priced = max(s.hourHigh, q.High), true
	s.tasks += tasks
	if !s.timed && spec.Timeout > 0 {
		s.bounded, s.slowest = true, max(s.slowest, spec.Timeout)
	}
	if tasks == 0 || !s.timed && !s.bounded {
		return
	}
	each := func(hour engine.Money, d time.Duration) engine.Money {
		rate := engine.Rate{Hour: hour}
		return rate.Cost(int64(tasks) * max(d, time.Duration(q.Least)*time.Second).Milliseconds())
	}
	low, high := each(q.Low, s.fastest), each(q.High, s.slowest)
	s.low, s.high = s.low+low, s.high+high
	e.low, e.high = e.low+low, e.high+high
}

// runs reports whether something of the step is to run that has a price.
func (s *stepEstimate) runs() bool { return s.tasks > 0 || s.more && s.priced || s.unpriced }

// open reports whether a part of the cost of the step is not known.
func (s *stepEstimate) open() bool {
	return s.runs() && (s.more || s.unpriced || !s.timed && !s.bounded)
}

func (s *stepEstimate) took() string {
	switch {
	case s.timed:
		a, b := view.Duration(s.fastest), view.Duration(s.slowest)
		if a == b {
			return a
		}
		return a + " to " + b
	case s.bounded:
		return "at most " + view.Duration(s.slowest)
	}
	return "?"
}

func (s *stepEstimate) hour() string {
	if !s.priced {
		return "?"
	}
	return money(s.hourLow, s.hourHigh)
}

func (s *stepEstimate) total() string {
	switch {
	case !s.timed && !s.bounded, !s.priced, s.tasks == 0:
		return "?"
	case s.bounded && !s.timed:
		return "at most " + s.high.String()
	}
	return money(s.low, s.high)
}

// write writes the plan's part about what the run will cost.
func (e *estimate) write(w io.Writer, p *engine.Plan, term view.Term) error {
	table := &view.Table{Header: []string{"STEP", "TASKS", "EACH TAKES", "AN HOUR OF IT", "COST"}, Right: []bool{false, true, true, true, true}}
	for i := range e.steps {
		s := &e.steps[i]
		if !s.runs() {
			continue
		}
		tasks := view.Count(s.tasks)
		if s.more {
			tasks = "?"
		}
		table.Add(string(p.Steps[i].Step.Name), tasks, s.took(), s.hour(), s.total())
	}
	if len(table.Rows) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\n%s\n", term.Style.Dim("What it costs:"))
	if err := table.WriteAligned(w, term, ""); err != nil {
		return err
	}
	fmt.Fprintf(w, "Cost: %s.\n", e.sum(p))
	for _, line := range e.assumptions() {
		fmt.Fprintf(w, "  %s.\n", view.Clean(line))
	}
	if text := e.warning(); text != "" {
		fmt.Fprintf(w, "%s %s\n", term.Style.Yellow("Warning:"), text)
	}
	return nil
}

// sum says what all will cost, in a few words.
func (e *estimate) sum(p *engine.Plan) string {
	var timeless, rest []string // steps whose tasks take nobody knows how long; of which more is not known
	known, bounded := false, false
	low, high := engine.Money(0), engine.Money(0) // of an hour of each task of timeless
	for i := range e.steps {
		s, name := &e.steps[i], string(p.Steps[i].Step.Name)
		known = known || s.low+s.high > 0
		bounded = bounded || s.bounded && !s.timed && s.high > 0
		switch {
		case !s.open():
		case s.more || s.unpriced:
			rest = append(rest, name)
		default:
			timeless = append(timeless, name)
			low, high = low+engine.Money(s.tasks)*s.hourLow, high+engine.Money(s.tasks)*s.hourHigh
		}
	}
	var parts []string
	switch {
	case known && bounded && e.low == 0:
		parts = append(parts, "at most "+e.high.String())
	case known:
		parts = append(parts, money(e.low, e.high))
	}
	if len(timeless) > 0 {
		parts = append(parts, fmt.Sprintf("%s if each task of %s takes an hour", money(low, high), fewOf(timeless)))
	}
	if len(rest) > 0 {
		parts = append(parts, "what is not known yet of "+fewOf(rest))
	}
	return strings.Join(parts, ", and ")
}

// fewOf names steps, the first few of them.
func fewOf(names []string) string {
	if n := len(names) - stepsOfReason; n > 0 {
		names = append(slices.Clone(names[:stepsOfReason]), fmt.Sprintf("%d more", n))
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// assumptions are what the estimate takes for granted.
func (e *estimate) assumptions() (out []string) {
	switch {
	case e.runs == 1:
		out = append(out, "tasks take as long as in the last run on AWS Batch, and none is tried again")
	case e.runs > 1:
		out = append(out, fmt.Sprintf("tasks take as long as in the last %d runs on AWS Batch, and none is tried again", e.runs))
	default:
		out = append(out, "how long tasks take is known once they have run on AWS Batch; their timeout is the most")
	}
	out = append(out, instances.Source)
	if e.spot {
		out = append(out, fmt.Sprintf("Spot costs %d%% of that at least, and at most what its environment allows", cost.SpotFloor))
	}
	if len(e.assumed) > 0 {
		names := strings.Join(slices.DeleteFunc(slices.Clone(e.assumed), func(n string) bool { return n == "" }), ", ")
		if names == "" {
			names = "the queue"
		}
		out = append(out, fmt.Sprintf("the workflow has no blocks for %s: a job is taken to be on instances as \"optimal\" chooses them, on demand, or on Fargate where the step says so", names))
	}
	for i := range e.steps {
		if why := e.steps[i].whyNot; why != "" {
			out = append(out, "no price is known: "+why)
			break
		}
	}
	if e.budget != nil {
		then := "pauses: what is submitted goes on, and nothing more is"
		if e.budget.Cancel {
			then = "is cancelled"
		}
		out = append(out, fmt.Sprintf("a run that costs more than its budget of %s %s; that is looked at while a process drives the run", e.budget.Max, then))
	}
	return out
}

// warning says that the budget will not do; "" if it may.
func (e *estimate) warning() string {
	if e.budget == nil || e.low <= e.budget.Max {
		return ""
	}
	return fmt.Sprintf("the budget of %s is less than the run costs, which is %s at least.", e.budget.Max, e.low)
}

// A planCostJSON is what a planned run will cost.
type planCostJSON struct {
	LowUSD      float64             `json:"low_usd"` // of the steps whose tasks take a known time
	HighUSD     float64             `json:"high_usd"`
	Complete    bool                `json:"complete"` // these are all
	Steps       []*planCostStepJSON `json:"steps"`
	Prices      string              `json:"prices"` // their date
	Assumptions []string            `json:"assumptions"`
	BudgetUSD   *float64            `json:"budget_usd,omitempty"`
	Warning     string              `json:"warning,omitempty"`
}

type planCostStepJSON struct {
	Step        string   `json:"step"`
	Tasks       int      `json:"tasks"` // to run, as far as they are known
	LowSeconds  *float64 `json:"low_seconds,omitempty"`
	HighSeconds *float64 `json:"high_seconds,omitempty"` // that a task takes; without the other: its timeout
	HourLowUSD  float64  `json:"task_hour_low_usd"`
	HourHighUSD float64  `json:"task_hour_high_usd"`
	LowUSD      *float64 `json:"low_usd,omitempty"`
	HighUSD     *float64 `json:"high_usd,omitempty"`
	NoPrice     string   `json:"no_price,omitempty"` // why none is known
}

func (e *estimate) data(p *engine.Plan) *planCostJSON {
	out := &planCostJSON{
		LowUSD: usd(e.low), HighUSD: usd(e.high), Complete: true, Steps: []*planCostStepJSON{}, Prices: instances.Date,
		Assumptions: e.assumptions(), Warning: e.warning(),
	}
	if e.budget != nil {
		max := usd(e.budget.Max)
		out.BudgetUSD = &max
	}
	for i := range e.steps {
		s := &e.steps[i]
		out.Complete = out.Complete && !s.open()
		if !s.runs() {
			continue
		}
		step := &planCostStepJSON{Step: string(p.Steps[i].Step.Name), Tasks: s.tasks, HourLowUSD: usd(s.hourLow), HourHighUSD: usd(s.hourHigh), NoPrice: s.whyNot}
		low, high, least, most := usd(s.low), usd(s.high), s.fastest.Seconds(), s.slowest.Seconds()
		if s.timed {
			step.LowSeconds = &least
		}
		if s.timed || s.bounded {
			step.HighSeconds, step.LowUSD, step.HighUSD = &most, &low, &high
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}
