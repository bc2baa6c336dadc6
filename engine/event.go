package engine

import (
	"strconv"
	"time"
)

// An Event is a fact about a run. Events are appended to the run's log and never
// changed. It is one flat struct: one row, one JSON line, one line of a trace; which
// fields are set depends on Kind. Stored events are read for ever: fields are only
// added, and names never change.
type Event struct {
	Seq  int64     `json:"-"`
	At   time.Time `json:"-"` // UTC, milliseconds
	Kind Kind      `json:"-"`

	Step  StepName `json:"step,omitempty"`
	Job   int      `json:"job,omitempty"` // number of the job in its run, from 1
	Tasks Ranges   `json:"tasks,omitempty"`

	// RunStarted, RunEnded, StepEnded, TasksEnded, TasksSkipped
	Status Status `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
	Cause  string `json:"cause,omitempty"` // the task, step or limit that is the root cause

	// RunStarted
	Info *RunInfo `json:"info,omitempty"`

	// StepExpanded
	Expanded *Expanded `json:"expanded,omitempty"`

	// JobPlanned, JobAccepted
	Plan  *JobPlan `json:"plan,omitempty"`
	JobID JobID    `json:"job_id,omitempty"`

	// TasksEnded: the same for all Tasks, or in their order. JobLost has Attempts, one
	// element, if the job had been accepted: what its tasks may have used. StepReset, one
	// element, and TasksReset have Attempts if more may have been used than was told.
	// JobStarts has Started, one element.
	Outcome  Outcome   `json:"outcome,omitempty"`
	ExitCode *int      `json:"exit_code,omitempty"`
	Attempts []int     `json:"attempts,omitempty"` // tries so far, over all jobs; one element: of every task
	Infra    int       `json:"infra,omitempty"`    // tries among them that infrastructure spoiled
	Started  Times     `json:"started,omitempty"`  // of the last try
	Stopped  Times     `json:"stopped,omitempty"`
	Memory   Amounts   `json:"memory,omitempty"`  // peak of the last try in bytes, as Started; 0: not known; negative: see Used.Memory
	CPU      Amounts   `json:"cpu,omitempty"`     // that the last try used, in ms, likewise
	Outputs  []Values  `json:"outputs,omitempty"` // nil: no task has any
	After    time.Time `json:"after,omitzero"`    // Retrying: not before
	Rule     string    `json:"rule,omitempty"`    // Retrying: the class of the rule that said so

	NoCache bool `json:"no_cache,omitempty"` // StepReset: known results do not count

	Gate *Gate `json:"gate,omitempty"` // StepWaits

	// TasksEnded: what is billed of Tasks beside the last try of each.
	Before  *Usage `json:"before,omitempty"`   // of the tries that Job made before; nil: none, or not known
	TryLost bool   `json:"try_lost,omitempty"` // the last try ended since its host went away

	// RunPaused, RunResumed
	Spent     Money `json:"spent,omitempty"`     // what the run had cost
	Allowance Money `json:"allowance,omitempty"` // what it may cost in all from here on: it is not paused any more

	// RunEnded
	Results []Result `json:"results,omitempty"`
}

// Kind is what kind of fact an event is. Its name is what is stored.
type Kind string

const (
	RunStarted  Kind = "RunStarted"  // Info: the run was created
	RunResumed  Kind = "RunResumed"  // a driver took the run up again; Reason says which
	RunReopened Kind = "RunReopened" // an ended run goes on: Tasks of Step, or the whole Step, run again

	StepWaits      Kind = "StepWaits"      // Step waits for Gate to open, from now on
	StepGateOpened Kind = "StepGateOpened" // all that Step waited for was there: Reason says what

	StepExpanded Kind = "StepExpanded" // Expanded: the tasks of Step are known
	StepReset    Kind = "StepReset"    // Step is to be expanded anew, Reason says why
	StepEnded    Kind = "StepEnded"    // Status, Reason, Cause

	JobPlanned  Kind = "JobPlanned"  // the intent to submit Plan as Job
	JobAccepted Kind = "JobAccepted" // Job has JobID
	JobRefused  Kind = "JobRefused"  // Job was surely not accepted: Reason; its tasks are without a job again
	JobInDoubt  Kind = "JobInDoubt"  // nobody knows whether Job was accepted, or will know: it is submitted again
	JobStarts   Kind = "JobStarting" // Job, or the first of its children, was seen STARTING, since Started
	JobEnded    Kind = "JobEnded"    // Job needs no more looking after: Status, Reason
	JobLost     Kind = "JobLost"     // Job is unknown to its executor: its unended tasks are without a job again

	TasksRunning Kind = "TasksRunning" // Tasks of Step run, in Job
	TasksEnded   Kind = "TasksEnded"   // a try of Tasks of Step ended, in Job: Outcome
	TasksSkipped Kind = "TasksSkipped" // Tasks of Step will not run: Status SKIPPED or CANCELLED, Reason, Cause
	TasksReset   Kind = "TasksReset"   // Tasks of Step are to run again; Reason: whatever their results were known for

	OutputsUnneeded  Kind = "OutputsUnneeded"  // nobody needs the temporary outputs of Tasks of Step any more: they are removed from now on
	OutputsDiscarded Kind = "OutputsDiscarded" // those are gone; Reason says what could not be removed

	RunPaused       Kind = "RunPaused"       // Reason, Spent: nothing more is submitted until a RunResumed with Allowance
	RunLate         Kind = "RunLate"         // the run is not over by RunInfo.LateAt; Reason is its LateFor
	CancelRequested Kind = "CancelRequested" // Reason; Cause is "user", "timeout", "budget" or the failed task
	RunEnded        Kind = "RunEnded"        // Status, Reason, Cause, Results
)

// Outcome is how a job ended for a task.
type Outcome string

const (
	TaskSucceeded Outcome = "succeeded"
	TaskFailed    Outcome = "failed"    // for good
	TaskRetrying  Outcome = "retrying"  // failed; the engine tries it again, After
	TaskUnstarted Outcome = "unstarted" // did not run, since something it depends on failed; is without a job again
	TaskCancelled Outcome = "cancelled" // was terminated
	TaskRecovered Outcome = "recovered" // left traces of Attempts, of which nothing was recorded, and no result; is without a job
	TaskLost      Outcome = "lost"      // its executor knows nothing of it any more: failed for good, though it may have run
)

// Where the jobs of a run are run: RunInfo.Executor.
const (
	ExecutorLocal = "local" // on this machine, by the embedded executor
	ExecutorBatch = "batch" // on AWS Batch, or by what speaks its protocol
)

// RunInfo is what a run is created with.
type RunInfo struct {
	Run       RunID             `json:"run"`
	Workflow  string            `json:"workflow"`
	Version   string            `json:"version,omitempty"` // of flow
	WorkDir   string            `json:"work_dir"`
	Executor  string            `json:"executor"`            // ExecutorLocal or ExecutorBatch
	Variables map[string]string `json:"variables,omitempty"` // JSON of each; sensitive ones are left out
	Limits    Limits            `json:"limits,omitzero"`
	Slot      *Slot             `json:"slot,omitempty"`     // nil: no schedule started it
	LateAt    time.Time         `json:"late_at,omitzero"`   // when it is late unless it is over; zero: never
	LateFor   string            `json:"late_for,omitempty"` // what says so, for people: "should be over by 06:00 (Europe/Berlin)"
	// Recovered is when the run was made of its files, since all else of it was lost; zero: it
	// was not. What it did before is found out step by step, see Survey.
	Recovered time.Time `json:"recovered,omitzero"`
}

// Limits are what the command line may set over the workflow.
type Limits struct {
	MaxParallel int  `json:"max_parallel,omitempty"`
	NoCache     bool `json:"no_cache,omitempty"` // no task is CACHED
	// Replace are steps whose tasks run though their results are known, as do those of all
	// steps that follow them.
	Replace []StepName `json:"replace,omitempty"`
}

// Expanded is a step with its tasks, in a form that is small however many there are.
type Expanded struct {
	Size      int         `json:"size"`
	Keys      []string    `json:"keys,omitempty"`       // nil: the index as a decimal number
	Groups    []*TaskSpec `json:"groups"`               // what tasks share that can be one array job
	Group     []int       `json:"group,omitempty"`      // of each task; nil: all are of group 0
	Items     []*Item     `json:"items,omitempty"`      // of each task; nil: none has anything of its own
	Absent    Ranges      `json:"absent,omitempty"`     // tasks without a spec
	CacheKeys []byte      `json:"cache_keys,omitempty"` // 32 bytes a task, zeros for one that is not cached; see TaskKeys
	KeyBases  []byte      `json:"key_bases,omitempty"`  // 32 bytes a group, likewise; instead of CacheKeys where Items is nil
	KeyName   StepName    `json:"key_name,omitempty"`   // what cache keys have for the name of the step, if it was moved
	Cached    Ranges      `json:"cached,omitempty"`     // tasks whose result is known
	Hits      []Hit       `json:"hits,omitempty"`       // of Cached, in order
	HitRanges []HitRange  `json:"hit_ranges,omitempty"` // of more tasks whose result is known
}

// A HitRange is the known results of Tasks: each is that of the task with the same index
// and key, the index as a decimal number, of a step in another run. They have no outputs.
type HitRange struct {
	Run     RunID    `json:"run"`
	Step    StepName `json:"step"`
	WorkDir string   `json:"work_dir"` // of that run
	Tasks   Ranges   `json:"tasks"`
}

// Hit returns what is known of task i, which is one of h.Tasks.
func (h *HitRange) Hit(i int) *Hit {
	key := strconv.Itoa(i)
	return &Hit{Run: h.Run, Step: h.Step, Task: key, Dir: TaskDir(h.WorkDir, h.Run, h.Step, KeyDir(true, key))}
}

// JobPlan is a job that a run wants to submit.
type JobPlan struct {
	Name      string       `json:"name"`
	Queue     string       `json:"queue,omitempty"`
	Group     int          `json:"group"`
	DependsOn []PlannedDep `json:"depends_on,omitempty"`
	Attempt   int          `json:"attempt"`            // of the tasks' first try in this job
	Attempts  int          `json:"attempts,omitempty"` // tries Batch may make by itself
	Losses    bool         `json:"losses,omitempty"`   // after infrastructure losses only
	Rule      int          `json:"rule,omitempty"`     // 1 + the retry rule that changes what the job asks for
	Rate      *Rate        `json:"rate,omitempty"`     // what its tasks cost; nil: nothing, or nobody knows
}

// A PlannedDep is a dependency on another job of the run, by its number; 0 with SEQUENTIAL.
type PlannedDep struct {
	Job  int            `json:"job,omitempty"`
	Type DependencyType `json:"type,omitempty"`
}
