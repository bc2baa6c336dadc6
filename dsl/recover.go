package dsl

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxRecoveries is how many syntax errors of one file are told.
const maxRecoveries = 20

// withoutErrors parses a file with syntax errors again and again, each time without the
// argument or block that the first error is in: HCL's parser tells only the first one,
// and what it makes of the rest may be nonsense. It returns the file without what is
// broken, or nil, and the further errors: of each parse the first, since the others may
// be consequences of that, and if they are not the next parse has them again.
func withoutErrors(file *hcl.File, diags hcl.Diagnostics, name string, text []byte) (*hcl.File, hcl.Diagnostics) {
	src := bytes.Clone(text)
	var more hcl.Diagnostics
	for range maxRecoveries {
		first := firstError(diags)
		if first == nil || first.Subject == nil {
			return nil, more
		}
		at := min(first.Subject.Start.Byte, len(src))
		body, _ := file.Body.(*hclsyntax.Body)
		from, to := argumentAt(body, first.Subject.Start)
		if first.Summary == unclosedText && from != to {
			// The text that follows was read as if it stood between quotes, and what does as text.
			to = at + max(0, bytes.IndexByte(src[at:], '\n'))
		}
		retry := erase(src, from, to)
		again, againDiags := hclsyntax.ParseConfig(retry, name, hcl.InitialPos)
		if next := firstError(againDiags); from == to || next != nil && next.Subject.Start.Byte <= to {
			// That was not all of it: leave out the whole block.
			retry = erase(src, blockStart(src, at), blockEnd(src, at))
			again, againDiags = hclsyntax.ParseConfig(retry, name, hcl.InitialPos)
		}
		if !againDiags.HasErrors() {
			return again, more
		}
		if bytes.Equal(retry, src) {
			return nil, more
		}
		file, diags, src = again, againDiags, retry
		more = append(more, firstError(againDiags))
	}
	return nil, more
}

// unclosedText is HCL's summary for a text without a closing quote in its line.
const unclosedText = "Invalid multi-line string"

// firstError returns the error that stands first in the text, or nil. What follows it may
// be a consequence.
func firstError(diags hcl.Diagnostics) *hcl.Diagnostic {
	var first *hcl.Diagnostic
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		if first == nil || d.Subject != nil && first.Subject != nil && d.Subject.Start.Byte < first.Subject.Start.Byte {
			first = d
		}
	}
	return first
}

// argumentAt returns where the innermost argument around a place stands, or one that ends
// before it in the same line; or an empty range.
func argumentAt(body *hclsyntax.Body, pos hcl.Pos) (from, to int) {
	at := pos.Byte
	for body != nil {
		for _, a := range body.Attributes {
			rng := a.SrcRange
			if rng.Start.Byte <= at && (at <= rng.End.Byte || rng.End.Line == pos.Line) {
				return rng.Start.Byte, rng.End.Byte
			}
		}
		var inner *hclsyntax.Body
		for _, b := range body.Blocks {
			if b.OpenBraceRange.Start.Byte <= at && at <= b.CloseBraceRange.End.Byte {
				inner = b.Body
			}
		}
		body = inner
	}
	return at, at
}

// blockStart returns where the top-level block around byte at begins, in a file that is
// laid out as usual: at the last line before that begins with a letter.
func blockStart(src []byte, at int) int {
	for i := at; i > 0; i-- {
		if i < len(src) && src[i-1] == '\n' && isLetter(src[i]) {
			return i
		}
	}
	return 0
}

// blockEnd returns where that block ends: behind the next line that begins with }, or
// before the next one that begins with a letter.
func blockEnd(src []byte, at int) int {
	for i := at; i < len(src); i++ {
		if src[i] != '\n' || i+1 >= len(src) {
			continue
		}
		switch c := src[i+1]; {
		case c == '}':
			return i + 2
		case isLetter(c):
			return i + 1
		}
	}
	return len(src)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// erase returns src with spaces from from to to, but for line feeds, so that places stay.
func erase(src []byte, from, to int) []byte {
	out := bytes.Clone(src)
	for i := from; i < to && i < len(out); i++ {
		if out[i] != '\n' {
			out[i] = ' '
		}
	}
	return out
}
