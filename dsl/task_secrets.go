package dsl

import (
	"errors"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// setSecrets takes references to where secrets are, never their values.
func (t *task) setSecrets(a *arg) {
	m := merged(t.spec.Secrets)
	add := func(name, ref string) {
		if t.variable(a, name, "secret", true) {
			m[name] = ref
		}
	}
	pairs, diags := hcl.ExprMap(a.expr)
	if diags.HasErrors() { // not written out: a map of references
		t.pairs(a, func(name, ref string, present bool) {
			if present {
				t.secretText(a.expr.Range(), name, ref, add)
			}
		})
		t.spec.Secrets = m
		return
	}
	for _, p := range pairs {
		key, diags := t.ev.p.budget.value(p.Key, t.ctx)
		if diags.HasErrors() {
			t.diags = append(t.diags, diags...)
			continue
		}
		name, err := toText(key)
		if err != nil {
			t.wrong(a.name, p.Key.Range(), err)
			continue
		}
		if v := t.ev.p.variableOf(p.Value); v != nil && v.Sensitive {
			add(name, "var:"+v.Name)
			continue
		}
		val, diags := t.ev.eval(&arg{expr: p.Value, refs: a.refs}, t.ctx)
		if diags.HasErrors() {
			t.diags = append(t.diags, diags...)
			continue
		}
		ref, err := toText(val)
		switch {
		case errors.Is(err, errSensitive):
			t.errorf(p.Value.Range(), "A secret is named, never computed: write %s = var.<name> with a sensitive variable, or a text \"env:NAME\", \"file:PATH\" or an ARN.", name)
		case errors.Is(err, errUnknown) && !t.final:
			add(name, "")
		case err != nil:
			t.wrong(a.name+"."+name, p.Value.Range(), err)
		default:
			t.secretText(p.Value.Range(), name, ref, add)
		}
	}
	t.spec.Secrets = m
}

// secretText checks a reference to a secret that is a text.
func (t *task) secretText(rng hcl.Range, name, ref string, add func(name, ref string)) {
	kind, rest, _ := strings.Cut(ref, ":")
	switch {
	case ref == "" && !t.final:
		add(name, "")
	case kind == "env" && checkEnvName(rest, true) == "", strings.HasPrefix(ref, "arn:"), kind == "ssm" && rest != "", kind == "secretsmanager" && rest != "":
		add(name, ref)
	case kind == "file" && rest != "":
		add(name, "file:"+t.ev.p.abs(rest))
	default:
		t.errorf(rng, "This says where the secret is to be read when the task starts: \"env:NAME\" (a variable of flow's own environment), \"file:PATH\", the ARN of a secret or parameter, or var.<name> with a sensitive variable. Its text itself does not belong here.")
	}
}

// variableOf returns the variable x if expr is var.x, or nil.
func (p *Program) variableOf(expr hcl.Expression) *Variable {
	trav := p.traversal(expr)
	if len(trav) != 2 || trav.RootName() != "var" {
		return nil
	}
	name, _ := stepName(trav[1])
	return p.variables[name]
}
