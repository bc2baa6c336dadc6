package engine

import (
	"fmt"
	"time"
)

// A Workflow is a validated program. It never changes once made, and belongs to
// whoever loaded it; its steps stand in source order.
type Workflow struct {
	Name        string
	Description string
	Dir         string // absolute directory of its files; relative paths in it are relative to this
	WorkDir     string // where task files live: an absolute path or a URI
	MaxParallel int    // tasks in flight over the whole run; 0: no limit
	Executor    string // "local", "batch"; "": not said
	OnFailure   OnFailure
	OnLost      OnLost
	Timeout     time.Duration // of the whole run; 0: none
	Tags        map[string]string
	Budget      *Budget // nil: none
	Infra       *Infra  // nil: it says nothing of AWS Batch itself
	Notices     []*Notice
	Schedules   []*Schedule // in source order
	Expect      *Expect     // nil: nothing
	Pools       []*Pool
	Steps       []*Step
	Outputs     []*WorkflowOutput
}

// Step returns the step of that name, or nil.
func (w *Workflow) Step(name StepName) *Step {
	for _, s := range w.Steps {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// OnFailure says what a failed step does to the steps that do not depend on it.
type OnFailure string

const (
	Finish      OnFailure = "finish" // they go on; the default
	CancelOnErr OnFailure = "cancel" // live jobs are terminated, nothing more starts
)

// OnLost says what becomes of the tasks of a job that its executor knows no more, so that
// nobody can tell whether they ran. A task whose result is there, with its manifest, has
// succeeded all the same.
type OnLost string

const (
	LostFails   OnLost = "fail"  // they have FAILED; the default on AWS Batch
	LostRetries OnLost = "retry" // they run again; the default of the embedded executor, with which jobs die
)

// A Pos is a place in a workflow's files, for messages. Line and Column count from 1.
type Pos struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func (p Pos) String() string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// A Step is a named block; a node of the graph. What its tasks run is known only to
// the [Template], which evaluates its expressions once they can be.
type Step struct {
	Name        StepName
	Description string
	Pos         Pos
	FanOut      bool // has for_each or matrix: tasks have keys, outputs are lists
	Sequential  bool // tasks one after the other (Batch SEQUENTIAL)
	MaxParallel int  // tasks of this step in flight; 0: no limit
	Tolerate    Tolerance
	Deps        []Dep // the steps this one depends on, each once, in source order
	Outputs     []OutputDecl
	// EngineRetries is set when another attempt may need another job: resources
	// that use `attempt`, or a retry rule with delay, memory, vcpus or queue.
	EngineRetries bool
	// Reads is set when the step has inputs: what it depends on may write the files.
	Reads     bool
	InputsPos Pos // where they stand
	// Was are the names that the step had, the last one first. Its tasks have the results that
	// they had under those: in cache keys, its name is the first one.
	Was []StepName
	// Gated is set when the step has wait_for blocks: what they say is to be there before its
	// tasks are found out. See GateTemplate.
	Gated bool
	// Partial is set when some tasks may be missing with the step SUCCEEDED: it
	// tolerates failures, or follows element by element a step that does. What gathers
	// it is known only when it has ended.
	Partial bool
}

// Tolerates reports whether some tasks of s may fail with s still SUCCEEDED.
func (s *Step) Tolerates() bool { return s.Tolerate.Count > 0 || s.Tolerate.Percent > 0 }

// Tolerance is how many tasks of a step may fail with the step still SUCCEEDED:
// a number, or a share of its tasks, in percent. The zero value tolerates none.
type Tolerance struct {
	Count   int
	Percent float64
}

// Allows reports whether failed of size tasks are tolerated.
func (t Tolerance) Allows(failed, size int) bool {
	return failed <= t.Count || float64(failed)*100 <= t.Percent*float64(size)
}

// A Dep is an edge of the graph: the step that has it waits for Step.
type Dep struct {
	Step StepName
	Kind DepKind
	Need Need
	Pos  Pos // where the reference stands
	// Outputs are those of its outputs that are read. nil: whichever it has; with NeedOrder none
	// is.
	Outputs []string
}

// DepKind says which tasks of a dependency a task waits for.
type DepKind string

const (
	Whole   DepKind = "whole"   // all of them (a gather, or order only)
	Element DepKind = "element" // the one with the same index (Batch N_TO_N)
)

// Need says what must be known of a dependency before the dependent step's
// expressions can be evaluated.
type Need int

const (
	NeedOrder  Need = iota // nothing: depends_on
	NeedTasks              // its tasks: their keys, and the paths of file and directory outputs
	NeedValues             // what its tasks left: files, json and text outputs, or which of them succeeded
)

// An OutputDecl declares an output of a step.
type OutputDecl struct {
	Name string
	Kind OutputKind
}

// OutputKind is the kind of a step's output.
type OutputKind string

const (
	OutputFile      OutputKind = "file"      // one file, its path known before the task runs
	OutputDirectory OutputKind = "directory" // one directory, its path known before the task runs
	OutputFiles     OutputKind = "files"     // the files that match a glob, known afterwards
	OutputJSON      OutputKind = "json"      // the value in a JSON file, known afterwards
	OutputText      OutputKind = "text"      // the text of a file without its last newline, known afterwards
)

// Static reports whether the output's value is known before its task has run.
func (k OutputKind) Static() bool { return k == OutputFile || k == OutputDirectory }

// A WorkflowOutput is an `output` block at the top level. Its value and publish
// target are evaluated by the [Template] when the run has succeeded.
type WorkflowOutput struct {
	Name        string
	Description string
	Sensitive   bool
	Pos         Pos
}
