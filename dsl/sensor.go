package dsl

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// A sensorConfig is a `wait_for` block of a step.
type sensorConfig struct {
	blockConfig
	kind       engine.SensorKind
	incomplete bool // an error in it may have hidden an argument
}

// How often is looked for what a step waits for, unless the block says so: a look at S3 is a
// request, which costs.
const (
	defaultEveryS3   = time.Minute
	defaultEveryFile = 10 * time.Second
	leastEvery       = time.Second
)

// sensorBlock decodes a `wait_for` block.
func (d *decoder) sensorBlock(s *stepConfig, b *hcl.Block) {
	kind := engine.SensorKind(b.Labels[0])
	spec, ok := sensorArgs[kind]
	if !ok {
		kinds := []string{string(engine.SensorS3), string(engine.SensorFile)}
		d.errorf(b.LabelRanges[0], "Unsupported block label", "A step can wait for %s, not for %q.%s", list(kinds, "or"), b.Labels[0], suggest(b.Labels[0], kinds))
		return
	}
	c := &sensorConfig{kind: kind}
	c.rng = b.DefRange
	var diags hcl.Diagnostics
	c.args, _, diags = d.block(b.Body, spec)
	c.incomplete = diags.HasErrors() || d.isBroken(bodyRange(b))
	d.sensorRules(c)
	s.sensors = append(s.sensors, c)
}

// sensorRules checks which arguments go together.
func (d *decoder) sensorRules(c *sensorConfig) {
	object, prefix := c.get("object"), c.get("prefix")
	switch {
	case object != nil && prefix != nil:
		d.errorf(prefix.nameRange, "Conflicting arguments", "A wait_for block has either an object or a prefix. Remove one, or write two blocks.")
	case object != nil && c.get("count") != nil:
		d.errorf(c.get("count").nameRange, "Conflicting arguments", "There is one object of a name. Remove count, or name a prefix instead.")
	}
	if a := c.get("on_timeout"); a != nil && c.get("timeout") == nil && !c.incomplete {
		d.errorf(a.nameRange, "Missing required argument", "Without a timeout the step waits on for ever. Add one: timeout = \"6h\".")
	}
	switch {
	case c.incomplete:
	case c.kind == engine.SensorFile && c.get("path") == nil:
		d.errorf(c.rng, "Missing required argument", "Say which file is to be there: path = \"incoming/today.csv\".")
	case c.kind == engine.SensorS3 && object == nil && prefix == nil:
		d.errorf(c.rng, "Missing required argument", "Say which object is to be there, object = \"s3://bucket/key\", or what the names of some begin with, prefix = \"s3://bucket/day/\".")
	}
}

// isSensorArg reports whether an argument stands in a `wait_for` block.
func isSensorArg(spec *argSpec) bool {
	for _, all := range sensorArgs {
		for i := range all {
			if spec == &all[i] {
				return true
			}
		}
	}
	return false
}

// sensors evaluates what the step waits for, as far as values are known.
func (t *task) sensors() (all []engine.Sensor) {
	for _, c := range t.step.sensors {
		all = append(all, t.sensor(c))
	}
	return all
}

func (t *task) sensor(c *sensorConfig) engine.Sensor {
	out := engine.Sensor{Kind: c.kind, Count: 1, Every: defaultEveryFile, Pos: posOf(c.rng)}
	if c.kind == engine.SensorS3 {
		out.Every = defaultEveryS3
	}
	for _, a := range c.args {
		switch a.name {
		case "object":
			out.Target, _ = value(t, a, toObject)
		case "prefix":
			out.Prefix = true
			out.Target, _ = value(t, a, toPrefix)
		case "path":
			if s, ok := value(t, a, toWaitPath); ok {
				out.Target, out.Pattern = t.ev.p.waitPath(t.ev.original(s))
			}
		case "count":
			if n, ok := value(t, a, positive); ok {
				out.Count = n
			}
		case "every":
			if d, ok := value(t, a, toEvery); ok {
				out.Every = d
			}
		case "timeout":
			out.Timeout, _ = value(t, a, toDuration)
		case "on_timeout":
			s, _ := value(t, a, oneOf("fail", "skip"))
			out.Skip = s == "skip"
		}
	}
	t.countsOne(c, &out)
	return out
}

// countsOne complains of a number of files where only one can be.
func (t *task) countsOne(c *sensorConfig, s *engine.Sensor) {
	if c.kind == engine.SensorFile && s.Count > 1 && s.Target != "" && !s.Pattern {
		t.errorf(c.get("count").expr.Range(), "count: there is one file of that name. Write a pattern, such as path = \"incoming/*.csv\".")
	}
}

func toEvery(v cty.Value) (time.Duration, error) {
	d, err := toDuration(v)
	if err == nil && d < leastEvery {
		return 0, fmt.Errorf("it is looked once a second at most: write %q or more", leastEvery.String())
	}
	return d, err
}

func toObject(v cty.Value) (string, error) {
	s, err := toPrefix(v)
	switch {
	case err != nil:
		return "", err
	case strings.HasSuffix(s, "/"):
		return "", fmt.Errorf("%q names no object: wait for those below it with prefix = %[1]q", s)
	case strings.ContainsAny(s, "*?[{"):
		return "", fmt.Errorf("%q is a pattern, and object names one object: wait for several with prefix and count", s)
	}
	return s, nil
}

func toPrefix(v cty.Value) (string, error) {
	s, err := toText(v)
	if err != nil {
		return "", err
	}
	if scheme(s) != "s3" {
		return "", fmt.Errorf("%q is no URI of S3, such as \"s3://bucket/key\"", s)
	}
	return s, checkObject(s)
}

func toWaitPath(v cty.Value) (string, error) {
	s, err := toText(v)
	switch {
	case err != nil:
		return "", err
	case s == "":
		return "", errors.New("the path is empty")
	case strings.ContainsRune(s, 0):
		return "", errors.New("a path cannot have a NUL character")
	case strings.HasPrefix(s, "s3:"):
		return "", fmt.Errorf("%q is on S3: write wait_for \"s3\" { object = %[1]q }", s)
	case scheme(s) != "":
		return "", fmt.Errorf("%q is no path: it is waited for files of this machine and for objects of S3", s)
	case !doublestar.ValidatePattern(s):
		return "", fmt.Errorf("%q is no pattern: a [ or a { is not closed; write \\[ for the character itself", s)
	}
	return s, nil
}

// waitPath makes a path absolute, and tells whether it is a pattern; then what is special in
// the name of the workflow's directory stands for itself.
func (p *Program) waitPath(s string) (target string, pattern bool) {
	if !strings.ContainsAny(s, `*?[{\`) {
		return p.abs(s), false
	}
	if !strings.HasPrefix(s, "/") {
		s = escapePattern(p.dir) + "/" + s
	}
	return s, true
}

// escapePattern returns the pattern that matches s alone.
func escapePattern(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`*?[]{}\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Gate implements [engine.GateTemplate]. The error is an [hcl.Diagnostics].
func (t *Template) Gate(name engine.StepName, scope engine.Scope) (*engine.Gate, error) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	s := t.p.stepIndex[string(name)]
	if s == nil {
		return nil, fmt.Errorf("step %q: %w", name, engine.ErrNotFound)
	}
	g, diags := t.scope(scope).gate(s)
	if diags.HasErrors() {
		return nil, improve(diags, t.p.Files)
	}
	return g, nil
}

// Sensors returns what steps wait for, by their names, as far as these values of variables decide it
// before anything has run. A target that is not known is "".
func (p *Program) Sensors(in VarInput) map[engine.StepName][]engine.Sensor {
	p.mu.Lock()
	defer p.mu.Unlock()
	vals, _ := p.values(in)
	for _, v := range p.Variables {
		if vals[v.Name] == cty.NilVal {
			vals[v.Name] = cty.UnknownVal(v.typ)
		}
	}
	ev := p.unknowns(vals)
	out := map[engine.StepName][]engine.Sensor{}
	for _, s := range p.steps {
		if len(s.sensors) == 0 {
			continue
		}
		var n nameSet
		for _, c := range s.sensors {
			for _, a := range c.args {
				n.of(&a.refs)
			}
		}
		t := &task{ev: ev, step: s, spec: &engine.TaskSpec{}, sketch: true, ctx: ev.context(n)}
		out[engine.StepName(s.name)] = t.sensors()
	}
	return out
}

// gate evaluates what a step waits for: nothing, if its `when` is false or what it waits for
// is made from what was skipped.
func (r *runScope) gate(s *stepConfig) (*engine.Gate, hcl.Diagnostics) {
	var n nameSet
	when := s.args.get("when")
	if when != nil && when.refs.each {
		when = nil // some tasks may run
	}
	if when != nil {
		n.of(&when.refs)
	}
	for _, c := range s.sensors {
		for _, a := range c.args {
			n.of(&a.refs)
		}
	}
	t := &task{ev: r.ev, step: s, spec: &engine.TaskSpec{}, final: true, skipped: r.skipped, ctx: r.ev.context(n)}
	if when != nil {
		if on, ok := value(t, when, toTruth); t.absent != "" || ok && !on {
			return nil, nil
		}
	}
	sensors := t.sensors()
	if diags := append(append(r.ev.diags, r.diags...), t.diags...); diags.HasErrors() {
		return nil, diags
	}
	if t.absent != "" {
		return nil, nil
	}
	for _, sensor := range sensors {
		if sensor.Target == "" {
			return nil, hcl.Diagnostics{errorf(s.sensors[0].rng, "Unsuitable value", "What step %q waits for is null. Give it a value, or say when = false where there is nothing to wait for.", s.name)}
		}
	}
	return &engine.Gate{Sensors: sensors}, nil
}
