package model

import (
	"strings"
	"time"

	"flow/engine"
	"flow/executor"
)

// Config is what a Model is made with.
type Config struct {
	Capacity Capacity
	// Strict is Batch as AWS runs it. Else what a job asks for is cut down to the
	// capacity, so that every job can be placed.
	Strict bool
	// Grace is between SIGTERM and SIGKILL; it is only handed through. 0: 30 seconds.
	Grace time.Duration
	// Retention is how long ended jobs are known; 0: for ever. AWS promises 7 days.
	Retention time.Duration
	// ComputeEnvironment is its name; "": "local".
	ComputeEnvironment string
	// Instance is the id of the one EC2 instance, for the reason of a host loss.
	Instance string
}

// Capacity is the size of the one instance that all jobs are packed on.
type Capacity struct {
	VCPUs     float64
	MemoryMiB int
	GPUs      int
}

// A Model is AWS Batch, to its caller's clock. It is not safe for concurrent use.
type Model struct {
	cfg  Config
	now  int64 // never goes back
	seq  int64
	jobs map[engine.JobID]*job
	list []*job // in order of submission; nil: forgotten

	names    map[string]nameList // by lower-case name
	fresh    []*job              // SUBMITTED: for the scheduler to look at
	settling []ref               // ended children that have not been told to what depends on them
	past     []*job              // ended jobs, oldest end first
	holes    int                 // nils in list

	queues   []*queue // in order of their first use
	byQueue  map[string]*queue
	turn     int // the queue that is next to start a job
	size     amount
	used     amount
	active   int // children STARTING or RUNNING
	timeouts heap[timeout]
	stale    int // entries of timeouts whose try has ended
	effects  []Effect
	spare    []Effect // what the last Tick returned, to be used again
}

// A ref is a child of an array job, or with 0 the task of a plain one.
type ref struct {
	job   *job
	index int
}

// nameList is the ends of the chain of jobs that share a name.
type nameList struct{ oldest, newest *job }

// New returns a Batch with no jobs.
func New(cfg Config) *Model {
	if cfg.Grace == 0 {
		cfg.Grace = 30 * time.Second
	}
	if cfg.ComputeEnvironment == "" {
		cfg.ComputeEnvironment = "local"
	}
	return &Model{
		cfg:      cfg,
		jobs:     map[engine.JobID]*job{},
		names:    map[string]nameList{},
		byQueue:  map[string]*queue{},
		size:     cfg.Capacity.amount(),
		timeouts: heap[timeout]{less: timeout.before},
	}
}

// Submit accepts a job under an id that nobody has used before, or refuses it with an
// executor.Refusal. The job is SUBMITTED until the next Tick.
func (m *Model) Submit(now time.Time, id engine.JobID, r *Request) error {
	m.clock(now)
	if err := m.Check(r); err != nil {
		return err
	}
	if _, index := id.Split(); id == "" || index >= 0 || m.jobs[id] != nil {
		return refuse("Job id %q is in use or is not an id", id)
	}
	m.seq++
	j := &job{id: id, req: r, seq: m.seq, created: m.now, flags: submitted, queue: m.queue(r.Queue)}
	if r.ArraySize > 0 {
		j.array = &array{summarized: m.now}
		j.array.summary[engine.JobSubmitted] = r.ArraySize
	}
	m.depend(j)
	m.jobs[id] = j
	j.place = len(m.list)
	m.list = append(m.list, j)
	m.addName(j)
	m.fresh = append(m.fresh, j)
	return nil
}

// Check returns the executor.Refusal that Submit would answer a request with, or nil.
func (m *Model) Check(r *Request) error {
	if err := r.check(m.cfg.Strict); err != nil {
		return err
	}
	for _, d := range r.DependsOn {
		if err := r.checkDependency(d, m.jobs[d.Job]); err != nil {
			return err
		}
	}
	return nil
}

// Started reports that the program of a try runs: STARTING to RUNNING. index is -1 for
// a plain job. It is false, and nothing changes, if that try is not STARTING.
func (m *Model) Started(now time.Time, id engine.JobID, index, attempt int) bool {
	m.begin(now)
	j, i, c := m.try(id, index, attempt)
	if c == nil || c.status != engine.JobStarting {
		return false
	}
	m.run(j, i, c)
	return true
}

func (m *Model) run(j *job, i int, c *child) {
	m.set(j, c, engine.JobRunning)
	c.started = m.now
	if t := j.req.Timeout; t > 0 {
		m.timeouts.push(timeout{at: m.now + t.Milliseconds(), ref: ref{j, i}, attempt: c.attempt})
	}
}

// An Exit is how a try ended.
type Exit struct {
	ExitCode     *int   // nil: the container never reported one
	Reason       string // of the container
	StatusReason string // "": engine.ReasonExited
}

// Exited reports that a try has ended: exit code 0 is success, everything else is a
// failure that may be tried again (Batch User Guide, job_retries). It is false, and
// nothing changes, if that try is not under way.
func (m *Model) Exited(now time.Time, id engine.JobID, index, attempt int, e Exit) bool {
	m.begin(now)
	j, i, c := m.try(id, index, attempt)
	if c == nil || !c.live() {
		return false
	}
	if c.status == engine.JobStarting && e.ExitCode != nil {
		m.run(j, i, c) // it must have run to have an exit code
	}
	m.exit(j, i, c, e)
	m.settle()
	return true
}

// maxContainerReason is how much Batch keeps of a container's reason (AttemptContainerDetail).
const maxContainerReason = 255

func (m *Model) exit(j *job, i int, c *child, e Exit) {
	m.used = m.used.minus(m.grant(j.req))
	if c.started > 0 && j.req.Timeout > 0 {
		m.staleTimeout()
	}
	c.stopped = m.now
	if e.ExitCode != nil {
		c.exit = int32(*e.ExitCode)
		c.flags |= hasExit
	}
	if e.Reason != "" {
		c.details().reason = cut(e.Reason, maxContainerReason)
	}
	c.why = whyExited
	switch {
	case c.is(isOverdue):
		c.why = whyTimeout
	case c.is(isTerminated):
		c.why = whyStop
	case e.StatusReason != "" && e.StatusReason != engine.ReasonExited:
		c.why = whyOther
		c.details().statusReason = e.StatusReason
	}
	switch {
	case c.is(isOverdue | isTerminated): // even a program that exits 0 when told to stop
		m.end(j, i, c, engine.JobFailed, c.why)
	case e.ExitCode != nil && *e.ExitCode == 0:
		m.end(j, i, c, engine.JobSucceeded, c.why)
	case m.retries(j, c, e):
		d := c.details()
		d.attempts = append(d.attempts, j.lastAttempt(i, c))
		m.enqueue(j, i, c, true)
	default:
		m.end(j, i, c, engine.JobFailed, c.why)
	}
}

func (m *Model) retries(j *job, c *child, e Exit) bool {
	return executor.Retries(int(c.attempt), j.req.Attempts, j.req.Evaluate, &engine.JobAttempt{
		ExitCode:     e.ExitCode,
		Reason:       e.Reason,
		StatusReason: j.statusReason(c),
	})
}

// Terminate ends a job, or a child, or all children of an array parent (Batch API,
// TerminateJob): what has not begun is FAILED at once, what is under way is stopped.
// An unknown or ended job is no error; a reason that Batch would refuse is.
func (m *Model) Terminate(now time.Time, id engine.JobID, reason string) error {
	return m.stop(now, id, reason, terminated, m.terminate)
}

func (m *Model) terminate(j *job, i int, c *child, reason string) {
	if c.status.Ended() || c.is(isOverdue|isTerminated) {
		return // who comes first gives the reason
	}
	c.flags |= isTerminated
	j.setStop(c, reason)
	if c.live() {
		m.effect(Stop, j, i, c)
	} else {
		m.end(j, i, c, engine.JobFailed, whyStop)
	}
}

// Cancel ends what has not begun (Batch API, CancelJob): a RUNNABLE job at once, a
// PENDING one when its dependencies have ended. It does nothing to what is STARTING or
// RUNNING.
func (m *Model) Cancel(now time.Time, id engine.JobID, reason string) error {
	return m.stop(now, id, reason, cancelled, m.cancel)
}

func (m *Model) cancel(j *job, i int, c *child, reason string) {
	if c.status.Ended() || c.live() || c.is(isCancelled|isTerminated) {
		return
	}
	c.flags |= isCancelled
	j.setStop(c, reason)
	if c.status == engine.JobRunnable {
		m.end(j, i, c, engine.JobFailed, whyStop)
	}
}

// stop applies one to a child, or to all tasks of a job.
func (m *Model) stop(now time.Time, id engine.JobID, reason string, flag jobFlags, one func(*job, int, *child, string)) error {
	m.begin(now)
	switch {
	case id == "":
		return refuse("JobId cannot be empty")
	case reason == "" || len(reason) > executor.MaxReasonLength:
		return refuse("Reason should have 1 to %d characters, got %d", executor.MaxReasonLength, len(reason))
	}
	parent, index := id.Split()
	j := m.jobs[parent]
	switch {
	case j == nil || j.is(ended) || index >= j.req.ArraySize:
		return nil
	case index >= 0:
		one(j, index, j.kid(index), reason)
	default:
		j.flags |= flag
		if j.stop == "" {
			j.stop = reason
		}
		for i := range j.req.size() {
			one(j, i, j.kid(i), reason)
		}
	}
	m.settle()
	return nil
}

// setStop keeps the reason a child is ended with: with the job if it is the same.
func (j *job) setStop(c *child, reason string) {
	if j.stop != reason || c.more != nil && c.more.stop != "" {
		c.details().stop = reason
	}
}

// HostLost is the statusReason of a try whose instance has gone (Batch User Guide,
// bestpractice6).
func HostLost(instance string) string {
	return engine.ReasonHostLost + " (instance " + instance + ") terminated."
}

// Restart replaces the instance: whatever is under way on it is lost, and tried again
// if the job's retry strategy says so.
func (m *Model) Restart(now time.Time, size Capacity, instance string) {
	m.begin(now)
	lost := Exit{StatusReason: HostLost(m.cfg.Instance)}
	for _, j := range m.list {
		if j == nil || j.is(ended) {
			continue
		}
		for i := range j.req.size() {
			if c := j.kid(i); c.live() {
				m.exit(j, i, c, lost)
			}
		}
	}
	m.cfg.Capacity, m.cfg.Instance = size, instance
	m.size, m.used = size.amount(), amount{}
	m.settle()
}

// clock moves the model's time on, never back.
func (m *Model) clock(now time.Time) { m.now = max(m.now, millis(now)) }

// begin is how every input but Submit begins: what was submitted is looked at first.
func (m *Model) begin(now time.Time) {
	m.clock(now)
	m.evaluate()
}

// try returns the child whose try is the one of that number, or nil.
func (m *Model) try(id engine.JobID, index, attempt int) (*job, int, *child) {
	j := m.jobs[id]
	if j == nil || index >= j.req.size() || (index < 0) != (j.array == nil) {
		return nil, 0, nil
	}
	i := max(index, 0)
	c := j.kid(i)
	if int(c.attempt) != attempt {
		return nil, 0, nil
	}
	return j, i, c
}

// set changes the status of a child, and what is counted by status.
func (m *Model) set(j *job, c *child, s engine.JobStatus) {
	if c.live() {
		m.active--
	}
	if a := j.array; a != nil {
		a.summary[c.status]--
		a.summary[s]++
		a.summarized = m.now
	}
	c.status = s
	if c.live() {
		m.active++
	}
}

func (m *Model) addName(j *job) {
	key := strings.ToLower(j.req.Name)
	l := m.names[key]
	if l.newest == nil {
		l.oldest = j
	} else {
		l.newest.newer, j.older = j, l.newest
	}
	l.newest = j
	m.names[key] = l
}

// cut shortens s to at most n bytes, not in the middle of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
