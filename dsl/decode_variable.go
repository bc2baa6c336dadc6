package dsl

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
)

// variableBlock decodes a `variable` block. Its default is a value that is written out.
func (d *decoder) variableBlock(b *hcl.Block) {
	v := &Variable{Name: b.Labels[0], Range: b.DefRange, typ: cty.DynamicPseudoType, constraint: cty.DynamicPseudoType, Required: true}
	ok := d.name(b, v.Name, b.LabelRanges[0])
	as, blocks, _ := d.block(b.Body, variableArgs, variableBlocks...)
	typeOK := true
	if a := as.get("type"); a != nil {
		typ, defaults, diags := typeexpr.TypeConstraintWithDefaults(a.expr)
		d.diags = append(d.diags, diags...)
		if typeOK = !diags.HasErrors(); typeOK {
			v.typ, v.constraint, v.defaults = typ.WithoutOptionalAttributesDeep(), typ, defaults
		}
	}
	v.TypeString = typeexpr.TypeString(v.typ)
	v.Description = d.constString(as.get("description"))
	v.Sensitive = d.constBool(as.get("sensitive"))
	v.Nullable = true
	if a := as.get("nullable"); a != nil {
		v.Nullable = d.constBool(a)
	}
	if a := as.get("default"); a != nil {
		v.Required = false
		v.def = d.defaultValue(v, a, typeOK)
	}
	for _, blk := range blocks {
		if blk.Type == "validation" {
			d.validationBlock(v, blk)
		}
	}
	if !ok {
		return
	}
	d.p.Variables = append(d.p.Variables, v)
	d.p.variables[v.Name] = v
}

// defaultValue evaluates and converts the default of v. After an error it is unknown.
func (d *decoder) defaultValue(v *Variable, a *arg, typeOK bool) cty.Value {
	lost := cty.UnknownVal(v.typ)
	if vars := a.expr.Variables(); len(vars) > 0 {
		d.errorf(vars[0].SourceRange(), "Reference not allowed here",
			"The default of a variable is a value that is written out. Use a local value for what is made from others.")
		return lost
	}
	val, diags := d.p.budget.value(a.expr, nil)
	if diags.HasErrors() {
		d.diags = append(d.diags, diags...)
		return lost
	}
	if !typeOK {
		return lost
	}
	if val.IsNull() && !v.Nullable {
		d.errorf(a.expr.Range(), "Invalid default value for variable", "The variable is not nullable, so its default cannot be null.")
		return lost
	}
	if v.defaults != nil && !val.IsNull() {
		val = v.defaults.Apply(val)
	}
	val, err := convertTo(val, v.constraint)
	if err != nil {
		d.errorf(a.expr.Range(), "Invalid default value for variable", "The default does not fit the type %s: %s.", v.TypeString, err)
		return lost
	}
	return val
}

func (d *decoder) validationBlock(v *Variable, b *hcl.Block) {
	as, _, diags := d.block(b.Body, validationArgs)
	cond, msg := as.get("condition"), as.get("error_message")
	if cond == nil || msg == nil {
		if !diags.HasErrors() && !d.isBroken(bodyRange(b)) {
			d.errorf(b.DefRange, "Missing required argument", "A validation has a condition and an error_message.")
		}
		return
	}
	for _, a := range []*arg{cond, msg} {
		for _, trav := range a.expr.Variables() {
			name := ""
			if len(trav) > 1 {
				name, _ = stepName(trav[1])
			}
			if trav.RootName() == "var" && name == v.Name {
				continue
			}
			d.errorf(trav.SourceRange(), "Reference not allowed here", "The validation of a variable may use var.%s only.", v.Name)
			return
		}
	}
	v.validations = append(v.validations, &validation{condition: cond.expr, message: msg.expr, rng: b.DefRange})
}

// literalOf returns what a value is that may be a text or true or false.
func literalOf(v cty.Value) literal {
	switch {
	case v.IsNull() || !v.IsKnown() || v.IsMarked():
	case v.Type() == cty.String:
		s := v.AsString()
		return literal{isText: true, text: s, isBool: s == "true" || s == "false", truth: s == "true"}
	case v.Type() == cty.Bool:
		return literal{isBool: true, truth: v.True()}
	}
	return literal{}
}
