package dsl

import (
	"crypto/md5"  //nolint:gosec // for names and comparisons that others made with it
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"crypto/sha512"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

func stringTest(what string, test func(s, x string) bool) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "str", Type: cty.String}, {Name: what, Type: cty.String}},
		Type:         function.StaticReturnType(cty.Bool),
		RefineResult: refineNotNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(test(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

func stringFunc(param string, f func(string) string) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: param, Type: cty.String}},
		Type:         function.StaticReturnType(cty.String),
		RefineResult: refineNotNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.StringVal(f(args[0].AsString())), nil
		},
	})
}

func pathFunc(f func(string) string) function.Function { return stringFunc("path", f) }
func hashFunc(f func(string) []byte) function.Function {
	return stringFunc("str", func(s string) string { return hex.EncodeToString(f(s)) })
}

func md5Sum(s string) []byte    { h := md5.Sum([]byte(s)); return h[:] }  //nolint:gosec // see above
func sha1Sum(s string) []byte   { h := sha1.Sum([]byte(s)); return h[:] } //nolint:gosec // see above
func sha256Sum(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }
func sha512Sum(s string) []byte { h := sha512.Sum512([]byte(s)); return h[:] }

// baseName is the last element of a path or URI.
func baseName(p string) string { return path.Base(p) }

// dirName is what stands before the last element. Unlike path.Dir it leaves the // of
// a URI alone.
func dirName(p string) string {
	scheme := ""
	if at := strings.Index(p, "://"); at > 0 {
		scheme, p = p[:at+3], p[at+3:]
		if !strings.Contains(p, "/") {
			return scheme + p
		}
	}
	return scheme + path.Dir(p)
}

// shellQuoteFunc makes a string one word of a POSIX shell, and a list its words.
var shellQuoteFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "words", Type: cty.DynamicPseudoType}},
	Type:         function.StaticReturnType(cty.String),
	RefineResult: refineNotNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v := args[0]
		if s, err := convert.Convert(v, cty.String); err == nil {
			if strings.ContainsRune(s.AsString(), 0) {
				return cty.NilVal, function.NewArgErrorf(0, "a NUL byte cannot be quoted")
			}
			return cty.StringVal(shellQuote(s.AsString())), nil
		}
		list, err := convertTo(v, cty.List(cty.String))
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "must be a string or a list of strings, not a %s", v.Type().FriendlyName())
		}
		if !list.IsWhollyKnown() {
			return cty.UnknownVal(cty.String), nil
		}
		var words []string
		for it := list.ElementIterator(); it.Next(); {
			_, e := it.Element()
			if e.IsNull() || strings.ContainsRune(e.AsString(), 0) {
				return cty.NilVal, function.NewArgErrorf(0, "a null, or a NUL byte, cannot be quoted")
			}
			words = append(words, shellQuote(e.AsString()))
		}
		return cty.StringVal(strings.Join(words, " ")), nil
	},
})

var shellSafe = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellQuote returns s as one word of any POSIX shell.
func shellQuote(s string) string {
	if shellSafe.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// csvDecodeFunc makes a table, with its columns named by the first line, a list of
// objects of strings.
var csvDecodeFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "str", Type: cty.String}},
	Type:   function.StaticReturnType(cty.DynamicPseudoType),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return decodeCSV(args[0].AsString())
	},
})

func decodeCSV(text string) (cty.Value, error) {
	r := csv.NewReader(strings.NewReader(string(normalize([]byte(text)))))
	names, err := r.Read()
	switch {
	case errors.Is(err, io.EOF):
		return cty.NilVal, errors.New("the table is empty: its first line must name the columns")
	case err != nil:
		return cty.NilVal, csvError(err)
	}
	types := map[string]cty.Type{}
	for i, name := range names {
		if name == "" {
			return cty.NilVal, fmt.Errorf("column %d has no name in the first line of the table", i+1)
		}
		if _, dup := types[name]; dup {
			return cty.NilVal, fmt.Errorf("two columns of the table are named %q", name)
		}
		types[name] = cty.String
	}
	var rows []cty.Value
	for {
		cols, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return cty.NilVal, csvError(err)
		}
		row := make(map[string]cty.Value, len(cols))
		for i, col := range cols {
			row[names[i]] = cty.StringVal(col)
		}
		rows = append(rows, cty.ObjectVal(row))
	}
	if len(rows) == 0 {
		return cty.ListValEmpty(cty.Object(types)), nil
	}
	return cty.ListVal(rows), nil
}

func csvError(err error) error {
	var p *csv.ParseError
	if !errors.As(err, &p) {
		return err
	}
	if errors.Is(p.Err, csv.ErrFieldCount) {
		return fmt.Errorf("line %d of the table has more or fewer columns than the first", p.Line)
	}
	return fmt.Errorf("line %d of the table: %w", p.Line, p.Err)
}

// textLen returns the bytes of v's text, with room for what its form needs as JSON.
func textLen(v cty.Value) int {
	switch ty := v.Type(); {
	case v.IsNull():
		return 4
	case ty == cty.String:
		return len(v.AsString()) + 2
	case ty == cty.Number:
		return 420
	case v.CanIterateElements():
		n := 2
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			if !ty.IsListType() && !ty.IsTupleType() && !ty.IsSetType() {
				n += textLen(k)
			}
			n += textLen(e) + 4
		}
		return n
	}
	return 8
}

func joinCost(args []cty.Value) (steps, bytes int64) {
	sep := len(args[0].AsString())
	for _, list := range args[1:] {
		bytes += times(list.LengthInt(), sep)
		for it := list.ElementIterator(); it.Next(); {
			if _, e := it.Element(); !e.IsNull() {
				bytes += int64(len(e.AsString()))
			}
		}
	}
	return 0, bytes
}

var decimal = regexp.MustCompile(`[0-9]+`)

// formatCost counts every argument once for each verb, since verbs may name it, and
// every number in the format as a width.
func formatCost(args []cty.Value) (steps, bytes int64) {
	format := args[0].AsString()
	verbs := strings.Count(format, "%")
	one := int64(len(format))
	for _, n := range decimal.FindAllString(format, -1) {
		width, err := strconv.Atoi(n)
		if err != nil {
			width = unitBytes
		}
		one += int64(width)
	}
	lists, longest := 1, 0
	for _, arg := range args[1:] {
		if ty := arg.Type(); ty.IsListType() || ty.IsSetType() || ty.IsTupleType() {
			lists = max(lists, arg.LengthInt())
		}
		longest = max(longest, textLen(arg))
		if numberText(arg) {
			return 0, unitBytes + 1
		}
	}
	return 0, times(lists, int(min(one+times(verbs, longest), unitBytes+1)))
}

// numberText reports whether v is text that would become a number of great length.
func numberText(v cty.Value) bool {
	if v.IsNull() || v.Type() != cty.String || !strings.ContainsAny(v.AsString(), "eEpP") {
		return false
	}
	n, err := convert.Convert(v, cty.Number)
	return err == nil && checkNumber(n.AsBigFloat()) != nil
}

func indentCost(args []cty.Value) (steps, bytes int64) {
	text := args[1].AsString()
	width, _ := args[0].AsBigFloat().Int64()
	return 0, int64(len(text)) + times(1+strings.Count(text, "\n"), int(max(0, min(width, unitBytes+1))))
}

func replaceCost(args []cty.Value) (steps, bytes int64) {
	text, what, with := args[0].AsString(), args[1].AsString(), args[2].AsString()
	return 0, int64(len(text)) + times(strings.Count(text, what), len(with))
}

// regexReplaceCost counts each $ of the replacement as all of the text: what groups
// match never overlaps from one match to the next.
func regexReplaceCost(args []cty.Value) (steps, bytes int64) {
	text, with := args[0].AsString(), args[2].AsString()
	steps, _ = regexSteps(args[1].AsString(), text)
	if steps > unitSteps {
		return steps, 0
	}
	return steps, times(1+strings.Count(with, "$"), len(text)) + times(matches(args[1].AsString(), text), len(with))
}

func matches(pattern, text string) int {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return 0 // the function itself says so
	}
	return len(re.FindAllStringIndex(text, -1))
}

func regexCost(args []cty.Value) (steps, bytes int64) {
	return regexSteps(args[0].AsString(), args[1].AsString())
}

// regexSteps is the time of a match: RE2 looks at each byte once for each state, and a
// repetition such as x{1000} is as many states.
func regexSteps(pattern, text string) (steps, bytes int64) {
	states := len(pattern)
	for _, n := range decimal.FindAllString(pattern, -1) {
		if n, err := strconv.Atoi(n); err == nil {
			states += min(n, 1000)
		}
	}
	return times(len(text), states)/10 + times(len(text), 1)/4, 0
}

// splitCost is what the parts of a text take as values.
func splitCost(args []cty.Value) (steps, bytes int64) {
	return times(1+strings.Count(args[1].AsString(), args[0].AsString()), 8), 0
}

// csvCost counts the cells of a table.
func csvCost(args []cty.Value) (steps, bytes int64) {
	text := args[0].AsString()
	return times(1+strings.Count(text, ",")+strings.Count(text, "\n"), 8), int64(len(text))
}

// jsonCost counts what can be a value in JSON.
func jsonCost(args []cty.Value) (steps, bytes int64) {
	text := args[0].AsString()
	return times(1+strings.Count(text, ",")+strings.Count(text, "["), 16), int64(len(text))
}

// digitsCost is the square of the digits of a number.
func digitsCost(args []cty.Value) (steps, bytes int64) {
	if args[0].Type() != cty.String {
		return 0, 0
	}
	n := len(args[0].AsString())
	return times(n, n) / 1000, 0
}
