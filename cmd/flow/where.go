package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/agent"
	awscloud "flow/executor/batch/cloud"
	"flow/executor/batch/where"
)

// A place is where a task ran. Fields are only ever added to its JSON.
type place struct {
	Executor string      `json:"executor"`
	Dir      string      `json:"dir,omitempty"`     // of a task on this machine
	Scratch  string      `json:"scratch,omitempty"` // where it worked, if Dir is on S3
	Logs     []placedLog `json:"logs,omitempty"`    // likewise
	Jobs     []placedJob `json:"jobs,omitempty"`    // on AWS Batch, oldest first
	Notes    []string    `json:"notes,omitempty"`
}

// A placedLog is the file that an attempt of a task writes to.
type placedLog struct {
	Attempt int    `json:"attempt"`
	Path    string `json:"path"`
}

// A placedJob is a job that tried a task.
type placedJob struct {
	where.Job
	First int `json:"first_attempt"` // which attempt of the task its first one is
}

// placeOf finds out where a task ran; nil if it did not. What cannot be found is in the
// notes.
func (a *app) placeOf(ctx context.Context, p *past, step engine.StepName, task int) *place {
	t := p.run.Task(step, task)
	switch {
	case t.Hit != nil || t.Job == "":
		return nil
	case p.row.Executor != batchExecutor:
		return localPlace(p.home(), &t)
	}
	pl := &place{Executor: batchExecutor}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	first, ids := triersOf(p.run, &t)
	report, err := a.whereAre(ctx, p, ids)
	if err != nil {
		pl.Notes = []string{firstLineOf(err)}
		return pl
	}
	pl.Notes = report.Notes
	for _, id := range ids {
		k := slices.IndexFunc(report.Jobs, func(j where.Job) bool { return j.ID == id })
		if k < 0 {
			pl.Notes = append(pl.Notes, fmt.Sprintf("AWS Batch does not know job %s any more: it keeps jobs for seven days after their end", id))
			continue
		}
		pl.Jobs = append(pl.Jobs, placedJob{report.Jobs[k], first[id]})
	}
	return pl
}

// localPlace is where a task on this machine ran. home is the directory of the state.
func localPlace(home string, t *engine.TaskStatus) *place {
	pl := &place{Executor: localExecutor, Dir: t.Dir}
	here := hereDir(home, t.Dir)
	if here != t.Dir {
		pl.Scratch = here
	}
	for n := range lastAttempt(here) {
		pl.Logs = append(pl.Logs, placedLog{n + 1, agent.LogPath(here, n+1)})
	}
	return pl
}

// triersOf returns the jobs that tried a task, oldest first, and which attempt of the task the
// first one of each is.
func triersOf(run *engine.Run, t *engine.TaskStatus) (first map[engine.JobID]int, ids []engine.JobID) {
	first = map[engine.JobID]int{}
	add := func(id engine.JobID, attempt int) {
		if _, known := first[id]; !known {
			first[id] = max(attempt, 1)
			ids = append(ids, id)
		}
	}
	for n := 1; n <= t.Attempts; n++ {
		if id, in, ok := run.Attempt(t.Step, t.Index, n); ok {
			add(id, n-in+1)
		}
	}
	add(jobOf(t), t.Attempts+1)
	if extra := len(ids) - where.MaxJobs; extra > 0 {
		ids = ids[extra:]
	}
	return first, ids
}

// whereAre asks AWS where jobs of a run are.
func (a *app) whereAre(ctx context.Context, p *past, ids []engine.JobID) (*where.Report, error) {
	c, err := a.cloudOf(ctx, p)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return where.Find(ctx, c, ids)
}

// cloudOf opens AWS as it is for a past run on AWS Batch.
func (a *app) cloudOf(ctx context.Context, p *past) (*awscloud.Cloud, error) {
	kept, err := paramsOf(p.row)
	if err != nil {
		return nil, err
	}
	s := &session{a: a, takenUp: true, executor: batchExecutor, id: p.row.ID, batch: kept.Batch, site: kept.Batch.overSite(kept.Site), jobs: kept.Place}
	if err := s.sameBatch(ctx, s.batchOptions()); err != nil {
		return nil, err
	}
	return awscloud.Open(ctx, awscloud.Options{Region: cmp.Or(s.site.Region, s.jobs.Region), Profile: s.site.Profile, Endpoint: s.site.Endpoint})
}

// write tells a person where a task ran.
func (pl *place) write(w io.Writer, now time.Time) error {
	var b strings.Builder
	fact := func(name, text, link string) {
		fmt.Fprintf(&b, "%-10s %s\n", name, view.Clean(text))
		if link != "" {
			fmt.Fprintf(&b, "%-10s %s\n", "", view.Clean(link))
		}
	}
	b.WriteByte('\n')
	if pl.Executor == localExecutor {
		fact("ran", "on this machine, in "+cmp.Or(pl.Scratch, pl.Dir), "")
		if pl.Scratch != "" {
			fact("files", pl.Dir, "")
		}
		for _, l := range pl.Logs {
			fact("log", fmt.Sprintf("of attempt %d: %s", l.Attempt, l.Path), "")
		}
	}
	for i := range pl.Jobs {
		j := &pl.Jobs[i]
		state := j.Status
		if j.Reason != "" && j.Reason != engine.ReasonExited {
			state += ": " + j.Reason
		}
		fact("job", fmt.Sprintf("%s in queue %s, %s", j.ID, j.Queue, state), j.Link)
		for k := range j.Attempts {
			writeAttempt(fact, &j.Attempts[k], j.First, now)
		}
	}
	for _, n := range pl.Notes {
		fact("note", n, "")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeAttempt tells where an attempt of a job ran whose first one is that one of the task.
func writeAttempt(fact func(name, text, link string), a *where.Attempt, first int, now time.Time) {
	fact("attempt", fmt.Sprintf("%d, %s", first+a.Attempt-1, attemptState(a, now)), "")
	if a.Environment != "" {
		kind := ""
		if a.EnvironmentType != "" {
			kind = " (" + a.EnvironmentType + ")"
		}
		fact("  placed", "in compute environment "+a.Environment+kind, "")
	}
	switch {
	case a.Instance != nil:
		fact("  on", instanceText(a.Instance), a.Instance.Link)
	case a.Fargate != nil:
		fact("  on", fargateText(a.Fargate), "")
	case a.Unknown != "":
		fact("  on", "not known: "+a.Unknown, "")
	}
	id := a.Task[strings.LastIndexByte(a.Task, '/')+1:]
	if a.Cluster != "" {
		id += " of ECS cluster " + a.Cluster
	}
	fact("  task", id, a.TaskLink)
	if a.Instance == nil && a.ContainerInstance != "" {
		fact("  host", "container instance "+a.ContainerInstance[strings.LastIndexByte(a.ContainerInstance, '/')+1:], "")
	}
	switch {
	case a.LogDriver != "":
		fact("  log", "not in CloudWatch Logs: the log driver is "+a.LogDriver, "")
	case a.LogStream != "":
		fact("  log", fmt.Sprintf("stream %s of log group %s", a.LogStream, a.LogGroup), a.LogLink)
	}
}

// attemptState says how an attempt is, or ended.
func attemptState(a *where.Attempt, now time.Time) string {
	text := "starting"
	switch {
	case a.ExitCode != nil:
		text = fmt.Sprintf("exit code %d", *a.ExitCode)
	case !a.Stopped.IsZero():
		text = "ended without an exit code"
	case !a.Started.IsZero():
		text = "running"
	}
	if a.ExitCode == nil || *a.ExitCode != 0 {
		for _, why := range []string{a.Reason, a.StatusReason} {
			if why != "" && why != engine.ReasonExited {
				text += ": " + why
				break
			}
		}
	}
	if d := span(a.Started, a.Stopped, now); !a.Started.IsZero() && d >= 0 {
		text += fmt.Sprintf(", %s from %s", view.Duration(d), a.Started.Format(time.RFC3339))
	}
	return text
}

func instanceText(i *where.Instance) string {
	text := i.ID
	if i.Type != "" {
		text += ", " + i.Type
	}
	if i.Zone != "" {
		text += " in " + i.Zone
	}
	if i.Lifecycle == "spot" {
		text += ", Spot"
	} else if i.Lifecycle != "" {
		text += ", " + i.Lifecycle
	}
	if i.State != "" && i.State != "running" {
		text += ", " + i.State + " now"
	}
	return text
}

func fargateText(f *where.Fargate) string {
	text := cmp.Or(f.Capacity, "FARGATE")
	if f.Platform != "" {
		text += ", platform version " + f.Platform
	}
	if f.Zone != "" {
		text += " in " + f.Zone
	}
	return text
}
