package dsl

import (
	"regexp"
	"sync"
)

// lazily returns what compiles a pattern when it is first needed: most workflows need few,
// and those with large counts take a while.
func lazily(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// fits returns a check by such a pattern, for tables that are made before it is needed.
func fits(pattern func() *regexp.Regexp) func(string) bool {
	return func(s string) bool { return pattern().MatchString(s) }
}
