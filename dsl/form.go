package dsl

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// A Field is what a form needs to know of a variable to ask for its value.
type Field struct {
	*Variable
	Kind    FieldKind
	Value   string   // that it has if nothing else is said, as -var takes it; "": none, or it is sensitive
	Choices []string // the values that a validation allows, as -var takes them; nil: it is not known
	Rules   []string // what validations say of values that they refuse
}

// A FieldKind is how the value of a variable is written.
type FieldKind string

// The kinds of fields.
const (
	FieldText   FieldKind = "text"   // as it is
	FieldNumber FieldKind = "number" // a number
	FieldBool   FieldKind = "bool"   // true or false
	FieldExpr   FieldKind = "expr"   // an expression: ["a", "b"]
)

// Form returns the fields of the program's variables, in source order. in says where values
// come from that a form need not give.
func (p *Program) Form(in VarInput) []Field {
	vals, _ := p.values(in)
	fields := make([]Field, 0, len(p.Variables))
	for _, v := range p.Variables {
		f := Field{Variable: v, Kind: kindOf(v.typ), Value: v.text(vals[v.Name])}
		for _, c := range v.validations {
			if f.Choices == nil {
				f.Choices = p.choices(v, c)
			}
			if message, diags := p.budget.value(c.message, nil); !diags.HasErrors() && message.Type() == cty.String && message.IsKnown() && !message.IsNull() {
				f.Rules = append(f.Rules, message.AsString())
			}
		}
		fields = append(fields, f)
	}
	return fields
}

// Try gives the variables values, as Bind does, and says of each what is wrong with its value,
// by name. Mistakes that are of no variable stand under "".
func (p *Program) Try(in VarInput) map[string]string {
	problems := map[string]string{}
	_, diags := p.valuesFor(in, func(string) bool { return true }, func(v *Variable, why string) {
		if problems[v.Name] == "" {
			problems[v.Name] = why
		}
	})
	if len(problems) == 0 && diags.HasErrors() {
		for _, d := range diags {
			if d.Severity == hcl.DiagError {
				problems[""] = d.Summary + ". " + d.Detail
				break
			}
		}
	}
	return problems
}

func kindOf(ty cty.Type) FieldKind {
	switch ty {
	case cty.String:
		return FieldText
	case cty.Number:
		return FieldNumber
	case cty.Bool:
		return FieldBool
	}
	return FieldExpr
}

// text writes a value as -var takes it. One that is sensitive is marked, and not written.
func (v *Variable) text(val cty.Value) string {
	if val == cty.NilVal || val.ContainsMarked() || !val.IsWhollyKnown() || val.IsNull() {
		return ""
	}
	if s, err := convert.Convert(val, cty.String); err == nil && v.typ.IsPrimitiveType() {
		return s.AsString()
	}
	return string(hclwrite.TokensForValue(val).Bytes())
}

// choices returns the values that a condition allows if it is of the form
// contains(["a", "b"], var.x).
func (p *Program) choices(v *Variable, c *validation) (out []string) {
	condition, ok := c.condition.(hclsyntax.Expression)
	if !ok { // in JSON
		return nil
	}
	call, ok := bare(condition).(*hclsyntax.FunctionCallExpr)
	if !ok || call.Name != "contains" || len(call.Args) != 2 || call.ExpandFinal || v.Sensitive || !v.typ.IsPrimitiveType() {
		return nil
	}
	subject, ok := bare(call.Args[1]).(*hclsyntax.ScopeTraversalExpr)
	if !ok || len(subject.Traversal) != 2 || subject.Traversal.RootName() != "var" {
		return nil
	}
	list, diags := p.budget.value(call.Args[0], nil)
	if diags.HasErrors() || !list.IsWhollyKnown() || list.IsNull() || !list.CanIterateElements() {
		return nil
	}
	for _, e := range list.AsValueSlice() {
		text, err := convert.Convert(e, cty.String)
		if err != nil || text.IsNull() {
			return nil
		}
		if !slices.Contains(out, text.AsString()) {
			out = append(out, text.AsString())
		}
	}
	return out
}

// VarFile writes the values that in gives variables of these names as a file that VarArg.File
// reads. Those of sensitive variables are in it as well. What has no good value is left out.
func (p *Program) VarFile(in VarInput, names []string) []byte {
	vals, _ := p.values(in)
	file := hclwrite.NewEmptyFile()
	for _, name := range names {
		val, ok := vals[name]
		if !ok {
			continue
		}
		if plain, _ := val.UnmarkDeep(); plain.IsWhollyKnown() {
			file.Body().SetAttributeValue(name, plain)
		}
	}
	return file.Bytes()
}
