package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// identify returns the specs with the identity of every input, and with what matches in the
// place of patterns. Specs that were one pointer still are.
func (x *expander) identify(ctx context.Context, s *stepState, specs []*TaskSpec) ([]*TaskSpec, error) {
	if !slices.ContainsFunc(specs, func(spec *TaskSpec) bool { return spec != nil && len(spec.Inputs) > 0 }) {
		return specs, nil
	}
	out := make([]*TaskSpec, len(specs))
	var last, lastOut *TaskSpec
	producers := x.producers(s)
	for i, spec := range specs {
		if spec == nil || len(spec.Inputs) == 0 {
			out[i] = spec
			continue
		}
		if spec == last {
			out[i] = lastOut
			continue
		}
		c := *spec
		c.Inputs = slices.Clone(spec.Inputs)
		for k := range c.Inputs {
			if err := x.match(ctx, producers, &c.Inputs[k]); err != nil {
				return nil, fmt.Errorf("%s: input %q: %w", s.InputsPos, c.Inputs[k].Name, err)
			}
		}
		last, lastOut = spec, &c
		out[i] = lastOut
	}
	x.identifyAll(ctx, producers, out)
	last = nil
	for _, spec := range out {
		if spec == nil || spec == last {
			continue
		}
		last = spec
		for k := range spec.Inputs {
			in := &spec.Inputs[k]
			in.IDs = make([]string, len(in.Paths))
			for n, p := range in.Paths {
				id, err := x.identity(ctx, producers, p)
				if err != nil {
					return nil, fmt.Errorf("%s: input %q: %w", s.InputsPos, in.Name, err)
				}
				in.IDs[n] = id
			}
		}
	}
	return out, nil
}

// IsPattern reports whether the path of an input stands for all objects that match it: only
// objects of S3 are named so, since files have fileset(), and in a URL ? means something else.
func IsPattern(path string) bool {
	return strings.HasPrefix(path, "s3://") && strings.ContainsAny(path, "*?[")
}

// match puts what matches in the place of the patterns of an input, which is a list then.
func (x *expander) match(ctx context.Context, producers map[string]CacheKey, in *Input) error {
	pattern := func(path string) bool {
		if !IsPattern(path) {
			return false
		}
		_, _, made := producerOf(producers, path)
		return !made // else it is the name that a task gives
	}
	if !slices.ContainsFunc(in.Paths, pattern) {
		return nil
	}
	paths := make([]string, 0, len(in.Paths))
	list := in.List
	for _, p := range in.Paths {
		if !pattern(p) {
			paths = append(paths, p)
			continue
		}
		found, err := x.matching(ctx, p)
		if err != nil {
			return err
		}
		paths = append(paths, found...)
		list = list || len(found) != 1 || found[0] != p // else it is the name of what is there
	}
	in.List, in.Paths = list, paths
	return nil
}

// matching returns the objects that match a pattern, at least one.
func (x *expander) matching(ctx context.Context, pattern string) ([]string, error) {
	if found, ok := x.matches[pattern]; ok {
		return found, nil
	}
	m, ok := x.files.(Matcher)
	if !ok {
		return nil, fmt.Errorf("%s is a pattern, and objects of S3 cannot be listed here", pattern)
	}
	found, err := m.Match(ctx, pattern)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && len(found) == 0:
		return nil, fmt.Errorf("nothing matches %s", pattern)
	case err != nil:
		return nil, err
	}
	if x.matches == nil {
		x.matches = map[string][]string{}
	}
	x.matches[pattern] = found
	return found, nil
}

// producers maps the task directories of the steps that s depends on to the cache keys
// of those tasks.
func (x *expander) producers(s *stepState) map[string]CacheKey {
	n := 0
	for _, dep := range s.deps {
		n += len(dep.task)
	}
	if n == 0 || !s.Reads {
		return nil
	}
	m := make(map[string]CacheKey, n)
	for _, dep := range s.deps {
		if dep.exp == nil {
			continue
		}
		keys := dep.taskKeys()
		for i := range dep.task {
			m[x.run.dir(dep.stepState, i)] = keys.Key(i)
			if dep.gone.Contains(i) {
				m[x.run.ownDir(dep.stepState, i)] = keys.Key(i)
			}
		}
	}
	return m
}

// producerOf returns the key of the task whose result a path is, and its path in there.
func producerOf(producers map[string]CacheKey, path string) (key CacheKey, rel string, ok bool) {
	const mark = "/" + ResultDir + "/"
	for at := 0; len(producers) > 0; {
		next := strings.Index(path[at:], mark)
		if next < 0 {
			break
		}
		at += next
		if key, ok := producers[path[:at]]; ok {
			return key, path[at+len(mark):], true
		}
		at++
	}
	return key, "", false
}

// identifyAll finds out the identities of all inputs of specs together, if the files can.
// What that fails for is asked for again one by one, where the error is told.
func (x *expander) identifyAll(ctx context.Context, producers map[string]CacheKey, specs []*TaskSpec) {
	bulk, ok := x.files.(BulkIdentifier)
	if !ok {
		return
	}
	var paths []string
	asked := map[string]bool{}
	var last *TaskSpec
	for _, spec := range specs {
		if spec == nil || spec == last {
			continue
		}
		last = spec
		for k := range spec.Inputs {
			for _, p := range spec.Inputs[k].Paths {
				if _, known := x.ids[p]; known || asked[p] {
					continue
				}
				if _, _, made := producerOf(producers, p); !made {
					asked[p] = true
					paths = append(paths, p)
				}
			}
		}
	}
	if len(paths) < 2 {
		return
	}
	for i, a := range bulk.Identities(ctx, paths) {
		if a.Err == nil && i < len(paths) {
			x.learn(paths[i], a.ID)
		}
	}
}

func (x *expander) learn(path, id string) {
	if x.ids == nil {
		x.ids = map[string]string{}
	}
	x.ids[path] = id
}

// identity returns what stands for the content of an input in a cache key: for the
// result of a task the key of that task, so that hits are known before it has run.
func (x *expander) identity(ctx context.Context, producers map[string]CacheKey, path string) (string, error) {
	switch key, rel, made := producerOf(producers, path); {
	case made && key == CacheKey{}: // never the same again
		return "run:" + path, nil
	case made:
		return "task:" + hex.EncodeToString(key[:]) + "/" + rel, nil
	}
	if id, ok := x.ids[path]; ok {
		return id, nil
	}
	id, err := x.files.Identify(ctx, path)
	if errors.Is(err, ErrNotFound) {
		return "", fmt.Errorf("%s is not there", path)
	}
	if err != nil {
		return "", err
	}
	x.learn(path, id)
	return id, nil
}
