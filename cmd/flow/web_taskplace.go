package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"flow/cmd/flow/internal/page"
	"flow/engine"
	"flow/executor/batch/where"
)

// How long what AWS says of where a task runs is good; after its end it does not change.
const placeFresh = 10 * time.Second

// A placeThere is what AWS says of the jobs of a task.
type placeThere struct {
	report *where.Report
	waits  explanation // of one that has not ended: why its last job does not run
}

// placesThere says in which job, on which instance, each attempt on AWS Batch was, and why one
// waits that has not begun.
func (s *site) placesThere(m *page.TaskDetail, p *past) {
	t := m.Task
	if t.Job == "" {
		return
	}
	first, ids := triersOf(p.run, &t)
	fresh := placeFresh
	if t.Status.Ended() {
		fresh = 0
	}
	row := &past{db: p.db, row: p.row}
	found, ready, err := s.slow.ask(fmt.Sprintf("place %s/%s/%d %s %d", m.Run, t.Step, t.Index, t.Status, t.Attempts), fresh, m.Now, func(ctx context.Context) (any, error) {
		return s.lookThere(ctx, row, &t, ids)
	})
	switch {
	case err != nil:
		m.Notes = append(m.Notes, "Where it ran cannot be asked: "+firstLineOf(err))
		return
	case !ready:
		m.Notes = append(m.Notes, "AWS is being asked where it ran.")
		return
	}
	there := found.(*placeThere)
	m.Notes = append(m.Notes, there.report.Notes...)
	for _, id := range ids {
		k := slices.IndexFunc(there.report.Jobs, func(j where.Job) bool { return j.ID == id })
		if k < 0 {
			m.Notes = append(m.Notes, unknownThere(&t, id))
			continue
		}
		j := &there.report.Jobs[k]
		if id == jobOf(&t) {
			runsThere(m, j, first[id])
		}
		setPlaces(m, j, first[id])
	}
	waitsThere(m, &there.waits)
}

// unknownThere says that AWS Batch does not know a job of a task.
func unknownThere(t *engine.TaskStatus, id engine.JobID) string {
	if t.Child >= 0 && id == jobOf(t) && !t.Status.Ended() {
		return fmt.Sprintf("It is child %d of array job %s in AWS Batch, which has no children yet.", t.Child, t.Job)
	}
	return fmt.Sprintf("AWS Batch does not know job %s any more: it keeps jobs for seven days after their end.", id)
}

// lookThere asks AWS where the jobs of a task are, and what the last one waits for.
func (s *site) lookThere(ctx context.Context, p *past, t *engine.TaskStatus, ids []engine.JobID) (*placeThere, error) {
	report, err := s.whereAre(ctx, p, ids)
	if err != nil || t.Status.Ended() {
		return &placeThere{report: report}, err
	}
	out := &placeThere{report: report}
	var last []engine.Job
	for i := range report.Jobs {
		if j := &report.Jobs[i]; j.ID == jobOf(t) {
			job := engine.Job{ID: j.ID}
			if err := job.Status.UnmarshalText([]byte(j.Status)); err != nil {
				return out, nil // a status that flow does not know
			}
			last = append(last, job)
		}
	}
	s.explainWait(ctx, p, t, last, &out.waits)
	return out, nil
}

// runsThere adds the try that is under way as AWS Batch has it: of children of arrays it is
// recorded when they have ended.
func runsThere(m *page.TaskDetail, j *where.Job, first int) {
	t := &m.Task
	if t.Status.Ended() {
		return
	}
	try := page.TaskTry{N: t.Attempts + 1, Status: engine.Pending, Outcome: j.Status}
	if n := len(j.Attempts); n > 0 && j.Attempts[n-1].Stopped.IsZero() {
		if a := &j.Attempts[n-1]; !a.Started.IsZero() {
			try.Status, try.Outcome, try.Started = engine.Running, "", a.Started
		}
		try.N = first + n - 1
	} else if n > 0 {
		try.N = first + n
	}
	if try.Status == engine.Running {
		t.Status, t.Started = engine.Running, try.Started
	}
	at := slices.IndexFunc(m.Tries, func(k page.TaskTry) bool { return k.Status == engine.Running })
	if at < 0 {
		m.Tries, at = append(m.Tries, try), len(m.Tries)
	}
	m.Tries[at] = try
	m.Tries[at].Place = []page.TaskLink{jobLink(j)}
}

// waitsThere says why the last job of a task does not run.
func waitsThere(m *page.TaskDetail, e *explanation) {
	if m.Task.Status == engine.Running {
		m.Waits = ""
		return
	}
	for i := range e.Findings {
		f := &e.Findings[i]
		if m.Waits == "" {
			m.Waits = f.Says()
		} else {
			m.Beside = append(m.Beside, "And: "+f.Says())
		}
		m.Beside = append(append(m.Beside, f.Evidence...), f.Fix...)
	}
	if m.Waits == "" && e.Batch != nil {
		m.Waits = e.Batch.text()
	}
	for _, text := range append(e.Unseen, e.Note) {
		if text != "" {
			m.Beside = append(m.Beside, "Not looked at: "+text)
		}
	}
}

// setPlaces tells the attempts of a job to the tries of the task, of which first was the
// first one of that job.
func setPlaces(m *page.TaskDetail, j *where.Job, first int) {
	for k := range j.Attempts {
		a := &j.Attempts[k]
		n := first + a.Attempt - 1
		at := slices.IndexFunc(m.Tries, func(t page.TaskTry) bool { return t.N == n })
		if at < 0 { // AWS Batch tried it again by itself, and only the last try is recorded
			if at = slices.IndexFunc(m.Tries, func(t page.TaskTry) bool { return t.N > n }); at < 0 {
				at = len(m.Tries)
			}
			m.Tries = slices.Insert(m.Tries, at, tryThere(a, n))
		}
		m.Tries[at].Place = placeOfAttempt(j, a)
	}
	if last := len(m.Tries) - 1; len(j.Attempts) == 0 && last >= 0 && m.Tries[last].Place == nil { // it ended before it began
		m.Tries[last].Place = []page.TaskLink{jobLink(j)}
	}
}

func jobLink(j *where.Job) page.TaskLink {
	return page.TaskLink{Text: "job", Name: string(j.ID) + " in queue " + j.Queue, URL: j.Link}
}

func tryThere(a *where.Attempt, n int) page.TaskTry {
	return tryOf(&attemptInfo{
		Attempt: n, Outcome: "retrying", ExitCode: a.ExitCode, Text: strings.TrimSuffix(a.Reason+" "+a.StatusReason, " "), Started: a.Started, Ended: a.Stopped,
	})
}

func placeOfAttempt(j *where.Job, a *where.Attempt) []page.TaskLink {
	out := []page.TaskLink{jobLink(j)}
	if a.Environment != "" {
		out = append(out, page.TaskLink{Text: "in compute environment", Name: a.Environment})
	}
	switch {
	case a.Instance != nil:
		out = append(out, page.TaskLink{Text: "on", Name: instanceText(a.Instance), URL: a.Instance.Link})
	case a.Fargate != nil:
		out = append(out, page.TaskLink{Text: "on", Name: fargateText(a.Fargate)})
	case a.Unknown != "":
		out = append(out, page.TaskLink{Text: "on", Name: "not known: " + a.Unknown})
	}
	if a.Task != "" {
		out = append(out, page.TaskLink{Text: "ECS task", Name: a.Task[strings.LastIndexByte(a.Task, '/')+1:], URL: a.TaskLink})
	}
	if a.LogStream != "" {
		out = append(out, page.TaskLink{Text: "log stream", Name: a.LogStream + " of " + a.LogGroup, URL: a.LogLink})
	}
	return out
}
