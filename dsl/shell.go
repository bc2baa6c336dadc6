package dsl

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"mvdan.cc/sh/v3/syntax"
)

// checkScript checks the expression of a `script` in a file in native syntax, src, as
// far as it is written out. Interpolations that HCL turns into a number or the like are
// errors; and if shell, the argv that the script is added to, is one of the sh family,
// the literal text is parsed as shell, with a word in place of each interpolation. Errors
// point to their exact place in src. Scripts made by functions are not looked at.
func checkScript(expr hclsyntax.Expression, src []byte, shell []string) hcl.Diagnostics {
	expr = bare(expr)
	if cond, ok := expr.(*hclsyntax.ConditionalExpr); ok {
		return append(checkScript(cond.TrueResult, src, shell), checkScript(cond.FalseResult, src, shell)...)
	}
	switch expr.(type) {
	case *hclsyntax.TemplateExpr, *hclsyntax.TemplateWrapExpr:
	default:
		return nil
	}
	if diags := checkBareLiterals(expr, src); diags != nil {
		return diags
	}
	lang, ok := shellLanguage(shell)
	if !ok {
		return nil
	}
	// Of a %{ if } each branch is taken once, with each %{ for } once and then never.
	for _, other := range []bool{false, true} {
		t := scriptText{src: src, otherBranch: other}
		t.add(expr)
		if other && !t.branches {
			break
		}
		if d := t.parse(lang); d != nil {
			return hcl.Diagnostics{d}
		}
	}
	return nil
}

// bare takes off what stands around an expression without a meaning of its own.
func bare(e hclsyntax.Expression) hclsyntax.Expression {
	for {
		switch x := e.(type) {
		case *metered:
			e = x.Expression
		case *hclsyntax.ParenthesesExpr:
			e = x.Expression
		default:
			return e
		}
	}
}

// A shellSyntax is a language that script text can be in.
type shellSyntax struct {
	name    string
	variant syntax.LangVariant
	posix   bool // `sh` is not the same everywhere: what bash takes is only warned about
}

// shellLanguage returns the language of a shell's -c argument.
func shellLanguage(shell []string) (shellSyntax, bool) {
	if len(shell) == 0 {
		return shellSyntax{}, false
	}
	if last := shell[len(shell)-1]; !strings.HasPrefix(last, "-") || !strings.Contains(last, "c") {
		return shellSyntax{}, false
	}
	name := path.Base(shell[0])
	if name == "env" && len(shell) > 1 {
		name = path.Base(shell[1])
	}
	switch name {
	case "bash":
		return shellSyntax{name, syntax.LangBash, false}, true
	case "sh", "dash", "ash":
		return shellSyntax{name, syntax.LangPOSIX, true}, true
	case "mksh", "ksh":
		return shellSyntax{name, syntax.LangMirBSDKorn, false}, true
	}
	return shellSyntax{}, false
}

// checkBareLiterals finds ${1} and its like, which HCL turns into 1 without a word.
func checkBareLiterals(expr hclsyntax.Expression, src []byte) hcl.Diagnostics {
	var parts []hclsyntax.Expression
	switch e := expr.(type) {
	case *hclsyntax.TemplateExpr:
		parts = e.Parts
	case *hclsyntax.TemplateWrapExpr:
		parts = []hclsyntax.Expression{e.Wrapped}
	}
	var diags hcl.Diagnostics
	for _, part := range parts {
		lit, ok := bare(part).(*hclsyntax.LiteralValueExpr)
		if !ok || lit.Val.Type() == cty.String {
			continue
		}
		text := string(lit.SrcRange.SliceBytes(src))
		write := fmt.Sprintf("$%s or $${%s}", text, text)
		if lit.Val.Type() != cty.Number || len(text) != 1 {
			write = fmt.Sprintf("$${%s}", text)
		}
		rng := interpolation(src, lit.SrcRange)
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Shell parameter taken for a value", Subject: &rng,
			Detail: fmt.Sprintf("HCL turns ${%s} into %s before the shell sees it. To pass this to the shell, write %s.", text, text, write),
			Extra:  aboutShell{},
		})
	}
	return diags
}

// interpolation widens the range of what stands in ${ } by these.
func interpolation(src []byte, rng hcl.Range) hcl.Range {
	from := strings.LastIndex(string(src[:min(rng.Start.Byte, len(src))]), "${")
	to := strings.IndexByte(string(src[min(rng.End.Byte, len(src)):]), '}')
	if from < 0 || to < 0 {
		return rng
	}
	return rangeAt(rng.Filename, src, from, rng.End.Byte+to+1)
}

// aboutShell is the Extra of a diagnostic that is about the shell already, and so needs
// no hint how to pass something to it.
type aboutShell struct{}

// placeholder stands for an interpolation in the text that is parsed. It is a word, a
// name and an operand of arithmetic.
const placeholder = "flow_interpolation"

// A scriptText is the text of a script with a word for each interpolation, and
// where its parts come from.
type scriptText struct {
	src         []byte
	otherBranch bool

	text     strings.Builder
	pieces   []scriptPiece
	branches bool // has a %{ if } or %{ for }
	alone    bool // an interpolation is all of a line, and may be any code
	unsure   bool // an interpolation decides where a here-document ends
}

type scriptPiece struct {
	at     int // in the text
	length int
	value  string // of a literal
	rng    hcl.Range
	quoted bool // has backslash escapes
	fixed  bool // is a literal
}

func (t *scriptText) add(e hclsyntax.Expression) {
	switch e := bare(e).(type) {
	case *hclsyntax.TemplateExpr:
		quoted := e.SrcRange.CanSliceBytes(t.src) && strings.HasPrefix(string(e.SrcRange.SliceBytes(t.src)), `"`)
		for _, part := range e.Parts {
			if lit, ok := part.(*hclsyntax.LiteralValueExpr); ok && lit.Val.Type() == cty.String {
				t.literal(lit, quoted)
				continue
			}
			t.add(part)
		}
	case *hclsyntax.TemplateWrapExpr:
		t.add(e.Wrapped)
	case *hclsyntax.ConditionalExpr:
		t.branches = true
		if t.otherBranch {
			t.add(e.FalseResult)
		} else {
			t.add(e.TrueResult)
		}
	case *hclsyntax.TemplateJoinExpr:
		t.branches = true
		if loop, ok := bare(e.Tuple).(*hclsyntax.ForExpr); ok && !t.otherBranch {
			t.add(loop.ValExpr)
		}
	default:
		t.interpolation(e.Range())
	}
}

func (t *scriptText) literal(lit *hclsyntax.LiteralValueExpr, quoted bool) {
	value := lit.Val.AsString()
	t.pieces = append(t.pieces, scriptPiece{at: t.text.Len(), length: len(value), value: value, rng: lit.SrcRange, quoted: quoted, fixed: true})
	t.text.WriteString(value)
}

func (t *scriptText) interpolation(rng hcl.Range) {
	before := t.text.String()
	line := before[strings.LastIndexByte(before, '\n')+1:]
	if strings.TrimSpace(line) == "" && rng.CanSliceBytes(t.src) {
		rest, _, _ := strings.Cut(string(t.src[rng.End.Byte:]), "\n")
		t.alone = t.alone || strings.TrimSpace(strings.TrimLeft(rest, " ~}")) == ""
	}
	if s := strings.TrimRight(line, "-'\"\\ "); strings.HasSuffix(s, "<<") {
		t.unsure = true
	}
	t.pieces = append(t.pieces, scriptPiece{at: len(before), length: len(placeholder), rng: rng})
	t.text.WriteString(placeholder)
}

// What makes the shell's parser recurse. Its stack must not overflow, so a script with
// more than this is not parsed.
const (
	maxShellOpeners   = 5_000
	maxShellOperators = 20_000
)

var shellKeywords = regexp.MustCompile(`\b(if|elif|else|then|while|until|for|do|case|select|function|time|coproc)\b`)

func tooDeep(text string) bool {
	openers, operators := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '(', '{', '[', '`':
			openers++
		case '!', '-', '+', '~', '*', '/', '%', '=', '<', '>', '&', '|', '^', '?', ':', ',', ';':
			operators++
		}
	}
	return openers > maxShellOpeners || operators > maxShellOperators || len(shellKeywords.FindAllStringIndex(text, maxShellOpeners+1)) > maxShellOpeners
}

// parse returns the syntax error of the text, or nil.
func (t *scriptText) parse(lang shellSyntax) *hcl.Diagnostic {
	text := t.text.String()
	if t.unsure || tooDeep(text) {
		return nil
	}
	pos, why, ok := shellError(text, lang.variant)
	if ok {
		return nil
	}
	severity := hcl.DiagError
	if t.alone { // the interpolation may be half of what is missing
		severity = hcl.DiagWarning
	}
	if lang.posix {
		if _, _, ok := shellError(text, syntax.LangBash); ok {
			severity = hcl.DiagWarning
			why += fmt.Sprintf(" Not every %s knows this; with shell = [\"bash\", \"-euo\", \"pipefail\", \"-c\"] it is right.", lang.name)
		}
	}
	rng := t.place(pos)
	return &hcl.Diagnostic{
		Severity: severity, Summary: "Shell syntax error", Subject: &rng, Extra: aboutShell{},
		Detail: fmt.Sprintf("The script is not valid %s: %s", lang.name, shellWords.Replace(why)),
	}
}

// shellWords makes the parser's words those of the script.
var shellWords = strings.NewReplacer(placeholder, "${...}", "`foo(`", "a name and `(`", "`foo()`", "a name and `()`")

// shellError parses text and returns the offset of its first error and what it is.
func shellError(text string, variant syntax.LangVariant) (offset int, why string, ok bool) {
	_, err := syntax.NewParser(syntax.Variant(variant)).Parse(strings.NewReader(text), "")
	var perr syntax.ParseError
	var lerr syntax.LangError
	switch {
	case err == nil:
		return 0, "", true
	case errors.As(err, &perr):
		return int(perr.Pos.Offset()), endSentence(perr.Text), false
	case errors.As(err, &lerr):
		verb := "is"
		if strings.HasSuffix(lerr.Feature, "s") {
			verb = "are"
		}
		return int(lerr.Pos.Offset()), fmt.Sprintf("%s %s no part of it.", lerr.Feature, verb), false
	}
	return 0, endSentence(err.Error()), false
}

func endSentence(s string) string { return strings.TrimRight(s, ".") + "." }

// place maps an offset of the text to its range in the file: a word, or the interpolation.
func (t *scriptText) place(offset int) hcl.Range {
	var p scriptPiece
	for _, piece := range t.pieces {
		if piece.at <= offset && (piece.length > 0 || p.rng.Empty()) {
			p = piece
		}
	}
	if !p.fixed || !p.rng.CanSliceBytes(t.src) {
		return p.rng
	}
	raw := p.rng.SliceBytes(t.src)
	from := p.rng.Start.Byte + alignText(p.value, string(raw), p.quoted, offset-p.at)
	to := from
	for to < p.rng.End.Byte && !unicode.IsSpace(rune(t.src[to])) {
		to++
	}
	if to == from {
		to = min(from+1, len(t.src))
	}
	return rangeAt(p.rng.Filename, t.src, from, to)
}

// alignText returns the offset in raw, HCL source, of what became offset at of value. In
// between lie indentation that was stripped, escapes, and Unicode normal form.
func alignText(value, raw string, quoted bool, at int) int {
	i, j := 0, 0
	for i < at && j < len(raw) {
		c, n := utf8.DecodeRuneInString(value[i:])
		switch {
		case quoted && raw[j] == '\\':
			j += escapeLen(raw[j:])
			i += n
		case strings.HasPrefix(raw[j:], "$${") || strings.HasPrefix(raw[j:], "%%{"):
			j++ // the doubled sign
			i, j = i+2, j+2
		case strings.HasPrefix(raw[j:], string(c)):
			i, j = i+n, j+n
		case isSpace(raw[j]):
			j++
		default:
			_, m := utf8.DecodeRuneInString(raw[j:])
			i, j = i+n, j+m
		}
	}
	// What was stripped stands before the character that is looked for.
	for i < len(value) && j < len(raw) && isSpace(raw[j]) && raw[j] != value[i] {
		j++
	}
	return min(j, len(raw))
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// escapeLen returns how long the backslash escape at the beginning of raw is.
func escapeLen(raw string) int {
	if len(raw) < 2 {
		return len(raw)
	}
	switch raw[1] {
	case 'u':
		return min(6, len(raw))
	case 'U':
		return min(10, len(raw))
	}
	return 2
}
