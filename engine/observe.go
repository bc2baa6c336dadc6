package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// seen is what the driver last saw of a job, to list children only when something
// changed.
type seen struct {
	summary [NumJobStatuses]int
	status  JobStatus
	missing time.Time // not found since
	listed  bool
}

// observe records what the jobs of the run did since the last look, and what other
// processes want.
func (d *Driver) observe(ctx context.Context) error {
	var events []Event
	if err := d.requests(ctx, &events); err != nil {
		return err
	}
	var ids []JobID
	var jobs []*jobState
	for _, j := range d.run.liveJobs() {
		if j.state == jobAccepted {
			ids = append(ids, j.id)
			jobs = append(jobs, j)
		}
	}
	if len(ids) > 0 {
		found, err := d.Executor.Describe(ctx, ids)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return errors.Join(d.commit(ctx, events), nil) // no news; asked again
		}
		byID := make(map[JobID]*Job, len(found))
		for i := range found {
			byID[found[i].ID] = &found[i]
		}
		for _, j := range jobs {
			if err := d.observeJob(ctx, j, byID[j.id], &events); err != nil {
				return err
			}
		}
	}
	return d.commit(ctx, events)
}

// requests records what other processes want.
func (d *Driver) requests(ctx context.Context, events *[]Event) error {
	if err := d.ask(ctx); err != nil {
		return err
	}
	for _, w := range d.wishes {
		if w.Kind == "cancel" && d.run.cancel == nil {
			if err := d.apply(events, Event{Kind: CancelRequested, Reason: w.Reason, Cause: CauseUser}); err != nil {
				return err
			}
		}
	}
	d.wishes = nil
	return nil
}

// ask looks for wishes of other processes, if it has not done so just now.
func (d *Driver) ask(ctx context.Context) error {
	now := d.Clock.Now()
	if d.Requests == nil || now.Sub(d.asked) < requestsEvery {
		return nil
	}
	d.asked = now
	wishes, err := d.Requests(ctx)
	if err != nil {
		return fmt.Errorf("reading requests: %w", err)
	}
	d.wishes = append(d.wishes, wishes...)
	return nil
}

func (d *Driver) observeJob(ctx context.Context, j *jobState, job *Job, events *[]Event) error {
	was := d.seen[j.n]
	if job == nil {
		now := d.Clock.Now()
		if was.missing.IsZero() {
			was.missing = now
			d.seen[j.n] = was
		}
		if now.Sub(was.missing) < d.Quiet { // an executor may show a job late
			return nil
		}
		return d.apply(events, Event{Kind: JobLost, Job: j.n, Reason: "unknown to the executor"})
	}
	if j.stray {
		if job.Status.Ended() {
			return d.apply(events, Event{Kind: JobEnded, Job: j.n, Reason: job.StatusReason})
		}
		return nil
	}
	if was.listed && was.status == job.Status && was.summary == job.Summary && !job.Status.Ended() {
		return nil
	}
	var err error
	if j.tasks.Len() == 1 {
		err = d.observePlain(ctx, j, job, events)
	} else {
		err = d.observeArray(ctx, j, job, events)
	}
	if err != nil {
		return err
	}
	d.seen[j.n] = seen{summary: job.Summary, status: job.Status, listed: true}
	if job.Status.Ended() && j.open == 0 {
		delete(d.seen, j.n)
		return d.apply(events, Event{Kind: JobEnded, Job: j.n, Reason: job.StatusReason})
	}
	return nil
}

func (d *Driver) observePlain(ctx context.Context, j *jobState, job *Job, events *[]Event) error {
	i := j.tasks[0].From
	switch {
	case job.Status.Ended():
		g := gathered{d: d, j: j}
		if err := g.add(ctx, i, job); err != nil {
			return err
		}
		return d.apply(events, g.events...)
	case job.Status == JobRunning && j.step.task[i] != Running:
		return d.apply(events, Event{Kind: TasksRunning, Step: j.step.Name, Job: j.n, Tasks: j.tasks})
	}
	return nil
}

func (d *Driver) observeArray(ctx context.Context, j *jobState, job *Job, events *[]Event) error {
	was := d.seen[j.n].summary
	s := j.step
	at := newRanker(j.tasks)
	g := gathered{d: d, j: j}
	for _, status := range []JobStatus{JobSucceeded, JobFailed} {
		if job.Summary[status] == was[status] && !job.Status.Ended() {
			continue
		}
		var ask []JobID // those whose attempts only Describe has
		for child, err := range d.Executor.Children(ctx, j.id, status) {
			if err != nil {
				return d.noNews(ctx, err)
			}
			_, k := child.ID.Split()
			i, ok := at.task(k)
			if !ok || !s.inJob[i] || int(s.job[i]) != j.n {
				continue
			}
			if (status == JobFailed || j.plan.Attempts > 1) && child.Attempts == nil {
				ask = append(ask, child.ID)
				continue
			}
			if err := g.add(ctx, i, &child); err != nil {
				return err
			}
		}
		for part := range slices.Chunk(ask, 100) {
			children, err := d.Executor.Describe(ctx, part)
			if err != nil {
				return d.noNews(ctx, err)
			}
			slices.SortFunc(children, func(a, b Job) int { _, x := a.ID.Split(); _, y := b.ID.Split(); return x - y })
			for c := range children {
				_, k := children[c].ID.Split()
				if i, ok := at.task(k); ok {
					if err := g.add(ctx, i, &children[c]); err != nil {
						return err
					}
				}
			}
		}
		g.flush()
	}
	if err := d.apply(events, g.events...); err != nil {
		return err
	}
	if job.Summary[JobRunning] == 0 {
		return nil
	}
	var running Ranges
	for child, err := range d.Executor.Children(ctx, j.id, JobRunning) {
		if err != nil {
			return d.noNews(ctx, err)
		}
		_, k := child.ID.Split()
		if i, ok := at.task(k); ok && s.inJob[i] && s.task[i] == Pending {
			running = running.Add(i)
		}
	}
	if len(running) == 0 {
		return nil
	}
	return d.apply(events, Event{Kind: TasksRunning, Step: s.Name, Job: j.n, Tasks: running})
}

// noNews is what becomes of an error while looking: the next look will tell, unless we
// are to stop.
func (d *Driver) noNews(ctx context.Context, _ error) error { return ctx.Err() }

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
}

func (g *gathered) flush() {
	if g.ok != nil {
		if uniform(g.ok.Attempts) {
			g.ok.Attempts = g.ok.Attempts[:1]
		}
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
	spec := s.spec(i)
	tries := g.j.plan.Attempt - 1 + max(len(job.Attempts), 1)
	if job.Status == JobSucceeded {
		var values Values
		if len(spec.Outputs) > 0 {
			m, err := g.d.Files.Manifest(ctx, g.d.run.dir(s, i))
			switch {
			case errors.Is(err, ErrNotFound):
				g.fail(i, spec, &JobAttempt{Reason: ReasonOutputMissing + "the job succeeded, but left no manifest", StatusReason: job.StatusReason, Started: job.Started, Stopped: job.Stopped}, tries, 0)
				return nil
			case err != nil:
				return g.d.noNews(ctx, err)
			}
			if len(m.Outputs) > 0 {
				values = m.Outputs
			}
		}
		g.succeed(i, job, tries, values)
		return nil
	}
	infra := 0
	for k := range job.Attempts {
		if isInfra(job.Attempts[k].StatusReason) {
			infra++
		}
	}
	last := JobAttempt{ExitCode: job.ExitCode, Reason: job.Reason, StatusReason: job.StatusReason, Started: job.Started, Stopped: job.Stopped}
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
		g.end(i, Event{Outcome: TaskCancelled, Reason: job.StatusReason, ExitCode: last.ExitCode}, &last, tries, infra)
	case job.StatusReason == ReasonDependency:
		g.flush()
		g.events = append(g.events, Event{Kind: TasksEnded, Step: s.Name, Job: g.j.n, Tasks: RangesOf(i), Outcome: TaskUnstarted, Reason: job.StatusReason})
		g.mergeUnstarted()
	default:
		g.fail(i, spec, &last, tries, infra)
	}
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

func (g *gathered) succeed(i int, job *Job, tries int, values Values) {
	if g.ok != nil && (g.ok.Outputs != nil) != (values != nil) {
		g.flush()
	}
	if g.ok == nil {
		g.ok = &Event{Kind: TasksEnded, Step: g.j.step.Name, Job: g.j.n, Outcome: TaskSucceeded}
	}
	e := g.ok
	e.Tasks = e.Tasks.Add(i)
	e.Attempts = append(e.Attempts, tries)
	e.Started = append(e.Started, ms(job.Started))
	e.Stopped = append(e.Stopped, ms(job.Stopped))
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

func (g *gathered) fail(i int, spec *TaskSpec, last *JobAttempt, tries, infra int) {
	s := g.j.step
	infra += s.infra[i]
	v := judge(spec, last, tries-infra-s.spent[i], infra)
	e := Event{Outcome: v.outcome, ExitCode: last.ExitCode, Reason: failure(last)}
	if v.outcome == TaskRetrying {
		if v.wait > 0 {
			e.After = g.d.Clock.Now().Add(v.wait).UTC().Truncate(time.Millisecond)
		}
		if v.rule != nil {
			e.Rule = v.rule.Class
		}
	}
	g.end(i, e, last, tries, infra-s.infra[i])
}

func (g *gathered) end(i int, e Event, last *JobAttempt, tries, infra int) {
	g.flush()
	s := g.j.step
	e.Kind, e.Step, e.Job, e.Tasks = TasksEnded, s.Name, g.j.n, RangesOf(i)
	e.Attempts, e.Infra = []int{tries}, s.infra[i]+infra
	e.Started, e.Stopped = []int64{ms(last.Started)}, []int64{ms(last.Stopped)}
	if n := len(g.events); n > 0 && alike(&g.events[n-1], &e) && g.events[n-1].Tasks[len(g.events[n-1].Tasks)-1].To < i {
		was := &g.events[n-1]
		was.Tasks = was.Tasks.Add(i)
		was.Started, was.Stopped = append(was.Started, e.Started...), append(was.Stopped, e.Stopped...)
		return
	}
	g.events = append(g.events, e)
}

// alike reports whether two endings can be told as one.
func alike(a, b *Event) bool {
	return a.Kind == b.Kind && a.Outcome == b.Outcome && a.Reason == b.Reason && a.Rule == b.Rule && a.After.Equal(b.After) &&
		a.Infra == b.Infra && len(a.Attempts) == 1 && a.Attempts[0] == b.Attempts[0] && len(a.Started) == a.Tasks.Len() &&
		(a.ExitCode == b.ExitCode || a.ExitCode != nil && b.ExitCode != nil && *a.ExitCode == *b.ExitCode)
}

// failure says in a few words why a try failed.
func failure(a *JobAttempt) string {
	switch {
	case a.Reason != "":
		return a.Reason
	case a.ExitCode != nil && (a.StatusReason == ReasonExited || a.StatusReason == ""):
		return fmt.Sprintf("exit code %d%s", *a.ExitCode, signalName(*a.ExitCode))
	case a.ExitCode != nil:
		return fmt.Sprintf("%s (exit code %d)", a.StatusReason, *a.ExitCode)
	}
	return a.StatusReason
}

func signalName(code int) string {
	switch code {
	case 126:
		return " (not executable)"
	case 127:
		return " (command not found)"
	case 130:
		return " (SIGINT)"
	case 134:
		return " (SIGABRT)"
	case 137:
		return " (SIGKILL)"
	case 139:
		return " (SIGSEGV)"
	case 141:
		return " (SIGPIPE)"
	case 143:
		return " (SIGTERM)"
	}
	return ""
}

func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
