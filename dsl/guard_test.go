package dsl

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
)

// load guards, parses, meters and evaluates every attribute of a source, with the locals
// that stand before an attribute in scope.
func load(dir, name string, src []byte) hcl.Diagnostics {
	src = normalize(src)
	if diags := guard(name, src); diags.HasErrors() {
		return diags
	}
	var file *hcl.File
	var diags hcl.Diagnostics
	if strings.HasSuffix(name, ".json") {
		file, diags = hcljson.Parse(src, name)
	} else {
		file, diags = hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	}
	if diags.HasErrors() || file == nil {
		return diags
	}
	b := newBudget(0)
	b.meter(file)
	attrs, diags := file.Body.JustAttributes()
	if diags.HasErrors() {
		return diags
	}
	ctx := &hcl.EvalContext{Variables: map[string]cty.Value{}, Functions: functions(dir, b)}
	for _, a := range sortedAttributes(attrs) {
		v, more := b.value(a.Expr, ctx)
		ctx.Variables[a.Name] = v
		if diags = append(diags, more...); diags.HasErrors() {
			return diags
		}
	}
	return diags
}

// slowness returns how much longer than on a machine with nothing else to do work takes
// now, at least 1: where two cores share their caches and their units with others, it is
// half as long again.
func slowness(t *testing.T) float64 {
	t.Helper()
	const keys, quiet = 400_000, 115 * time.Millisecond
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime(t)
	m := map[string]int{}
	for i := range keys {
		m[strconv.Itoa(i)] = i
	}
	took := threadTime(t) - start
	t.Logf("%d keys of a map took %v", len(m), took)
	return max(1, float64(took)/float64(quiet))
}

// checkCheap runs f and fails if it takes more than a second of a quiet machine, or memory
// of more than 200 MB at its peak. What else the machine does only makes it slower, so of
// what takes long the shortest of three runs counts.
func checkCheap(t *testing.T, f func()) {
	t.Helper()
	limit := time.Second
	if raceEnabled {
		limit *= 15
	}
	for try := 1; ; try++ {
		took, mb := expense(t, f)
		t.Logf("%v, %d MB", took, mb)
		if mb > 200 {
			t.Errorf("took %d MB", mb)
		}
		if took <= limit || took <= time.Duration(float64(limit)*slowness(t)) {
			return
		}
		if try == 3 {
			t.Errorf("took %v", took)
			return
		}
	}
}

// expense returns the processor time that f takes, and the memory at its peak, in MB.
func expense(t *testing.T, f func()) (took time.Duration, mb int64) {
	t.Helper()
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	// So that garbage, of which Go lets there be as much as there is live memory, does not count.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(before.HeapInuse) + 200<<20))
	stop, done := make(chan struct{}), make(chan uint64)
	go func() { // the peak, as far as a sample every few milliseconds sees it
		var peak uint64
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				done <- peak
				return
			case <-tick.C:
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapInuse+now.StackInuse)
			}
		}
	}()
	runtime.LockOSThread() // other tests, and other work on the machine, do not count
	start := threadTime(t)
	f()
	took = threadTime(t) - start
	runtime.UnlockOSThread()
	close(stop)
	peak := <-done
	return took, int64(peak-min(peak, before.HeapInuse+before.StackInuse)) >> 20
}

// threadTime is the processor time that this thread has used.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	const thread = 1 // RUSAGE_THREAD, getrusage(2)
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func rep(s string, n int) string { return strings.Repeat(s, n) }

// Sources that would end the process, or fill the memory, in plain HCL.
func TestBombs(t *testing.T) {
	var tenfold, structure strings.Builder
	tenfold.WriteString("v0 = \"0123456789\"\n")
	structure.WriteString("v0 = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n")
	for i := 1; i < 20; i++ {
		fmt.Fprintf(&tenfold, "v%d = \"%s\"\n", i, rep(fmt.Sprintf("${v%d}", i-1), 10))
		fmt.Fprintf(&structure, "v%d = [%s]\n", i, rep(fmt.Sprintf("v%d, ", i-1), 10))
	}
	for _, c := range []struct {
		name, src, want string
		line            int
	}{
		// before parsing
		{"parens", "a = 1\nb = " + rep("(", 100_000) + "1" + rep(")", 100_000), "deep in one another", 2},
		{"parens, one a line", "b = " + rep("(\n", 100_000), "deep in one another", 101},
		{"brackets", "b = " + rep("[", 500_000), "words and signs", 1},
		{"not", "b = " + rep("!", 300_000) + "true", "in a row", 1},
		{"minus", "b = " + rep("-", 1000) + "1", "in a row", 1},
		{"not and minus", "b = " + rep("!-", 1000) + "1", "in a row", 1},
		{"plus", "b = 1" + rep("+1", 500_000), "words and signs", 1},
		{"plus, fewer", "b = 1" + rep("+1", 100_000), "at most 10000 operators", 1},
		{"plus, in lines", "b = (1\n" + rep("+1\n", 50_000) + ")", "at most 10000 operators", 10002},
		{"ternary", "b = " + rep("true ? 1 : ", 10_000) + "1", "conditions", 1},
		{"indices", "a = [0]\nb = a" + rep("[a[0]]", 50_000), "operators", 2},
		{"attributes", "a = 1\nb = a" + rep(".a", 100_000), "operators", 2},
		{"splats", "a = 1\nb = a" + rep("[*]", 50_000), "operators", 2},
		{"blocks", rep("a {\n", 50_000), "deep in one another", 101},
		{"objects", "b = " + rep("{a=", 50_000), "deep in one another", 1},
		{"templates", "b = " + rep(`"${`, 50_000), "deep in one another", 1},
		{"directives", "b = \"" + rep("%{if true}", 20_000) + "\"", "deep in one another", 1},
		{"directives in a heredoc", "b = <<X\n" + rep("%{for a in []}\n", 20_000) + "X\n", "deep in one another", 99},
		{"calls", "b = " + rep("abs(", 50_000), "deep in one another", 1},
		{"for", "b = " + rep("[for x in ", 10_000), "deep in one another", 1},
		{"conditions in parens", "b = " + rep("(true?1:", 50_000), "conditions", 1},
		{"size", "# " + rep("x", 1<<20), "at most 1024 KiB", 1},
		{"signs", rep("=\n", 500_000), "words and signs", 1},
		{"exponent", "b = \"${1e999999999}\"", "exponent", 1},
		{"digits", "b = " + rep("9", 10_000), "digits", 1},
		{"lines", "b = <<X\n" + rep("\n", 300_000) + "X\n", "too many lines", 15002},
		{"long lines", "b = <<X\n" + rep(rep("x", 99)+"\n", 9000) + "X\n", "too many lines", 4636},
		{"signs in a line", "b = <<X\n" + rep("$(", 150_000) + "\nX\n", "too many lines", 2},
		{"lines with interpolations", "b = <<X\n" + rep("${1}\n", 30_000) + "X\n", "too many lines", 7502},
		{"texts in interpolations", "b = <<X\n" + rep("${\"a\"}\n", 30_000) + "X\n", "too many lines", 7502},
		{"signs in quotes", "b = \"" + rep("$$ ", 100_000) + "\"\n", "too many lines", 1},
		{"nul", "a = 1\nb = \"\x00\"", "NUL", 2},
		{"utf-8", "a = 1\n\n# \xff", "not UTF-8", 3},
		{"utf-16", "\xff\xfea\x00", "not UTF-8", 1},

		// while evaluating
		{"setproduct", "b = setproduct(range(1000), range(1000), range(1000))", "too long", 1},
		{"range", "b = range(1000000000)", "at most 1000000", 1},
		{"range, small step", "b = range(0, 1, 0.00000001)", "at most 1000000", 1},
		{"for in for in for", "b = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : 1]]]", "too long", 1},
		{"for in for in for, large", "b = [for a in range(100000) : [for b in range(100000) : [for c in range(100000) : 1]]]", "too long", 1},
		{"for with if", "b = [for a in range(100000) : a if length([for b in range(100000) : b if false]) > 0]", "too long", 1},
		{"for of objects", "b = {for a in range(100000) : a => {for b in range(100000) : b => b}}", "too long", 1},
		{"for hidden in try", "b = [for a in range(100000) : try([for b in range(100000) : 1], 1)]", "too long", 1},
		{"for in a template", "b = \"%{for a in range(100000)}%{for b in range(100000)}x%{endfor}%{endfor}\"", "too long", 1},
		{"long text in a template's for", "b = \"%{for a in range(100000)}" + rep("x", 100_000) + "%{endfor}\"", "too much text", 1},
		{"splat in for", "a = [for i in range(100000) : {x = i}]\nb = [for i in range(100000) : a[*].x]", "too long", 2},
		{"tenfold text", tenfold.String(), "too much text", 8},
		{"tenfold structure", structure.String(), "too long", 7},
		{"structure for a call", "a = range(100000)\nb = jsonencode([" + rep("a,", 5000) + "])", "too long", 2},
		{"flatten", "a = range(100000)\nb = flatten([" + rep("a,", 5000) + "])", "too long", 2},
		{"concat", "a = range(100000)\nb = concat(" + rep("a,", 5000) + "[])", "too long", 2},
		{"format width", "b = format(\"%1000000000d\", 1)", "too much text", 1},
		{"format width of text", "b = format(\"%999999999s\", \"x\")", "too much text", 1},
		{"format precision", "b = format(\"%.1000000000f\", 1)", "too much text", 1},
		{"format one argument", "a = join(\"\", [for i in range(100000) : \"0123456789\"])\nb = format(\"" + rep("%[1]s", 5000) + "\", a)", "too much text", 2},
		{"format of text as number", "b = format(\"%d\", \"1e99999999\")", "too much text", 1},
		{"formatlist", "b = formatlist(\"" + rep("x", 10_000) + "%d\", range(100000))", "too much text", 1},
		{"join", "b = join(\"" + rep("x", 10_000) + "\", [for i in range(100000) : \"\"])", "too much text", 1},
		{"replace", "a = join(\"\", [for i in range(100000) : \"xxxxxxxxxx\"])\nb = replace(a, \"x\", \"" + rep("y", 1000) + "\")", "too much text", 2},
		{"replace nothing", "a = join(\"\", [for i in range(100000) : \"xxxxxxxxxx\"])\nb = replace(a, \"\", \"" + rep("y", 1000) + "\")", "too much text", 2},
		{"regexreplace", "a = join(\"\", [for i in range(100000) : \"xxxxxxxxxx\"])\nb = regexreplace(a, \".\", \"" + rep("y", 1000) + "\")", "too much text", 2},
		{"regexreplace by groups", "a = join(\"\", [for i in range(100000) : \"xxxxxxxxxx\"])\nb = regexreplace(a, \"(.*)\", \"" + rep("$1", 1000) + "\")", "too much text", 2},
		{"indent", "b = indent(1000000000, \"a\\nb\")", "too much text", 1},
		{"indent lines", "a = join(\"\\n\", range(100000))\nb = indent(10000, a)", "too much text", 2},
		{"repeat by join", "b = join(\"\", [for i in range(100000) : \"" + rep("x", 1000) + "\"])", "too much text", 1},
		{"large number", "a = 1e300\nb = a * a * a * a\nc = \"${b}\"", "number is too large", 2},
		{"large power", "b = pow(10, 1000000000)\nc = \"${b}\"", "", 0},
		{"number from text", "b = \"${tonumber(\"1e99999999\")}\"", "number is too large", 1},
		{"number by addition", "b = \"1e99999999\" + 0", "number is too large", 1},
		{"number by negation", "b = \"${-\"1e99999999\"}\"", "number is too large", 1},
		{"number from JSON", "b = jsondecode(\"1e99999999\")", "number is too large", 1},
		{"numbers as texts", "b = tolist([for i in range(50000) : i % 2 == 0 ? 1 : \"x\"])", "", 0},
		{"mixed list", "b = tolist([for i in range(50000) : i % 2 == 0 ? {a = 1} : [1]])", "", 1},
		{"csv", "a = \"${join(\",\", range(3000))}\\n\"\nb = csvdecode(\"${a}${join(\"\", [for i in range(1500) : a])}\")", "too", 2},
		{"regex", "a = join(\"\", [for i in range(100000) : \"xxxxxxxxxx\"])\nb = regexall(\"(x+x+)+y\", a)", "", 0},
		{"parseint", "a = join(\"\", [for i in range(100000) : \"9999999999\"])\nb = parseint(a, 10)", "", 2},
		{"tonumber", "a = join(\"\", [for i in range(100000) : \"9999999999\"])\nb = tonumber(a)", "", 2},
		{"distinct", "b = distinct(range(100000))", "", 0},
		{"toset", "b = toset([for i in range(100000) : \"x${i}\"])", "", 0},
		{"tolist", "b = tolist([for i in range(100000) : \"x${i}\"])", "", 0},
		{"tomap", "b = tomap({for i in range(100000) : i => i})", "", 0},
		{"merge", "b = merge([for i in range(10000) : {\"k${i}\" = i}]...)", "", 0},
		{"sort", "b = sort([for i in range(100000) : \"x${i}\"])", "", 0},
		{"zipmap", "a = [for i in range(50000) : \"x${i}\"]\nb = zipmap(a, a)", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var diags hcl.Diagnostics
			checkCheap(t, func() { diags = load(t.TempDir(), "bomb.hcl", []byte(c.src)) })
			checkRefused(t, diags, c.want, c.line)
		})
	}
}

// checkRefused checks that there is an error with a text at a line; with line 0, that there
// is none.
func checkRefused(t *testing.T, diags hcl.Diagnostics, want string, line int) {
	t.Helper()
	if line == 0 {
		if diags.HasErrors() {
			t.Errorf("refused: %.300s", diags.Error())
		}
		return
	}
	if !diags.HasErrors() {
		t.Fatal("no error")
	}
	d := diags[0]
	if !strings.Contains(d.Detail, want) || d.Subject == nil || d.Subject.Start.Line != line {
		t.Errorf("got %v: %s: %.300s\nwant %q on line %d", d.Subject, d.Summary, d.Detail, want, line)
	}
	if len(diags) > 10 {
		t.Errorf("%d diagnostics for one mistake", len(diags))
	}
}

func TestBombsJSON(t *testing.T) {
	for _, c := range []struct {
		name, src, want string
		line            int
	}{
		{"depth", "{\"a\":\n" + rep("[", 100_000), "deep in one another", 2},
		{"objects", rep(`{"a":`, 100_000), "deep in one another", 1},
		{"parens in text", "{\n\"a\": \"${" + rep("(", 50_000) + "1" + rep(")", 50_000) + "}\"}", "deep in one another", 2},
		{"escaped", "{\n\"a\": \"\\u0024\\u007b" + rep("(", 50_000) + "\"}", "deep in one another", 2},
		{"for in for", "{\n\"a\": \"${[for a in range(100000) : [for b in range(100000) : 1]]}\"}", "too long", 2},
		{"for in a list", "{\n\"a\": [{\"b\": \"${[for a in range(100000) : [for b in range(100000) : 1]]}\"}]}", "too long", 2},
		{"for in a key", "{\n\"a\": {\"${join(\"\", [for a in range(100000) : join(\"\", [for b in range(100000) : 1])])}\": 1}}", "", 2},
		{"number", `{"a": 1e999999999}`, "exponent", 1},
		{"setproduct", `{"a": "${setproduct(range(1000), range(1000), range(1000))}"}`, "too long", 1},
		{"range", `{"a": "${length(range(100000))}"}`, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var diags hcl.Diagnostics
			checkCheap(t, func() { diags = load(t.TempDir(), "bomb.hcl.json", []byte(c.src)) })
			checkRefused(t, diags, c.want, c.line)
		})
	}
}

// A template file is guarded and metered like the workflow.
func TestBombsTemplateFile(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"${" + rep("(", 10_000), "deep in one another"},
		{"%{for a in range(100000)}%{for b in range(100000)}x%{endfor}%{endfor}", "too long"},
		{rep("${x}", 1000), "too much text"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/t.tpl", []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		var diags hcl.Diagnostics
		checkCheap(t, func() {
			diags = load(dir, "x.hcl", []byte(`a = templatefile("t.tpl", { x = join("", [for i in range(100000) : "0123456789"]) })`))
		})
		checkRefused(t, diags, c.want, 1)
	}
}

// What people write is not refused.
func TestGuardAccepts(t *testing.T) {
	var steps strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&steps, "step \"s%d\" {\n  command = [\"echo\", \"${var.x}-%d\"] # [[[[ ((((\n  env = { A = 1 + 2 - 3, B = -1 }\n}\n", i, i)
	}
	for name, src := range map[string]string{
		"steps":     steps.String(),
		"script":    "step \"a\" {\n  script = <<-SH\n" + rep("    if [ $((a + -1)) -gt 3 ]; then echo \"$(x)\" | sed 's/---/!!!/'; fi # ------------------------------------------- !!!!!!!!!!!!!!!!!!!!!!!!!!!\n", 1500) + "  SH\n}\n",
		"list":      "a = [" + rep("\"x\", ", 50_000) + "]\n",
		"one line":  rep("a { b = 1 + 1 }\n", 20_000),
		"negative":  "a = [" + rep("-1, ", 9_000) + "]\n",
		"ternaries": rep("a = b ? c : d ? e : f\n", 5000),
		"bom":       "\xef\xbb\xbfa = 1\n",
		"crlf":      "a = <<X\r\nfoo\r\nX\r\n",
	} {
		if diags := guard("x.hcl", normalize([]byte(src))); diags.HasErrors() {
			t.Errorf("%s: %v", name, diags)
		}
	}
}

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb\r\n":            "a\nb\n",
		"\xef\xbb\xbfa":         "a",
		"a\rb":                  "a\rb",
		"\xef\xbb\xbf\r\na\r\n": "\na\n",
		"":                      "",
	} {
		if got := normalize([]byte(in)); !bytes.Equal(got, []byte(want)) {
			t.Errorf("normalize(%q) = %q, want %q", in, got, want)
		}
	}
	// An unchanged source is not copied: 1 MiB a file adds up.
	src := []byte("a = 1\n")
	if got := normalize(src); &got[0] != &src[0] {
		t.Error("copied a source that needs no change")
	}
}

// A budget that is spent stays spent, whatever swallows the error, until begin.
func TestBudgetSticky(t *testing.T) {
	b := newBudget(0)
	parse := func(text string) hcl.Expression {
		expr, diags := hclsyntax.ParseExpression([]byte(text), "x", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		root := &hclsyntax.ParenthesesExpr{Expression: expr, SrcRange: expr.Range()}
		b.meterNode(root)
		return root
	}
	ctx := &hcl.EvalContext{Functions: functions("", b)}
	bomb := `try([for a in range(100000) : [for b in range(100000) : 1]], "x")`
	if v, diags := b.value(parse(bomb), ctx); !diags.HasErrors() {
		t.Errorf("a swallowed bomb gives %#v", v)
	}
	if v, diags := b.value(parse(`[for a in range(3) : a]`), ctx); diags.HasErrors() || v.LengthInt() != 3 {
		t.Errorf("the next expression gives %#v, %v", v, diags)
	}
	// All of them together are bounded as well.
	var diags hcl.Diagnostics
	for range 2 * totalSteps / unitSteps * 10 {
		b.begin()
		_ = b.charge(unitSteps/10, 0)
	}
	for b.allSteps > 0 {
		b.begin()
		_ = b.charge(1, 0)
	}
	if _, diags = b.value(parse(`1`), ctx); !diags.HasErrors() {
		t.Error("the whole budget never ends")
	}
	b.reset()
	if _, diags = b.value(parse(`1`), ctx); diags.HasErrors() {
		t.Errorf("after reset: %v", diags)
	}
}

// The limit on tasks is one on lists to loop over.
func TestBudgetTasks(t *testing.T) {
	b := newBudget(10)
	ctx := &hcl.EvalContext{Functions: functions("", b)}
	for text, ok := range map[string]bool{
		"range(10)": true, "range(11)": false, "range(0, 1, 0.1)": true, "range(0, 2, 0.1)": false,
		"setproduct(range(2), range(5))": true, "setproduct(range(2), range(6))": false,
	} {
		expr, diags := hclsyntax.ParseExpression([]byte(text), "x", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if _, diags := b.value(expr, ctx); diags.HasErrors() == ok {
			t.Errorf("%s: %v", text, diags)
		}
	}
}

// Metering changes no result, and hides no reference.
func TestMeterIsTransparent(t *testing.T) {
	for _, text := range []string{
		`"a-${var.x}-${1 + 2}-%{ if var.b }yes${var.y}%{ else }no%{ endif }"`,
		`[for k, v in var.m : "${k}=${v}" if v != var.x]`,
		`{for v in var.l : v => var.x}`,
		`{for v in var.l : upper(v) => v...}`,
		`[for v in var.l : var.x]`,
		`var.o[*].name`,
		`"%{ for v in var.l ~}${v},%{ endfor }"`,
		`"${var.l}"`,
		`var.l[length(var.l) - 1]`,
		`10 / 4 * 3 - 1 + 0.5`,
	} {
		l := cty.ListVal([]cty.Value{cty.StringVal("a"), cty.StringVal("b")})
		ctx := &hcl.EvalContext{Functions: functions("", newBudget(0)), Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{
			"x": cty.StringVal("x").Mark(sensitive), "y": cty.UnknownVal(cty.String), "b": cty.True, "l": l,
			"m": cty.MapVal(map[string]cty.Value{"k": cty.StringVal("v")}),
			"o": cty.ListVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("n")})}),
		})}}
		plain, diags := hclsyntax.ParseExpression([]byte(text), "x", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		expr, _ := hclsyntax.ParseExpression([]byte(text), "x", hcl.InitialPos)
		b := newBudget(0)
		root := &hclsyntax.ParenthesesExpr{Expression: expr, SrcRange: expr.Range()}
		b.meterNode(root)
		want, wantDiags := plain.Value(ctx)
		got, gotDiags := b.value(root, ctx)
		if wantDiags.HasErrors() != gotDiags.HasErrors() || !want.RawEquals(got) {
			t.Errorf("%s\n got %#v, %v\nwant %#v, %v", text, got, gotDiags, want, wantDiags)
		}
		if g, w := fmt.Sprint(names(root.Variables())), fmt.Sprint(names(plain.Variables())); g != w {
			t.Errorf("%s refers to %s, and without metering to %s", text, g, w)
		}
	}
}

func names(list []hcl.Traversal) []string {
	var out []string
	for _, trav := range list {
		out = append(out, traversalText(trav))
	}
	return out
}

// FuzzGuard: what guard accepts, HCL parses without an end of the process.
func FuzzGuard(f *testing.F) {
	for _, s := range []string{
		"a = 1\n", "step \"a\" {\n  script = <<-X\n  ${b}\n  X\n}\n", "a = \"%{if b}c%{endif}\"", "a = [for x in y : x]", "a = ((((1))))", "\xef\xbb\xbfa=1", "a = <<X\n%{for\nX\n",
		"a = !!-1 ? 2 : 3", "}", "a = {", "\"${\"${\"", "a = b[*].c.0.1", "a = 1e9", "/*", "a = <<", "x { y { z = 1 } }",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Add([]byte(`{"a": [1, {"b": "${c}"}]}`), true)
	f.Fuzz(func(t *testing.T, src []byte, asJSON bool) {
		name := "f.hcl"
		if asJSON {
			name = "f.hcl.json"
		}
		src = normalize(src)
		if diags := guard(name, src); diags.HasErrors() {
			for _, d := range diags {
				if d.Subject == nil || d.Subject.Start.Line < 1 || d.Detail == "" {
					t.Errorf("without a place or a text: %v", d)
				}
			}
			return
		}
		diags := load(t.TempDir(), name, src)
		files := map[string]*hcl.File{name: {Bytes: src}}
		if err := WriteText(&bytes.Buffer{}, files, improve(diags, files), 80, true); err != nil {
			t.Error(err)
		}
		if _, err := JSON(files, diags); err != nil {
			t.Error(err)
		}
	})
}
