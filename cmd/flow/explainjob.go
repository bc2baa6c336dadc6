package main

import (
	"cmp"
	"context"
	"slices"

	"flow/engine"
)

// A batchJobJSON is a job of AWS Batch, or a child of one, as it is there.
type batchJobJSON struct {
	ID     string `json:"id"`
	Queue  string `json:"queue,omitempty"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

func (j *batchJobJSON) text() string {
	text := "job: " + j.ID + " in AWS Batch, "
	if j.Queue != "" {
		text += "queue " + j.Queue + ", "
	}
	if text += j.Status; j.Reason != "" {
		text += ": " + j.Reason
	}
	return text
}

// explainJob adds to an explanation what AWS Batch says of the last job of a task, with each
// of its tries: those of the tasks of an array are not looked at one by one before.
func (a *app) explainJob(ctx context.Context, p *past, step engine.StepName, i int, e *explanation) {
	t := p.run.Task(step, i)
	spec := p.run.Spec(step, i)
	e.files = t.Hit != nil || spec != nil && spec.NeedsAgent()
	if t.Job == "" || t.Hit != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	x, err := a.reach(ctx, p)
	if err != nil {
		e.Note = cmp.Or(e.Note, firstLineOf(err))
		return
	}
	defer x.Close(ctx)
	jobs, err := x.Describe(ctx, []engine.JobID{jobOf(&t)})
	switch {
	case err != nil:
		e.Note = cmp.Or(e.Note, firstLineOf(err))
	case len(jobs) == 0:
		e.Batch = &batchJobJSON{ID: string(jobOf(&t)), Status: "not known there any more"}
	default:
		j := &jobs[0]
		e.Batch = &batchJobJSON{ID: string(j.ID), Queue: j.Queue, Status: j.Status.String(), Reason: j.StatusReason}
		e.History = withTries(p.run, &t, e.History, j)
	}
	switch {
	case t.Status == engine.Failed:
		e.LastLog = lastOfLog(ctx, x, jobOf(&t))
	case !t.Status.Ended() && err == nil:
		a.explainWait(ctx, p, &t, jobs, e)
	}
}

// lastOfLog returns the last lines that the last try of a job wrote, as far as they can be
// read soon.
func lastOfLog(ctx context.Context, x engine.Executor, id engine.JobID) (out []string) {
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	for line, err := range x.Logs(ctx, id, engine.LogOptions{Tail: logTail}) {
		if err != nil {
			break // it is shown without
		}
		out = append(out, shortened(line.Text))
	}
	return out
}

// withTries returns the history of a task with each try that its last job has made.
func withTries(run *engine.Run, t *engine.TaskStatus, history []attemptInfo, job *engine.Job) []attemptInfo {
	first, before := 1, len(history) // of the job: its first attempt; and what was before it
	if n := len(history); n > 0 {
		last := history[n-1].Attempt
		first = last + 1
		if id, in, ok := run.Attempt(t.Step, t.Index, last); ok && id == job.ID {
			first = last - in + 1
			before = slices.IndexFunc(history, func(h attemptInfo) bool { return h.Attempt >= first })
		}
	}
	if len(history)-before >= len(job.Attempts) {
		return history
	}
	out := slices.Clone(history[:before])
	for k, try := range job.Attempts {
		h := attemptInfo{Outcome: engine.TaskRetrying, ExitCode: try.ExitCode, Reason: cmp.Or(try.Reason, try.StatusReason)}
		if last := k == len(job.Attempts)-1; last && before < len(history) {
			h = history[len(history)-1]
		} else if last && job.Status == engine.JobSucceeded {
			h.Outcome = engine.TaskSucceeded
		} else if last && job.Status == engine.JobFailed {
			h.Outcome = engine.TaskFailed
		}
		h.Attempt, h.Started, h.Ended, h.Log = first+k, try.Started, try.Stopped, try.LogStream
		out = append(out, h)
	}
	return out
}
