package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"flow/executor/store"
)

// Match implements engine.Matcher. A pattern is matched as that of a `files` output is:
// with *, ?, [a-z] and {a,b}, and ** for any depth. What is there under that very name is
// what is meant: it matches alone.
func (f *Files) Match(ctx context.Context, pattern string) ([]string, error) {
	bucket, key, err := store.Split(pattern)
	switch {
	case err != nil:
		return nil, err
	case strings.ContainsAny(bucket, "*?[{"):
		return nil, fmt.Errorf("%s: the name of a bucket cannot be a pattern", show(pattern))
	case !doublestar.ValidatePattern(key):
		return nil, fmt.Errorf("%s is no pattern: a [ or a { is not closed", show(pattern))
	}
	st, err := f.open(ctx, pattern)
	if err != nil {
		return nil, err
	}
	there, _, err := (&resolver{files: f}).named(ctx, st, pattern)
	if there != nil || err != nil {
		return []string{pattern}, later(err)
	}
	root := "s3://" + bucket + "/"
	uris := []string{}
	for o, err := range st.List(ctx, root+literal(key)) {
		if err != nil {
			return nil, later(err)
		}
		name := strings.TrimPrefix(o.URI, root)
		if strings.HasSuffix(name, "/") || !doublestar.MatchUnvalidated(key, name) {
			continue
		}
		if len(uris) == maxMatches {
			return nil, fmt.Errorf("%s matches more than %d objects", show(pattern), maxMatches)
		}
		uris = append(uris, o.URI)
	}
	slices.Sort(uris)
	return uris, nil
}

// literal returns what every match of a pattern begins with.
func literal(pattern string) string {
	if at := strings.IndexAny(pattern, `*?[{\`); at >= 0 {
		return pattern[:at]
	}
	return pattern
}
