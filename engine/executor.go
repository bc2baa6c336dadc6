package engine

import (
	"context"
	"iter"
	"strconv"
	"time"
)

// An Executor runs jobs, with the semantics of AWS Batch. It is safe for concurrent
// use. What it returns belongs to the caller.
//
// Implementations: executor/local, executor/batch. The contract is checked by
// executor/executortest.
type Executor interface {
	// Submit hands a job over and returns its id. ErrRefused (wrapped) means that the
	// job was surely not accepted, ErrLater that it was not accepted now and may be later;
	// after any other error nobody knows, and Find tells.
	// The same name may be submitted twice: names are not unique (Batch, SubmitJob).
	Submit(ctx context.Context, spec *JobSpec) (JobID, error)

	// Find returns the jobs of that exact name in queue, oldest first; of a name that ends
	// in "*" the jobs whose names begin so, as Batch's own filter does. Array parents are
	// among them, children are not. It may miss a very young job, and jobs that ended long
	// ago.
	Find(ctx context.Context, queue, name string) ([]Job, error)

	// Describe returns what is known of jobs, array parents and children alike, in any
	// order. An id that is unknown or has aged out is left out, which is no error.
	Describe(ctx context.Context, ids []JobID) ([]Job, error)

	// Children yields the children of array job id that are in status s, by index.
	// Attempts may be missing in them; Describe has them.
	Children(ctx context.Context, id JobID, s JobStatus) iter.Seq2[Job, error]

	// Terminate ends a job, and with an array parent every child, whatever its state:
	// it becomes FAILED with that reason. Ending an ended or unknown job is no error.
	// The status changes later.
	Terminate(ctx context.Context, id JobID, reason string) error

	// Logs yields the lines of the last attempt of a plain job or child, or of the one
	// that o asks for. A log that is not there yet, or no more, has no lines.
	Logs(ctx context.Context, id JobID, o LogOptions) iter.Seq2[LogLine, error]
}

// A Notifier is an Executor that can tell that jobs may have changed, so that the
// driver need not poll.
type Notifier interface {
	// Changed returns a channel that receives after something changed; many changes
	// may be told as one.
	Changed() <-chan struct{}
	// Idle reports whether nothing runs, so that waiting longer gathers no more news.
	Idle() bool
}

// A BulkSubmitter is an Executor that can submit several jobs side by side, none of
// which depends on another of them.
type BulkSubmitter interface {
	// SubmitAll submits jobs and returns what became of each, in their order, as Submit
	// would. It may stop when ctx is done: what it did not try has ErrLater.
	SubmitAll(ctx context.Context, specs []*JobSpec) []Submission
}

// A Submission is what became of a job that was submitted; see [Executor.Submit].
type Submission struct {
	ID  JobID
	Err error
}

// A JobSpec is a job to submit: a plain job with one task, or an array job whose
// child i runs task Tasks.At(i).
type JobSpec struct {
	Name      string       `json:"name"` // see JobName
	Workflow  string       `json:"workflow,omitempty"`
	Run       RunID        `json:"run"`
	Step      StepName     `json:"step"`
	FanOut    bool         `json:"fan_out,omitempty"`
	Queue     string       `json:"queue,omitempty"`
	ArraySize int          `json:"array_size,omitempty"` // 0: a plain job; else 2 to 10,000
	DependsOn []Dependency `json:"depends_on,omitempty"` // at most 20

	Task  *TaskSpec `json:"task"`            // shared by all tasks of the job
	Tasks Ranges    `json:"tasks"`           // the tasks' indices in their step, in the order of the children
	Keys  []string  `json:"keys,omitempty"`  // the tasks' keys, likewise; nil: the index as a decimal number
	Items []*Item   `json:"items,omitempty"` // likewise; nil: no task has anything of its own
	// CacheKeys are the cache keys of the tasks of the step; nil: none of its results is to be
	// used again. Those of the job's tasks are asked for with CacheKey.
	CacheKeys *TaskKeys `json:"-"`

	WorkDir  string        `json:"work_dir"`
	Attempt  int           `json:"attempt"` // of the tasks' first try in this job, from 1; the same for all
	Attempts int           `json:"attempts"`
	Evaluate []EvaluateOn  `json:"evaluate_on_exit,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"`
	Resources
	Tags map[string]string `json:"tags,omitempty"`
}

// Size returns how many tasks the job runs.
func (s *JobSpec) Size() int { return max(s.ArraySize, 1) }

// Key returns the key of child i.
func (s *JobSpec) Key(i int) string {
	if s.Keys == nil {
		return strconv.Itoa(s.Tasks.At(i))
	}
	return s.Keys[i]
}

// Item returns what child i has of its own, or nil.
func (s *JobSpec) Item(i int) *Item {
	if s.Items == nil {
		return nil
	}
	return s.Items[i]
}

// CacheKey returns the cache key of child i; zeros: its result is not to be used again. It
// is computed each time, and may be asked for by several at once.
func (s *JobSpec) CacheKey(i int) CacheKey { return s.CacheKeys.alone(s.Tasks.At(i)) }

// TaskDir returns the directory of child i's attempts.
func (s *JobSpec) TaskDir(i int) string {
	return TaskDir(s.WorkDir, s.Run, s.Step, KeyDir(s.FanOut, s.Key(i)))
}

// A Dependency is an entry of Batch's dependsOn: this job waits for the success of
// another (Batch User Guide, job_dependencies).
type Dependency struct {
	Job  JobID          `json:"job,omitempty"` // "" with SEQUENTIAL
	Type DependencyType `json:"type,omitempty"`
}

// DependencyType is the type of a dependency, as Batch has it.
type DependencyType string

const (
	DependAll        DependencyType = ""           // the whole job
	DependNToN       DependencyType = "N_TO_N"     // child i waits for child i
	DependSequential DependencyType = "SEQUENTIAL" // child i waits for child i-1 of its own array
)

// EvaluateOn is an entry of Batch's evaluateOnExit (Batch User Guide, job_retries).
// A pattern is literal text with at most one trailing *; "" is not given.
type EvaluateOn struct {
	ExitCode     string `json:"on_exit_code,omitempty"`
	Reason       string `json:"on_reason,omitempty"`
	StatusReason string `json:"on_status_reason,omitempty"`
	Retry        bool   `json:"retry,omitempty"` // action RETRY, else EXIT
}

// A Job is what an executor knows of a plain job, an array parent or a child.
type Job struct {
	ID           JobID
	Name         string
	Queue        string
	Status       JobStatus
	StatusReason string
	Size         int                 // of an array parent; else 0
	Summary      [NumJobStatuses]int // of an array parent: its children by status
	Created      time.Time
	Started      time.Time // of the last attempt; zero: never RUNNING
	Stopped      time.Time
	Used         Used              // by the last attempt, once it has ended
	Attempts     []JobAttempt      // the ended ones, oldest first; nil: not known here
	ExitCode     *int              // of the last attempt; nil: it never reported one
	Reason       string            // container reason of the last attempt
	Containers   []ContainerResult // of the last attempt of a job of several containers; else nil
	Terminated   bool              // ended by Terminate
}

// A JobAttempt is one ended try of a job.
type JobAttempt struct {
	Started, Stopped time.Time
	ExitCode         *int
	Reason           string // container reason
	StatusReason     string
	LogStream        string
	Used             Used
	TaskID           string            // of the ECS task, 32 hexadecimal digits; "": not known
	Containers       []ContainerResult // of a job of several containers; else nil
}

// A ContainerResult is how one of the containers of a job ended (AttemptTaskContainerDetails).
type ContainerResult struct {
	Name      string `json:"name"`
	ExitCode  *int   `json:"exit_code,omitempty"` // nil: it never reported one
	Reason    string `json:"reason,omitempty"`
	LogStream string `json:"log_stream,omitempty"`
}

// Texts of statusReason and reason that decisions hang on (Batch; the sources are
// in docs/local.md).
const (
	ReasonHostLost      = "Host EC2"                       // prefix: the instance is gone
	ReasonSpotFargate   = "Your Spot Task was interrupted" // prefix
	ReasonDependency    = "Dependent Job failed"
	ReasonTimeout       = "Job attempt duration exceeded timeout"
	ReasonStartFailed   = "Task failed to start"
	ReasonExited        = "Essential container in task exited"
	ReasonArrayChild    = "Array Child Job failed"
	ReasonOutOfMemory   = "OutOfMemoryError: Container killed due to memory usage"
	ReasonOutputMissing = "OutputMissing: "        // prefix of the container reason, by flow's agent
	ReasonStageIn       = "StageInError: "         // likewise
	ReasonInLog         = "see the end of the log" // behind such a prefix, where Batch knows no more than a number

	// ReasonTwin begins the container reason of a job that found its attempt claimed by
	// another one: it was submitted twice, since Batch did not show the first in time.
	ReasonTwin = "another job runs this attempt"
)

// LogOptions say which part of a log is wanted.
type LogOptions struct {
	Attempt int  // of the job, from 1; 0: the last
	Tail    int  // at most so many last lines; 0: all
	Follow  bool // go on until the job has ended
}

// A LogLine is one line of output, without its newline. Stdout and stderr are one
// stream, in order.
type LogLine struct {
	Time time.Time // zero: not known
	Text string
}
