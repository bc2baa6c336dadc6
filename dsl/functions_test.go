package dsl

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// evalText evaluates an expression as a file's would be: guarded, metered, with all functions.
func evalText(t testing.TB, dir, text string, vars map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	t.Helper()
	b := newBudget(0)
	src := "value = " + text + "\n"
	if diags := guard("test.hcl", []byte(src)); diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	file, diags := hclsyntax.ParseConfig([]byte(src), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	b.meter(file)
	attrs, diags := file.Body.JustAttributes()
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return b.value(attrs["value"].Expr, &hcl.EvalContext{Variables: vars, Functions: functions(dir, b)})
}

func jsonOfValue(t testing.TB, v cty.Value) string {
	t.Helper()
	if !v.IsWhollyKnown() {
		return "unknown"
	}
	out, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		t.Fatalf("%#v: %v", v, err)
	}
	return string(out)
}

// workflowDir makes a directory with some files, and a secret beside it.
func workflowDir(t testing.TB) string {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "flow")
	for name, text := range map[string]string{
		"flow/a.txt":           "hello\n",
		"flow/data/2.fq":       "",
		"flow/data/1.fq":       "",
		"flow/data/sub/3.fq":   "",
		"flow/data/x.csv":      "id,n\na,1\nb,2\n",
		"flow/.flow/work/9.fq": "",
		"flow/latin":           "\xff\xfe",
		"flow/t.tpl":           "%{ for n in names ~}\n<${upper(n)}>\n%{ endfor ~}\n",
		"flow/bad.tpl":         "one\ntwo ${naame}\n",
		"secret.txt":           "canary",
		"outside/4.fq":         "",
	} {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"link.txt": "../secret.txt", "inside.txt": "a.txt", "linkdir": "../outside", "dangling": "nowhere",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFunctions(t *testing.T) {
	dir := workflowDir(t)
	for _, c := range []struct{ expr, want string }{
		{`abs(-3)`, `3`},
		{`alltrue([true, true])`, `true`},
		{`alltrue([true, false])`, `false`},
		{`alltrue([])`, `true`},
		{`anytrue([false, true])`, `true`},
		{`anytrue([])`, `false`},
		{`base64decode(base64encode("hé"))`, `"hé"`},
		{`basename("s3://b/k/x.bam")`, `"x.bam"`},
		{`basename("data/")`, `"data"`},
		{`can(1 + "x")`, `false`},
		{`ceil(1.2)`, `2`},
		{`chomp("a\n")`, `"a"`},
		{`chunklist([1, 2, 3], 2)`, `[[1,2],[3]]`},
		{`coalesce(null, "", "x")`, `"x"`},
		{`coalescelist([], [1])`, `[1]`},
		{`compact(["a", "", "b"])`, `["a","b"]`},
		{`concat([1], [2, 3])`, `[1,2,3]`},
		{`contains(["a", "b"], "b")`, `true`},
		{`csvdecode("id,n\na,1\n")`, `[{"id":"a","n":"1"}]`},
		{`csvdecode("id,n\r\na,\"x\ny\"\r\n")[0].n`, `"x\ny"`},
		{`dirname("a/b/c")`, `"a/b"`},
		{`dirname("s3://b/k/x.bam")`, `"s3://b/k"`},
		{`dirname("s3://b")`, `"s3://b"`},
		{`distinct(["b", "a", "b"])`, `["b","a"]`},
		{`element([1, 2, 3], 4)`, `2`},
		{`endswith("x.fq", ".fq")`, `true`},
		{`file("a.txt")`, `"hello\n"`},
		{`file("inside.txt")`, `"hello\n"`},
		{`filebase64("latin")`, `"//4="`},
		{`fileexists("a.txt")`, `true`},
		{`fileexists("none/x")`, `false`},
		{`fileexists("data")`, `false`},
		{`fileset("data/*.fq")`, `["data/1.fq","data/2.fq"]`},
		{`fileset("data", "**/*.fq")`, `["1.fq","2.fq","sub/3.fq"]`},
		{`fileset("**/*.fq")`, `["data/1.fq","data/2.fq","data/sub/3.fq"]`},
		{`fileset("{a,in}*.{txt,tpl}")`, `["a.txt","inside.txt"]`},
		{`fileset("*.tpl")`, `["bad.tpl","t.tpl"]`},
		{`fileset(".flow/**/*.fq")`, `[".flow/work/9.fq"]`},
		{`fileset("none/*")`, `[]`},
		{`flatten([[1], [2, [3]]])`, `[1,2,3]`},
		{`floor(1.8)`, `1`},
		{`format("%03d-%s", 7, "x")`, `"007-x"`},
		{`formatdate("YYYY-MM-DD", "2026-11-22T10:00:00Z")`, `"2026-11-22"`},
		{`formatlist("%s.fq", ["a", "b"])`, `["a.fq","b.fq"]`},
		{`indent(2, "a\nb")`, `"a\n  b"`},
		{`join("-", ["a", "b"])`, `"a-b"`},
		{`jsondecode("{\"a\":[1,null]}")`, `{"a":[1,null]}`},
		{`jsonencode({a = [1, "x"]})`, `"{\"a\":[1,\"x\"]}"`},
		{`keys({b = 1, a = 2})`, `["a","b"]`},
		{`length("héllo")`, `5`},
		{`length({a = 1})`, `1`},
		{`length(range(3))`, `3`},
		{`length([])`, `0`},
		{`log(8, 2)`, `3`},
		{`lookup({a = 1}, "b", 2)`, `2`},
		{`lower("A")`, `"a"`},
		{`max(1, 3, 2)`, `3`},
		{`md5("a")`, `"0cc175b9c0f1b6a831c399e269772661"`},
		{`merge({a = 1}, {a = 2, b = 3})`, `{"a":2,"b":3}`},
		{`min(1, 3)`, `1`},
		{`one([7])`, `7`},
		{`one([])`, `null`},
		{`parseint("ff", 16)`, `255`},
		{`pow(2, 10)`, `1024`},
		{`range(3)`, `[0,1,2]`},
		{`range(1, 4)`, `[1,2,3]`},
		{`range(4, 1)`, `[4,3,2]`},
		{`range(0, 1, 0.25)`, `[0,0.25,0.5,0.75]`},
		{`range(10, 0, -5)`, `[10,5]`},
		{`range(2, 2)`, `[]`},
		{`length(range(100000))`, `100000`},
		{`regex("([a-z]+)([0-9]+)", "chr12")`, `["chr","12"]`},
		{`regexall("[0-9]", "a1b2")`, `["1","2"]`},
		{`regexreplace("chr1 chr2", "chr([0-9])", "c$1")`, `"c1 c2"`},
		{`replace("a.b.c", ".", "-")`, `"a-b-c"`},
		{`reverse([1, 2])`, `[2,1]`},
		{`setintersection(["a", "b"], ["b"])`, `["b"]`},
		{`setproduct(["a", "b"], [1])`, `[["a",1],["b",1]]`},
		{`setsubtract(["a", "b"], ["b"])`, `["a"]`},
		{`setunion(["a"], ["b"])`, `["a","b"]`},
		{`sha1("a")`, `"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"`},
		{`sha256("")`, `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`},
		{`substr(sha512(""), 0, 8)`, `"cf83e135"`},
		{`shellquote("a b'c")`, `"'a b'\\''c'"`},
		{`shellquote("plain-1.fq")`, `"plain-1.fq"`},
		{`shellquote("")`, `"''"`},
		{`shellquote(["a", "$(x)", 3])`, `"a '$(x)' 3"`},
		{`signum(-2)`, `-1`},
		{`slice([1, 2, 3], 1, 3)`, `[2,3]`},
		{`sort(["b", "a"])`, `["a","b"]`},
		{`split(",", "a,b")`, `["a","b"]`},
		{`startswith("chr1", "chr")`, `true`},
		{`strcontains("abc", "bc")`, `true`},
		{`strlen("ab")`, `2`},
		{`strrev("ab")`, `"ba"`},
		{`substr("hello", 1, 2)`, `"el"`},
		{`sum([1, 2.5])`, `3.5`},
		{`sum([])`, `0`},
		{`templatefile("t.tpl", {names = ["a", "b"]})`, `"\u003cA\u003e\n\u003cB\u003e\n"`},
		{`timeadd("2026-11-22T10:00:00Z", "1h")`, `"2026-11-22T11:00:00Z"`},
		{`title("a b")`, `"A B"`},
		{`tobool("true")`, `true`},
		{`tolist(["a", "b"])`, `["a","b"]`},
		{`tolist(["a", 1])`, `["a","1"]`},
		{`tolist(["a", null])`, `["a",null]`},
		{`tolist([])`, `[]`},
		{`tomap({a = 1, b = 2})`, `{"a":1,"b":2}`},
		{`tomap({a = 1, b = "x"})`, `{"a":"1","b":"x"}`},
		{`tonumber("12")`, `12`},
		{`toset(["b", "a", "b"])`, `["a","b"]`},
		{`toset([for i in range(3) : "x"])`, `["x"]`},
		{`tostring(12)`, `"12"`},
		{`trim("xax", "x")`, `"a"`},
		{`trimprefix("chr1", "chr")`, `"1"`},
		{`trimspace(" a ")`, `"a"`},
		{`trimsuffix("a.fq", ".fq")`, `"a"`},
		{`try(tonumber("x"), 7)`, `7`},
		{`upper("a")`, `"A"`},
		{`urlencode("a b/c")`, `"a+b%2Fc"`},
		{`values({a = 1, b = 2})`, `[1,2]`},
		{`zipmap(["a", "b"], [1, 2])`, `{"a":1,"b":2}`},
	} {
		v, diags := evalText(t, dir, c.expr, nil)
		if diags.HasErrors() {
			t.Errorf("%s: %v", c.expr, diags)
			continue
		}
		if got := jsonOfValue(t, v); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.expr, got, c.want)
		}
	}
}

func TestFunctionErrors(t *testing.T) {
	dir := workflowDir(t)
	for _, c := range []struct{ expr, want string }{
		{`uuid()`, `use run.id`},
		{`timestamp()`, `use run.time`},
		{`range()`, `one to three numbers`},
		{`range(0, 5, -1)`, `never reaches 5`},
		{`range(1000001)`, `at most 1000000 elements`},
		{`range(1/0)`, `must be finite`},
		{`sum([1, null])`, `null in it`},
		{`one([1, 2])`, `has 2`},
		{`length(3)`, `a number has no length`},
		{`shellquote({a = 1})`, `must be a string or a list`},
		{`shellquote("a\u0000")`, `NUL`},
		{`csvdecode("")`, `first line must name the columns`},
		{`csvdecode("a,a\n")`, `two columns`},
		{`csvdecode("a,b\n1\n")`, `line 2`},
		{`file("none.txt")`, `there is no file "none.txt"`},
		{`file("../secret.txt")`, `leads out of the workflow's directory`},
		{`file("data/../../secret.txt")`, `leads out`},
		{`file("/etc/passwd")`, `absolute path`},
		{`file("link.txt")`, `leads out`},
		{`file("linkdir/4.fq")`, `leads out`},
		{`file("data")`, `is a directory`},
		{`file("latin")`, `filebase64`},
		{`file("")`, `empty`},
		{`file("a\u0000b")`, `NUL`},
		{`filebase64("link.txt")`, `leads out`},
		{`fileexists("link.txt")`, `leads out`},
		{`fileexists("../secret.txt")`, `leads out`},
		{`fileset("../*")`, `leads out`},
		{`fileset("..", "*")`, `leads out`},
		{`fileset("data", "../../*")`, `leads out`},
		{`fileset("/etc/*")`, `absolute`},
		{`fileset("linkdir/*")`, `leads out`},
		{`fileset("linkdir", "*")`, `leads out`},
		{`fileset("li*.txt")`, `leads out`},
		{`fileset("[a")`, `is no pattern`},
		{`fileset()`, `takes a pattern`},
		{`templatefile("link.txt", {})`, `leads out`},
		{`templatefile("bad.tpl", {name = 1})`, `in template "bad.tpl", line 2: unknown variable: There is no variable named "naame". Did you mean "name"?`},
		{`templatefile("t.tpl", [])`, `must be an object`},
	} {
		_, diags := evalText(t, dir, c.expr, nil)
		if !diags.HasErrors() || !strings.Contains(diags.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.expr, diags, c.want)
		}
		if strings.Contains(diags.Error(), "canary") {
			t.Errorf("%s shows a file outside: %v", c.expr, diags)
		}
	}
}

// A pipe in the workflow's directory has no writer: reading it must not wait.
func TestFileNotRegular(t *testing.T) {
	dir := t.TempDir()
	if err := mkfifo(filepath.Join(dir, "pipe")); err != nil {
		t.Fatal(err)
	}
	_, diags := evalText(t, dir, `file("pipe")`, nil)
	if !strings.Contains(diags.Error(), "no regular file") {
		t.Errorf("got %v", diags)
	}
}

// Unknown and sensitive values go through every wrapped function.
func TestFunctionsUnknownAndSensitive(t *testing.T) {
	dir := workflowDir(t)
	vars := map[string]cty.Value{
		"u":      cty.UnknownVal(cty.String),
		"us":     cty.UnknownVal(cty.List(cty.String)),
		"any":    cty.DynamicVal,
		"secret": cty.StringVal("canary").Mark(sensitive),
		"part":   cty.ListVal([]cty.Value{cty.StringVal("canary").Mark(sensitive), cty.StringVal("x")}),
	}
	for _, c := range []struct {
		expr string
		ty   cty.Type
	}{
		{`upper(u)`, cty.String},
		{`length(us)`, cty.Number},
		{`join(",", us)`, cty.String},
		{`format("%s", u)`, cty.String},
		{`toset(us)`, cty.Set(cty.String)},
		{`tolist(toset(us))`, cty.List(cty.String)},
		{`tomap({a = u})`, cty.Map(cty.String)},
		{`tolist([u, "x"])`, cty.List(cty.String)},
		{`concat(us, ["x"])`, cty.DynamicPseudoType},
		{`upper(any)`, cty.String},
		{`file(u)`, cty.String},
		{`fileset(u)`, cty.List(cty.String)},
		{`templatefile("t.tpl", any)`, cty.String},
		{`distinct(us)`, cty.List(cty.String)},
		{`try(upper(u), "x")`, cty.DynamicPseudoType},
	} {
		v, diags := evalText(t, dir, c.expr, vars)
		if diags.HasErrors() || v.IsWhollyKnown() || c.ty != cty.DynamicPseudoType && !v.Type().Equals(c.ty) {
			t.Errorf("%s = %#v, %v; want an unknown %s", c.expr, v, diags, c.ty.FriendlyName())
		}
	}
	for _, expr := range []string{
		`upper(secret)`, `"${secret}-x"`, `join(",", part)`, `tolist(part)`, `[for p in part : p]`, `format("%s", secret)`,
		`templatefile("t.tpl", {names = part})`, `jsonencode(part)`, `shellquote(secret)`, `tomap({a = secret})`, `toset(part)`, `sha256(secret)`,
	} {
		v, diags := evalText(t, dir, expr, vars)
		if diags.HasErrors() || !v.ContainsMarked() {
			t.Errorf("%s = %#v, %v; want a sensitive value", expr, v, diags)
		}
	}
}

func TestWithoutFiles(t *testing.T) {
	b := newBudget(0)
	table := withoutFiles(functions("/nowhere", b))
	for _, text := range []string{`file("x")`, `fileset("*")`, `templatefile("x", {})`, `fileexists("../x")`, `filebase64("x")`} {
		expr, diags := hclsyntax.ParseExpression([]byte(text), "x", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		v, diags := b.value(expr, &hcl.EvalContext{Functions: table})
		if diags.HasErrors() || v.IsKnown() || v.Type() == cty.DynamicPseudoType {
			t.Errorf("%s = %#v, %v", text, v, diags)
		}
	}
}

// Every function is in the documentation, with an example, and every example is true.
func TestFunctionDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "functions.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9]+)` \\| [^|]+ \\| `(.+?)` \\| (.*) \\|$").FindAllStringSubmatch(string(text), -1)
	var documented []string
	dir := workflowDir(t)
	for _, row := range rows {
		name, example, want := row[1], row[2], strings.Trim(row[3], "`")
		documented = append(documented, name)
		if want == "" { // depends on files
			continue
		}
		got, diags := evalText(t, dir, strings.ReplaceAll(example, `\|`, `|`), nil)
		expected, more := evalText(t, dir, strings.ReplaceAll(want, `\|`, `|`), nil)
		if diags.HasErrors() || more.HasErrors() {
			t.Errorf("%s: %v %v", example, diags, more)
			continue
		}
		if g, w := jsonOfValue(t, got), jsonOfValue(t, expected); g != w {
			t.Errorf("%s is %s, and docs/functions.md says %s", example, g, w)
		}
	}
	var names []string
	for name := range functions(dir, newBudget(0)) {
		if name != "uuid" && name != "timestamp" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	slices.Sort(documented)
	if diff := cmp.Diff(names, documented); diff != "" {
		t.Errorf("functions there are (-) and documented (+):\n%s", diff)
	}
}

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o600) }
