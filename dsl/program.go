package dsl

import (
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"flow/engine"
)

// A Program is a workflow that was read and found valid, as far as that can be said
// without the values of its variables. It never changes, and may be bound any
// number of times.
type Program struct {
	// Workflow has everything that does not depend on variables: names, the graph,
	// places. What variables decide (work_dir, max_parallel, tolerances, budget, expect, infra, ...) is
	// filled in by Bind, in Template.Workflow.
	Workflow *engine.Workflow
	// Files are the parsed files by name, for printing diagnostics.
	Files map[string]*hcl.File
	// Variables stand in source order.
	Variables []*Variable

	mu        sync.Mutex // held while evaluating, which uses budget
	dir       string
	sources   []Source
	workflow  *workflowConfig
	locals    map[string]*localConfig
	localList []*localConfig // in source order
	steps     []*stepConfig  // in source order
	stepIndex map[string]*stepConfig
	outputs   []*outputConfig
	moved     []*movedConfig
	infra     []*infraConfig // in source order
	notices   []*noticeConfig
	schedules []*scheduleConfig // in source order
	variables map[string]*Variable
	budget    *budget
	functions map[string]function.Function // what runs
	offline   map[string]function.Function // the same without files: for validation
	lost      lostNames
	broken    bool // a file has syntax errors
}

// A mark is put on values that must be treated in a special way (see cty, marks).
type mark string

// sensitive marks the value of a sensitive variable, and whatever is made from it.
const sensitive = mark("sensitive")

// A Variable is a `variable` block.
type Variable struct {
	Name        string
	Description string
	TypeString  string // as HCL writes it: "list(string)"; "any" if the block has no type
	Sensitive   bool
	Required    bool // has no default
	Nullable    bool // null is a value; without, null means the default
	Range       hcl.Range

	typ         cty.Type           // of its value
	constraint  cty.Type           // what a value is converted to: typ, with optional attributes
	defaults    *typeexpr.Defaults // of optional attributes; nil: none
	def         cty.Value          // converted to typ; cty.NilVal: none
	validations []*validation
}

// A validation is a `validation` block of a variable. Its expressions may use
// var.<name> alone, path, and functions.
type validation struct {
	condition hcl.Expression
	message   hcl.Expression
	rng       hcl.Range
}
