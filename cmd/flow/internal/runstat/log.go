package runstat

import (
	"time"

	"flow/engine"
)

// A Log gathers from the events of a run what the run itself does not keep: when each job was
// planned, accepted, seen to start, and how its tasks ended in it. It is a few bytes a job,
// however many tasks there are. The zero value is one of a run without events.
type Log struct {
	seq  int64
	jobs []jobLog // job n is jobs[n-1]
}

type jobLog struct {
	step     engine.StepName
	attempt  int
	tasks    int
	planned  int64 // all times in milliseconds since 1970; 0: not yet, or not known
	accepted int64
	starting int64
	running  int64 // its first task began
	stopped  int64 // its last task
	over     int64
	ended    int // tasks
	failed   int
	retried  int
	stray    bool // its step was expanded anew since
}

// Seq returns the number of the last event that was added.
func (l *Log) Seq() int64 { return l.seq }

// Add adds the next event of the run.
func (l *Log) Add(e *engine.Event) {
	l.seq = e.Seq
	at := e.At.UnixMilli()
	switch e.Kind {
	case engine.JobPlanned:
		j := jobLog{step: e.Step, tasks: e.Tasks.Len(), planned: at}
		if e.Plan != nil {
			j.attempt = e.Plan.Attempt
		}
		l.jobs = append(l.jobs, j)
		return
	case engine.StepReset:
		for i := range l.jobs {
			if l.jobs[i].step == e.Step {
				l.jobs[i].stray = true
			}
		}
		return
	}
	if e.Job < 1 || e.Job > len(l.jobs) {
		return
	}
	j := &l.jobs[e.Job-1]
	switch e.Kind {
	case engine.JobAccepted:
		j.accepted = at
	case engine.JobStarts:
		j.starting = at
		if len(e.Started) > 0 {
			j.starting = e.Started[0]
		}
	case engine.TasksRunning:
		j.begins(at)
	case engine.TasksEnded:
		j.end(e)
	case engine.JobRefused:
		j.over, j.failed = at, j.failed+max(j.tasks-j.ended, 0) // it took none of them
	case engine.JobEnded, engine.JobLost:
		j.over = at
	}
}

func (j *jobLog) begins(at int64) {
	if at > 0 && (j.running == 0 || at < j.running) {
		j.running = at
	}
}

// end takes in how tasks ended in the job.
func (j *jobLog) end(e *engine.Event) {
	n := e.Tasks.Len()
	j.ended += n
	switch e.Outcome {
	case engine.TaskFailed, engine.TaskLost:
		j.failed += n
	case engine.TaskRetrying:
		j.retried += n
	}
	for _, at := range e.Started {
		j.begins(at)
	}
	for _, at := range e.Stopped {
		j.stopped = max(j.stopped, at)
	}
}

// Submitted returns when a job was accepted by its executor; zero: it was not, or it is none
// of the run's.
func (l *Log) Submitted(job int) time.Time {
	if job < 1 || job > len(l.jobs) {
		return time.Time{}
	}
	return moment(l.jobs[job-1].accepted)
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
