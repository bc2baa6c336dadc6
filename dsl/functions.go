package dsl

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-cty-funcs/collection"
	"github.com/hashicorp/go-cty-funcs/encoding"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions returns what expressions may call, by name; docs/functions.md describes
// each. Functions that read files see the directory dir, and nothing outside it. All of
// them charge b for what they are given before they look at it, and for the text they
// make before they make it.
//
// The map belongs to the caller. Its functions must not be called by two goroutines at
// once, since they share b.
func functions(dir string, b *budget) map[string]function.Function {
	table := map[string]function.Function{}
	for name, f := range plainFunctions {
		table[name] = b.metered(f, nil)
	}
	for name, f := range growingFunctions {
		table[name] = b.metered(f.call, f.cost)
	}
	for name, f := range uncharged {
		table[name] = f
	}
	table["range"] = b.rangeFunc()
	table["tolist"] = b.metered(toList, b.conversionCost)
	table["toset"] = b.metered(toSet, b.conversionCost)
	table["tomap"] = b.metered(toMap, b.conversionCost)
	table["setproduct"] = b.metered(stdlib.SetProductFunc, b.productCost)
	table["distinct"] = b.metered(distinctFunc, nil)
	for name, f := range fileFunctions(dir, b) {
		table[name] = f
	}
	// A template may use every function but templatefile itself.
	rest := make(map[string]function.Function, len(table))
	for name, f := range table {
		rest[name] = f
	}
	table["templatefile"] = templateFileFunc(dir, b, rest)
	return table
}

// plainFunctions make at most as much as they are given, times a small constant.
var plainFunctions = map[string]function.Function{
	// numbers
	"abs":    stdlib.AbsoluteFunc,
	"ceil":   stdlib.CeilFunc,
	"floor":  stdlib.FloorFunc,
	"log":    stdlib.LogFunc,
	"max":    stdlib.MaxFunc,
	"min":    stdlib.MinFunc,
	"pow":    stdlib.PowFunc,
	"signum": stdlib.SignumFunc,
	"sum":    sumFunc,

	// strings
	"chomp":       stdlib.ChompFunc,
	"endswith":    stringTest("suffix", strings.HasSuffix),
	"lower":       stdlib.LowerFunc,
	"shellquote":  shellQuoteFunc,
	"startswith":  stringTest("prefix", strings.HasPrefix),
	"strcontains": stringTest("substr", strings.Contains),
	"strlen":      stdlib.StrlenFunc,
	"strrev":      stdlib.ReverseFunc,
	"substr":      stdlib.SubstrFunc,
	"title":       stdlib.TitleFunc,
	"trim":        stdlib.TrimFunc,
	"trimprefix":  stdlib.TrimPrefixFunc,
	"trimspace":   stdlib.TrimSpaceFunc,
	"trimsuffix":  stdlib.TrimSuffixFunc,
	"upper":       stdlib.UpperFunc,

	// collections
	"alltrue":         boolFold(true),
	"anytrue":         boolFold(false),
	"chunklist":       stdlib.ChunklistFunc,
	"coalesce":        collection.CoalesceFunc,
	"coalescelist":    stdlib.CoalesceListFunc,
	"compact":         stdlib.CompactFunc,
	"concat":          stdlib.ConcatFunc,
	"contains":        stdlib.ContainsFunc,
	"flatten":         stdlib.FlattenFunc,
	"keys":            stdlib.KeysFunc,
	"lookup":          stdlib.LookupFunc,
	"merge":           stdlib.MergeFunc,
	"one":             oneFunc,
	"reverse":         stdlib.ReverseListFunc,
	"setintersection": stdlib.SetIntersectionFunc,
	"setsubtract":     stdlib.SetSubtractFunc,
	"setunion":        stdlib.SetUnionFunc,
	"slice":           stdlib.SliceFunc,
	"sort":            stdlib.SortFunc,
	"values":          stdlib.ValuesFunc,
	"zipmap":          stdlib.ZipmapFunc,

	// encoding, hashes
	"base64decode": encoding.Base64DecodeFunc,
	"base64encode": encoding.Base64EncodeFunc,
	"jsonencode":   stdlib.JSONEncodeFunc,
	"urlencode":    encoding.URLEncodeFunc,
	"md5":          hashFunc(md5Sum),
	"sha1":         hashFunc(sha1Sum),
	"sha256":       hashFunc(sha256Sum),
	"sha512":       hashFunc(sha512Sum),

	// times
	"formatdate": stdlib.FormatDateFunc,
	"timeadd":    stdlib.TimeAddFunc,

	// types
	"tobool":   stdlib.MakeToFunc(cty.Bool),
	"tostring": stdlib.MakeToFunc(cty.String),

	// paths
	"basename": pathFunc(baseName),
	"dirname":  pathFunc(dirName),
}

// growingFunctions can make far more than they are given, or take long for it.
var growingFunctions = map[string]struct {
	call function.Function
	cost costFunc
}{
	"csvdecode":    {csvDecodeFunc, csvCost},
	"format":       {stdlib.FormatFunc, formatCost},
	"formatlist":   {stdlib.FormatListFunc, formatCost},
	"indent":       {stdlib.IndentFunc, indentCost},
	"join":         {stdlib.JoinFunc, joinCost},
	"jsondecode":   {stdlib.JSONDecodeFunc, jsonCost},
	"parseint":     {stdlib.ParseIntFunc, digitsCost},
	"regex":        {stdlib.RegexFunc, regexCost},
	"regexall":     {stdlib.RegexAllFunc, regexCost},
	"regexreplace": {stdlib.RegexReplaceFunc, regexReplaceCost},
	"replace":      {stdlib.ReplaceFunc, replaceCost},
	"split":        {stdlib.SplitFunc, splitCost},
	"tonumber":     {stdlib.MakeToFunc(cty.Number), digitsCost},
}

// uncharged functions look at no more of their arguments than they need; or they get
// expressions that charge the budget by themselves.
var uncharged = map[string]function.Function{
	"can":     tryfunc.CanFunc,
	"element": stdlib.ElementFunc,
	"length":  lengthFunc,
	"try":     tryfunc.TryFunc,

	"timestamp": noFunc("it would be another time at each evaluation, so a task could never be found in the cache; use run.time, when the run was created"),
	"uuid":      noFunc("it would be another value at each evaluation, so a task could never be found in the cache; use run.id, the id of the run"),
}

// A costFunc returns how much text a call makes at most, and what else it costs in
// steps. args are known, not null and not marked.
type costFunc func(args []cty.Value) (steps, bytes int64)

// metered returns f with its result charged to b, and cost before it is called. That its
// arguments were charged is the caller's business: see [budget.meter].
func (b *budget) metered(f function.Function, cost costFunc) function.Function {
	before := func(args []cty.Value) error {
		if err := b.charge(callSteps, 0); err != nil || cost == nil {
			return err
		}
		plain := make([]cty.Value, len(args))
		for i, arg := range args {
			plain[i] = arg
			if arg.ContainsMarked() {
				plain[i], _ = arg.UnmarkDeep()
			}
			if !plain[i].IsWhollyKnown() || plain[i].IsNull() {
				return nil
			}
		}
		return b.charge(cost(plain))
	}
	after := func(v cty.Value) error {
		s, err := b.measure(v)
		if err == nil && cost == nil {
			err = b.charge(0, s.bytes)
		}
		return err
	}
	return wrapFunction(f, before, after)
}

// noFunc is a function that people expect and that cannot be: calling it is an error
// that says what to use.
func noFunc(why string) function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "args", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true},
		Type: func([]cty.Value) (cty.Type, error) {
			return cty.String, fmt.Errorf("%s", why)
		},
		Impl: func([]cty.Value, cty.Type) (cty.Value, error) {
			return cty.UnknownVal(cty.String), fmt.Errorf("%s", why)
		},
	})
}
