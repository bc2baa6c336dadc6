package dsl

import (
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// defaultsBlock decodes the `defaults` of a workflow: arguments and blocks of a step
// that has no name.
func (d *decoder) defaultsBlock(b *hcl.Block) *stepConfig {
	s := &stepConfig{rng: b.DefRange}
	as, blocks, diags := d.block(b.Body, stepArgs, stepBlocks...)
	s.incomplete = diags.HasErrors()
	for _, a := range as {
		if !a.spec.inDefaults {
			d.errorf(a.nameRange, "Not possible in defaults", "%q belongs to one step; move it there.", a.name)
			continue
		}
		s.args = append(s.args, a)
	}
	allowed := blocks[:0:0]
	for _, blk := range blocks {
		if blk.Type == "output" || blk.Type == "matrix" || blk.Type == "wait_for" {
			d.errorf(blk.DefRange, "Not possible in defaults", "%q belongs to one step; move it there.", blk.Type)
			continue
		}
		allowed = append(allowed, blk)
	}
	d.stepParts(s, allowed)
	s.each(func(a *arg) { a.inherited = true })
	return s
}

// each calls f for every argument of s, at any depth, but for those of its outputs and
// matrix.
func (s *stepConfig) each(f func(*arg)) {
	all := func(as args) {
		for _, a := range as {
			f(a)
		}
	}
	all(s.args)
	for _, b := range []*blockConfig{s.resources, s.tolerate} {
		if b != nil {
			all(b.args)
		}
	}
	if r := s.retry; r != nil {
		if r.attempts != nil {
			f(r.attempts)
		}
		for _, rule := range r.rules {
			all(rule.args)
		}
	}
	if c := s.container; c != nil {
		all(c.args)
		for _, v := range c.volumes {
			all(v.args)
		}
		if c.logging != nil {
			all(c.logging.args)
		}
	}
}

// everything calls f for every argument of s, with those of outputs and matrix.
func (s *stepConfig) everything(f func(*arg)) {
	s.each(f)
	for _, c := range s.sensors {
		for _, a := range c.args {
			f(a)
		}
	}
	for _, o := range s.outputs {
		if o.path != nil {
			f(o.path)
		}
		if o.publish != nil {
			f(o.publish)
		}
	}
	if m := s.matrix; m != nil {
		for _, a := range m.axes {
			f(a)
		}
		for _, list := range [][]*blockConfig{m.include, m.exclude} {
			for _, b := range list {
				for _, a := range b.args {
					f(a)
				}
			}
		}
	}
}

func (d *decoder) stepBlock(b *hcl.Block) {
	s := &stepConfig{name: b.Labels[0], rng: b.DefRange, index: len(d.p.steps)}
	ok := d.name(b, s.name, b.LabelRanges[0])
	as, blocks, diags := d.block(b.Body, stepArgs, stepBlocks...)
	s.args = as
	s.shaky = slices.ContainsFunc(diags, func(diag *hcl.Diagnostic) bool { return diag.Summary == "Unsupported block type" })
	s.incomplete = diags.HasErrors()
	if d.isBroken(bodyRange(b)) {
		s.shaky, s.incomplete = true, true
	}
	d.stepParts(s, blocks)
	d.inherit(s)
	d.stepRules(s)
	if !ok {
		if hclsyntax.ValidIdentifier(s.name) {
			return // a duplicate: references mean the first
		}
		d.p.lost.hidden[s.name] = true
		return
	}
	d.p.steps = append(d.p.steps, s)
	d.p.stepIndex[s.name] = s
}

// stepParts decodes the blocks inside a step.
func (d *decoder) stepParts(s *stepConfig, blocks hcl.Blocks) {
	for _, b := range blocks {
		if b.Type == "output" {
			d.stepOutput(s, b)
		}
	}
	if b := d.only(blocks, "matrix"); b != nil {
		d.matrixBlock(s, b)
	}
	if b := d.only(blocks, "resources"); b != nil {
		as, _, _ := d.block(b.Body, resourceArgs)
		s.resources = &blockConfig{b.DefRange, as}
	}
	if b := d.only(blocks, "tolerate"); b != nil {
		as, _, diags := d.block(b.Body, tolerateArgs)
		s.tolerate = &blockConfig{b.DefRange, as}
		if as.get("failed") == nil && !diags.HasErrors() {
			d.errorf(b.DefRange, "Missing required argument", "Say how many tasks may fail: failed = 3, or failed = \"1%%\".")
		}
	}
	for _, b := range blocks {
		if b.Type == "wait_for" {
			d.sensorBlock(s, b)
		}
	}
	if b := d.only(blocks, "retry"); b != nil {
		d.retryBlock(s, b)
	}
	if b := d.only(blocks, "container"); b != nil {
		d.containerBlock(s, b)
	}
}

// inherit adds what the step does not give itself from the defaults: arguments one by
// one, also those of resources and container; retry and tolerate as a whole.
func (d *decoder) inherit(s *stepConfig) {
	if d.p.workflow == nil || d.p.workflow.defaults == nil {
		return
	}
	def := d.p.workflow.defaults
	s.args = inheritArgs(s.args, def.args)
	s.resources = inheritBlock(s.resources, def.resources)
	if s.tolerate == nil {
		s.tolerate = def.tolerate
	}
	if s.retry == nil && def.retry != nil {
		r := *def.retry
		r.inherited = true
		s.retry = &r
	}
	if def.container != nil {
		c := &containerConfig{blockConfig: blockConfig{rng: def.container.rng}}
		if s.container != nil {
			*c = *s.container
		}
		c.args = inheritArgs(c.args, def.container.args)
		c.logging = inheritBlock(c.logging, def.container.logging)
		own := c.volumes
		c.volumes = nil
		for _, v := range def.container.volumes {
			if !slices.ContainsFunc(own, func(o *volumeConfig) bool { return o.name == v.name }) {
				c.volumes = append(c.volumes, v)
			}
		}
		c.volumes = append(c.volumes, own...)
		s.container = c
	}
}

func inheritArgs(own, def args) args {
	var as args
	for _, a := range def {
		if a.spec.merges || own.get(a.name) == nil {
			as = append(as, a)
		}
	}
	return append(as, own...)
}

func inheritBlock(own, def *blockConfig) *blockConfig {
	switch {
	case def == nil:
		return own
	case own == nil:
		return def
	}
	return &blockConfig{own.rng, inheritArgs(own.args, def.args)}
}

// stepRules checks which arguments go together.
func (d *decoder) stepRules(s *stepConfig) {
	var what []*arg
	for _, name := range []string{"command", "script", "script_file"} {
		if a := s.args.own(name); a != nil {
			what = append(what, a)
		}
	}
	sort.Slice(what, func(i, k int) bool { return before(what[i].rng, what[k].rng) })
	switch {
	case len(what) == 0 && !s.incomplete && s.args.get("job_definition") == nil:
		d.errorf(s.rng, "Missing required argument", "Step %q does nothing: give it a command, a script or a script_file.", s.name)
	case len(what) > 1:
		d.errorf(what[1].nameRange, "Conflicting arguments", "A step has either a command, a script or a script_file; this one has %s already. Remove one.", what[0].name)
	}
	if a := s.args.own("shell"); a != nil && s.args.own("command") != nil && len(what) == 1 {
		d.errorf(a.nameRange, "Conflicting arguments", "A command is started without a shell. Remove shell, or write a script.")
	}
	if a := s.args.own("parameters"); a != nil && s.args.get("job_definition") == nil && !s.incomplete {
		d.errorf(a.nameRange, "Conflicting arguments", "parameters fill in the Ref:: places of an existing job definition: name it with job_definition.")
	}
	forEach := s.args.own("for_each")
	if forEach != nil && s.matrix != nil {
		d.errorf(s.matrix.rng, "Conflicting arguments", "A step has either for_each or a matrix. Remove one.")
		s.matrix = nil
	}
	if s.fanOut() || s.incomplete {
		return
	}
	for _, name := range []string{"each_key", "sequential"} {
		if a := s.args.own(name); a != nil {
			d.errorf(a.nameRange, "Conflicting arguments", "%q has a meaning only with for_each or matrix.", name)
		}
	}
}

var outputKinds = []engine.OutputKind{
	engine.OutputFile, engine.OutputFiles, engine.OutputDirectory, engine.OutputJSON, engine.OutputText,
}

func (d *decoder) stepOutput(s *stepConfig, b *hcl.Block) {
	o := &stepOutput{name: b.Labels[0], rng: b.DefRange, typ: cty.DynamicPseudoType, constraint: cty.DynamicPseudoType}
	label := b.LabelRanges[0]
	ok := true
	if !hclsyntax.ValidIdentifier(o.name) {
		d.errorf(label, "Invalid name", "%q cannot be the name of an output: it must start with a letter and may have letters, digits, underscores and dashes.", o.name)
		ok = false
	} else if first := s.output(o.name); first != nil {
		d.errorf(label, "Duplicate output", "Step %q already has an output %q, at line %d. Rename one of them.", s.name, o.name, first.rng.Start.Line)
		ok = false
	}
	as, _, diags := d.block(b.Body, stepOutputArgs)
	for _, kind := range outputKinds {
		a := as.get(string(kind))
		switch {
		case a == nil:
		case o.path == nil:
			o.path, o.kind = a, kind
		default:
			first, second := o.path, a
			if before(second.rng, first.rng) {
				first, second = second, first
			}
			d.errorf(second.nameRange, "Conflicting arguments", "An output is one of file, files, directory, json and text; this one is %s already. Make two outputs.", first.name)
		}
	}
	o.publish = as.get("publish")
	o.optional = d.constBool(as.get("optional"))
	d.temporary(o, as)
	if a := as.get("type"); a != nil {
		typ, defaults, typeDiags := typeexpr.TypeConstraintWithDefaults(a.expr)
		d.diags = append(d.diags, typeDiags...)
		switch {
		case typeDiags.HasErrors():
		case o.kind != engine.OutputJSON && o.path != nil:
			d.errorf(a.nameRange, "Conflicting arguments", "Only a json output has a type; this one is %s.", o.kind)
		default:
			o.typ, o.constraint, o.defaults = typ.WithoutOptionalAttributesDeep(), typ, defaults
		}
	}
	if o.path == nil {
		if !diags.HasErrors() && !d.isBroken(bodyRange(b)) {
			d.errorf(b.DefRange, "Missing required argument", "Say what output %q is: file = \"...\", directory, files (a pattern such as \"part-*\"), json or text.", o.name)
		}
		// It is there all the same, so that references to it are no mistakes.
		o.kind = engine.OutputJSON
	}
	if ok {
		s.outputs = append(s.outputs, o)
	}
}

// temporary decodes whether an output is removed when nobody needs it any more.
func (d *decoder) temporary(o *stepOutput, as args) {
	a := as.get("temporary")
	if o.temporary = d.constBool(a); !o.temporary {
		return
	}
	switch {
	case o.publish != nil:
		d.errorf(a.nameRange, "Conflicting arguments", "What is published is kept, and what is temporary is removed. Leave one of them out.")
	case o.kind == engine.OutputJSON, o.kind == engine.OutputText:
		d.errorf(a.nameRange, "Conflicting arguments", "Only files are temporary, those of file, files and directory; the value of a %s output is kept anyway.", o.kind)
	}
}

// checkOutputPath returns what is wrong with the path of an output, or "".
func checkOutputPath(kind engine.OutputKind, p string) string {
	clean := path.Clean(p)
	switch {
	case p == "":
		return "The path is empty. Name a file that the task writes, relative to its working directory."
	case strings.ContainsRune(p, 0):
		return "A path cannot have a NUL character."
	case strings.Contains(p, "://") || path.IsAbs(p) || clean == ".." || strings.HasPrefix(clean, "../"):
		return "An output is a path inside the task's working directory, such as \"out.bam\". To copy the result elsewhere, use publish."
	case clean == "." && kind != engine.OutputDirectory:
		return "This names the working directory itself. Name a file in it."
	case clean == "inputs" || strings.HasPrefix(clean, "inputs/"):
		return "inputs/ holds the inputs of the task. Write outputs elsewhere in the working directory."
	case kind == engine.OutputFiles && !doublestar.ValidatePattern(p):
		return "This is no valid pattern. Use * ? [abc] {a,b} and ** for any number of directories."
	case kind == engine.OutputFile && strings.HasSuffix(p, "/"):
		return "This names a directory. Use directory = \"...\", or leave off the last slash."
	}
	return ""
}

func (d *decoder) matrixBlock(s *stepConfig, b *hcl.Block) {
	m := &matrixConfig{rng: b.DefRange}
	content, rest, diags := b.Body.PartialContent(&hcl.BodySchema{
		Blocks: []hcl.BlockHeaderSchema{{Type: "include"}, {Type: "exclude"}},
	})
	d.diags = append(d.diags, diags...)
	if body, ok := b.Body.(*hclsyntax.Body); ok { // JustAttributes would not have any block
		m.axes = d.nativeAxes(body)
	} else {
		m.axes = d.axes(rest)
	}
	for _, blk := range content.Blocks {
		bc := &blockConfig{blk.DefRange, d.axes(blk.Body)}
		for _, a := range bc.args {
			if m.axes.get(a.name) == nil {
				names := make([]string, len(m.axes))
				for i, axis := range m.axes {
					names[i] = axis.name
				}
				hint := suggest(a.name, names)
				if hint == "" {
					hint = " It has " + list(names, "and") + "."
				}
				d.errorf(a.nameRange, "Unsupported argument", "The matrix has no axis %q.%s", a.name, hint)
			}
		}
		if blk.Type == "include" {
			m.include = append(m.include, bc)
		} else {
			m.exclude = append(m.exclude, bc)
		}
	}
	if len(m.axes) == 0 && !diags.HasErrors() {
		d.errorf(b.DefRange, "Missing required argument", "A matrix needs at least one axis, such as: codec = [\"h264\", \"av1\"].")
	}
	s.matrix = m
}

// nativeAxes returns the arguments of a matrix block in native syntax, in source order.
func (d *decoder) nativeAxes(body *hclsyntax.Body) args {
	for _, blk := range body.Blocks {
		if blk.Type != "include" && blk.Type != "exclude" {
			d.errorf(blk.TypeRange, "Unsupported block type", "A matrix has include and exclude blocks, and an argument for each axis.%s",
				suggest(blk.Type, []string{"include", "exclude"}))
		}
	}
	var as args
	for _, attr := range body.Attributes {
		as = append(as, newArg(attr.AsHCLAttribute(), &axisArg))
	}
	sort.Slice(as, func(i, k int) bool { return before(as[i].rng, as[k].rng) })
	return as
}

// axes decodes a body of arguments with free names, in source order.
func (d *decoder) axes(body hcl.Body) args {
	attrs, diags := body.JustAttributes()
	d.diags = append(d.diags, diags...)
	var as args
	for _, attr := range attrs {
		as = append(as, newArg(attr, &axisArg))
	}
	sort.Slice(as, func(i, k int) bool { return before(as[i].rng, as[k].rng) })
	return as
}

func (d *decoder) retryBlock(s *stepConfig, b *hcl.Block) {
	as, blocks, diags := d.block(b.Body, retryArgs, retryBlocks...)
	r := &retryConfig{rng: b.DefRange, attempts: as.get("attempts")}
	if r.attempts == nil && !diags.HasErrors() && !d.isBroken(bodyRange(b)) {
		d.errorf(b.DefRange, "Missing required argument", "Say how often a task may be tried: attempts = 3.")
	}
	for _, blk := range blocks {
		rule := &ruleConfig{class: blk.Labels[0]}
		rule.rng = blk.DefRange
		rule.args, _, diags = d.block(blk.Body, ruleArgs)
		if rule.get("exit_code") == nil && rule.get("reason") == nil && rule.get("status_reason") == nil && !diags.HasErrors() {
			d.errorf(blk.DefRange, "Missing required argument", "Say which failures are meant: exit_code = 137, reason = \"OutOfMemory*\" or status_reason = \"Host EC2*\".")
		}
		for _, other := range r.rules {
			if other.class == rule.class {
				d.errorf(blk.LabelRanges[0], "Duplicate when block", "There is already a rule %q, at line %d. Rename one of them.", rule.class, other.rng.Start.Line)
				break
			}
		}
		r.rules = append(r.rules, rule)
	}
	s.retry = r
}

func (d *decoder) containerBlock(s *stepConfig, b *hcl.Block) {
	c := &containerConfig{}
	c.rng = b.DefRange
	var blocks hcl.Blocks
	c.args, blocks, _ = d.block(b.Body, containerArgs, containerBlocks...)
	for _, blk := range blocks {
		if blk.Type != "volume" {
			continue
		}
		v := &volumeConfig{name: blk.Labels[0]}
		v.rng = blk.DefRange
		var diags hcl.Diagnostics
		v.args, _, diags = d.block(blk.Body, volumeArgs)
		if v.get("path") == nil && !diags.HasErrors() {
			d.errorf(blk.DefRange, "Missing required argument", "Say where volume %q is found in the container: path = \"/data\".", v.name)
		}
		if v.get("host") != nil && v.get("efs") != nil {
			d.errorf(v.get("efs").nameRange, "Conflicting arguments", "A volume is either a path of the host or an EFS file system. Remove one.")
		}
		for _, other := range c.volumes {
			if other.name == v.name {
				d.errorf(blk.LabelRanges[0], "Duplicate volume block", "There is already a volume %q, at line %d. Rename one of them.", v.name, other.rng.Start.Line)
				break
			}
		}
		c.volumes = append(c.volumes, v)
	}
	if blk := d.only(blocks, "log_configuration"); blk != nil {
		as, _, _ := d.block(blk.Body, loggingArgs)
		c.logging = &blockConfig{blk.DefRange, as}
	}
	s.container = c
}
