package engine

import (
	"fmt"
	"strconv"
	"time"
)

// A Run is the fold of its events. It does no I/O, reads no clock, draws no random
// number and starts no goroutine; it is not safe for concurrent use.
type Run struct {
	wf    *Workflow
	graph *Graph
	steps []*stepState // source order
	order []*stepState // topological
	jobs  []*jobState  // job n is jobs[n-1]
	live  []*jobState  // those that need looking after, ascending; some may be over
	over  int          // how many in live are over

	info     RunInfo
	seq      int64 // of the last event applied
	created  time.Time
	ended    time.Time
	opened   time.Time // when the run was created or reopened: its timeout counts from here
	status   Status
	reason   string
	cause    string
	results  []Result
	cancel   *Event        // the wish to cancel, if there is one
	late     time.Time     // when it was told that the run is late; zero: it was not
	excused  bool          // it was over in time, and goes on after that: it is not told to be late
	paused   *Pause        // nil: it is not
	allowed  Money         // what somebody let the run cost in all; 0: nobody did
	settled  Money         // what jobs have cost that are over
	price    Pricer        // nil: jobs have no rate
	flight   int           // tasks in jobs, not ended
	quiet    time.Duration // how long to look for a job in doubt before it is submitted again
	gather   time.Duration // how long tasks that failed wait for others of their job, to be sent again as one
	doubted  bool          // some job was in doubt or lost, since the run was begun or reopened
	discards bool          // there is somebody to remove what nobody needs
	swept    bool          // a listing showed that nothing of the run is alive; not in the log
}

// stepState is what a run knows of one step. Tasks are kept in slices, a few bytes a
// task, with what only few of them have in maps.
type stepState struct {
	*Step
	at   int // in Run.steps
	deps []depState
	next []*stepState

	exp     *Expanded // nil: not expanded
	status  Status
	reason  string
	cause   string
	started time.Time // of its first task
	ended   time.Time
	noCache bool // known results do not count

	task    []Status
	job     []int32 // the task's job, 0: none; kept after its end, to find its log
	tries   []uint16
	begun   []int64 // of the last try, ms
	stopped []int64
	memory  []int32     // of the last try that ended, see Used.Pack; nil: of none is it known
	cpu     []uint32    // likewise
	counts  [7]int      // tasks by status
	waiting int         // tasks PENDING without a live job
	live    []*jobState // its jobs that are not over, ascending
	inJob   []bool      // the task is in a live job
	hurt    int         // tasks skipped since something they need failed
	infra   map[int]int
	spent   map[int]int       // user tries that no longer count, since somebody resumed
	after   map[int]time.Time // not to be tried before
	rule    map[int]int       // 1 + retry rule that changes the next try
	detail  map[int]*TaskDetail
	values  map[int]Values
	hits    map[int]*Hit
	byKey   map[string]int
	keys    *TaskKeys // of exp, once asked for; see taskKeys
	base    int       // tries numbered so far, before the step was reset
	gate    gateState

	surveyed bool // of a recovered run, what its tasks did before is known; not in the log

	gone     Ranges // tasks whose temporary outputs are not there any more, or soon
	unneeded Ranges // those of them that are still to be removed
	again    []againReason
}

type depState struct {
	*stepState
	Dep
}

// TaskDetail is what few tasks have: why one failed, was skipped or tried again.
type TaskDetail struct {
	ExitCode *int
	Reason   string
	Cause    string
}

// jobState is what a run knows of one of its jobs.
type jobState struct {
	n                                  int
	step                               *stepState
	tasks                              Ranges
	plan                               *JobPlan
	state                              jobPhase
	id                                 JobID
	since                              time.Time // in doubt since
	open                               int       // tasks of it that have not ended
	ok                                 bool      // over, and all its tasks have succeeded
	stray                              bool      // its step was reset: it is to end, and what it does is of no interest
	planned, accepted, starting, ended int64     // ms; 0: not yet, or not seen

	failed time.Time // when the first of its tasks failed that are to be sent again
	shown  counts    // what was seen of its children, see Run.SetSummary
	used   Usage     // of the tries that have ended

	burning  int       // tasks that ran when that was last seen
	burned   int64     // milliseconds of tasks that were seen to run
	burnedAt time.Time // until then
}

type jobPhase uint8

const (
	jobPlanned jobPhase = iota
	jobInDoubt
	jobAccepted
	jobOver // ended, refused or lost
)

// NewRun returns a run of wf without events. The error is a *CycleError or says what
// else is wrong with the steps.
func NewRun(wf *Workflow) (*Run, error) {
	g, err := NewGraph(wf.Steps)
	if err != nil {
		return nil, err
	}
	r := &Run{wf: wf, graph: g, steps: make([]*stepState, len(wf.Steps))}
	for i, s := range wf.Steps {
		r.steps[i] = &stepState{Step: s, at: i}
	}
	for i, s := range wf.Steps {
		for _, d := range s.Deps {
			r.steps[i].deps = append(r.steps[i].deps, depState{r.steps[g.index[d.Step]], d})
		}
		for _, k := range g.next[i] {
			r.steps[i].next = append(r.steps[i].next, r.steps[k])
		}
	}
	for _, i := range g.order {
		r.order = append(r.order, r.steps[i])
	}
	return r, nil
}

// Workflow returns the workflow that runs.
func (r *Run) Workflow() *Workflow { return r.wf }

// Graph returns the graph of its steps.
func (r *Run) Graph() *Graph { return r.graph }

// ID returns the run's id; "" before RunStarted.
func (r *Run) ID() RunID { return r.info.Run }

// near reports whether the run's jobs run on this machine, and end with its driver.
func (r *Run) near() bool { return r.info.Executor == ExecutorLocal }

// Info returns what the run was created with.
func (r *Run) Info() RunInfo { return r.info }

// Seq returns the number of the last event applied.
func (r *Run) Seq() int64 { return r.seq }

// Status returns the run's status.
func (r *Run) Status() Status { return r.status }

// Reason returns why the run ended as it did; "" if there is nothing to say.
func (r *Run) Reason() string { return r.reason }

// Cause returns the root cause: a task or step, "user" or "timeout".
func (r *Run) Cause() string { return r.cause }

// Ended reports whether the run has ended.
func (r *Run) Ended() bool { return r.status.Ended() }

// Times returns when the run was created, and when it ended or the zero time.
func (r *Run) Times() (created, ended time.Time) { return r.created, r.ended }

// Results returns the values of the workflow's outputs, once the run has succeeded.
func (r *Run) Results() []Result { return r.results }

// Cancelling returns the reason of the wish to cancel the run, if there is one.
func (r *Run) Cancelling() (reason string, ok bool) {
	if r.cancel == nil {
		return "", false
	}
	return r.cancel.Reason, true
}

// liveJobs returns the jobs that need looking after, ascending.
func (r *Run) liveJobs() []*jobState {
	if r.over > 0 && 2*r.over >= len(r.live) {
		kept := r.live[:0]
		for _, j := range r.live {
			if j.state != jobOver {
				kept = append(kept, j)
			}
		}
		clear(r.live[len(kept):])
		r.live, r.over = kept, 0
	}
	return r.live
}

func (r *Run) step(name StepName) *stepState {
	if i, ok := r.graph.index[name]; ok {
		return r.steps[i]
	}
	return nil
}

func (s *stepState) key(i int) string {
	switch {
	case !s.FanOut:
		return ""
	case s.exp.Keys == nil:
		return strconv.Itoa(i)
	}
	return s.exp.Keys[i]
}

func (s *stepState) taskName(i int) string { return TaskName(s.Name, s.FanOut, s.key(i)) }

func (s *stepState) group(i int) int { return s.exp.group(i) }

func (s *stepState) item(i int) *Item {
	if s.exp.Items == nil {
		return nil
	}
	return s.exp.Items[i]
}

// spec returns what task i runs, or nil for an absent task.
func (s *stepState) spec(i int) *TaskSpec {
	if s.exp.Absent.Contains(i) {
		return nil
	}
	return s.exp.Groups[s.group(i)].With(s.item(i))
}

// taskKeys returns the cache keys of the tasks of a step that is expanded; nil: its results
// are not kept.
func (s *stepState) taskKeys() *TaskKeys {
	if s.keys == nil {
		s.keys = NewTaskKeys(s.Step, s.exp)
	}
	return s.keys
}

// hit returns where the result of task i is from, if it is CACHED, else nil.
func (s *stepState) hit(i int) *Hit {
	if h := s.hits[i]; h != nil || s.task[i] != Cached {
		return h
	}
	for k := range s.exp.HitRanges {
		if h := &s.exp.HitRanges[k]; h.Tasks.Contains(i) {
			return h.Hit(i)
		}
	}
	return nil
}

// dir returns the directory where task i's result is or will be.
func (r *Run) dir(s *stepState, i int) string {
	if h := s.hit(i); h != nil {
		return h.Dir
	}
	return r.ownDir(s, i)
}

// ownDir returns the directory where task i's result is or will be if it runs in this run.
func (r *Run) ownDir(s *stepState, i int) string {
	return TaskDir(r.info.WorkDir, r.info.Run, s.Name, KeyDir(s.FanOut, s.key(i)))
}

func (s *stepState) set(i int, to Status) {
	s.counts[s.task[i]]--
	s.counts[to]++
	s.task[i] = to
}

func (s *stepState) setDetail(i int, d TaskDetail) {
	if d == (TaskDetail{}) {
		delete(s.detail, i)
		return
	}
	if s.detail == nil {
		s.detail = map[int]*TaskDetail{}
	}
	kept := d // not d itself, which would be on the heap for every task
	s.detail[i] = &kept
}

// userTries returns how many tries of task i count against its retry block.
func (s *stepState) userTries(i int) int { return int(s.tries[i]) - s.infra[i] - s.spent[i] }

// resources returns what a task of a job of s gets.
func (s *stepState) resources(p *JobPlan) Resources {
	group := s.exp.Groups[p.Group]
	res := group.ResourcesFor(p.Attempt - s.base)
	if p.Rule > 0 {
		res = group.Retry.Rules[p.Rule-1].apply(res, p.Attempt-s.base)
	}
	return res
}

// JobSpec returns what to submit for job n of the run.
func (r *Run) JobSpec(n int) *JobSpec { return r.jobSpec(r.jobs[n-1]) }

func (r *Run) jobSpec(j *jobState) *JobSpec {
	s := j.step
	group := s.exp.Groups[j.plan.Group]
	spec := &JobSpec{
		Name: j.plan.Name, Workflow: r.info.Workflow, Run: r.info.Run, Step: s.Name, FanOut: s.FanOut,
		Queue: j.plan.Queue, Task: group, Tasks: j.tasks, WorkDir: r.info.WorkDir,
		Attempt: j.plan.Attempt, Attempts: max(j.plan.Attempts, 1),
		Timeout: group.Timeout, Resources: s.resources(j.plan), Tags: group.Tags, CacheKeys: s.taskKeys(),
	}
	if n := j.tasks.Len(); n > 1 {
		spec.ArraySize = n
	}
	if spec.Attempts > 1 {
		spec.Evaluate = evaluateOnExit(group.Retry, j.plan.Losses, r.near())
	}
	for _, d := range j.plan.DependsOn {
		dep := Dependency{Type: d.Type}
		if d.Job > 0 {
			on := r.jobs[d.Job-1]
			if on.state == jobOver {
				continue // it has succeeded, see depGone; its executor may have forgotten it
			}
			dep.Job = on.id
		}
		spec.DependsOn = append(spec.DependsOn, dep)
	}
	keys := s.exp.Keys != nil || !s.FanOut
	if keys {
		spec.Keys = make([]string, 0, spec.Size())
	}
	if s.exp.Items != nil {
		spec.Items = make([]*Item, 0, spec.Size())
	}
	for i := range j.tasks.All() {
		if keys {
			spec.Keys = append(spec.Keys, s.key(i))
		}
		if s.exp.Items != nil {
			spec.Items = append(spec.Items, s.exp.Items[i])
		}
	}
	return spec
}

func (r *Run) String() string {
	return fmt.Sprintf("run %s of %s: %s", r.info.Run, r.wf.Name, r.status)
}
