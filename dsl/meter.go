package dsl

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// meter makes the expressions of a parsed file charge b where they can grow: for each
// iteration of a `for` or a splat, for each part of a template, for each element that is
// put into a list and each argument of a call, for each result of arithmetic. HCL offers
// no hook for this, so nodes are put into the syntax tree; analysis that walks the tree
// (Variables, Walk) sees through them, and what stands alone keeps its node. Expressions
// of JSON files are parsed anew whenever they are evaluated; for those there is
// [budget.value].
func (b *budget) meter(file *hcl.File) {
	if body, ok := file.Body.(*hclsyntax.Body); ok {
		b.meterNode(body)
	}
}

func (b *budget) meterNode(node hclsyntax.Node) {
	// The visitor never has a diagnostic, so none is lost.
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.TemplateExpr:
			b.meterTemplate(n)
		case *hclsyntax.TemplateJoinExpr:
			if loop, ok := n.Tuple.(*hclsyntax.ForExpr); ok {
				loop.ValExpr = b.wrap(loop.ValExpr, metered{text: true})
			}
		case *hclsyntax.ForExpr:
			if n.CondExpr != nil {
				n.CondExpr = b.wrap(n.CondExpr, metered{steps: loopSteps})
			}
			if n.KeyExpr != nil {
				n.KeyExpr = b.wrap(n.KeyExpr, metered{text: true})
			}
			n.CollExpr = b.wrap(n.CollExpr, metered{loop: true})
			n.ValExpr = b.wrap(n.ValExpr, metered{steps: loopSteps, value: refers(n.ValExpr)})
		case *hclsyntax.SplatExpr:
			n.Each = b.wrap(n.Each, metered{steps: 2 * loopSteps, value: true})
		case *hclsyntax.TupleConsExpr:
			b.meterValues(n.Exprs)
		case *hclsyntax.ObjectConsExpr:
			for i, item := range n.Items {
				n.Items[i].ValueExpr = b.meterValue(item.ValueExpr)
			}
		case *hclsyntax.FunctionCallExpr:
			b.meterCall(n)
		case *hclsyntax.BinaryOpExpr:
			if op, ok := checkedOps[n.Op]; ok {
				n.Op = op
			}
			if n.Op == hclsyntax.OpEqual || n.Op == hclsyntax.OpNotEqual {
				n.LHS, n.RHS = b.meterValue(n.LHS), b.meterValue(n.RHS)
			}
		case *hclsyntax.UnaryOpExpr:
			if op, ok := checkedOps[n.Op]; ok {
				n.Op = op
			}
		}
		return nil
	})
}

// meterTemplate charges the text of a template before it is put together.
func (b *budget) meterTemplate(t *hclsyntax.TemplateExpr) {
	literal := int64(0)
	for _, part := range t.Parts {
		if lit, ok := part.(*hclsyntax.LiteralValueExpr); ok && lit.Val.Type() == cty.String && lit.Val.IsKnown() {
			literal += int64(len(lit.Val.AsString()))
		}
	}
	for i, part := range t.Parts {
		if _, ok := part.(*hclsyntax.LiteralValueExpr); ok {
			continue
		}
		t.Parts[i] = b.wrap(part, metered{steps: 1, bytes: literal, text: true})
		literal = 0
	}
}

func (b *budget) meterCall(call *hclsyntax.FunctionCallExpr) {
	switch call.Name {
	case "try", "can": // they get the expressions themselves
	case "length":
		if len(call.Args) == 1 && !call.ExpandFinal {
			call.Args[0] = b.wrap(call.Args[0], metered{steps: 1, length: true})
		}
	default:
		b.meterValues(call.Args)
	}
}

func (b *budget) meterValues(list []hclsyntax.Expression) {
	for i, e := range list {
		list[i] = b.meterValue(e)
	}
}

// meterValue charges what e is, value for value, where that can be any amount.
func (b *budget) meterValue(e hclsyntax.Expression) hclsyntax.Expression {
	if !refers(e) {
		return e
	}
	return b.wrap(e, metered{value: true})
}

// refers reports whether e gives a value that is there already, which costs nothing by
// itself however large it is. What makes a new one is charged where it does.
func refers(e hclsyntax.Expression) bool {
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr, *hclsyntax.TemplateExpr, *hclsyntax.TemplateWrapExpr, *hclsyntax.TupleConsExpr, *hclsyntax.ObjectConsExpr,
		*hclsyntax.FunctionCallExpr, *hclsyntax.ForExpr, *hclsyntax.SplatExpr, *hclsyntax.BinaryOpExpr, *hclsyntax.UnaryOpExpr:
		return false
	case *hclsyntax.ParenthesesExpr:
		return refers(e.Expression)
	}
	return true
}

// A metered expression charges a budget whenever it is evaluated. It stands in the
// tree like a pair of parentheses, so that walking the tree goes on below it.
type metered struct {
	*hclsyntax.ParenthesesExpr
	budget       *budget
	steps, bytes int64
	text         bool // the result becomes part of a text
	value        bool // the result is charged, value for value
	loop         bool // the result is looped over
	length       bool // only the length of the result is wanted: see lengthOf
}

func (b *budget) wrap(e hclsyntax.Expression, m metered) hclsyntax.Expression {
	m.ParenthesesExpr = &hclsyntax.ParenthesesExpr{Expression: e, SrcRange: e.Range()}
	m.budget = b
	return &m
}

// UnwrapExpression lets hcl's static analysis see what is metered.
func (m *metered) UnwrapExpression() hcl.Expression { return m.Expression }

// Value is part of hcl.Expression.
func (m *metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	before := m.budget.spent
	err := m.budget.charge(m.steps, m.bytes)
	if err != nil {
		return m.refuse(before, err)
	}
	v, diags := m.Expression.Value(ctx)
	if diags.HasErrors() {
		return v, diags
	}
	before = m.budget.spent
	switch {
	case m.text:
		err = m.chargeText(v)
	case m.value:
		_, err = m.budget.measure(v)
	case m.loop:
		if v.Type().IsSetType() && v.IsKnown() && !v.IsNull() {
			set, _ := v.Unmark()
			err = m.budget.charge(times(set.LengthInt(), setSteps), 0)
		}
	case m.length:
		v = lengthOf(v)
	}
	if err != nil {
		v, more := m.refuse(before, err)
		return v, append(diags, more...)
	}
	return v, diags
}

// chargeText charges what v adds to a text.
func (m *metered) chargeText(v cty.Value) error {
	v, _ = v.Unmark()
	if !v.IsKnown() || v.IsNull() {
		return nil
	}
	switch v.Type() {
	case cty.String:
		return m.budget.charge(0, int64(len(v.AsString())))
	case cty.Number:
		if err := checkNumber(v.AsBigFloat()); err != nil {
			return err
		}
		steps := int64(numberSteps)
		if v.AsBigFloat().Prec() > 64 {
			steps *= 10 // writing a number takes long by its precision, not by its digits
		}
		return m.budget.charge(steps, 20)
	}
	return nil
}

// refuse returns a diagnostic if the budget was exceeded just now, and not before: one
// mistake gives one error, however many iterations are left.
func (m *metered) refuse(before, err error) (cty.Value, hcl.Diagnostics) {
	if before != nil {
		return cty.DynamicVal, nil
	}
	return cty.DynamicVal, hcl.Diagnostics{m.budget.diagnostic(err, m.SrcRange)}
}

// checkedOps are the arithmetic operators with a check of how large their result is.
var checkedOps = func() map[*hclsyntax.Operation]*hclsyntax.Operation {
	ops := map[*hclsyntax.Operation]*hclsyntax.Operation{}
	for _, op := range []*hclsyntax.Operation{hclsyntax.OpAdd, hclsyntax.OpSubtract, hclsyntax.OpMultiply, hclsyntax.OpDivide, hclsyntax.OpModulo, hclsyntax.OpNegate} {
		c := *op
		c.Impl = wrapFunction(op.Impl, nil, func(v cty.Value) error {
			if v.IsKnown() && !v.IsNull() {
				return checkNumber(v.AsBigFloat())
			}
			return nil
		})
		ops[op] = &c
	}
	return ops
}()

// wrapFunction returns f with a check of its arguments before it is called, and of its
// result. Arguments reach the checks as they are given: unknown, null or marked.
func wrapFunction(f function.Function, before func(args []cty.Value) error, after func(cty.Value) error) function.Function {
	all := func(p function.Parameter) function.Parameter {
		p.AllowUnknown, p.AllowDynamicType, p.AllowMarked, p.AllowNull = true, true, true, true
		if p.Type.IsCollectionType() {
			p.Type = cty.DynamicPseudoType // converted by convertTo, since HCL would take long
		}
		return p
	}
	params, rest := f.Params(), f.VarParam()
	spec := &function.Spec{
		Description: f.Description(),
		// Call answers with a value of f's own return type, so that nothing is lost here.
		Type: function.StaticReturnType(cty.DynamicPseudoType),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for i, p := range params {
				c, err := convertTo(args[i], p.Type)
				if err != nil {
					return cty.DynamicVal, function.NewArgError(i, err)
				}
				args[i] = c
			}
			if rest != nil {
				for i := len(params); i < len(args); i++ {
					c, err := convertTo(args[i], rest.Type)
					if err != nil {
						return cty.DynamicVal, function.NewArgError(i, err)
					}
					args[i] = c
				}
			}
			if before != nil {
				if err := before(args); err != nil {
					return cty.DynamicVal, err
				}
			}
			v, err := f.Call(args)
			if err == nil && after != nil {
				plain, _ := v.Unmark()
				err = after(plain)
			}
			if err != nil {
				return cty.DynamicVal, err
			}
			return v, nil
		},
	}
	for _, p := range params {
		spec.Params = append(spec.Params, all(p))
	}
	if rest != nil {
		p := all(*rest)
		spec.VarParam = &p
	}
	return function.New(spec)
}

// evaluate is [budget.value] within a unit that has begun.
func (b *budget) evaluate(expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if ctx == nil || !hcljson.IsJSONExpression(expr) {
		val, diags := expr.Value(ctx)
		if val == cty.NilVal {
			val = cty.DynamicVal
		}
		if b.spent != nil {
			return cty.DynamicVal, b.onlySpent(diags, expr)
		}
		return val, diags
	}
	if list, diags := hcl.ExprList(expr); !diags.HasErrors() {
		return b.evaluateList(list, ctx)
	}
	if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() {
		return b.evaluateMap(pairs, ctx)
	}
	val, diags := expr.Value(nil)
	if diags.HasErrors() || val.IsNull() || val.Type() != cty.String {
		return val, diags
	}
	text := val.AsString()
	if !strings.Contains(text, "${") && !strings.Contains(text, "%{") {
		return val, nil
	}
	rng := expr.Range()
	tmpl, diags := b.parseTemplate(text, rng.Filename, hcl.Pos{
		Line: rng.Start.Line, Column: rng.Start.Column + 1, Byte: rng.Start.Byte + 1,
	})
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return b.evaluate(tmpl, ctx)
}

// onlySpent returns the one diagnostic that says that the budget is exceeded: whatever
// else is in diags follows from it, and something like try may have swallowed it.
func (b *budget) onlySpent(diags hcl.Diagnostics, expr hcl.Expression) hcl.Diagnostics {
	for _, d := range diags {
		if d.Severity == hcl.DiagError && strings.Contains(d.Detail, strings.TrimSuffix(sentence(b.spent.Error()), ".")[1:]) {
			return hcl.Diagnostics{d}
		}
	}
	return hcl.Diagnostics{b.diagnostic(b.spent, expr.Range())}
}

func (b *budget) evaluateList(list []hcl.Expression, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	vals := make([]cty.Value, len(list))
	for i, e := range list {
		v, more := b.evaluate(e, ctx)
		vals[i], diags = v, append(diags, more...)
	}
	return cty.TupleVal(vals), diags
}

func (b *budget) evaluateMap(pairs []hcl.KeyValuePair, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	attrs := map[string]cty.Value{}
	known := true
	for _, pair := range pairs {
		key, more := b.evaluate(pair.Key, ctx)
		diags = append(diags, more...)
		val, more := b.evaluate(pair.Value, ctx)
		diags = append(diags, more...)
		bad := func(detail string) {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Invalid object key", Detail: detail,
				Subject: pair.Key.Range().Ptr(), Expression: pair.Key, EvalContext: ctx,
			})
		}
		key, err := convert.Convert(key, cty.String)
		switch {
		case err != nil:
			bad("The key of an object must be a string: " + sentence(err.Error()))
		case key.IsNull():
			bad("The key of an object must not be null.")
		case key.IsMarked():
			bad("The key of an object must not be a sensitive value.")
		case !key.IsKnown():
			known = false
		default:
			if _, dup := attrs[key.AsString()]; dup {
				bad("The key \"" + key.AsString() + "\" stands in this object twice.")
			}
			attrs[key.AsString()] = val
		}
	}
	if !known || diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return cty.ObjectVal(attrs), diags
}

type templateKey struct {
	file string
	pos  hcl.Pos
	text string
}

type template struct {
	expr  hclsyntax.Expression
	diags hcl.Diagnostics
}

// parseTemplate parses, guards and meters the text of a template, once.
func (b *budget) parseTemplate(text, file string, pos hcl.Pos) (hclsyntax.Expression, hcl.Diagnostics) {
	key := templateKey{file, pos, text}
	if t, ok := b.templates[key]; ok {
		return t.expr, t.diags
	}
	var t template
	if t.diags = guardTemplate([]byte(text), file, pos); !t.diags.HasErrors() {
		t.expr, t.diags = hclsyntax.ParseTemplate([]byte(text), file, pos)
		if !t.diags.HasErrors() {
			// A template may be nothing but a loop, and so be wrapped itself.
			root := &hclsyntax.ParenthesesExpr{Expression: t.expr, SrcRange: t.expr.Range()}
			b.meterNode(root)
			t.expr = root.Expression
		}
	}
	if b.templates == nil {
		b.templates = map[templateKey]*template{}
	}
	b.templates[key] = &t
	return t.expr, t.diags
}
