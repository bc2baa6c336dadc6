package dsl

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// A VarInput is where the values of variables come from. The later of these wins:
// defaults; Env; flow.vars.hcl and then *.auto.vars.hcl by name; Scheduled; Args in their order.
type VarInput struct {
	// Env is an environment as os.Environ gives it; FLOW_VAR_name sets name.
	Env []string
	// AutoFiles says to read flow.vars.hcl and *.auto.vars.hcl of the workflow's directory.
	AutoFiles bool
	// Args are -var and -var-file as they stand on the command line.
	Args []VarArg
	// Stored are the values of an earlier run, as [Template.StoredVariables] gave them.
	// For the variables in it Env and AutoFiles do not count.
	Stored map[string]string
	// Scheduled are the values that a schedule gives, as [Program.ScheduleVars] made them. Env
	// and AutoFiles come before them, Args after them.
	Scheduled map[string]string
}

// A VarArg is one -var or -var-file. One of its fields is set.
type VarArg struct {
	Set  string // name=value
	File string // a path ending in .hcl, .json or .csv; or name=path.csv
}

// EnvPrefix begins the names of environment variables that set variables.
const EnvPrefix = "FLOW_VAR_"

// autoFile is read beside a workflow before the *.auto.vars.hcl there.
const autoFile = "flow.vars.hcl"

// values returns the value of every variable of p, by name. Values of sensitive
// variables are marked. What has an error is there too, as unknown.
func (p *Program) values(in VarInput) (map[string]cty.Value, hcl.Diagnostics) {
	return p.valuesOf(in, func(string) bool { return true })
}

// valuesOf is values where only some variables need one; of others it may be unknown.
func (p *Program) valuesOf(in VarInput, needed func(name string) bool) (map[string]cty.Value, hcl.Diagnostics) {
	return p.valuesFor(in, needed, func(*Variable, string) {})
}

// valuesFor is valuesOf, and tells of each variable with a bad value what is wrong with it.
func (p *Program) valuesFor(in VarInput, needed func(name string) bool, blame func(v *Variable, why string)) (map[string]cty.Value, hcl.Diagnostics) {
	r := p.readVars(in, needed, blame)
	vals := make(map[string]cty.Value, len(p.Variables))
	for _, v := range p.Variables {
		vals[v.Name] = r.value(v)
	}
	r.validate(vals)
	return vals, r.diags
}

// readVars reads what is given for variables.
func (p *Program) readVars(in VarInput, needed func(name string) bool, blame func(v *Variable, why string)) *varReader {
	r := &varReader{p: p, given: map[string]given{}, stored: in.Stored, needed: needed, blame: blame}
	p.budget.reset()
	r.env(in.Env)
	if in.AutoFiles {
		r.autoFiles()
	}
	for name, text := range in.Stored {
		r.fromStore(name, text, "the run", "the run was created with")
	}
	for name, text := range in.Scheduled {
		r.fromStore(name, text, "the schedule", "the schedule gives")
	}
	for _, arg := range in.Args {
		if arg.File != "" {
			r.fileArg(arg.File)
		} else {
			r.setArg(arg.Set)
		}
	}
	return r
}

// A given is a value that was given for a variable, not yet converted to its type.
type given struct {
	val    cty.Value
	from   string     // "-var n=...", "FLOW_VAR_n", the name of a file, ...
	rng    *hcl.Range // in a file, else nil
	source *hcl.File  // of rng
	broken bool       // an error was told
	stored bool       // by an earlier run
}

type varReader struct {
	p      *Program
	given  map[string]given
	stored map[string]string
	diags  hcl.Diagnostics
	unread bool // a file could not be read, which was told
	needed func(name string) bool
	blame  func(v *Variable, why string)
}

// A sourced is the Extra of a diagnostic that lies in a file which is no part of the
// workflow, so that the place can be shown.
type sourced struct{ file *hcl.File }

func (r *varReader) add(d *hcl.Diagnostic, file *hcl.File) {
	if file != nil && d.Extra == nil {
		d.Extra = sourced{file}
	}
	r.diags = append(r.diags, d)
}

func (r *varReader) errorf(rng *hcl.Range, summary, format string, args ...any) {
	r.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: rng}, nil)
}

func (r *varReader) names() []string {
	names := make([]string, 0, len(r.p.Variables))
	for _, v := range r.p.Variables {
		names = append(names, v.Name)
	}
	return names
}

// env takes in the environment: what is not declared there is another workflow's.
func (r *varReader) env(environ []string) {
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		name, ours := strings.CutPrefix(name, EnvPrefix)
		if v := r.p.variables[name]; ours && v != nil && !r.isStored(name) {
			r.setText(v, text, EnvPrefix+name)
		}
	}
}

func (r *varReader) isStored(name string) bool { _, ok := r.stored[name]; return ok }

// setArg takes in name=value of a -var.
func (r *varReader) setArg(arg string) {
	name, text, ok := strings.Cut(arg, "=")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		r.errorf(nil, "Invalid -var", "-var takes name=value, and %q is not of that form. In a shell quote it: -var 'name=some value'.", arg)
		return
	}
	v := r.p.variables[name]
	if v == nil {
		r.errorf(nil, "Value for undeclared variable", "-var %s=...: there is no variable %q in the workflow.%s", name, name, r.known(name))
		return
	}
	r.setText(v, text, "-var "+name)
}

// known is the end of a sentence about a variable that does not exist.
func (r *varReader) known(name string) string {
	if hint := suggest(name, r.names()); hint != "" {
		return hint
	}
	if len(r.p.Variables) == 0 {
		return " It has no variables."
	}
	names := r.names()
	slices.Sort(names)
	return " It has: " + strings.Join(names, ", ") + "."
}

// setText takes in the text of a -var or of the environment. For a string it is the value;
// else it is an expression. Where any type may be, text that is no expression of
// its own is a string.
func (r *varReader) setText(v *Variable, text, from string) {
	g := given{from: from}
	switch v.typ {
	case cty.String:
		g.val = cty.StringVal(text)
	case cty.DynamicPseudoType:
		var why string
		if g.val, why = r.constant(text); why != "" {
			g.val = cty.StringVal(text)
		}
	default:
		var why string
		if g.val, why = r.constant(text); why != "" {
			r.blameHidden(v, why)
			r.invalid(v, from, nil, nil, why+example(v, text))
			g.broken = true
		}
	}
	r.given[v.Name] = g
}

// example is the end of a sentence that says how a value of v's type is written, where
// that is often done wrong.
func example(v *Variable, text string) string {
	switch ty := v.typ; {
	case v.Sensitive:
		return ""
	case ty.IsListType() || ty.IsSetType():
		if ety := ty.ElementType(); ety == cty.String {
			if words := strings.FieldsFunc(strings.Trim(text, "[] "), func(c rune) bool { return c == ',' || c == ' ' }); len(words) > 0 && len(words) <= 4 {
				return fmt.Sprintf(" Write it as -var '%s=[\"%s\"]'.", v.Name, strings.Join(words, `", "`))
			}
			return fmt.Sprintf(" Write it as -var '%s=[\"a\", \"b\"]'.", v.Name)
		}
	case ty.IsMapType(), ty.IsObjectType():
		return fmt.Sprintf(" Write it as -var '%s={ key = value }', with strings in quotes.", v.Name)
	}
	return ""
}

// constant evaluates text as an expression that refers to nothing. why says what is
// wrong with it, or is "".
func (r *varReader) constant(text string) (val cty.Value, why string) {
	src := []byte(text)
	const name = "value"
	if len(src) > maxSource || badText(src) >= 0 || guardTokens(src, name).HasErrors() {
		return cty.DynamicVal, "It is too long or too deeply nested, or no text."
	}
	expr, diags := hclsyntax.ParseExpression(src, name, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, fmt.Sprintf("%q is no valid expression: %s", clip(text), firstLine(diags[0].Detail))
	}
	if refs := expr.Variables(); len(refs) > 0 {
		return cty.DynamicVal, fmt.Sprintf("%q has the name %q in it, which means nothing here; strings stand in quotes.", clip(text), refs[0].RootName())
	}
	root := &hclsyntax.ParenthesesExpr{Expression: expr, SrcRange: expr.Range()}
	r.p.budget.meterNode(root)
	val, diags = r.p.budget.value(root.Expression, nil)
	if diags.HasErrors() {
		return cty.DynamicVal, firstLine(diags[0].Detail)
	}
	return val, ""
}

// clip shortens text for a message.
func clip(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:57], "") + "..."
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// hiddenWhy is what is said of a value that must not be shown.
const hiddenWhy = "The value, which is sensitive and not shown, does not fit."

// blameHidden tells what is wrong with a value, unless that would show it.
func (r *varReader) blameHidden(v *Variable, why string) {
	if v.Sensitive {
		why = hiddenWhy
	}
	r.blame(v, why)
}

// invalid says that a value is not one for v.
func (r *varReader) invalid(v *Variable, from string, rng *hcl.Range, source *hcl.File, why string) {
	subject := rng
	if subject == nil {
		subject = v.Range.Ptr()
	}
	if v.Sensitive {
		why = hiddenWhy
	}
	r.blame(v, why)
	r.add(&hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  fmt.Sprintf("Invalid value for variable %q", v.Name),
		Detail: fmt.Sprintf("%s gives variable %q a value that is not of its type, %s (declared in %s, line %d). %s",
			from, v.Name, v.TypeString, v.Range.Filename, v.Range.Start.Line, why),
		Subject: subject,
	}, source)
}

// value returns what v is: the last value that was given for it, or its default.
func (r *varReader) value(v *Variable) cty.Value {
	g, ok := r.given[v.Name]
	switch {
	case ok && g.broken:
		return r.mark(v, cty.UnknownVal(v.typ))
	case ok:
		val := r.convert(v, g)
		if !val.IsNull() || v.Nullable {
			return r.mark(v, val)
		}
		if v.Required {
			r.blame(v, "It needs a value.")
			r.errorf(v.Range.Ptr(), "Missing value for variable", "%s sets variable %q to null, and it is not nullable and has no default.", g.from, v.Name)
			return r.mark(v, cty.UnknownVal(v.typ))
		}
	case v.Required && (r.unread || !r.needed(v.Name)): // it may well be in what could not be read
		return r.mark(v, cty.UnknownVal(v.typ))
	case v.Required:
		r.blame(v, "It needs a value.")
		r.errorf(v.Range.Ptr(), "Missing value for variable",
			"Variable %q (%s) has no default, so it needs a value. Give one of: -var '%s=...', a line %s = ... in %s or in a file given with -var-file, or %s%s in the environment.",
			v.Name, v.TypeString, v.Name, v.Name, autoFile, EnvPrefix, v.Name)
		return r.mark(v, cty.UnknownVal(v.typ))
	}
	return r.mark(v, v.def)
}

func (r *varReader) mark(v *Variable, val cty.Value) cty.Value {
	if v.Sensitive {
		return val.Mark(sensitive)
	}
	return val
}

// convert gives g the type of v.
func (r *varReader) convert(v *Variable, g given) cty.Value {
	val := g.val
	if g.stored { // has been converted, before it was stored
		return val
	}
	if v.defaults != nil && !val.IsNull() {
		val = v.defaults.Apply(val)
	}
	val, err := convertTo(val, v.constraint)
	if err == nil {
		r.p.budget.begin()
		_, err = r.p.budget.measure(val)
	}
	if err != nil {
		why := err.Error()
		var path cty.PathError
		if errors.As(err, &path) && len(path.Path) > 0 {
			why = pathString(path.Path) + ": " + why
		}
		if errors.Is(err, errNumberSize) {
			why = err.Error()
		} else if g.val.IsKnown() && !g.val.IsNull() && g.val.Type() == cty.String && v.typ.IsPrimitiveType() {
			why = fmt.Sprintf("%q is no %s", clip(g.val.AsString()), v.TypeString)
		}
		r.invalid(v, g.from, g.rng, g.source, sentence(why))
		return cty.UnknownVal(v.typ)
	}
	return val
}

// pathString writes where in a value something is: [2].name.
func pathString(path cty.Path) string {
	var b strings.Builder
	for _, step := range path {
		switch s := step.(type) {
		case cty.GetAttrStep:
			b.WriteString("." + s.Name)
		case cty.IndexStep:
			if s.Key.Type() == cty.String && s.Key.IsKnown() {
				fmt.Fprintf(&b, "[%q]", s.Key.AsString())
			} else if s.Key.Type() == cty.Number && s.Key.IsKnown() {
				fmt.Fprintf(&b, "[%s]", s.Key.AsBigFloat().Text('f', -1))
			}
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}

// fromStore takes in a value that is encoded already, of an earlier run or a schedule. One for a
// variable that does not exist cannot be, since both keep their files, and is left out.
func (r *varReader) fromStore(name, text, from, who string) {
	v := r.p.variables[name]
	if v == nil {
		return
	}
	val, err := v.decode([]byte(text))
	if err != nil {
		r.errorf(v.Range.Ptr(), "Invalid stored value", "The value of variable %q that %s cannot be read: %s.", name, who, err)
	}
	r.given[name] = given{val: val, from: from, broken: err != nil, stored: true}
}

// validate checks the conditions of all variables.
func (r *varReader) validate(vals map[string]cty.Value) {
	for _, v := range r.p.Variables {
		if vals[v.Name] == cty.NilVal {
			vals[v.Name] = cty.NullVal(v.typ)
		}
	}
	ctx := &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(vals)},
		Functions: r.p.functions,
	}
	for _, v := range r.p.Variables {
		for _, c := range v.validations {
			if plain, _ := vals[v.Name].Unmark(); plain.IsKnown() {
				r.condition(v, c, ctx)
			}
		}
	}
}

func (r *varReader) condition(v *Variable, c *validation, ctx *hcl.EvalContext) {
	result, diags := r.p.budget.value(c.condition, ctx)
	if diags.HasErrors() {
		r.diags = append(r.diags, diags...)
		return
	}
	ok, _ := result.UnmarkDeep()
	ok, err := convert.Convert(ok, cty.Bool)
	switch {
	case err != nil || ok.IsNull():
		r.errorf(c.condition.Range().Ptr(), "Invalid validation condition", "The condition of a validation must be true or false.")
		return
	case !ok.IsKnown() || ok.True():
		return
	}
	message, diags := r.p.budget.value(c.message, ctx)
	text := "The value does not meet the condition."
	if plain, marks := message.UnmarkDeep(); len(marks) > 0 {
		text = "The value does not meet the condition. (The error message would show a sensitive value.)"
	} else if s, err := convert.Convert(plain, cty.String); err == nil && !diags.HasErrors() && s.IsKnown() && !s.IsNull() {
		text = sentence(strings.TrimSpace(s.AsString()))
	}
	r.blame(v, text)
	g := r.given[v.Name]
	subject := c.condition.Range().Ptr()
	where := ""
	if g.from != "" {
		where = fmt.Sprintf(" The value comes from %s.", g.from)
	}
	d := &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: fmt.Sprintf("Invalid value for variable %q", v.Name),
		Detail: text + where, Subject: subject, Expression: c.condition, EvalContext: ctx,
	}
	if g.rng != nil {
		d.Subject, d.Expression, d.EvalContext = g.rng, nil, nil
	}
	r.add(d, g.source)
}

// encode returns the value of a variable as JSON, for VarInput.Stored. The value
// must be known and not marked.
func (v *Variable) encode(val cty.Value) (json.RawMessage, error) {
	if v.typ == cty.DynamicPseudoType {
		// Without the type beside the value, as a person would write it.
		return ctyjson.Marshal(val, val.Type())
	}
	return ctyjson.Marshal(val, v.typ)
}

// decode reads what encode wrote.
func (v *Variable) decode(text []byte) (cty.Value, error) {
	ty := v.typ
	if ty == cty.DynamicPseudoType {
		var err error
		if ty, err = ctyjson.ImpliedType(text); err != nil {
			return cty.NilVal, err
		}
	}
	return ctyjson.Unmarshal(text, ty)
}
