package dsl

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agext/levenshtein"
)

// nearest returns the one of names that got was most likely meant to be, or "": at
// most a third of its characters differ, at least one may. Of equally near ones it
// is the first in alphabetical order.
func nearest(got string, names []string) string {
	best, bestDist := "", len(got)
	limit := max(1, len(got)/3)
	for _, name := range slices.Sorted(slices.Values(names)) {
		if name == got {
			continue
		}
		if d := distance(got, name); d <= limit && d < bestDist {
			best, bestDist = name, d
		}
	}
	return best
}

// distance is the edit distance, with two neighbours that changed places counted as one
// edit: the commonest slip of all.
func distance(a, b string) int {
	d := levenshtein.Distance(a, b, nil)
	if d != 2 || len(a) != len(b) {
		return d
	}
	for i := 0; i+1 < len(a); i++ {
		if a[i] != b[i] {
			if a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:] {
				return 1
			}
			break
		}
	}
	return d
}

// suggest returns ` Did you mean "x"?` for the one of names that got was most likely
// meant to be, or "".
func suggest(got string, names []string) string {
	name := nearest(got, names)
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", name)
}

// Suggest is the question after a name that is not there: ` Did you mean "x"?` for the one of
// names that it was most likely meant to be, or "".
func Suggest(got string, names []string) string { return suggest(got, names) }

// sentence makes an error's text a sentence: a capital first, a full stop last.
func sentence(s string) string {
	if s == "" {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "?") && !strings.HasSuffix(s, "!") {
		s += "."
	}
	return s
}
