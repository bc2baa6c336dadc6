package dsl

import (
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// SensitiveEnv returns the values of all sensitive variables as an environment that gives
// another process the same ones, if nothing else does; see [VarInput].
func (t *Template) SensitiveEnv() (env []string) {
	for _, v := range t.p.Variables {
		val, _ := t.vars.GetAttr(v.Name).UnmarkDeep()
		switch {
		case !v.Sensitive || val.IsNull():
		case v.typ == cty.String:
			env = append(env, EnvPrefix+v.Name+"="+val.AsString())
		default: // as an expression
			env = append(env, EnvPrefix+v.Name+"="+string(hclwrite.TokensForValue(val).Bytes()))
		}
	}
	return env
}

// Has reports whether there is a variable of a name.
func (p *Program) Has(name string) bool { return p.variables[name] != nil }

// Sensitive reports whether the variable of a name is sensitive.
func (p *Program) Sensitive(name string) bool {
	v := p.variables[name]
	return v != nil && v.Sensitive
}

// SensitiveGiven returns the sensitive variables that in gives values, by name. What is wrong with
// it otherwise is not told.
func (p *Program) SensitiveGiven(in VarInput) (names []string) {
	r := p.readVars(in, func(string) bool { return false }, func(*Variable, string) {})
	for _, v := range p.Variables {
		if _, ok := r.given[v.Name]; ok && v.Sensitive {
			names = append(names, v.Name)
		}
	}
	return names
}
