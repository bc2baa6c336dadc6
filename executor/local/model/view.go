package model

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"flow/engine"
)

// A View is what is known of a plain job, an array parent or a child.
type View struct {
	engine.Job
	Index      int // of a child; else -1
	Try        int // number of the last try begun, from 1; 0: none
	Cancelled  bool
	Summarized time.Time // of an array parent: when its summary changed last
	Request    *Request  // of the whole job; not to be changed
}

// Describe returns a job or a child by its id. A child is unknown until the scheduler
// has looked at its array job.
func (m *Model) Describe(id engine.JobID) (View, bool) {
	parent, index := id.Split()
	j := m.jobs[parent]
	switch {
	case j == nil, index >= j.req.ArraySize, index >= 0 && j.is(submitted):
		return View{}, false
	case index >= 0:
		return j.childView(index, true), true
	case j.array != nil:
		return j.parentView(), true
	default:
		return j.childView(0, true), true
	}
}

// Children appends to buf the children of an array job that are in status s, from
// index from on, without their attempts, until buf is full to its capacity. It returns
// the index to go on from, or -1 when there are no more.
func (m *Model) Children(buf []View, id engine.JobID, s engine.JobStatus, from int) ([]View, int) {
	j := m.jobs[id]
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
		buf = append(buf, j.childView(i, false))
	}
	return buf, -1
}

// Named yields the jobs of a name, in whatever case, oldest first; no children.
func (m *Model) Named(name string) iter.Seq[View] {
	return func(yield func(View) bool) {
		for j := m.names[strings.ToLower(name)].oldest; j != nil; j = j.newer {
			if !yield(j.view()) {
				return
			}
		}
	}
}

// Queue yields the jobs of a queue that are in status s, newest first; no children.
func (m *Model) Queue(name string, s engine.JobStatus) iter.Seq[View] {
	return func(yield func(View) bool) {
		for _, j := range slices.Backward(m.list) {
			if j != nil && j.queue.name == name && j.status() == s && !yield(j.view()) {
				return
			}
		}
	}
}

// Live yields the tries that are STARTING or RUNNING, oldest job first, as they were
// started.
func (m *Model) Live() iter.Seq[Effect] {
	return func(yield func(Effect) bool) {
		for _, j := range m.list {
			if j == nil || j.is(ended|submitted) {
				continue
			}
			for i := range j.req.size() {
				c := j.kid(i)
				if !c.live() {
					continue
				}
				e := Effect{Kind: Start, Job: j.id, Index: j.outer(i), Attempt: int(c.attempt), Request: j.req,
					Granted: m.granted(j.req), LogStream: j.logStream(i, int(c.attempt))}
				if !yield(e) {
					return
				}
			}
		}
	}
}

func (j *job) view() View {
	if j.array != nil {
		return j.parentView()
	}
	return j.childView(0, true)
}

func (j *job) parentView() View {
	a := j.array
	v := View{Index: -1, Request: j.req, Cancelled: j.is(cancelled), Summarized: timeOf(a.summarized)}
	v.Job = engine.Job{
		ID: j.id, Name: j.req.Name, Queue: j.queue.name, Status: j.status(),
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

func (j *job) childView(i int, attempts bool) View {
	c := j.kid(i)
	v := View{Index: j.outer(i), Try: int(c.attempt), Request: j.req, Cancelled: c.is(isCancelled)}
	v.Job = engine.Job{
		ID: j.id, Name: j.req.Name, Queue: j.queue.name,
		Status: c.status, StatusReason: j.statusReason(c),
		Created: timeOf(j.created), Started: timeOf(c.started), Terminated: c.is(isTerminated),
		ExitCode: c.exitCode(),
	}
	if a := j.array; a != nil {
		v.ID = j.id.Child(i)
		v.Created = timeOf(a.spawned)
	}
	if c.status.Ended() {
		v.Stopped = timeOf(c.stopped)
	}
	if c.more != nil {
		v.Reason = c.more.reason
	}
	if attempts {
		v.Attempts = j.attempts(i, c)
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
		}
	}
	// A child that ended while it waited for its next try ended without one.
	if c.status.Ended() && len(out) < int(c.attempt) {
		out = append(out, j.lastAttempt(i, c))
	}
	return out
}

func (j *job) lastAttempt(i int, c *child) engine.JobAttempt {
	a := engine.JobAttempt{
		Started: timeOf(c.started), Stopped: timeOf(c.stopped), ExitCode: c.exitCode(),
		StatusReason: j.statusReason(c), LogStream: j.logStream(i, int(c.attempt)),
	}
	if c.more != nil {
		a.Reason = c.more.reason
	}
	return a
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

// logStream names the log of a try as Batch does: the job definition, "default", and
// an id that is new for every try.
func (j *job) logStream(i, attempt int) string {
	id := string(j.id) + ":" + strconv.Itoa(i) + "#" + strconv.Itoa(attempt)
	sum := sha256.Sum256([]byte(id))
	return cut(j.req.Definition, 200) + "/default/" + hex.EncodeToString(sum[:16])
}

// Environment returns the variables that Batch sets in the container of a try, as
// NAME=value (Batch User Guide, job_env_vars).
func Environment(computeEnvironment, queue string, id engine.JobID, attempt, size int) []string {
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
