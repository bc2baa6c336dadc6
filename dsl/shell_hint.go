package dsl

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// hintShell tells, for each diagnostic inside a script, how to pass what stands there
// to the shell. For syntax errors there is no tree to look at, so scripts are found in
// the text. What is plainly meant for the shell, such as ${f%.bam}, is one error for
// one place, however many HCL makes of it.
func hintShell(diags hcl.Diagnostics, files map[string]*hcl.File) hcl.Diagnostics {
	scripts := map[string][]script{}
	told := map[string]bool{}
	out := diags[:0:0]
	for _, d := range diags {
		if _, ours := d.Extra.(aboutShell); ours || d.Subject == nil || d.Severity != hcl.DiagError {
			out = append(out, d)
			continue
		}
		name := d.Subject.Filename
		file := files[name]
		if file == nil || path.Ext(name) == ".json" {
			out = append(out, d)
			continue
		}
		if _, ok := scripts[name]; !ok {
			scripts[name] = findScripts(file.Bytes)
		}
		d, key := hintOne(d, file.Bytes, scripts[name])
		if key != "" && told[key] {
			continue
		}
		told[key] = key != ""
		out = append(out, d)
	}
	return out
}

// A script is where the value of a script argument stands: from its quote or << to
// behind its end.
type script struct{ from, to int }

var (
	scriptHeredoc = regexp.MustCompile(`(?m)^[ \t]*script[ \t]*=[ \t]*(<<-?[ \t]*([\pL_][\pL\pN_-]*)[ \t]*\n)`)
	scriptQuoted  = regexp.MustCompile(`(?m)(?:^|[{;])[ \t]*script[ \t]*=[ \t]*("[^\n]*)`)
)

func findScripts(src []byte) []script {
	var list []script
	for _, m := range scriptHeredoc.FindAllSubmatchIndex(src, -1) {
		end := len(src)
		tag := regexp.MustCompile(`(?m)^[ \t]*` + regexp.QuoteMeta(string(src[m[4]:m[5]])) + `[ \t]*$`)
		if at := tag.FindIndex(src[m[3]:]); at != nil {
			end = m[3] + at[1]
		}
		list = append(list, script{m[2], end})
	}
	for _, m := range scriptQuoted.FindAllSubmatchIndex(src, -1) {
		s := script{m[2], m[3]}
		if from, to, ok := findSequence(src, s, len(src)); ok && beginsComment(string(src[from:to])) {
			s.to = len(src) // the comment takes in the closing quote, so that nothing after it is as it seems
		}
		list = append(list, s)
	}
	return list
}

// shellParameter is what ${ } has in it when it is meant for the shell and not for HCL.
var shellParameter = regexp.MustCompile(`^(?:[#!]?[A-Za-z_][A-Za-z0-9_]*(?:\[[^\]]*\])?(?:[:#%/^,@?=+-].*)?|[0-9@*#?$!-].*)$`)

// plainName is what may as well stand without braces.
var plainName = regexp.MustCompile(`^(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])$`)

// hintOne returns d with a hint if it lies in a script. key names the place if d was made
// the one error of it.
func hintOne(d *hcl.Diagnostic, src []byte, scripts []script) (*hcl.Diagnostic, string) {
	for _, s := range scripts {
		at := d.Subject.Start.Byte
		if at < s.from || at > s.to {
			continue
		}
		from, to, ok := findSequence(src, s, at)
		if !ok || strings.Contains(d.Detail, "To pass this to the shell") {
			return d, ""
		}
		text := string(src[from:to])
		content := strings.TrimSuffix(text[2:], "}")
		hint := fmt.Sprintf("To pass this to the shell, write $%s.", text)
		if text[0] == '%' {
			hint = fmt.Sprintf("To pass this to the shell, write %%%s.", text)
		} else if plainName.MatchString(content) {
			hint = fmt.Sprintf("To pass this to the shell, write $%s or $%s.", text, content)
		}
		c := *d
		if shellParameter.MatchString(content) || text[0] == '%' && !templateKeyword.MatchString(content) {
			rng := rangeAt(d.Subject.Filename, src, from, to)
			c.Summary = "Invalid expression in a script"
			if d.Summary == "Unknown variable" {
				c.Summary = d.Summary
			}
			c.Subject, c.Context = &rng, nil
			c.Detail = fmt.Sprintf("HCL reads %s as an expression of its own, and as that it means nothing.\n%s", text, hint)
			return &c, fmt.Sprintf("%s:%d", rng.Filename, from)
		}
		if flowName.MatchString(content) {
			return d, "" // no shell has such a name
		}
		c.Detail = strings.TrimRight(firstParagraph(d.Detail), " ") + "\n" + hint
		return &c, ""
	}
	return d, ""
}

var (
	templateKeyword = regexp.MustCompile(`^~?\s*(if|for|else|endif|endfor)\b`)
	flowName        = regexp.MustCompile(`\b(var|local|step|each|run|path|module|compute_environment|job_queue|job_definition|scheduling_policy|consumable_resource)\.`)
)

func firstParagraph(s string) string {
	s, _, _ = strings.Cut(s, "\n\n")
	return s
}

// beginsComment reports whether HCL sees a comment in a ${ }.
func beginsComment(s string) bool {
	return (strings.Contains(s, "#") || strings.Contains(s, "//")) && !strings.Contains(s, `"`)
}

// findSequence returns where the ${ } or %{ } stands in a script that an error at
// byte at is about: the last one before it; but a # or // in one begins a comment of
// HCL's, so that its error is told at a later line, which is then the first such.
func findSequence(src []byte, s script, at int) (from, to int, ok bool) {
	bestFrom, bestTo := -1, 0
	for i := s.from; i+1 < s.to && i <= at; i++ {
		if c := src[i]; c != '$' && c != '%' || src[i+1] == c {
			if c := src[i]; (c == '$' || c == '%') && src[i+1] == c {
				i++ // an escape
			}
			continue
		}
		if src[i+1] != '{' {
			continue
		}
		end := i + 2
		for end < s.to && src[end] != '}' && src[end] != '\n' {
			end++
		}
		if end < s.to && src[end] == '}' {
			end++
		}
		text := string(src[i:end])
		if beginsComment(text) && at >= end {
			return i, end, true
		}
		bestFrom, bestTo = i, end
	}
	return bestFrom, bestTo, bestFrom >= 0
}
