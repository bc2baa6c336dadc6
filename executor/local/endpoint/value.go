package endpoint

import (
	"regexp"
	"sync"

	"flow/executor"
)

// value returns what p points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// given reports whether a string was given and is not empty.
func given(p *string) bool { return p != nil && *p != "" }

// filled returns list, or an empty list instead of nil: what AWS writes as [].
func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// filledMap returns m, or an empty map instead of nil: what AWS writes as {}.
func filledMap[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// pattern returns a function that returns a regular expression, which is compiled when it
// is first asked for: that takes as long as all else that flow does when it starts.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// resourceName is what names of definitions, queues, environments, policies and
// consumable resources look like.
var resourceName = pattern(`^[a-zA-Z_0-9-]{1,128}$`)

// checkResourceName refuses what is no name of a resource (text seen of the service).
func checkResourceName(name string) error {
	if !resourceName().MatchString(name) {
		return refuse("Provided name %s is not supported pattern[a-zA-Z_0-9-]{1,128}", name)
	}
	return nil
}

// checkTags refuses tags that a resource cannot have (Batch User Guide, using-tags).
func checkTags(tags map[string]string) error { return executor.CheckTags(tags) }

// firstError returns the first of errors that is not nil.
func firstError(errors ...error) error {
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}
