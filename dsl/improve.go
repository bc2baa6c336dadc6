package dsl

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// improve makes HCL's own diagnostics say how to mend what is wrong: names that are near
// to the one that does not exist, how to pass text to the shell, what a message means
// here. It returns new diagnostics where it changes any, and leaves out repetitions.
func improve(diags hcl.Diagnostics, files map[string]*hcl.File) hcl.Diagnostics {
	out := make(hcl.Diagnostics, 0, len(diags))
	for i, d := range diags {
		if i > 0 && otherOperand(diags[i-1], d) {
			continue
		}
		c := *d
		switch d.Summary {
		case "Unsupported attribute", "Missing map element":
			improveAttribute(&c)
		case "Invalid index":
			improveIndex(&c)
		case "Unknown variable":
			improveVariable(&c)
		case "Call to unknown function":
			improveFunction(&c)
		case "Invalid type specification":
			if m := keyword.FindStringSubmatch(c.Detail); m != nil {
				hint := suggest(m[1], typeNames)
				if hint == "" {
					hint = " Types are string, number, bool, any, list(T), set(T), map(T), tuple([T, U]) and object({ name = T })."
				}
				c.Detail += hint
			}
		case "Function calls not allowed":
			c.Detail = "Functions cannot be called here: this is a value that is written out."
		case "Variables not allowed":
			c.Detail = "Nothing can be referred to here: this is a value that is written out. Strings stand in quotes."
		case "Unsupported argument":
			if m := quotedName.FindStringSubmatch(c.Detail); m != nil && !didYouMean.MatchString(c.Detail) {
				c.Detail += otherPlace(m[1])
			}
		case "Invalid character":
			if c.Detail == "This character is not used within the language." {
				c.Detail += ` If a text ended too early: a quote inside of one is written \".`
			}
		case unclosedText:
			c.Detail = "The text has no closing quote in this line. A text of several lines is written <<-SH, the lines, and SH in a line of its own."
		case "Invalid operand":
			if _, isText := unwrapped(c.Expression).(*hclsyntax.TemplateExpr); isText && strings.Contains(c.Detail, "a number is required") {
				c.Detail += " To join texts write them in one: \"${a}-${b}\"."
			}
		case "Invalid single-argument block definition":
			c.Detail = strings.TrimSpace(c.Detail) + " A block of one line may have one argument only; put each on a line of its own."
		case "Error in function call":
			c.Detail = callFailed.ReplaceAllStringFunc(c.Detail, func(s string) string {
				return callFailed.FindStringSubmatch(s)[1] + "() failed: "
			})
			c.Detail = strings.TrimRight(firstLine(c.Detail), ".?") + "." // a panic in cty brings its stack
		}
		out = append(out, &c)
	}
	return hintShell(withoutRepeats(out), files)
}

var (
	keyword    = regexp.MustCompile(`^The keyword "([^"]*)" is not a valid type specification\.$`)
	callFailed = regexp.MustCompile(`^Call to function "([^"]+)" failed: `)
	didYouMean = regexp.MustCompile(` Did you mean (?:to [^?]*|"[^"]*"|[^?"]*)\?`)
	quotedName = regexp.MustCompile(`(?:named|with the key) "([^"]*)"`)
)

var typeNames = []string{"string", "number", "bool", "any", "list", "set", "map", "tuple", "object"}

// otherOperand reports whether d says of the right operand what the error before it said of
// the left one: "a" + "b" is one mistake.
func otherOperand(before, d *hcl.Diagnostic) bool {
	return d.Summary == "Invalid operand" && before.Summary == d.Summary && d.Subject != nil && before.Subject != nil &&
		d.Subject.Filename == before.Subject.Filename && d.Subject.Start.Line == before.Subject.End.Line &&
		strings.Contains(before.Detail, "left operand") && d.Detail == strings.Replace(before.Detail, "left operand", "right operand", 1)
}

// improveAttribute adds the name that was meant to "This object does not have an
// attribute named ...", or all there are.
func improveAttribute(d *hcl.Diagnostic) {
	m := quotedName.FindStringSubmatch(d.Detail)
	if m == nil || d.EvalContext == nil || didYouMean.MatchString(d.Detail) {
		return
	}
	if obj, ok := objectBefore(d); ok {
		d.Detail += choices(m[1], obj)
	}
}

// improveIndex does the same for keys of maps and objects, and says how long a list is.
func improveIndex(d *hcl.Diagnostic) {
	if d.EvalContext == nil {
		return
	}
	obj, ok := objectBefore(d)
	if !ok {
		return
	}
	switch ty := obj.Type(); {
	case ty.IsListType() || ty.IsTupleType():
		if obj.IsKnown() && !obj.IsNull() {
			d.Detail = strings.TrimRight(d.Detail, ". ") + fmt.Sprintf(": it has %s, counted from 0.", plural(obj.LengthInt(), "element"))
		}
	case d.Subject != nil:
		if key := keyBefore(d); key != "" {
			d.Detail = strings.TrimRight(d.Detail, ". ") + fmt.Sprintf(": there is no key %q.", key) + choices(key, obj)
		}
	}
}

// choices is the end of a sentence about a name that obj does not have.
func choices(got string, obj cty.Value) string {
	var names []string
	switch ty := obj.Type(); {
	case ty.IsObjectType():
		names = slices.Collect(maps.Keys(ty.AttributeTypes()))
	case ty.IsMapType() && obj.IsKnown() && !obj.IsNull():
		for it := obj.ElementIterator(); it.Next() && len(names) < 1000; {
			k, _ := it.Element()
			names = append(names, k.AsString())
		}
	}
	if hint := suggest(got, names); hint != "" {
		return hint
	}
	if len(names) == 0 || len(names) > 8 {
		return ""
	}
	slices.Sort(names)
	return " It has: " + strings.Join(names, ", ") + "."
}

// objectBefore returns the value of what stands before the attribute or the index that d
// is about, without marks.
func objectBefore(d *hcl.Diagnostic) (cty.Value, bool) {
	var val cty.Value
	var rest hcl.Traversal
	switch e := unwrapped(d.Expression).(type) {
	case *hclsyntax.ScopeTraversalExpr:
		v, ok := lookup(d.EvalContext, e.Traversal.RootName())
		if !ok {
			return cty.NilVal, false
		}
		val, rest = v, e.Traversal[1:]
	case *hclsyntax.RelativeTraversalExpr:
		v, diags := e.Source.Value(d.EvalContext)
		if diags.HasErrors() {
			return cty.NilVal, false
		}
		val, rest = v, e.Traversal
	case *hclsyntax.IndexExpr:
		v, diags := e.Collection.Value(d.EvalContext)
		v, _ = v.Unmark()
		return v, !diags.HasErrors()
	default:
		return cty.NilVal, false
	}
	for _, step := range rest {
		next, diags := hcl.Traversal{step}.TraverseRel(val)
		if diags.HasErrors() {
			break
		}
		val = next
	}
	val, _ = val.Unmark()
	return val, true
}

// keyBefore returns the key that d says does not exist, if it is a string.
func keyBefore(d *hcl.Diagnostic) string {
	asString := func(v cty.Value) string {
		if v, _ = v.Unmark(); v.IsKnown() && !v.IsNull() && v.Type() == cty.String {
			return v.AsString()
		}
		return ""
	}
	var steps hcl.Traversal
	switch e := unwrapped(d.Expression).(type) {
	case *hclsyntax.IndexExpr:
		v, diags := e.Key.Value(d.EvalContext)
		if diags.HasErrors() {
			return ""
		}
		return asString(v)
	case *hclsyntax.ScopeTraversalExpr:
		steps = e.Traversal
	case *hclsyntax.RelativeTraversalExpr:
		steps = e.Traversal
	}
	for _, step := range steps {
		if ix, ok := step.(hcl.TraverseIndex); ok && ix.SrcRange == *d.Subject {
			return asString(ix.Key)
		}
	}
	return ""
}

func unwrapped(e hcl.Expression) hcl.Expression {
	if m, ok := e.(hclsyntax.Expression); ok {
		return bare(m)
	}
	return e
}

// lookup finds a name in ctx and those around it.
func lookup(ctx *hcl.EvalContext, name string) (cty.Value, bool) {
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[name]; ok {
			return v, true
		}
	}
	return cty.NilVal, false
}

// improveVariable replaces HCL's guess, which finds "var" near "arr".
func improveVariable(d *hcl.Diagnostic) {
	m := quotedName.FindStringSubmatch(d.Detail)
	if m == nil || d.EvalContext == nil {
		return
	}
	var names []string
	for ctx := d.EvalContext; ctx != nil; ctx = ctx.Parent() {
		names = slices.AppendSeq(names, maps.Keys(ctx.Variables))
	}
	d.Detail = didYouMean.ReplaceAllString(d.Detail, "") + suggest(m[1], names)
}

// improveFunction looks for near names in all contexts; HCL only looks at the innermost,
// which inside a `for` has none.
func improveFunction(d *hcl.Diagnostic) {
	call, ok := unwrapped(d.Expression).(*hclsyntax.FunctionCallExpr)
	if !ok || d.EvalContext == nil {
		return
	}
	var names []string
	for ctx := d.EvalContext; ctx != nil; ctx = ctx.Parent() {
		names = slices.AppendSeq(names, maps.Keys(ctx.Functions))
	}
	hint := suggest(call.Name, names)
	if other, ok := otherNames[call.Name]; ok && hint == "" {
		hint = " " + other
	}
	d.Detail = didYouMean.ReplaceAllString(d.Detail, "") + hint
}

// otherNames are functions that people know from elsewhere, and what to write here.
var otherNames = map[string]string{
	"abspath":       "Paths are relative to the workflow's directory already.",
	"pathexpand":    "A workflow does not depend on who runs it; take the path as a variable.",
	"env":           "Take it as a variable, which FLOW_VAR_name in the environment sets.",
	"getenv":        "Take it as a variable, which FLOW_VAR_name in the environment sets.",
	"yamldecode":    "Write the file as JSON, and use jsondecode.",
	"yamlencode":    "Use jsonencode: JSON is YAML as well.",
	"plantimestamp": "Use run.time, when the run was created.",
	"now":           "Use run.time, when the run was created.",
	"filemd5":       "Write md5(file(path)).",
	"filesha256":    "Write sha256(file(path)).",
	"glob":          "Use fileset(pattern).",
	"list":          "Write [a, b].",
	"map":           "Write { key = value }.",
	"len":           "Use length.",
	"quote":         "Use shellquote.",
	"if":            "Write condition ? a : b.",
}

// otherPlaces are arguments that people write where other engines have them, and what to
// write here.
var otherPlaces = map[string]string{
	"cpus":       "It stands in a block: resources { vcpus = 4 }.",
	"vcpus":      "It stands in a block: resources { vcpus = 4 }.",
	"threads":    "It stands in a block: resources { vcpus = 4 }; a script finds it in $FLOW_VCPUS.",
	"memory":     "It stands in a block: resources { memory = \"4 GiB\" }.",
	"mem":        "It stands in a block: resources { memory = \"4 GiB\" }.",
	"gpus":       "It stands in a block: resources { gpus = 1 }.",
	"disk":       "It stands in a block: resources { disk = \"20 GiB\" }.",
	"attempts":   "It stands in a block: retry { attempts = 3 }.",
	"retries":    "It stands in a block: retry { attempts = 3 }.",
	"maxRetries": "It stands in a block: retry { attempts = 3 }.",
	"env":        "A job definition says it as environment = { NAME = \"value\" }.",
	"count":      "For that many tasks write for_each = range(n).",
}

// otherPlace says what to write for an argument that is known elsewhere, after a space, or "".
func otherPlace(name string) string {
	if hint := otherPlaces[name]; hint != "" {
		return " " + hint
	}
	if strings.ToLower(name) == name {
		return ""
	}
	same := func(s string) bool { return strings.EqualFold(strings.ReplaceAll(s, "_", ""), name) }
	for _, kind := range infraKinds {
		for _, a := range infraArgs[kind] {
			if same(a.name) {
				return fmt.Sprintf(" What AWS calls %s is written %s.", name, a.name)
			}
		}
	}
	return ""
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
