package model

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"slices"
	"strconv"
	"time"

	"flow/engine"
)

// A View is what is known of a plain job, an array parent or a child.
type View struct {
	engine.Job
	Index       int    // of a child; else -1
	Try         int    // number of the last try begun, from 1; 0: none
	Seq         int64  // order of submission, from 1
	TaskID      string // of the last try; "": none, or in a listing
	Environment string // where the last try was placed
	Cancelled   bool
	Summarized  time.Time // of an array parent: when its summary changed last
	Request     *Request  // of the whole job; not to be changed
}

// Describe returns a job or a child by its id. A child is unknown until the scheduler
// has looked at its array job.
func (m *Model) Describe(id engine.JobID) (View, bool) {
	parent, index := id.Split()
	j := m.find(parent)
	switch {
	case j == nil, index >= j.req.ArraySize, index >= 0 && j.is(submitted):
		return View{}, false
	case index >= 0:
		return m.childView(j, index, true), true
	default:
		return m.view(j, true), true
	}
}

// Children appends to buf the children of an array job that are in status s, from
// index from on, without their attempts, until buf is full to its capacity. It returns
// the index to go on from, or -1 when there are no more.
func (m *Model) Children(buf []View, id engine.JobID, s engine.JobStatus, from int) ([]View, int) {
	j := m.find(id)
	if j == nil || j.array == nil || j.is(submitted) || j.array.summary[s] == 0 {
		return buf, -1
	}
	for i := from; i < len(j.array.kids); i++ {
		if j.array.kids[i].status != s {
			continue
		}
		if len(buf) == cap(buf) {
			return buf, i
		}
		buf = append(buf, m.childView(j, i, false))
	}
	return buf, -1
}

// Live yields the tries that are STARTING or RUNNING, oldest job first, as they were
// started.
func (m *Model) Live() iter.Seq[Effect] {
	return func(yield func(Effect) bool) {
		for _, j := range m.liveJobs() {
			for i := range j.req.size() {
				c := j.kid(i)
				if !c.live() {
					continue
				}
				e := Effect{Kind: Start, Job: j.id, Index: j.outer(i), Attempt: int(c.attempt), Request: j.req}
				if m.started(&e, j, i, c); !yield(e) {
					return
				}
			}
		}
	}
}

// view is of a plain job or an array parent.
func (m *Model) view(j *job, attempts bool) View {
	if j.array != nil {
		return j.parentView()
	}
	return m.childView(j, 0, attempts)
}

func (j *job) parentView() View {
	a := j.array
	v := View{Index: -1, Seq: j.seq, Request: j.req, Cancelled: j.is(cancelled), Summarized: timeOf(a.summarized)}
	v.Job = engine.Job{
		ID: j.id, Name: j.req.Name, Queue: j.queue.Name, Status: j.status(),
		Size: j.req.ArraySize, Summary: a.summary,
		Created: timeOf(j.created), Stopped: timeOf(a.stopped), Terminated: j.is(terminated),
	}
	if v.Status == engine.JobFailed {
		switch {
		case j.is(terminated | cancelled):
			v.StatusReason = j.stop
		case j.is(doomed):
			v.StatusReason = engine.ReasonDependency
		default:
			v.StatusReason = engine.ReasonArrayChild
		}
	}
	return v
}

// childView is of a child, or of a plain job. Without attempts it is what listings show.
func (m *Model) childView(j *job, i int, attempts bool) View {
	c := j.kid(i)
	v := View{Index: j.outer(i), Seq: j.seq, Try: int(c.attempt), Request: j.req, Cancelled: c.is(isCancelled)}
	v.Job = engine.Job{
		ID: j.id, Name: j.req.Name, Queue: j.queue.Name,
		Status: c.status, StatusReason: j.statusReason(c),
		Created: timeOf(j.created), Started: timeOf(c.started), Terminated: c.is(isTerminated),
		ExitCode: c.exitCode(),
	}
	if a := j.array; a != nil {
		v.ID = j.id.Child(i)
		v.Created = timeOf(a.spawned)
	}
	if c.status.Ended() {
		v.Stopped, v.Used = timeOf(c.stopped), engine.Unpack(c.memory, c.cpu)
	}
	if c.more != nil {
		v.Reason, v.Containers = c.more.reason, cloneContainers(c.more.containers)
	}
	if c.attempt > 0 {
		v.Environment = m.places[c.place].Name
	}
	if attempts {
		v.Attempts = j.attempts(i, c)
		if c.attempt > 0 {
			v.TaskID = taskID(j.logStream(i, int(c.attempt)))
		}
	}
	return v
}

// attempts returns the ended tries of a child, oldest first.
func (j *job) attempts(i int, c *child) []engine.JobAttempt {
	var out []engine.JobAttempt
	if c.more != nil {
		out = slices.Clone(c.more.attempts)
		for k := range out { // what is handed out belongs to who asked
			if code := out[k].ExitCode; code != nil {
				out[k].ExitCode = new(*code)
			}
			out[k].Containers = cloneContainers(out[k].Containers)
		}
	}
	// A child that ended while it waited for its next try ended without one.
	if c.status.Ended() && len(out) < int(c.attempt) {
		out = append(out, j.lastAttempt(i, c))
	}
	return out
}

func (j *job) lastAttempt(i int, c *child) engine.JobAttempt {
	log := j.logStream(i, int(c.attempt))
	a := engine.JobAttempt{
		Started: timeOf(c.started), Stopped: timeOf(c.stopped), ExitCode: c.exitCode(),
		StatusReason: j.statusReason(c), LogStream: log, TaskID: taskID(log), Used: engine.Unpack(c.memory, c.cpu),
	}
	if c.more != nil {
		a.Reason, a.Containers = c.more.reason, cloneContainers(c.more.containers)
	}
	return a
}

func cloneContainers(of []engine.ContainerResult) []engine.ContainerResult {
	out := slices.Clone(of)
	for k := range out {
		if code := out[k].ExitCode; code != nil {
			out[k].ExitCode = new(*code)
		}
	}
	return out
}

func (c *child) exitCode() *int {
	if !c.is(hasExit) {
		return nil
	}
	code := int(c.exit)
	return &code
}

// outer is a child's index as the outside knows it.
func (j *job) outer(i int) int {
	if j.array == nil {
		return -1
	}
	return i
}

// logStream names the log of a try as Batch does: the job definition, or the prefix that
// its log configuration gives, "default", and the id of the task (job_states,
// using_awslogs).
func (j *job) logStream(i, attempt int) string {
	var id, name [256]byte // there is one for every try: nothing but the name is allocated
	in := append(append(id[:0], j.id...), ':')
	in = append(strconv.AppendInt(in, int64(i), 10), '#')
	sum := sha256.Sum256(strconv.AppendInt(in, int64(attempt), 10))
	prefix := j.req.LogPrefix
	if prefix == "" {
		prefix = cut(j.req.Definition, 200)
	}
	out := append(append(name[:0], prefix...), "/default/"...)
	return string(hex.AppendEncode(out, sum[:taskIDLen/2]))
}

// taskID is the id of the ECS task of a try, new for every try, and the end of the name
// of its log.
func taskID(logStream string) string { return logStream[len(logStream)-taskIDLen:] }

const taskIDLen = 32 // hexadecimal digits

// Variables returns the variables that Batch sets in the container of a try, as
// NAME=value (Batch User Guide, job_env_vars).
func Variables(computeEnvironment, queue string, id engine.JobID, attempt, size int) []string {
	env := []string{
		"AWS_BATCH_CE_NAME=" + computeEnvironment,
		"AWS_BATCH_JQ_NAME=" + queue,
		"AWS_BATCH_JOB_ID=" + string(id),
		"AWS_BATCH_JOB_ATTEMPT=" + strconv.Itoa(attempt),
	}
	if _, index := id.Split(); index >= 0 {
		env = append(env,
			"AWS_BATCH_JOB_ARRAY_INDEX="+strconv.Itoa(index),
			"AWS_BATCH_JOB_ARRAY_SIZE="+strconv.Itoa(size))
	}
	return env
}
