package batch

import (
	"regexp"
	"sync"
)

// lazily returns what compiles a pattern when it is first needed: most commands need none,
// and those with large counts take a while.
func lazily(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
