package dsl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// What a source may consist of. HCL's parser and evaluator recurse, and a stack that
// overflows ends the process (hashicorp/hcl#809), so these hold before parsing.
const (
	maxSource    = 1 << 20
	maxTokens    = 400_000 // about 100 bytes of memory each in the scanner, 400 in the parser
	maxDepth     = 100     // brackets, blocks, templates and directives in one another
	maxUnary     = 16      // ! and - in a row
	maxTernary   = 64      // ? in one expression
	maxOperators = 10_000  // operators, dots and indices in one expression
	maxExponent  = 400     // of a number
	maxDigits    = 1_000   // of a number
	// The parser joins the pieces of a text (its lines, and what stands between $ signs)
	// one by one, in a time that grows with their square.
	maxPieces     = 15_000
	maxPieceBytes = 2 << 30 // pieces times bytes
)

// normalize returns src without a byte order mark and with line feeds for line ends,
// as every source is to be before it is guarded and parsed: HCL would keep the \r in a
// heredoc, which no shell understands. What needs no change is returned as it is.
func normalize(src []byte) []byte {
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	if bytes.Contains(src, []byte("\r\n")) {
		src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	}
	return src
}

// guard refuses a source that could end the process, or take very long, when it is
// parsed or evaluated: by size, nesting and operators; and one that is no text. name
// tells native syntax from JSON (*.json). To be called before parsing, on the result of
// normalize. It reports the first error only.
func guard(name string, src []byte) hcl.Diagnostics {
	if len(src) > maxSource {
		return refuse("File too large", fmt.Sprintf(
			"A file of a workflow may have at most %d KiB, and this one has %d. Put data into files that steps read, or split the workflow over several files of a directory.",
			maxSource>>10, (len(src)+1023)>>10), hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos})
	}
	if at := badText(src); at >= 0 {
		rng := rangeAt(name, src, at, at+1)
		if src[at] == 0 {
			return refuse("Invalid character", "The file has a NUL byte here, so it is no text. Is it a binary file, or UTF-16? Save it as UTF-8.", rng)
		}
		return refuse("Invalid character encoding", "The text is not UTF-8 here. Save the file as UTF-8.", rng)
	}
	if strings.HasSuffix(name, ".json") {
		return guardJSON(name, src)
	}
	if n := estimateTokens(src); n > maxTokens {
		return refuse("File too complex", fmt.Sprintf(
			"This file has about %d words and signs, and %d are possible. Put data into files that steps read, or split the workflow over several files of a directory.", n, maxTokens),
			hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos})
	}
	// Errors of the scanner are found again, and better told, by the parser.
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	return scanTokens(tokens)
}

// guardTemplate is guard for the text of a template.
func guardTemplate(src []byte, name string, pos hcl.Pos) hcl.Diagnostics {
	at := hcl.Range{Filename: name, Start: pos, End: pos}
	if len(src) > maxSource || estimateTokens(src) > maxTokens {
		return refuse("Template too large", fmt.Sprintf("A template may have at most %d KiB and %d words and signs.", maxSource>>10, maxTokens), at)
	}
	tokens, _ := hclsyntax.LexTemplate(src, name, pos)
	s := tokenScan{inExpr: true}
	return s.run(tokens)
}

// guardTokens is guard for the text of an expression.
func guardTokens(src []byte, name string) hcl.Diagnostics {
	if n := estimateTokens(src); n > maxTokens {
		return refuse("Expression too complex", "The expression is too long.", hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos})
	}
	tokens, _ := hclsyntax.LexExpression(src, name, hcl.InitialPos)
	s := tokenScan{inExpr: true}
	return s.run(tokens)
}

func refuse(summary, detail string, rng hcl.Range) hcl.Diagnostics {
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &rng}}
}

// badText returns where src is no UTF-8 or has a NUL, or -1.
func badText(src []byte) int {
	for i := 0; i < len(src); {
		if src[i] == 0 {
			return i
		}
		if src[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// rangeAt returns the range of the bytes from..to of a file.
func rangeAt(name string, src []byte, from, to int) hcl.Range {
	return hcl.Range{Filename: name, Start: posAt(src, from), End: posAt(src, to)}
}

// posAt returns the position of byte at. Its column counts runes, which for the text
// that matters here is what a reader counts.
func posAt(src []byte, at int) hcl.Pos {
	at = min(max(at, 0), len(src))
	line := 1 + bytes.Count(src[:at], []byte("\n"))
	begin := bytes.LastIndexByte(src[:at], '\n') + 1
	return hcl.Pos{Line: line, Column: 1 + utf8.RuneCount(src[begin:at]), Byte: at}
}

// estimateTokens counts what the scanner could make of src at most, nearly, without the
// memory that the scanner would need for it: a word is one token, and so is each sign.
func estimateTokens(src []byte) int {
	n, word := 0, false
	for _, c := range src {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c >= utf8.RuneSelf:
			if !word {
				n++
			}
			word = true
			continue
		case c == ' ', c == '\t':
		default:
			n++
		}
		word = false
	}
	return n
}

// scanTokens checks the tokens of a file in native syntax.
func scanTokens(tokens hclsyntax.Tokens) hcl.Diagnostics {
	var s tokenScan
	return s.run(tokens)
}

// A tokenScan walks over tokens with a stack of what is open. It need not understand
// them fully: it counts at least what the parser will nest.
type tokenScan struct {
	open []hclsyntax.TokenType
	// The texts that are open, the outermost first: what a quote or << began, or all.
	texts []textScan
	// The expression that is being read, from its "=" to the end of its line.
	inExpr             bool
	base               int // len(open) where it began
	operators, ternary int
	unary              int
}

// A textScan counts the pieces of a text: its lines, and what stands between $ signs.
type textScan struct {
	pieces int // in all
	bytes  int // since the last interpolation
}

func (s *tokenScan) run(tokens hclsyntax.Tokens) hcl.Diagnostics {
	for i, t := range tokens {
		if d := s.token(tokens, i); d != "" {
			return refuse("Expression too complex", d, t.Range)
		}
	}
	return nil
}

// token takes in token i and returns why the file is refused, or "".
func (s *tokenScan) token(tokens hclsyntax.Tokens, i int) string {
	t := tokens[i]
	unary := s.unary
	if t.Type != hclsyntax.TokenComment && t.Type != hclsyntax.TokenNewline {
		s.unary = 0
	}
	if d := s.piece(t); d != "" {
		return d
	}
	switch t.Type {
	case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp:
		if t.Type == hclsyntax.TokenOBrack {
			s.operators++ // it may be an index, and indices nest in the tree from the left
		}
		return s.push(t.Type)
	case hclsyntax.TokenTemplateControl:
		return s.directive(tokens, i)
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
		s.pop(t.Type)
	case hclsyntax.TokenEqual:
		if !s.inExpr {
			*s = tokenScan{open: s.open, texts: s.texts, inExpr: true, base: len(s.open)} // all counts begin anew
		}
	case hclsyntax.TokenNewline:
		if s.inExpr && len(s.open) <= s.base && s.base > 0 || s.inExpr && len(s.open) == 0 {
			s.inExpr = false
		}
	case hclsyntax.TokenBang:
		s.unary = unary + 1
	case hclsyntax.TokenMinus:
		s.unary = unary + 1
		s.operators++
	case hclsyntax.TokenQuestion:
		s.ternary++
	case hclsyntax.TokenNumberLit:
		return checkLiteral(string(t.Bytes))
	case hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent, hclsyntax.TokenDot,
		hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
		hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr:
		s.operators++
	}
	switch {
	case s.unary > maxUnary:
		return fmt.Sprintf("More than %d of ! and - stand in a row here.", maxUnary)
	case s.ternary > maxTernary:
		return fmt.Sprintf("One expression may have at most %d conditions (?). Use a map to look the value up, or locals for its parts.", maxTernary)
	case s.operators > maxOperators:
		return fmt.Sprintf("One expression may have at most %d operators. Use locals for its parts.", maxOperators)
	}
	return ""
}

// piece takes in what t means for the text that it is part of.
func (s *tokenScan) piece(t hclsyntax.Token) string {
	switch t.Type {
	case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
		s.texts = append(s.texts, textScan{})
		return ""
	case hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
		s.texts = s.texts[:max(0, len(s.texts)-1)]
		return ""
	case hclsyntax.TokenStringLit, hclsyntax.TokenQuotedLit, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
	default:
		return ""
	}
	if len(s.texts) == 0 { // the text of a template
		s.texts = append(s.texts, textScan{})
	}
	text := &s.texts[len(s.texts)-1]
	text.pieces++
	text.bytes += len(t.Bytes)
	if t.Type == hclsyntax.TokenTemplateInterp || t.Type == hclsyntax.TokenTemplateControl {
		text.bytes = 0
	}
	if text.pieces > maxPieces || text.pieces*text.bytes > maxPieceBytes {
		return "This text has too many lines or $ signs. Put it into a file: a script into a script_file, data into an input."
	}
	return ""
}

func (s *tokenScan) push(t hclsyntax.TokenType) string {
	s.open = append(s.open, t)
	if len(s.open) > maxDepth {
		return fmt.Sprintf("Brackets, blocks and templates may stand at most %d deep in one another. Use locals for the inner parts.", maxDepth)
	}
	return ""
}

// closers are what ends what.
var closers = map[hclsyntax.TokenType][]hclsyntax.TokenType{
	hclsyntax.TokenCBrace:         {hclsyntax.TokenOBrace},
	hclsyntax.TokenCBrack:         {hclsyntax.TokenOBrack},
	hclsyntax.TokenCParen:         {hclsyntax.TokenOParen},
	hclsyntax.TokenCQuote:         {hclsyntax.TokenOQuote},
	hclsyntax.TokenCHeredoc:       {hclsyntax.TokenOHeredoc},
	hclsyntax.TokenTemplateSeqEnd: {hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl},
}

// pop closes the innermost thing if t ends it. What does not fit closes nothing, so that
// a file with errors is never taken for flatter than the parser may take it.
func (s *tokenScan) pop(t hclsyntax.TokenType) {
	n := len(s.open)
	if n == 0 {
		return
	}
	if t == hclsyntax.TokenCQuote || t == hclsyntax.TokenCHeredoc {
		for n > 1 && s.open[n-1] == openDirective { // it has no end; the parser says so
			n--
		}
		s.open = s.open[:n]
	}
	for _, o := range closers[t] {
		if s.open[n-1] == o {
			s.open = s.open[:n-1]
			break
		}
	}
	if s.inExpr && len(s.open) < s.base {
		s.inExpr = false // the end of a block of one line
	}
}

// openDirective stands for a %{ if } or %{ for } that has no end yet.
const openDirective = hclsyntax.TokenNil

// directive takes in the %{ of a template's directive: its body nests as well.
func (s *tokenScan) directive(tokens hclsyntax.Tokens, i int) string {
	word := ""
	if i+1 < len(tokens) {
		word = string(tokens[i+1].Bytes)
	}
	switch n := len(s.open); word {
	case "if", "for":
		if d := s.push(openDirective); d != "" {
			return d
		}
	case "endif", "endfor":
		if n > 0 && s.open[n-1] == openDirective {
			s.open = s.open[:n-1]
		}
	}
	return s.push(hclsyntax.TokenTemplateControl)
}

// checkLiteral refuses a number that is larger than any use, since written out it
// would be a great deal of text.
func checkLiteral(s string) string {
	if len(s) > maxDigits {
		return fmt.Sprintf("A number may have at most %d digits.", maxDigits)
	}
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		exp := strings.TrimLeft(s[at+1:], "+-0")
		if len(exp) > 3 || len(exp) == 3 && exp > fmt.Sprint(maxExponent) {
			return fmt.Sprintf("The exponent of a number may be at most %d.", maxExponent)
		}
	}
	return ""
}

// guardJSON checks the nesting of a JSON file, its numbers, and the templates in its
// strings.
func guardJSON(name string, src []byte) hcl.Diagnostics {
	depth := 0
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return refuse("Expression too complex", fmt.Sprintf("Lists and objects may stand at most %d deep in one another.", maxDepth), rangeAt(name, src, i, i+1))
			}
		case c == ']' || c == '}':
			depth--
		case c == '"':
			end := jsonStringEnd(src, i)
			if diags := guardJSONString(name, src, i, end); diags != nil {
				return diags
			}
			i = end - 1
		case c >= '0' && c <= '9':
			end := i
			for end < len(src) && strings.IndexByte("0123456789.eE+-", src[end]) >= 0 {
				end++
			}
			if d := checkLiteral(string(src[i:end])); d != "" {
				return refuse("Number too large", d, rangeAt(name, src, i, end))
			}
			i = end - 1
		}
	}
	return nil
}

// jsonStringEnd returns the index behind the string that begins at from, or the end of
// its line if it has no end.
func jsonStringEnd(src []byte, from int) int {
	for i := from + 1; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		case '\n':
			return i
		}
	}
	return len(src)
}

func guardJSONString(name string, src []byte, from, to int) hcl.Diagnostics {
	text := src[from:to]
	if !bytes.Contains(text, []byte("{")) && !bytes.Contains(text, []byte("\\u")) {
		return nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return nil // the parser says it
	}
	if !strings.Contains(s, "${") && !strings.Contains(s, "%{") {
		return nil
	}
	return guardTemplate([]byte(s), name, posAt(src, from+1))
}
