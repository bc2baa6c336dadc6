package cloudwatch

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pattern is a filter pattern for unstructured text: CloudWatch Logs User Guide,
// FilterAndPatternSyntax.
type pattern struct {
	all, any, none []term
}

// A term is a text that is to be found, or an expression.
type term struct {
	text []byte
	expr *regexp.Regexp
}

func (t term) in(text []byte) bool {
	if t.expr != nil {
		return t.expr.Match(text)
	}
	return bytes.Contains(text, t.text)
}

// matches reports whether an event has all terms, none of those with a minus, and, if there
// are only such with a question mark, one of them: others make these count for nothing.
func (p *pattern) matches(text []byte) bool {
	for _, t := range p.none {
		if t.in(text) {
			return false
		}
	}
	for _, t := range p.all {
		if !t.in(text) {
			return false
		}
	}
	if len(p.any) == 0 || len(p.all)+len(p.none) > 0 {
		return true
	}
	for _, t := range p.any {
		if t.in(text) {
			return true
		}
	}
	return false
}

// maxExpressions is how many regular expressions a pattern may have.
const maxExpressions = 2

func parsePattern(text string) (*pattern, error) {
	rest := strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(rest, "{"):
		return nil, invalid("Invalid filter pattern: this endpoint does not support JSON patterns, {…}")
	case strings.HasPrefix(rest, "["):
		return nil, invalid("Invalid filter pattern: this endpoint does not support space-delimited patterns, […]")
	}
	p, expressions := &pattern{}, 0
	for rest != "" {
		to := &p.all
		switch rest[0] {
		case '?':
			to, rest = &p.any, rest[1:]
		case '-':
			to, rest = &p.none, rest[1:]
		}
		t, end, err := parseTerm(rest)
		if err != nil {
			return nil, err
		}
		if t.expr != nil {
			expressions++
		}
		*to = append(*to, t)
		if rest = rest[end:]; rest != "" && strings.TrimSpace(rest[:1]) != "" {
			return nil, invalid("Invalid filter pattern: terms must be separated by spaces")
		}
		rest = strings.TrimSpace(rest)
	}
	if expressions > maxExpressions {
		return nil, invalid("Invalid filter pattern: at most 2 regular expressions are allowed")
	}
	return p, nil
}

// parseTerm parses the term that a text begins with, and says where it ends.
func parseTerm(text string) (term, int, error) {
	switch {
	case strings.HasPrefix(text, `"`):
		return parsePhrase(text)
	case strings.HasPrefix(text, "%"):
		return parseExpression(text)
	}
	end := strings.IndexFunc(text, func(r rune) bool {
		return r == utf8.RuneError || r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	if end < 0 {
		end = len(text)
	}
	if end == 0 || end < len(text) && !unicode.IsSpace(rune(text[end])) {
		return term{}, 0, invalid("Invalid filter pattern: a term with other characters than letters, digits and _ must be in double quotes")
	}
	return term{text: []byte(text[:end])}, end, nil
}

// parsePhrase parses a text in double quotes. One of nothing but spaces matches everything.
func parsePhrase(text string) (term, int, error) {
	var phrase []byte
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			if len(bytes.TrimSpace(phrase)) == 0 {
				phrase = nil
			}
			return term{text: phrase}, i + 1, nil
		case '\\':
			if i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\') {
				i++
			}
		}
		phrase = append(phrase, text[i])
	}
	return term{}, 0, invalid("Invalid filter pattern: a double quote is missing")
}

// ofExpressions are the characters, beside letters and digits, that an expression may have.
const ofExpressions = ":_#=@/;,- ^$?[]{}|\\*+."

// parseExpression parses a regular expression between percent signs.
func parseExpression(text string) (term, int, error) {
	size := strings.IndexByte(text[1:], '%')
	if size <= 0 {
		return term{}, 0, invalid("Invalid filter pattern: a regular expression must be between two %")
	}
	source := text[1 : 1+size]
	for _, r := range source {
		if r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(ofExpressions, r) {
			return term{}, 0, invalid("Invalid character(s) in term '" + source + "'")
		}
	}
	// Without a minimum, a repetition has the minimum 0.
	expr, err := regexp.Compile(strings.ReplaceAll(source, "{,", "{0,"))
	if err != nil {
		return term{}, 0, invalid("Invalid filter pattern: " + err.Error())
	}
	return term{expr: expr}, size + 2, nil
}
