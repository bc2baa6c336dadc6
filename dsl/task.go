package dsl

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// A task makes the TaskSpec of one task, or checks as much of it as is known while
// validating. Mistakes are gathered in diags.
type task struct {
	ev    *evaluator
	ctx   *hcl.EvalContext
	step  *stepConfig
	spec  *engine.TaskSpec
	diags hcl.Diagnostics
	// final: all values must be known. Otherwise what is unknown is left out.
	final bool
	// own: only what the step gives itself, since the defaults are checked once.
	own bool
	// sketch: see Program.Sketch. What is unknown in a list has a text in its place.
	sketch bool
	// infra: it is no task, but a block about AWS Batch itself.
	infra bool
	// skipped tells which of the steps that r refers to has no result since it was
	// skipped, or "". nil: none has.
	skipped func(r *refs) string
	// absent is the task whose missing result makes this one impossible.
	absent string
	// kinds tells what each environment variable of the task is, to find clashes.
	kinds map[string]string
}

// render applies the arguments of the step that pick chooses to the spec.
func (t *task) render(pick func(*arg) bool) {
	for _, a := range t.visited(t.step.args) {
		if a.spec.apply != nil && pick(a) {
			a.spec.apply(t, a)
		}
	}
	switch {
	case t.step.args.own("script") == nil && t.step.args.own("script_file") == nil:
		t.spec.Shell = nil // one of the defaults, and this is no script
	case t.spec.Shell == nil:
		t.spec.Shell = defaultShell
	}
}

// defaultShell runs a script unless the step says otherwise.
var defaultShell = []string{"bash", "-euo", "pipefail", "-c"}

func (t *task) errorf(rng hcl.Range, format string, args ...any) {
	t.diags = append(t.diags, errorf(rng, "Unsuitable value", format, args...))
}

// wrong reports err as a mistake in a value; what is only unknown is none while
// validating.
func (t *task) wrong(what string, rng hcl.Range, err error) {
	if errors.Is(err, errUnknown) && !t.final {
		return
	}
	summary := "Unsuitable value"
	if errors.Is(err, errSensitive) {
		summary = "Sensitive value"
	}
	text := err.Error()
	if t.infra && errors.Is(err, errSensitive) {
		text = "a sensitive value cannot be used here, since AWS would store and show it; use a variable that is not sensitive"
	}
	if end := text[len(text)-1]; end != '.' && end != '?' {
		text += "."
	}
	t.diags = append(t.diags, errorf(rng, summary, "%s: %s", what, text))
}

// visited returns the arguments that are to be looked at.
func (t *task) visited(as args) args {
	if !t.own {
		return as
	}
	return slices.DeleteFunc(slices.Clone(as), func(a *arg) bool { return a.inherited })
}

// eval evaluates a. It is not ok after a mistake, and if the value is null, which is
// the same as not giving the argument.
func (t *task) eval(a *arg) (cty.Value, bool) {
	v, diags := t.ev.eval(a, t.ctx)
	if diags.HasErrors() {
		if t.lacks(&a.refs) {
			return v, false
		}
		t.diags = append(t.diags, diags...)
		return v, false
	}
	if !v.IsMarked() && v.IsKnown() && v.IsNull() {
		t.lacks(&a.refs)
		return v, false
	}
	return v, true
}

// lacks reports whether what r refers to is not there since a step was skipped.
func (t *task) lacks(r *refs) bool {
	if t.skipped == nil {
		return false
	}
	name := t.skipped(r)
	if name == "" {
		return false
	}
	t.absent = name
	return true
}

// value evaluates a and converts it.
func value[T any](t *task, a *arg, conv func(cty.Value) (T, error)) (T, bool) {
	var none T
	v, ok := t.eval(a)
	if !ok {
		return none, false
	}
	x, err := conv(v)
	if err != nil {
		t.wrong(a.name, a.expr.Range(), err)
		return none, false
	}
	return x, true
}

func (t *task) text(a *arg) (string, bool) {
	s, ok := value(t, a, toText)
	if ok && strings.ContainsRune(s, 0) {
		t.errorf(a.expr.Range(), "%s: a text for a process cannot have a NUL character.", a.name)
		return "", false
	}
	return s, ok
}

// words evaluates a to a list of texts.
func (t *task) words(a *arg) ([]string, bool) {
	list, ok := value(t, a, toElements)
	if !ok {
		return nil, false
	}
	out := make([]string, len(list))
	for i, e := range list {
		s, err := toText(e)
		if errors.Is(err, errUnknown) && !t.final {
			if t.sketch {
				out[i] = "?"
			}
			continue
		}
		if err != nil {
			if t.lacks(&a.refs) {
				return nil, false
			}
			t.wrong(fmt.Sprintf("%s, element %d", a.name, i), itemRange(a.expr, i), err)
			return nil, false
		}
		if strings.ContainsRune(s, 0) {
			t.errorf(a.expr.Range(), "%s: a text for a process cannot have a NUL character.", a.name)
			return nil, false
		}
		out[i] = s
	}
	return out, true
}

// itemRange is the range of element i of a list as it is written, or of all of it.
func itemRange(expr hcl.Expression, i int) hcl.Range {
	if list, diags := hcl.ExprList(expr); !diags.HasErrors() && i < len(list) {
		return list[i].Range()
	}
	return expr.Range()
}

// keyRange is the range of a key of a map as it is written, and of its value; or of
// all of it.
func keyRange(expr hcl.Expression, key string) (k, v hcl.Range) {
	if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() {
		for _, p := range pairs {
			if name, diags := p.Key.Value(nil); !diags.HasErrors() && name.Type() == cty.String && name.AsString() == key {
				return p.Key.Range(), p.Value.Range()
			}
		}
	}
	return expr.Range(), expr.Range()
}

// pairs evaluates a to a map of texts; entries that are null are "" with ok false.
func (t *task) pairs(a *arg, each func(name, value string, present bool)) {
	entries, ok := value(t, a, toEntries)
	if !ok {
		return
	}
	for _, e := range entries {
		s, err := toText(e.value)
		switch {
		case err == nil:
			each(e.key, s, true)
		case errors.Is(err, errUnknown) && !t.final:
			each(e.key, "", true)
		case !e.value.IsMarked() && e.value.IsKnown() && e.value.IsNull():
			if !t.lacks(&a.refs) {
				each(e.key, "", false)
			}
		default:
			_, rng := keyRange(a.expr, e.key)
			t.wrong(fmt.Sprintf("%s.%s", a.name, e.key), rng, err)
		}
	}
}

// keyRange is keyRange where a key may be an expression.
func (t *task) keyRange(expr hcl.Expression, key string) (k, v hcl.Range) {
	if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() {
		for _, p := range pairs {
			name, diags := p.Key.Value(t.ctx)
			if text, err := toText(name); !diags.HasErrors() && err == nil && text == key {
				return p.Key.Range(), p.Value.Range()
			}
		}
	}
	return expr.Range(), expr.Range()
}

// merged returns a copy of m, which may be nil, to add to.
func merged(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}

func (t *task) setCommand(a *arg) {
	if v, diags := a.expr.Value(nil); !diags.HasErrors() && v.Type() == cty.String {
		t.errorf(a.expr.Range(), "command is a list, the program and its arguments: [\"echo\", \"hi\"]. For a text that a shell reads write script instead.")
		return
	}
	words, ok := t.words(a)
	if !ok {
		return
	}
	if len(words) == 0 {
		t.errorf(a.expr.Range(), "The command is an empty list. Name a program: command = [\"true\"].")
		return
	}
	if t.final && words[0] == "" {
		t.errorf(itemRange(a.expr, 0), "The first element of a command is the program; it is empty.")
		return
	}
	t.spec.Command = words
}

func (t *task) setScript(a *arg) {
	s, ok := t.text(a)
	if !ok {
		return
	}
	if strings.TrimSpace(s) == "" {
		t.errorf(a.expr.Range(), "The script is empty.")
		return
	}
	t.spec.Script = s
}

func (t *task) setScriptFile(a *arg) {
	name, ok := t.text(a)
	if !ok {
		return
	}
	if t.ev.offline {
		return
	}
	s, err := t.ev.p.script(name)
	if err != nil {
		t.errorf(a.expr.Range(), "script_file: %s", sentence(err.Error()))
		return
	}
	t.spec.Script = s
}

func (t *task) setShell(a *arg) {
	if words, ok := t.words(a); ok {
		if len(words) == 0 {
			t.errorf(a.expr.Range(), "The shell is an empty list. Write a program and its options; the script is added as the last: [\"bash\", \"-c\"].")
			return
		}
		t.spec.Shell = words
	}
}

func (t *task) setImage(a *arg) {
	s, ok := t.text(a)
	if !ok {
		return
	}
	if !imagePattern().MatchString(s) {
		t.errorf(a.expr.Range(), "%q is no name of a container image; write for example \"debian:13\" or \"public.ecr.aws/lab/tools@sha256:...\" (at most 255 characters).", s)
		return
	}
	t.spec.Image = s
}

func (t *task) setQueue(a *arg) {
	s, ok := value(t, a, blockText)
	if !ok {
		return
	}
	if err := CheckQueue(s); err != nil {
		t.errorf(a.expr.Range(), "%s.", err)
		return
	}
	t.spec.Queue = s
}

func (t *task) setJobDefinition(a *arg) {
	s, ok := value(t, a, blockText)
	if !ok {
		return
	}
	if !definitionPattern().MatchString(s) && !strings.HasPrefix(s, "arn:") {
		t.errorf(a.expr.Range(), "%q is no job definition; write its name, name:revision, or its ARN.", s)
		return
	}
	t.spec.JobDefinition = s
}

func (t *task) setParameters(a *arg) {
	m := merged(t.spec.Parameters)
	t.pairs(a, func(name, value string, present bool) {
		if present {
			m[name] = value
		} else {
			delete(m, name)
		}
	})
	t.spec.Parameters = m
}

func (t *task) setEnv(a *arg) {
	m := merged(t.spec.Env)
	t.pairs(a, func(name, value string, present bool) {
		if !present {
			delete(m, name)
			return
		}
		if t.variable(a, name, "environment variable", true) {
			m[name] = value
		}
	})
	t.spec.Env = m
}

// variable checks the name of an environment variable of the task, and that nothing
// else has it.
func (t *task) variable(a *arg, name, kind string, deliberate bool) bool {
	if why := checkEnvName(name, deliberate); why != "" {
		rng, _ := keyRange(a.expr, name)
		t.diags = append(t.diags, errorf(rng, "Invalid name", "%s", why))
		return false
	}
	if t.kinds == nil {
		return true
	}
	if other := t.kinds[name]; other != "" && other != kind {
		rng, _ := keyRange(a.expr, name)
		t.diags = append(t.diags, errorf(rng, "Duplicate name", "$%s would be both an %s and an %s. Rename one of them.", name, other, kind))
		return false
	}
	t.kinds[name] = kind
	return true
}

func (t *task) setTags(a *arg) {
	m := merged(t.spec.Tags)
	t.pairs(a, func(name, value string, present bool) {
		if !present {
			delete(m, name)
			return
		}
		if why := checkTag(name, value); why != "" {
			rng, _ := keyRange(a.expr, name)
			t.errorf(rng, "%s", why)
			return
		}
		m[name] = value
	})
	if len(m) > maxTags {
		t.errorf(a.expr.Range(), "There are %d tags; AWS Batch takes %d.", len(m), maxTags)
	}
	t.spec.Tags = m
}

func (t *task) setTimeout(a *arg) {
	t.spec.Timeout, _ = value(t, a, toDuration)
}

func (t *task) setCache(a *arg) {
	if on, ok := value(t, a, toTruth); ok {
		t.spec.NoCache = !on
	}
}

func (t *task) setCacheVersion(a *arg) { t.spec.CacheVersion, _ = t.text(a) }

func (t *task) setPriority(a *arg) {
	t.spec.Priority, _ = value(t, a, func(v cty.Value) (int, error) { return toInt(v, 0, 9999) })
}
