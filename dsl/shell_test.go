package dsl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

var bash = []string{"bash", "-euo", "pipefail", "-c"}

// scriptOf parses a file with one attribute, script.
func scriptOf(t testing.TB, src string, meter bool) hclsyntax.Expression {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(src), "x.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", src, diags)
	}
	if meter {
		newBudget(0).meter(file)
	}
	return file.Body.(*hclsyntax.Body).Attributes["script"].Expr
}

func TestCheckScript(t *testing.T) {
	for _, c := range []struct {
		name, src string
		shell     []string
		want      []string // "line:column-column severity text"
	}{
		{"right", "script = <<-SH\n  for f in *.fq; do echo \"$f\" | wc -c; done\n  echo ${var.x} $((${var.n} + 1)) $${f%.fq} %%{http_code}\n  SH\n", bash, nil},
		{"all that bash knows", "script = <<-SH\n  a=(1 2); [[ $a == x* ]] && diff <(sort a) <(sort b) <<< \"$${a[@]}\"\n  cat <<EOF\n  ${var.x}\n  EOF\n  SH\n", bash, nil},
		{"quoted", `script = "if true; then\n\techo \"${var.x}\"\nfi"` + "\n", bash, nil},
		{"if without fi", "a = 1\nscript = <<-SH\n    echo a\n    if true; then\n      echo b\n  SH\n", bash, []string{"4:5-7 error `if` statement must end with `fi`"}},
		{"after an interpolation", "script = <<-SH\n    echo ${var.x} | | wc\n  SH\n", bash, []string{"2:19-20 error"}},
		{"after an escape", "script = <<-SH\n    echo $${x} %%{y} | | wc\n  SH\n", bash, []string{"2:22-23 error"}},
		{"in a plain heredoc", "script = <<SH\n    echo )\nSH\n", bash, []string{"2:10-11 error"}},
		{"with a tab", "script = <<-SH\n\t\techo )\n\tSH\n", bash, []string{"2:8-9 error"}},
		{"quoted with escapes", `script = "a\n\t\"b\" \\ \u00e9 )"` + "\n", bash, []string{"1:32-33 error"}},
		{"after another script", "script = <<-SH\n  é ü )\n  SH\n", bash, []string{"2:7-8 error"}},
		{"unclosed quote", "script = <<-SH\n  echo 'a\n  echo b\n  SH\n", bash, []string{"2:8-10 error"}},
		{"at an interpolation", "script = <<-SH\n  )${var.x}\n  SH\n", bash, []string{"2:3-"}},
		{"one branch", "script = <<-SH\n  %{ if var.x ~}\n  echo (\n  %{ else ~}\n  echo b\n  %{ endif ~}\n  SH\n", bash, []string{"3:3-7 error The script is not valid bash: a name and `(` must be followed by `)`."}},
		{"other branch", "script = <<-SH\n  %{ if var.x ~}\n  echo a\n  %{ else ~}\n  echo )\n  %{ endif ~}\n  SH\n", bash, []string{"5:8-9 error"}},
		{"halves in branches", "script = <<-SH\n  %{ if var.x }if a; then%{ else }if b; then%{ endif }\n  echo b; fi\n  SH\n", bash, nil},
		{"loop", "script = <<-SH\n  %{ for x in var.x ~}\n  echo ${x} )\n  %{ endfor ~}\n  SH\n", bash, []string{"3:13-14 error"}},
		{"an interpolation that may be anything", "script = <<-SH\n  ${var.head}\n  fi\n  SH\n", bash, []string{"3:3-5 warning"}},
		{"a here-document with another end", "script = <<-SH\n  cat <<${var.x}\n  a ' b\n  ${var.x}\n  SH\n", bash, nil},
		{"conditional", "script = var.x ? \"echo )\" : \"echo (\"\n", bash, []string{"1:24-25 error", "1:30-34 error"}},
		{"sh", "script = <<-SH\n  a=(1 2)\n  SH\n", []string{"/bin/sh", "-c"}, []string{"2:5-7 warning", "bash"}},
		{"sh, wrong anywhere", "script = <<-SH\n  echo )\n  SH\n", []string{"/bin/sh", "-ec"}, []string{"2:8-9 error"}},
		{"env bash", "script = \"echo )\"\n", []string{"/usr/bin/env", "bash", "-c"}, []string{"1:16-17 error"}},
		{"python", "script = \"print(1\"\n", []string{"python3", "-c"}, nil},
		{"no -c", "script = \"echo )\"\n", []string{"bash"}, nil},
		{"no shell", "script = \"echo )\"\n", nil, nil},
		{"a call", "script = join(\")\", [\"echo )\"])\n", bash, nil},
		{"empty", "script = \"\"\n", bash, nil},
		{"parameter", "script = <<-SH\n  echo ${1} ${var.x} ${10} ${true}\n  SH\n", bash, []string{
			"2:8-12 error HCL turns ${1} into 1 before the shell sees it. To pass this to the shell, write $1 or $${1}.",
			"2:22-27 error HCL turns ${10} into 10 before the shell sees it. To pass this to the shell, write $${10}.",
			"2:28-35 error",
		}},
		{"parameter alone", "script = \"${1}\"\n", bash, []string{"1:11-15 error"}},
		{"parameter for python", "script = \"${1}\"\n", []string{"python3", "-c"}, []string{"1:11-15 error"}},
	} {
		for _, meter := range []bool{false, true} {
			diags := checkScript(scriptOf(t, c.src, meter), []byte(c.src), c.shell)
			var got []string
			for _, d := range diags {
				severity := "error"
				if d.Severity == hcl.DiagWarning {
					severity = "warning"
				}
				got = append(got, fmt.Sprintf("%d:%d-%d %s %s", d.Subject.Start.Line, d.Subject.Start.Column, d.Subject.End.Column, severity, d.Detail))
			}
			all := strings.Join(got, "\n")
			ok := len(c.want) == 0 == (len(got) == 0)
			for _, want := range c.want {
				head, text, _ := strings.Cut(want, " ")
				if severity, rest, found := strings.Cut(text, " "); found {
					ok = ok && strings.Contains(all, head+" "+severity) && strings.Contains(all, rest)
				} else {
					ok = ok && strings.Contains(all, want)
				}
			}
			if !ok {
				t.Errorf("%s:\n%s\n got %q\nwant %q", c.name, c.src, got, c.want)
			}
		}
	}
}

// Scripts that would overflow the stack of the shell's parser are let through unread.
func TestCheckScriptBombs(t *testing.T) {
	for _, text := range []string{"(", "{ ", "((", "$((", "if ", "$((1+", "$((-", "case a in a) ", "${a:-"} {
		src := "script = <<SH\n" + strings.ReplaceAll(rep(text, 14_000), "${", "$${") + "\nSH\n"
		expr := scriptOf(t, src, false)
		checkCheap(t, func() { checkScript(expr, []byte(src), bash) })
	}
}

// Each way to write what is meant for the shell gives one error, at the place, with the way
// out.
func TestHintShell(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"${HOME}", ""}, // names are found by the checks of references
		{"${HOME:-x}", "write $${HOME:-x}."},
		{"${x##*/}", "write $${x##*/}."},
		{"${x//a/b}", "write $${x//a/b}."},
		{"${f%.bam}", "write $${f%.bam}."},
		{"${arr[@]}", "write $${arr[@]}."},
		{"${x^^}", "write $${x^^}."},
		{"${x,,}", "write $${x,,}."},
		{"${#arr[@]}", "write $${#arr[@]}."},
		{"${#x}", "write $${#x}."},
		{"${@}", "write $${@} or $@."},
		{"${?}", "write $${?} or $?."},
		{"${!x@}", "write $${!x@}."},
		{"%{http_code}", "write %%{http_code}."},
	} {
		for _, form := range []string{
			"step \"a\" {\n  script = <<-SH\n    echo $${a} hi\n    echo @ bar\n    baz\n  SH\n}\n\nstep \"b\" {\n  command = [\"x\"]\n}\n",
			"step \"a\" {\n  x      = 1\n\n  script = \"echo @ bar\"\n}\n",
		} {
			src := []byte(strings.Replace(form, "@", c.text, 1))
			file, diags := hclsyntax.ParseConfig(src, "x.hcl", hcl.InitialPos)
			files := map[string]*hcl.File{"x.hcl": file}
			diags = improve(diags, files)
			if c.want == "" {
				if len(diags) > 0 {
					t.Errorf("%s: %v", c.text, diags)
				}
				continue
			}
			if len(diags) != 1 || diags[0].Subject.Start.Line != 4 || !strings.Contains(diags[0].Detail, c.want) ||
				string(diags[0].Subject.SliceBytes(src)) != c.text {
				t.Errorf("%s: got %d, want one at line 4 with %q", src, len(diags), c.want)
				for _, d := range diags {
					t.Errorf("    %v %s: %s", d.Subject, d.Summary, d.Detail)
				}
			}
		}
	}
}

// Other mistakes in a script keep their text, with the hint after it; those outside and
// those about flow's own names have none.
func TestHintShellOther(t *testing.T) {
	src := []byte("step \"a\" {\n  script = <<-SH\n    echo ${upper(1} x\n  SH\n}\n")
	file, diags := hclsyntax.ParseConfig(src, "x.hcl", hcl.InitialPos)
	diags = improve(diags, map[string]*hcl.File{"x.hcl": file})
	var got []string
	for _, d := range diags {
		got = append(got, fmt.Sprintf("%d %s: %v", d.Subject.Start.Line, d.Summary, strings.Contains(d.Detail, "To pass this to the shell, write $${upper(1}.")))
	}
	want := []string{"3 Missing argument separator: true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%v", diff, diags)
	}

	src = []byte("env = { A = \"${f%.x}\" }\n")
	file, diags = hclsyntax.ParseConfig(src, "x.hcl", hcl.InitialPos)
	if diags = improve(diags, map[string]*hcl.File{"x.hcl": file}); len(diags) != 1 || strings.Contains(diags[0].Detail, "shell") {
		t.Errorf("outside a script: %v", diags)
	}

	src = []byte("script = <<-SH\n  echo ${var.x.y}\n  SH\n")
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unsupported attribute", Detail: "No y.", Subject: ptr(rangeAt("x.hcl", src, 24, 30))}
	if out := hintShell(hcl.Diagnostics{d}, map[string]*hcl.File{"x.hcl": {Bytes: src}}); out[0].Detail != "No y." {
		t.Errorf("a hint for a name no shell has: %s", out[0].Detail)
	}
}

func ptr[T any](v T) *T { return &v }

func TestAlignText(t *testing.T) {
	for _, c := range []struct {
		value, raw string
		quoted     bool
		at         int
		want       string // what stands there in raw
	}{
		{"abc", "abc", false, 1, "b"},
		{"a\nb", "a\n    b", false, 2, "b"},
		{"  a\n b", "    a\n   b", false, 2, "a"},
		{"  a\n b", "    a\n   b", false, 5, "b"},
		{"${x}y", "$${x}y", false, 4, "y"},
		{"\ta\"b", `\ta\"b`, true, 3, "b"},
		{"éa", `\u00e9a`, true, 2, "a"},
		{`\n|`, `\n|`, false, 2, "|"},
		{"\u00e9|", "e\u0301|", false, 2, "\u0301"}, // normal form: as near as can be
	} {
		if got := c.raw[alignText(c.value, c.raw, c.quoted, c.at):]; !strings.HasPrefix(got, c.want) {
			t.Errorf("%q at %d of %q: %q, want %q", c.raw, c.at, c.value, got, c.want)
		}
	}
}

func FuzzCheckScript(f *testing.F) {
	for _, s := range []string{"echo a", "if a; then", "${1}", "$${x} ${y} %{ if z }a%{ else }b%{ endif }", "\\", "'", "é (", "cat <<E\nE", "%{ for a in b }${a}%{ endfor }", "\t  a\n b )", "`", "$((", "~}", "${~ a ~} )"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, heredoc bool) {
		src := "script = \"" + text + "\"\n"
		if heredoc {
			src = "script = <<-SH\n" + text + "\n  SH\n"
		}
		b := normalize([]byte(src))
		if guard("x.hcl", b).HasErrors() {
			return
		}
		file, diags := hclsyntax.ParseConfig(b, "x.hcl", hcl.InitialPos)
		improve(diags, map[string]*hcl.File{"x.hcl": file})
		attr := file.Body.(*hclsyntax.Body).Attributes["script"]
		if diags.HasErrors() || attr == nil {
			return
		}
		for _, d := range checkScript(attr.Expr, b, bash) {
			if s := d.Subject; s.Start.Byte < attr.SrcRange.Start.Byte || s.End.Byte > len(b) || s.End.Byte < s.Start.Byte {
				t.Errorf("%v lies outside the script of %q", s, b)
			}
		}
	})
}
