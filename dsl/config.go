package dsl

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// The types here are the blocks of a workflow as they were written: expressions that
// are not evaluated yet, with their places.

// An arg is an argument as written, and what its expression refers to.
type arg struct {
	name      string
	expr      hcl.Expression
	rng       hcl.Range // name and value
	nameRange hcl.Range
	spec      *argSpec
	inherited bool // stands in the `defaults` block
	infra     bool // stands in a block about AWS Batch itself
	refs      refs
}

// args are the arguments of a block, in source order, with those of `defaults` first.
// Those that merge (env, tags, ...) may be there twice: from the defaults, then the
// block's own.
type args []*arg

// get returns the argument that counts, or nil.
func (as args) get(name string) *arg {
	for i := len(as) - 1; i >= 0; i-- {
		if as[i].name == name {
			return as[i]
		}
	}
	return nil
}

// own returns the argument that stands in the block itself, or nil.
func (as args) own(name string) *arg {
	if a := as.get(name); a != nil && !a.inherited {
		return a
	}
	return nil
}

type workflowConfig struct {
	name     string
	rng      hcl.Range
	args     args
	defaults *stepConfig  // nil: no such block; its name is ""
	budget   *blockConfig // nil: none
	expect   *blockConfig // nil: none
}

type localConfig struct {
	*arg
	cyclic bool
	// steps are the steps it refers to, also through other locals.
	steps []stepRef
	run   bool // likewise: refers to run
	done  bool // steps and run are found
}

type stepConfig struct {
	name  string
	rng   hcl.Range // header
	index int       // in Program.steps
	args  args

	outputs   []*stepOutput
	matrix    *matrixConfig
	resources *blockConfig // nil: none
	container *containerConfig
	retry     *retryConfig
	tolerate  *blockConfig
	sensors   []*sensorConfig
	dependsOn []stepRef

	// What follows from the above.
	was           []engine.StepName // the names that it had, the last one first
	deps          []engine.Dep
	use           refs        // all names that its arguments use
	names         nameSet     // what is needed to evaluate them
	elementOf     *stepConfig // for_each = step.x.each
	cyclic        bool
	shaky         bool           // an error in it may have hidden an output
	incomplete    bool           // an error in it may have hidden an argument
	lost          map[string]int // outputs that are referred to but not there
	valueOfEach   bool           // each.value.value is used: the item of elementOf's task
	usesEach      bool           // any argument of the task itself uses each
	usesTasks     bool           // somebody uses step.<name>.each
	usesEachItems bool           // somebody uses step.<name>.each[...].value
	eachIn        eachParts
	// partial: tasks may be missing though the step succeeded, since it tolerates
	// failures, or follows element by element a step that does.
	partial bool
}

func (s *stepConfig) fanOut() bool { return s.matrix != nil || s.args.own("for_each") != nil }

func (s *stepConfig) output(name string) *stepOutput {
	for _, o := range s.outputs {
		if o.name == name {
			return o
		}
	}
	return nil
}

// static reports whether all outputs are known before the step's tasks have run.
func (s *stepConfig) static() bool {
	for _, o := range s.outputs {
		if !o.static() {
			return false
		}
	}
	return true
}

// A blockConfig is a block of arguments only.
type blockConfig struct {
	rng  hcl.Range
	args args
}

func (b *blockConfig) get(name string) *arg {
	if b == nil {
		return nil
	}
	return b.args.get(name)
}

// A stepOutput is an `output` block of a step.
type stepOutput struct {
	name       string
	rng        hcl.Range
	kind       engine.OutputKind
	path       *arg
	publish    *arg // nil: none
	optional   bool
	temporary  bool
	kept       bool     // an output of the workflow names it
	typ        cty.Type // of json; DynamicPseudoType: any
	constraint cty.Type // what the JSON is converted to: typ, with optional attributes
	defaults   *typeexpr.Defaults
}

// static reports whether the output's value is known before its task has run.
func (o *stepOutput) static() bool { return o.kind.Static() && !o.optional }

// valueType is the type of the output's value for one task.
func (o *stepOutput) valueType() cty.Type {
	switch o.kind {
	case engine.OutputFiles:
		return cty.List(cty.String)
	case engine.OutputJSON:
		return o.typ
	}
	return cty.String
}

type matrixConfig struct {
	rng     hcl.Range
	axes    args
	include []*blockConfig
	exclude []*blockConfig
}

type retryConfig struct {
	rng       hcl.Range
	inherited bool
	attempts  *arg
	rules     []*ruleConfig
}

type ruleConfig struct {
	blockConfig
	class string
}

type containerConfig struct {
	blockConfig
	volumes []*volumeConfig
	logging *blockConfig
}

type volumeConfig struct {
	blockConfig
	name string
}

// An outputConfig is an `output` block at the top level.
type outputConfig struct {
	name        string
	rng         hcl.Range
	description string
	sensitive   bool
	value       *arg
	publish     *arg
}
