package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"time"
)

// A recovered run was made of what its files tell, after its log was lost. Its jobs of before
// may live still, and its tasks may have succeeded, failed, or be at some attempt. None of
// that is in the log; it is found out of each step that has been expanded, before jobs of it
// are planned: its jobs are ended, results count as they do everywhere, by their manifests,
// and attempts are numbered on behind all that have left a trace.

// recovered reports whether the run was made of its files.
func (r *Run) recovered() bool { return !r.info.Recovered.IsZero() }

// jobBase is what the numbers in the names of jobs begin behind: a job of a recovered run is
// not to be taken for one of before. It was not given a job each millisecond.
func (r *Run) jobBase() int {
	if !r.recovered() {
		return 0
	}
	return int(max(r.info.Recovered.Sub(r.created).Milliseconds(), 1))
}

// unsurveyed reports whether it is not known what the tasks of s did before the run was
// recovered.
func (r *Run) unsurveyed(s *stepState) bool { return r.recovered() && !s.surveyed }

// queues returns where jobs of a step that is expanded are, or were.
func (s *stepState) queues() (out []string) {
	for _, g := range s.exp.Groups {
		out = append(out, g.Queue)
		for i := range g.Retry.Rules {
			if q := g.Retry.Rules[i].Queue; q != "" {
				out = append(out, q)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// survey finds out what the tasks of a step did before the run was recovered. That takes
// until nothing of before is alive in its queues, or could still appear there.
func (d *Driver) survey(ctx context.Context, name StepName) error {
	s := d.run.step(name)
	now := d.Clock.Now()
	if again, ok := d.unseen[name]; ok && now.Before(again) {
		d.wakeAt(again)
		return nil
	}
	again := func() error {
		d.unseen[name] = now.Add(d.poll())
		d.wakeAt(d.unseen[name])
		return nil
	}
	clear, err := d.clearQueues(ctx, s, now)
	if err != nil {
		return err
	}
	if !clear {
		return again()
	}
	events, err := d.traced(ctx, s)
	if err := d.noted(ctx, opFiles, err); err != nil {
		return err
	}
	if err != nil {
		return again()
	}
	delete(d.unseen, name)
	s.surveyed = true
	d.wakeAt(now)
	return d.record(ctx, events...)
}

// clearQueues ends jobs of before in the queues of a step, and reports whether there are
// none.
func (d *Driver) clearQueues(ctx context.Context, s *stepState, now time.Time) (bool, error) {
	if d.far { // Find may miss a job that was submitted just before
		if quiet := d.run.info.Recovered.Add(d.Quiet); now.Before(quiet) {
			d.wakeAt(quiet)
			return false, nil
		}
	}
	mine := map[JobID]bool{}
	names := map[string]bool{}
	for _, j := range d.run.jobs {
		mine[j.id], names[j.plan.Name] = true, true
	}
	clear := true
	for _, queue := range s.queues() {
		found, failed := d.Executor.Find(ctx, queue, RunPrefix(d.run.ID())+"*")
		if err := d.noted(ctx, opFind, failed); err != nil {
			return false, err
		}
		clear = clear && failed == nil
		for i := range found {
			job := &found[i]
			if job.Status.Ended() || mine[job.ID] || names[job.Name] {
				continue
			}
			clear = false
			if err := d.alone(ctx); err != nil {
				return false, err
			}
			d.terminate(ctx, job.ID, "flow: run "+string(d.run.ID())+" was recovered, and knows nothing of this job")
		}
	}
	return clear, nil
}

// traced returns what the files of a step tell of its waiting tasks that is not known.
func (d *Driver) traced(ctx context.Context, s *stepState) ([]Event, error) {
	tracer, ok := d.Files.(Tracer)
	if !ok {
		return nil, nil
	}
	highest, err := tracer.Traces(ctx, d.run.info.WorkDir, d.run.ID(), s.Name)
	if err != nil {
		return nil, err
	}
	var at []int
	var dirs []string
	for i, t := range s.task {
		if n := highest[KeyDir(s.FanOut, s.key(i))]; t == Pending && !s.inJob[i] && n > int(s.tries[i]) {
			at, dirs = append(at, i), append(dirs, d.run.dir(s, i))
		}
	}
	var events []Event
	var gone Ranges // of which temporary outputs have been removed, or were going to be
	for len(at) > 0 {
		n := min(len(at), manifestsAtOnce)
		answers := manifestsOf(ctx, d.Files, dirs[:n])
		for k, i := range at[:n] {
			e, err := s.traced(i, highest[KeyDir(s.FanOut, s.key(i))], answers[k])
			if err != nil {
				return nil, err
			}
			events = append(events, e)
			if e.Outcome == TaskSucceeded && len(answers[k].Manifest.Gone) > 0 {
				gone = gone.Add(i)
			}
		}
		at, dirs = at[n:], dirs[n:]
	}
	if len(gone) > 0 {
		events = append(events, Event{Kind: OutputsUnneeded, Step: s.Name, Tasks: gone})
	}
	return events, nil
}

// traced returns what became of task i, whose traces go up to an attempt.
func (s *stepState) traced(i, attempt int, a ManifestAnswer) (Event, error) {
	e := Event{
		Kind: TasksEnded, Step: s.Name, Tasks: RangesOf(i), Outcome: TaskRecovered, Attempts: []int{attempt},
		Infra:  1, // the last of them may have been interrupted, and costs nothing
		Reason: "recovered: it left traces and no result",
	}
	switch {
	case a.Err == nil && s.fits(i, a.Manifest):
		m := a.Manifest
		e.Outcome, e.Reason, e.Infra, e.Attempts = TaskSucceeded, "", 0, []int{max(m.Attempt, attempt)}
		if m.Started > 0 && m.Stopped > 0 {
			e.Started, e.Stopped = Times{m.Started}, Times{m.Stopped}
			if u := m.Used(); u != (Used{}) {
				e.use(u)
			}
		}
		if len(m.Outputs) > 0 {
			e.Outputs = []Values{m.Outputs}
		}
	case a.Err != nil && !errors.Is(a.Err, ErrNotFound):
		return e, a.Err
	}
	return e, nil
}

// fits reports whether a manifest is of what task i would do now: of no attempt before its
// step was reset, of the same key, and with all that is not temporary.
func (s *stepState) fits(i int, m *Manifest) bool {
	if m.Attempt <= s.base || s.noCache || !s.spec(i).keeps(m.Gone) {
		return false
	}
	key := s.taskKeys().Key(i)
	return m.CacheKey == "" || key == (CacheKey{}) || m.CacheKey == hex.EncodeToString(key[:])
}
