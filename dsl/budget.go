package dsl

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// maxTasks is how many tasks a step may have unless the caller allows more; it is
// also the length of the longest list that range makes.
const maxTasks = 1_000_000

// What evaluating may cost. A step is about 100 ns: one value looked at. A byte is one of
// text that an expression makes.
const (
	unitSteps  = 5_000_000      // of one expression: half a second
	unitBytes  = 48 << 20       // a table of 10,000 samples of 2 KiB, read and decoded
	totalSteps = 64 * unitSteps // of all expressions since reset
	totalBytes = 256 << 20

	loopSteps   = 12 // of one iteration of a `for`
	setSteps    = 10 // of each element of a set that is looped over: it is sorted first
	callSteps   = 8  // of one function call
	numberSteps = 15 // of writing a number
	readBytes   = 64 // so many bytes of text are read in a step
)

// A budget bounds what evaluating expressions may cost, in time and in memory, so
// that a few hostile bytes of HCL (a `for` in a `for` in a `for`, setproduct, a
// format width of a billion) end in a diagnostic.
//
// The bound is on steps and on bytes of text made, not on the process: HCL copies
// values around them, by a factor of up to about ten. It is charged by the functions
// of [functions], and by the nodes that [budget.meter] puts into parsed files.
// Once it is exceeded everything that charges it fails at once, until the next begin.
//
// A budget belongs to one goroutine at a time.
type budget struct {
	tasks int // how many tasks a step may have

	steps, bytes       int64 // left for the expression
	allSteps, allBytes int64 // left for all of them
	spent              error // why nothing more may be evaluated
	templates          map[templateKey]*template
	embedded           map[string][]byte // files to be read instead of those on disk
}

// newBudget returns a budget for workflows of at most tasks tasks a step; 0 is the
// default, 1,000,000.
func newBudget(tasks int) *budget {
	if tasks <= 0 {
		tasks = maxTasks
	}
	b := &budget{tasks: tasks}
	b.reset()
	return b
}

// embed makes functions that read files use src instead of the file of its name.
func (b *budget) embed(src Source) {
	if b.embedded == nil {
		b.embedded = map[string][]byte{}
	}
	b.embedded[src.Name] = src.Bytes
}

// reset makes the whole budget available again: to be called before each phase
// (load, bind, the expansion of a step).
func (b *budget) reset() {
	b.allSteps, b.allBytes = totalSteps, totalBytes
	b.begin()
}

// begin starts another expression, local or task: the part of the budget that one of
// these may use is available again, if there is that much left.
func (b *budget) begin() {
	b.steps, b.bytes = min(unitSteps, b.allSteps), min(unitBytes, b.allBytes)
	switch {
	case b.steps <= 0:
		b.spent = errBudgetAll
	case b.bytes <= 0:
		b.spent = errBudgetText
	default:
		b.spent = nil
	}
}

var (
	errBudgetSteps = errors.New("evaluating this takes too long; use fewer or smaller loops, or let a step compute it and read its output")
	errBudgetBytes = fmt.Errorf("this makes too much text (over %d MiB); let a step write a file instead", unitBytes>>20)
	errBudgetAll   = errors.New("evaluating the workflow takes too long; use fewer or smaller loops, or let a step compute it and read its output")
	errBudgetText  = fmt.Errorf("the expressions of the workflow make too much text (over %d MiB in all); hand values to scripts in env and inputs, as $name, so that tasks share one text", totalBytes>>20)
	errNumberSize  = errors.New("the number is too large; numbers up to 1e400 are possible")
)

// charge takes steps and bytes off the budget, and reports that it is exceeded.
func (b *budget) charge(steps, bytes int64) error {
	if b.spent != nil {
		return b.spent
	}
	if steps < 0 || steps > b.steps {
		b.spent = errBudgetSteps
	}
	if bytes < 0 || bytes > b.bytes {
		b.spent = errBudgetBytes
	}
	if b.spent != nil {
		return b.spent
	}
	b.steps -= steps
	b.bytes -= bytes
	b.allSteps -= steps
	b.allBytes -= bytes
	return nil
}

// times multiplies counts without overflow: anything above 1<<40 is 1<<40.
func times(counts ...int) int64 {
	const top = 1 << 40
	n := int64(1)
	for _, c := range counts {
		if c == 0 {
			return 0
		}
		if n > top/int64(c) {
			return top
		}
		n *= int64(c)
	}
	return n
}

// A size is what a value consists of.
type size struct {
	values int64 // values in it, at any depth, itself included
	bytes  int64 // of its text
}

// measure charges one step for every value in v, looking no further than the budget
// goes: a value that shares its parts with itself can be far larger than memory.
func (b *budget) measure(v cty.Value) (size, error) {
	var s size
	err := b.walk(v, &s)
	if err == nil {
		err = b.charge(s.values+s.bytes/readBytes, 0)
	}
	return s, err
}

func (b *budget) walk(v cty.Value, s *size) error {
	s.values++
	if s.values > b.steps {
		b.spent = errBudgetSteps
		return b.spent
	}
	if v == cty.NilVal {
		return nil
	}
	v, _ = v.Unmark()
	if !v.IsKnown() || v.IsNull() {
		return nil
	}
	switch ty := v.Type(); {
	case ty == cty.String:
		s.bytes += int64(len(v.AsString()))
	case ty == cty.Number:
		return checkNumber(v.AsBigFloat())
	case ty == cty.Bool, ty.IsCapsuleType():
	case ty.IsSetType() && ty.ElementType().IsPrimitiveType():
		s.values += int64(v.LengthInt()) // to look at them cty would sort them, slowly
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			if ty.IsMapType() || ty.IsObjectType() {
				s.bytes += int64(len(k.AsString()))
			}
			if err := b.walk(e, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkNumber refuses numbers that would be a great deal of text: written out, 1e999999999
// takes a gigabyte.
func checkNumber(f *big.Float) error {
	if f != nil && !f.IsInf() && (f.MantExp(nil) > 1400 || f.MantExp(nil) < -1400) {
		return errNumberSize
	}
	return nil
}

// value evaluates an expression as one unit of the budget, and is how every expression
// of a workflow is to be evaluated: it also bounds expressions of JSON files, into which
// nothing can be put, and the size of the result. ctx nil means that nothing may be
// referred to. The result is never [cty.NilVal].
func (b *budget) value(expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	b.begin()
	if b.spent != nil {
		return cty.DynamicVal, hcl.Diagnostics{b.diagnostic(b.spent, expr.Range())}
	}
	val, diags := b.evaluate(expr, ctx)
	if diags.HasErrors() {
		return val, withoutRepeats(diags)
	}
	if _, err := b.measure(val); err != nil {
		return cty.DynamicVal, append(diags, b.diagnostic(err, expr.Range()))
	}
	return val, diags
}

// diagnostic says at rng that the budget is exceeded.
func (b *budget) diagnostic(err error, rng hcl.Range) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  "Expression too large",
		Detail:   sentence(err.Error()),
		Subject:  rng.Ptr(),
	}
}

// withoutRepeats leaves out diagnostics that say the same of the same place again, as a
// mistake in a loop does for every element.
func withoutRepeats(diags hcl.Diagnostics) hcl.Diagnostics {
	if len(diags) < 2 {
		return diags
	}
	type key struct {
		severity        hcl.DiagnosticSeverity
		summary, detail string
		at              hcl.Range
	}
	seen := map[key]bool{}
	out := diags[:0:0]
	for _, d := range diags {
		k := key{d.Severity, d.Summary, d.Detail, hcl.Range{}}
		if d.Subject != nil {
			k.at = *d.Subject
		}
		if !seen[k] {
			seen[k] = true
			out = append(out, d)
		}
	}
	return out
}
