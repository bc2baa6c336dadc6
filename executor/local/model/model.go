package model

import (
	"iter"
	"strings"
	"time"

	"flow/engine"
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
	// KeepEnded is how many ended tasks are known at most, an array counting with its
	// children; those that ended first are forgotten first. The job that ended last is
	// always kept. 0: no limit.
	KeepEnded int
	// ComputeEnvironment is its name, unless Declared; "": "local".
	ComputeEnvironment string
	// Instance is the id of the one EC2 instance, for the reason of a host loss.
	Instance string

	// Declared is a Batch in which environments and queues are there when they have been
	// created, as on AWS, and whose limits are those of AWS. Capacity is then the machine
	// behind all environments; a zero field of it is no limit, and a job that asks for
	// more is cut down to it. Else a queue is there when a job names it, and there is one
	// environment of the size of Capacity.
	Declared bool
	// Settle is how long environments and queues are CREATING, UPDATING and DELETING.
	Settle time.Duration
	// Forgotten, if not nil, is called when a job is dropped, with the ids of the ECS tasks
	// that all its tries had: what is kept of them elsewhere can go as well. It must not
	// use the model, and tasks is only good until it returns.
	Forgotten func(r *Request, tasks iter.Seq[string])
	// Submitting is how long a job is SUBMITTED at least; 0: until the next Tick.
	Submitting time.Duration
	// Consumables are there from the beginning.
	Consumables []Consumable
	// Room, if not nil, is asked before a try starts. A Model whose requests have Pools is
	// not saved.
	Room Room
}

// Capacity is the size of an instance: the one that all jobs are packed on, or the
// largest of an environment.
type Capacity struct {
	VCPUs     float64 `json:"vcpus,omitempty"`
	MemoryMiB int     `json:"memory_mib,omitempty"`
	GPUs      int     `json:"gpus,omitempty"`
}

// A Model is AWS Batch, to its caller's clock. It is not safe for concurrent use.
type Model struct {
	cfg  Config
	now  int64 // never goes back
	seq  int64
	jobs map[engine.JobID]*job

	fresh    fifo[*job] // SUBMITTED: for the scheduler to look at
	settling []ref      // ended children that have not been told to what depends on them
	past     []*job     // ended jobs, oldest end first
	pastGone int        // forgotten ones among them
	kept     int        // tasks of those that are not
	vanished []*job     // see Forget

	places       []*environment // all that ever were, by the number that children have; see child.place
	environments map[string]*environment
	queues       []*queue // in order of their creation, or first use
	byQueue      map[string]*queue
	tiers        []*tier // the queues by priority, highest first
	policies     map[string]*Policy
	consumables  map[string]*consumable
	nextChange   int64 // when an environment or a queue settles; 0: never

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

// New returns a Batch with no jobs.
func New(cfg Config) *Model {
	if cfg.Grace == 0 {
		cfg.Grace = 30 * time.Second
	}
	if cfg.ComputeEnvironment == "" {
		cfg.ComputeEnvironment = "local"
	}
	m := &Model{
		cfg:          cfg,
		jobs:         map[engine.JobID]*job{},
		environments: map[string]*environment{},
		byQueue:      map[string]*queue{},
		policies:     map[string]*Policy{},
		consumables:  map[string]*consumable{},
		timeouts:     heap[timeout]{less: timeout.before},
	}
	m.resize(cfg.Capacity)
	if !cfg.Declared {
		m.addPlace(cfg.ComputeEnvironment)
	}
	for _, c := range cfg.Consumables {
		m.consumables[c.Name] = &consumable{Consumable: c}
	}
	return m
}

// noLimit is more of anything than jobs can use.
const noLimit = 1 << 60

// resize sets the size of the machine.
func (m *Model) resize(c Capacity) {
	m.cfg.Capacity = c
	m.size = c.amount()
	if m.cfg.Declared {
		m.size = c.limit()
	}
}

// clock moves the model's time on, never back, and with it what settles by itself.
func (m *Model) clock(now time.Time) {
	m.now = max(m.now, millis(now))
	if m.nextChange != 0 && m.nextChange <= m.now {
		m.mature()
	}
}

// begin is how every input but Submit begins: what was submitted is looked at first.
func (m *Model) begin(now time.Time) {
	m.clock(now)
	m.evaluate()
}

// find returns the plain job or array job of an id, or nil.
func (m *Model) find(id engine.JobID) *job {
	if j := m.jobs[id]; j != nil && !j.is(vanished) {
		return j
	}
	return nil
}

// set changes the status of a child, and what is counted and listed by status.
func (m *Model) set(j *job, c *child, s engine.JobStatus) {
	if c.live() {
		m.active--
	}
	if a := j.array; a != nil {
		a.summary[c.status]--
		a.summary[s]++
		a.summarized = m.now
	} else {
		j.list(c.status, s)
	}
	c.status = s
	if c.live() {
		m.active++
	}
}

// cut shortens s to at most n bytes, not in the middle of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
