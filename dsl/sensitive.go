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

// Sensitive reports whether the variable of a name is sensitive.
func (p *Program) Sensitive(name string) bool {
	v := p.variables[name]
	return v != nil && v.Sensitive
}
