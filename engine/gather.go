package engine

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
)

// A ranker turns the index of a child into the index of its task, fast when asked in
// ascending order.
type ranker struct {
	tasks Ranges
	at    int // in tasks
	base  int // children before tasks[at]
}

func newRanker(tasks Ranges) *ranker { return &ranker{tasks: tasks} }

func (r *ranker) task(child int) (int, bool) {
	if child < r.base {
		r.at, r.base = 0, 0
	}
	for r.at < len(r.tasks) {
		x := r.tasks[r.at]
		n := x.To - x.From + 1
		if child < r.base+n {
			return x.From + child - r.base, child >= 0
		}
		r.base += n
		r.at++
	}
	r.at, r.base = 0, 0
	return 0, false
}

// gathered collects the endings of the tasks of one job, those that ended alike in one event.
type gathered struct {
	d      *Driver
	j      *jobState
	ok     *Event // tasks that succeeded, still open
	events []Event
	ask    *[]JobID // tasks that are to be described first; nil: no more can be known

	fetched map[int]ManifestAnswer // by task; see fetch
}

func (g *gathered) flush() {
	if g.ok != nil {
		if uniform(g.ok.Attempts) {
			g.ok.Attempts = g.ok.Attempts[:1]
		}
		g.ok.Memory, g.ok.CPU = g.ok.Memory.known(), g.ok.CPU.known()
		g.events = append(g.events, *g.ok)
		g.ok = nil
	}
}

func uniform(n []int) bool {
	for _, x := range n {
		if x != n[0] {
			return false
		}
	}
	return true
}

// add notes that the job of task i has ended. Tasks must come in ascending order
// between two flushes.
func (g *gathered) add(ctx context.Context, i int, job *Job) error {
	s := g.j.step
	if !s.inJob[i] || int(s.job[i]) != g.j.n {
		return nil
	}
	if job.Status == JobSucceeded {
		return g.addGood(ctx, i, job)
	}
	tries := g.j.plan.Attempt - 1 + max(len(job.Attempts), 1)
	infra := infraOf(job.Attempts)
	before := g.before(job.Attempts)
	last := JobAttempt{ExitCode: job.ExitCode, Reason: job.Reason, StatusReason: job.StatusReason, Started: job.Started, Stopped: job.Stopped, Used: job.Used}
	if n := len(job.Attempts); n > 0 {
		last = job.Attempts[n-1]
		// The job's own reason is the last word: a time-out or the dependency that failed.
		last.StatusReason = job.StatusReason
	} else if job.Started.IsZero() && !isInfra(job.StatusReason) {
		tries = g.j.plan.Attempt - 1 // it never began
	} else if isInfra(job.StatusReason) {
		infra = 1
	}
	switch {
	case job.Terminated:
		g.end(i, Event{Outcome: TaskCancelled, Reason: job.StatusReason, ExitCode: last.ExitCode, Before: before}, &last, tries, infra)
	case job.StatusReason == ReasonDependency:
		g.flush()
		g.events = append(g.events, Event{Kind: TasksEnded, Step: s.Name, Job: g.j.n, Tasks: RangesOf(i), Outcome: TaskUnstarted, Reason: job.StatusReason})
		g.mergeUnstarted()
	default:
		if last.ExitCode != nil && (last.Reason == "" || strings.HasSuffix(last.Reason, ReasonInLog)) { // the agent has only a number to say why
			last.Reason = cmp.Or(g.d.Files.Failure(ctx, g.d.run.dir(s, i), tries), last.Reason)
		}
		if isTwin(&last) {
			return g.addTwin(ctx, i, job, &last, tries, before)
		}
		g.fail(i, s.spec(i), &last, tries, infra, before)
	}
	return nil
}

// addTwin notes that the attempts of task i belong to a job that nobody knows of. If that has
// succeeded, so has the task; else the sweep ends it, and the task is tried again in an
// attempt of its own, which costs it none.
func (g *gathered) addTwin(ctx context.Context, i int, job *Job, last *JobAttempt, tries int, before *Usage) error {
	s := g.j.step
	g.d.sweepBy(g.d.Clock.Now())
	if len(s.spec(i).Outputs) > 0 {
		m, err := g.manifest(ctx, i)
		switch {
		case err == nil && m.Attempt >= g.j.plan.Attempt:
			g.succeed(i, job, m.Attempt, 0, m, before)
			return nil
		case err != nil && !errors.Is(err, ErrNotFound):
			return ctx.Err() // no news; the job is looked at again
		}
	}
	g.fail(i, s.spec(i), last, tries, max(len(job.Attempts), 1), before)
	return nil
}

func infraOf(attempts []JobAttempt) (n int) {
	for k := range attempts {
		if isInfra(attempts[k].StatusReason) {
			n++
		}
	}
	return n
}

// addGood notes that the job of task i has succeeded. Without a manifest, a task that has
// outputs has not. How often it was tried is in the job or in the manifest; else one try
// is assumed.
func (g *gathered) addGood(ctx context.Context, i int, job *Job) error {
	s := g.j.step
	tries := g.j.plan.Attempt - 1 + max(len(job.Attempts), 1)
	if len(s.spec(i).Outputs) == 0 {
		g.succeed(i, job, tries, infraOf(job.Attempts), nil, g.before(job.Attempts))
		return nil
	}
	m, err := g.manifest(ctx, i)
	switch {
	case errors.Is(err, ErrNotFound):
		g.fail(i, s.spec(i), &JobAttempt{Reason: ReasonOutputMissing + "the job succeeded, but left no manifest", StatusReason: job.StatusReason, Started: job.Started, Stopped: job.Stopped, Used: job.Used}, tries, infraOf(job.Attempts), g.before(job.Attempts))
		return nil
	case err != nil:
		return ctx.Err() // no news; the job is looked at again
	}
	before := g.before(job.Attempts)
	if job.Attempts == nil && m.Attempt > tries && m.Attempt <= g.j.lastAttempt() {
		if g.ask != nil && g.d.far {
			*g.ask = append(*g.ask, job.ID) // how long its earlier tries took only Describe has
			return nil
		}
		before = &Usage{Unknown: m.Attempt - tries}
		tries = m.Attempt
	}
	g.succeed(i, job, tries, infraOf(job.Attempts), m, before)
	return nil
}

// mergeUnstarted joins the last two events if they are neighbours that did not start.
func (g *gathered) mergeUnstarted() {
	n := len(g.events)
	if n < 2 {
		return
	}
	a, b := &g.events[n-2], &g.events[n-1]
	if a.Outcome == TaskUnstarted && a.Tasks[len(a.Tasks)-1].To < b.Tasks[0].From {
		a.Tasks = a.Tasks.Add(b.Tasks[0].From)
		g.events = g.events[:n-1]
	}
}

// succeed notes that task i has succeeded, with that manifest or, without outputs, none.
func (g *gathered) succeed(i int, job *Job, tries, infra int, m *Manifest, before *Usage) {
	var values Values
	if m != nil && len(m.Outputs) > 0 {
		values = m.Outputs
	}
	s := g.j.step
	infra += s.infra[i]
	if g.ok != nil && ((g.ok.Outputs != nil) != (values != nil) || g.ok.Infra != infra) {
		g.flush()
	}
	if g.ok == nil {
		g.ok = &Event{Kind: TasksEnded, Step: s.Name, Job: g.j.n, Outcome: TaskSucceeded, Infra: infra}
	}
	e := g.ok
	e.Tasks, e.Before = e.Tasks.Add(i), e.Before.plus(before)
	e.Attempts = append(e.Attempts, tries)
	e.Started = append(e.Started, ms(job.Started))
	e.Stopped = append(e.Stopped, ms(job.Stopped))
	e.use(job.Used.or(m))
	if values != nil {
		e.Outputs = append(e.Outputs, values)
	}
	g.flushPlain()
}

// flushPlain closes the event of a plain job at once.
func (g *gathered) flushPlain() {
	if g.j.tasks.Len() == 1 {
		g.flush()
	}
}

func (g *gathered) fail(i int, spec *TaskSpec, last *JobAttempt, tries, infra int, before *Usage) {
	s := g.j.step
	infra += s.infra[i]
	v := judge(spec, last, tries-infra-s.spent[i], infra)
	e := Event{Outcome: v.outcome, ExitCode: last.ExitCode, Reason: failure(last), Before: before, TryLost: g.d.far && isInfra(last.StatusReason)}
	if v.outcome == TaskRetrying {
		if v.wait > 0 {
			e.After = g.d.after(v.wait)
		}
		switch at := s.rule[i]; {
		case v.rule != nil:
			e.Rule = v.rule.Class
		case at > 0 && isInfra(last.StatusReason): // it was not its own fault: what it got, it gets again
			e.Rule = spec.Retry.Rules[at-1].Class
		}
	}
	g.end(i, e, last, tries, infra-s.infra[i])
}

// after returns when a task may be tried again that is to wait. Far away, what is due
// within the same window is due at once, so that it can be one job.
func (d *Driver) after(wait time.Duration) time.Time {
	at := d.Clock.Now().Add(wait).UTC().Truncate(time.Millisecond)
	if window := d.run.gather; window > 0 {
		if early := at.Truncate(window); early.Before(at) {
			at = early.Add(window)
		}
	}
	return at
}

func (g *gathered) end(i int, e Event, last *JobAttempt, tries, infra int) {
	g.flush()
	s := g.j.step
	e.Kind, e.Step, e.Job, e.Tasks = TasksEnded, s.Name, g.j.n, RangesOf(i)
	e.Attempts, e.Infra = []int{tries}, s.infra[i]+infra
	e.Started, e.Stopped = []int64{ms(last.Started)}, []int64{ms(last.Stopped)}
	if last.Used != (Used{}) {
		e.use(last.Used)
	}
	if n := len(g.events); n > 0 && alike(&g.events[n-1], &e) && g.events[n-1].Tasks[len(g.events[n-1].Tasks)-1].To < i {
		was := &g.events[n-1]
		was.Tasks, was.Before = was.Tasks.Add(i), was.Before.plus(e.Before)
		was.Started, was.Stopped = append(was.Started, e.Started...), append(was.Stopped, e.Stopped...)
		was.Memory, was.CPU = append(was.Memory, e.Memory...), append(was.CPU, e.CPU...)
		return
	}
	g.events = append(g.events, e)
}

// alike reports whether two endings can be told as one.
func alike(a, b *Event) bool {
	return a.Kind == b.Kind && a.Outcome == b.Outcome && a.Reason == b.Reason && a.Rule == b.Rule && a.After.Equal(b.After) &&
		(a.Memory == nil) == (b.Memory == nil) && a.Infra == b.Infra && a.TryLost == b.TryLost && len(a.Attempts) == 1 && a.Attempts[0] == b.Attempts[0] && len(a.Started) == a.Tasks.Len() &&
		(a.ExitCode == b.ExitCode || a.ExitCode != nil && b.ExitCode != nil && *a.ExitCode == *b.ExitCode)
}
