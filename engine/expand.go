package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An expander answers Expand commands: it evaluates a step, finds out what its inputs
// are, and which of its tasks have a known result. It only reads.
type expander struct {
	run      *Run
	template Template
	files    Files
	cache    Cache // nil: nothing is known
	ids      map[string]string
}

// expand returns StepExpanded, or StepEnded with FAILED if the step cannot be
// evaluated. An error is one of the cache or of ctx.
func (x *expander) expand(ctx context.Context, name StepName) (Event, error) {
	s := x.run.step(name)
	failed := func(err error) (Event, error) {
		if ctx.Err() != nil {
			return Event{}, ctx.Err()
		}
		return Event{Kind: StepEnded, Step: name, Status: Failed, Reason: err.Error()}, nil
	}
	raw, err := x.template.Expand(name, scope{x.run})
	if err != nil {
		return failed(err)
	}
	specs, err := x.identify(ctx, s, raw.Specs)
	if err != nil {
		return failed(err)
	}
	out := compact(specs, raw)
	out.CacheKeys = x.keys(s, specs, raw.Keys)
	if err := x.lookup(ctx, s, specs, out); err != nil {
		return Event{}, err
	}
	return Event{Kind: StepExpanded, Step: name, Expanded: out}, nil
}

// identify returns the specs with the identity of every input. Specs that were one
// pointer still are.
func (x *expander) identify(ctx context.Context, s *stepState, specs []*TaskSpec) ([]*TaskSpec, error) {
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
			in := &c.Inputs[k]
			in.IDs = make([]string, len(in.Paths))
			for n, p := range in.Paths {
				id, err := x.identity(ctx, producers, p)
				if err != nil {
					return nil, fmt.Errorf("%s: input %q: %w", s.InputsPos, in.Name, err)
				}
				in.IDs[n] = id
			}
		}
		last, lastOut = spec, &c
		out[i] = lastOut
	}
	return out, nil
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
		for i := range dep.task {
			m[x.run.dir(dep.stepState, i)] = dep.cacheKey(i)
		}
	}
	return m
}

// identity returns what stands for the content of an input in a cache key: for the
// result of a task the key of that task, so that hits are known before it has run.
func (x *expander) identity(ctx context.Context, producers map[string]CacheKey, path string) (string, error) {
	const mark = "/" + ResultDir + "/"
	for at := 0; len(producers) > 0; {
		next := strings.Index(path[at:], mark)
		if next < 0 {
			break
		}
		at += next
		if key, ok := producers[path[:at]]; ok {
			if key == (CacheKey{}) { // never the same again
				return "run:" + path, nil
			}
			return "task:" + hex.EncodeToString(key[:]) + "/" + path[at+len(mark):], nil
		}
		at++
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
	if x.ids == nil {
		x.ids = map[string]string{}
	}
	x.ids[path] = id
	return id, nil
}

// compact parts tasks into groups that can be one array job, and keeps of each task
// only what it has of its own.
func compact(specs []*TaskSpec, raw *Expansion) *Expanded {
	out := &Expanded{Size: len(specs), Keys: raw.Keys}
	group := make([]int, len(specs))
	items := make([]*Item, len(specs))
	index := map[string]int{}
	var last *TaskSpec
	lastGroup := -1
	var lastItem *Item
	some := false
	for i, spec := range specs {
		if spec == nil {
			out.Absent = out.Absent.Add(i)
			items[i], some = &Item{Absent: raw.Absent[i]}, true
			continue
		}
		if spec != last {
			sig := signature(spec)
			g, ok := index[sig]
			if !ok {
				g = len(out.Groups)
				index[sig] = g
				out.Groups = append(out.Groups, spec)
			}
			last, lastGroup, lastItem = spec, g, differ(out.Groups[g], spec)
		}
		group[i], items[i] = lastGroup, lastItem
		some = some || lastItem != nil
	}
	if len(out.Groups) > 1 {
		out.Group = group
	}
	if some {
		out.Items = items
	}
	return out
}

// signature is equal for the specs of tasks that can be children of one array job.
func signature(s *TaskSpec) string {
	c := *s
	c.Command, c.Script, c.Inputs, c.Outputs, c.Env = nil, "", nil, nil, nil
	kind := "command "
	if s.Script != "" {
		kind = "script "
	}
	return kind + jsonText(sortedKeys(s.Env)) + jsonText(&c)
}

// differ returns what spec has that its group's has not, or nil.
func differ(group, spec *TaskSpec) *Item {
	if group == spec {
		return nil
	}
	var it Item
	some := false
	if !slices.Equal(group.Command, spec.Command) {
		it.Command, some = spec.Command, true
	}
	if group.Script != spec.Script {
		it.Script, some = &spec.Script, true
	}
	for _, k := range sortedKeys(spec.Env) {
		if group.Env[k] != spec.Env[k] {
			if it.Env == nil {
				it.Env = map[string]string{}
			}
			it.Env[k], some = spec.Env[k], true
		}
	}
	if !slices.EqualFunc(group.Inputs, spec.Inputs, func(a, b Input) bool {
		return a.Name == b.Name && a.List == b.List && slices.Equal(a.Paths, b.Paths) && slices.Equal(a.IDs, b.IDs)
	}) {
		it.Inputs, some = spec.Inputs, true
	}
	if !slices.Equal(group.Outputs, spec.Outputs) {
		it.Outputs, some = spec.Outputs, true
	}
	if !some {
		return nil
	}
	return &it
}

func (x *expander) keys(s *stepState, specs []*TaskSpec, keys []string) []byte {
	out := make([]byte, 32*len(specs))
	var k keyer
	some := false
	for i, spec := range specs {
		if spec == nil || spec.NoCache {
			continue
		}
		sum := k.key(spec, s.Name, keyOf(s.Step, keys, i), i)
		copy(out[32*i:], sum[:])
		some = true
	}
	if !some {
		return nil
	}
	return out
}

func keyOf(s *Step, keys []string, i int) string {
	switch {
	case !s.FanOut:
		return ""
	case keys == nil:
		return strconv.Itoa(i)
	}
	return keys[i]
}

// lookup finds the tasks whose result is known, and still there.
func (x *expander) lookup(ctx context.Context, s *stepState, specs []*TaskSpec, out *Expanded) error {
	if x.cache == nil || out.CacheKeys == nil || s.noCache || x.run.info.Limits.NoCache {
		return nil
	}
	ask := make([]CacheKey, len(specs))
	for i := range ask {
		copy(ask[i][:], out.CacheKeys[32*i:])
	}
	hits, err := x.cache.Lookup(ctx, ask)
	if err != nil {
		return fmt.Errorf("looking for known results: %w", err)
	}
	for i, h := range hits {
		if h.Dir == "" || specs[i] == nil || specs[i].NoCache {
			continue
		}
		if len(specs[i].Outputs) > 0 {
			m, err := x.files.Manifest(ctx, h.Dir)
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				continue // cleaned away, or changed since: it runs again
			}
			h.Outputs = m.Outputs
		}
		out.Cached = out.Cached.Add(i)
		out.Hits = append(out.Hits, h)
	}
	return nil
}
