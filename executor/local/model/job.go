package model

import (
	"time"

	"flow/engine"
)

// A job is a plain job or an array job. There may be a million of them, so what only
// arrays need is apart, and nothing is allocated for a child until it fails.
type job struct {
	id      engine.JobID
	req     *Request
	queue   *queue
	seq     int64 // order of submission
	created int64 // all times: milliseconds since 1970; 0: never

	chunk *chunk // where the lists of its queue have it
	slot  uint16

	one   child  // of a plain job
	array *array // of an array job

	flags   jobFlags
	waiting uint8  // whole jobs it depends on that have not succeeded yet
	pins    int32  // SUBMITTED jobs that have it in sub: it must not be forgotten yet
	sub     []*job // N_TO_N dependencies; until it is spawned
	whole   []*job // the jobs that wait for all of this one
	stop    string // the reason given with the first Terminate or Cancel of all of it

	older, newer *job // of the same name
}

// An array is what an array job has that a plain one has not.
type array struct {
	kids       []child // nil until spawned
	summary    [engine.NumJobStatuses]int
	summarized int64 // when summary changed last
	spawned    int64
	stopped    int64
	each       []*job // the arrays whose child i waits for child i of this one
	told       int    // children whose end has been told to what waits for them

	// The RUNNABLE children, but for those that were put to the front of the queue.
	ready      []uint64 // a bit each
	readyCount int
	readyFrom  int // no bit is set before this word
}

// A child is a child of an array job, or the one task of a plain job. 10,000 of them
// are 480 kB.
type child struct {
	status  engine.JobStatus
	why     why
	flags   childFlags
	attempt uint8  // number of the last try begun; 0: none
	waiting uint8  // single children it depends on that have not succeeded yet
	exit    int32  // exit code of the last try, if flagged
	place   int32  // environment of the last try, an index into Model.places
	started int64  // of the last try; 0: it did not reach RUNNING
	stopped int64  // while RUNNABLE: since when
	memory  int32  // of the last try that ended, see engine.Used.Pack
	cpu     uint32 // likewise
	more    *more
}

// more is what few children have.
type more struct {
	attempts     []engine.JobAttempt // the ended ones, without the last if the child has ended with it
	reason       string              // container reason of the last try
	containers   []engine.ContainerResult
	statusReason string // if why is whyOther
	stop         string // reason of Terminate or Cancel, if not the job's
}

type jobFlags uint8

const (
	submitted  jobFlags = 1 << iota // not evaluated by the scheduler yet
	doomed                          // a job it depends on failed
	terminated                      // Terminate of all of it
	cancelled                       // Cancel of all of it
	queued                          // in its queue's heap
	ended                           // told to what depends on it
	vanished                        // by Forget: unknown, but not gone yet
	forgotten                       // gone
)

type childFlags uint8

const (
	hasExit      childFlags = 1 << iota // exit is set
	isTerminated                        // by Terminate
	isCancelled                         // by Cancel, perhaps to take effect later
	isOverdue                           // its timeout has passed
	isLost                              // by Lose: its host is gone
	holds                               // what it needs of consumable resources is its own
	atFront                             // RUNNABLE at the front of the queue
)

// why is the statusReason of a child, for the common ones.
type why uint8

const (
	whyNothing    why = iota
	whyExited         // engine.ReasonExited
	whyDependency     // engine.ReasonDependency
	whyTimeout        // engine.ReasonTimeout
	whyStop           // what was given to Terminate or Cancel
	whyBlocked        // RUNNABLE at the head of its queue: queue.stuck.reason
	whyOther          // more.statusReason
)

// Texts of a job that blocks its queue (Batch User Guide, job_stuck_in_runnable).
const (
	ReasonMaxVCPUs = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job."
	ReasonTooLarge = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue."
	ReasonInvalid  = "ACTION_REQUIRED - CE(s) associated with the job queue are invalid."
)

// kid returns child i of an array, or the one task of a plain job. An array must be
// spawned.
func (j *job) kid(i int) *child {
	if j.array == nil {
		return &j.one
	}
	return &j.array.kids[i]
}

func (j *job) is(f jobFlags) bool     { return j.flags&f != 0 }
func (c *child) is(f childFlags) bool { return c.flags&f != 0 }
func (c *child) details() *more {
	if c.more == nil {
		c.more = new(more)
	}
	return c.more
}

// live reports whether a try of the child is under way.
func (c *child) live() bool {
	return c.status == engine.JobStarting || c.status == engine.JobRunning
}

// status of a plain job or of an array parent, which is only ever SUBMITTED, PENDING,
// SUCCEEDED or FAILED (Batch User Guide, array_jobs).
func (j *job) status() engine.JobStatus {
	switch a := j.array; {
	case j.is(submitted):
		return engine.JobSubmitted
	case a == nil:
		return j.one.status
	case !j.is(ended):
		return engine.JobPending
	case a.summary[engine.JobFailed] > 0:
		return engine.JobFailed
	default:
		return engine.JobSucceeded
	}
}

// stopReason returns the reason given to end a child.
func (j *job) stopReason(c *child) string {
	if c.more != nil && c.more.stop != "" {
		return c.more.stop
	}
	return j.stop
}

// statusReason returns the text of a child's last transition.
func (j *job) statusReason(c *child) string {
	switch c.why {
	case whyExited:
		return engine.ReasonExited
	case whyDependency:
		return engine.ReasonDependency
	case whyTimeout:
		return engine.ReasonTimeout
	case whyStop:
		return j.stopReason(c)
	case whyBlocked:
		return j.queue.stuck.reason
	case whyOther:
		return c.more.statusReason
	default:
		return ""
	}
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
