package engine

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// A Plan says what a run would do, as far as it can be known before.
type Plan struct {
	Steps []PlanStep // source order
	// Run is the run up to where something would really have to run. It must not be driven.
	Run *Run
}

// A PlanStep is what a run would do for one step.
type PlanStep struct {
	Step   *Step
	Size   int          // tasks; -1: not known, Hold says until when
	Cached int          // tasks whose result is known
	Absent int          // tasks that would not run, since their `when` is false
	ToRun  int          // tasks that would run
	Jobs   []PlannedJob // handed over at once
	Hold   Hold         // why not everything is handed over at once; zero: it is
	Err    string       // the step cannot be evaluated
}

// PlannedJob is a job that a run would submit.
type PlannedJob struct {
	Job       int // its number in Plan.Run; see Run.JobSpec
	Size      int // children; 1: a plain job
	DependsOn []PlannedDep
}

// ToRun returns how many tasks would run, and whether there may be more, which are not
// known yet.
func (p *Plan) ToRun() (n int, more bool) {
	for _, s := range p.Steps {
		n += s.ToRun
		more = more || s.Size < 0
	}
	return n, more
}

// NewPlan plans a run of d's workflow; d needs no Executor and no Log. Nothing is
// written and nothing started. An error is one of the cache, the graph or ctx.
func NewPlan(ctx context.Context, d *Driver, info RunInfo) (*Plan, error) {
	now := time.Time{}
	if d.Clock != nil {
		now = d.Clock.Now()
	} else {
		now = SystemClock{}.Now()
	}
	p := &Driver{Workflow: d.Workflow, Template: d.Template, Files: d.Files, Cache: d.Cache, Clock: frozen(now), Price: d.Price,
		Log: &planLog{Event{Seq: 1, At: now.UTC().Truncate(time.Millisecond), Kind: RunStarted, Info: &info}}}
	run, err := p.Load(ctx, info.Run)
	if err != nil {
		return nil, err
	}
	for {
		ready, err := p.decide(ctx)
		if err != nil {
			return nil, err
		}
		submitted := false
		for _, c := range ready.Commands {
			if c.Op == Submit { // as if the executor had taken it; nothing ever ends
				submitted = true
				if err := run.Apply(Event{Kind: JobAccepted, Job: c.Job, JobID: JobID(fmt.Sprintf("job-%d", c.Job))}); err != nil {
					return nil, err
				}
			}
		}
		if !submitted {
			break
		}
	}
	return p.plan(now), nil
}

func (d *Driver) plan(now time.Time) *Plan {
	out := &Plan{Run: d.run, Steps: make([]PlanStep, len(d.run.steps))}
	for i, s := range d.run.steps {
		ps := PlanStep{Step: s.Step, Size: -1}
		if s.exp != nil {
			ps.Size, ps.Cached, ps.Absent = s.exp.Size, s.counts[Cached], s.counts[Skipped]
			ps.ToRun = ps.Size - ps.Cached - ps.Absent
		} else if s.status == Failed {
			ps.Err = s.reason
		}
		for _, j := range s.live {
			ps.Jobs = append(ps.Jobs, PlannedJob{Job: j.n, Size: j.tasks.Len(), DependsOn: j.plan.DependsOn})
		}
		out.Steps[i] = ps
	}
	for _, w := range d.run.Holds(now) {
		out.Steps[d.run.step(w.Step).at].Hold = w.Hold
	}
	return out
}

// ToCome returns jobs of the tasks of a step that are known, but in no job yet: as few as
// they can be. What they will depend on, and how often Batch may try them, is not in them.
func (r *Run) ToCome(name StepName) []*JobSpec {
	s := r.step(name)
	if s.exp == nil || s.waiting == 0 {
		return nil
	}
	tasks := make([]Ranges, len(s.exp.Groups))
	for i := range s.task {
		if s.task[i] == Pending && !s.inJob[i] && !s.exp.Absent.Contains(i) {
			tasks[s.group(i)] = tasks[s.group(i)].Add(i)
		}
	}
	var out []*JobSpec
	for g, of := range tasks {
		for len(of) > 0 {
			chunk := of.First(MaxArraySize)
			of = of.After(chunk[len(chunk)-1].To)
			out = append(out, r.jobSpec(&jobState{step: s, tasks: chunk, plan: &JobPlan{
				Name: JobName(r.info.Run, s.Name, r.jobBase()+len(r.jobs)+len(out)+1), Queue: s.exp.Groups[g].Queue, Group: g, Attempt: 1, Attempts: 1,
			}}))
		}
	}
	return out
}

// frozen is a clock that stands still.
type frozen time.Time

func (f frozen) Now() time.Time                                          { return time.Time(f) }
func (frozen) Wait(context.Context, time.Duration, <-chan struct{}) bool { return false }

// planLog is a log with one event, which forgets what is appended.
type planLog struct{ start Event }

func (*planLog) Append(context.Context, RunID, int64, ...Event) error { return nil }

func (l *planLog) Events(context.Context, RunID, int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) { yield(l.start, nil) }
}
