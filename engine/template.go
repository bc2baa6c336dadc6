package engine

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// A Template evaluates the expressions of a workflow, once they can be. It must be
// pure: the same scope gives the same answer. (dsl implements it over HCL.)
type Template interface {
	// Expand evaluates a step: its tasks, and what each of them runs. All that its Deps
	// need is known in scope. An error is a diagnostic for the user.
	Expand(step StepName, scope Scope) (*Expansion, error)

	// Results evaluates the workflow's outputs, in source order, when the run has succeeded.
	Results(scope Scope) ([]Result, error)
}

// A Scope is what expressions may know of a run.
type Scope interface {
	RunID() RunID
	RunTime() time.Time // when the run was created
	// Step returns what is known of a step, or nil if that step is not expanded yet.
	Step(StepName) *StepView
}

// A StepView is what expressions may know of a step that is expanded.
type StepView struct {
	FanOut bool
	Keys   []string // nil: the index as a decimal number
	Size   int
	// Task returns what is known of task i.
	Task func(i int) TaskView
}

// A TaskView is what expressions may know of a task.
type TaskView struct {
	Status Status
	Dir    string // its task directory; see PathOf
	// Attempt is the one that its result is of, where files are to be named as they are to be
	// found by whoever does not know flow; 0: ResultDir stands for it.
	Attempt int
	Static  map[string]string // path of each file and directory output, relative; nil for an Absent task
	Values  Values            // of the other outputs, once it has succeeded
	// Gone are the outputs, by name, whose files are not there any more. If they are needed,
	// the task runs again, and leaves them in the task directory Again.
	Gone  []string
	Again string
}

// PathOf returns where the file rel of an output is, or will be.
func (v *TaskView) PathOf(output, rel string) string {
	switch {
	case slices.Contains(v.Gone, output):
		return ResultPath(v.Again, rel)
	case v.Attempt > 0:
		return v.Dir + "/" + strconv.Itoa(v.Attempt) + "/" + rel
	}
	return ResultPath(v.Dir, rel)
}

// Values are what a task left, by the name of the output: for files a JSON list of
// paths relative to the attempt's directory, for json the value, for text a string.
// An optional output that is not there is null. Outputs known before are not in it,
// but for optional ones that are not there, which are null.
type Values map[string]json.RawMessage

// An Expansion is a step with its tasks.
type Expansion struct {
	// Specs has one element per task. Tasks that run exactly the same should share one
	// pointer. nil: an absent task, see Absent.
	Specs []*TaskSpec
	// Keys has one element per task; nil: the index as a decimal number.
	Keys []string
	// Each has one element per task: the JSON of each.value, to be able to show it;
	// nil if not worth it.
	Each []json.RawMessage
	// Absent has, for each nil spec, why: "when", or the task that it lacks.
	Absent map[int]string
}

// A Result is the value of a workflow output.
type Result struct {
	Name      string          `json:"name"`
	Value     json.RawMessage `json:"value,omitempty"` // nil for a sensitive one
	Sensitive bool            `json:"sensitive,omitempty"`
	// Files are the paths in Value, and Publish where they are to be copied; "" is nowhere.
	Files   []string `json:"files,omitempty"`
	Publish string   `json:"publish,omitempty"`
}
