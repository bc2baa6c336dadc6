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
	x.keys(s, specs, out)
	if err := x.lookup(ctx, s, specs, out); err != nil {
		return Event{}, err
	}
	return Event{Kind: StepExpanded, Step: name, Expanded: out}, nil
}

// identify returns the specs with the identity of every input. Specs that were one
// pointer still are.
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
		if dep.exp == nil {
			continue
		}
		keys := NewTaskKeys(dep.stepState.Step, dep.exp)
		for i := range dep.task {
			m[x.run.dir(dep.stepState, i)] = keys.Key(i)
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
	index := map[string]int{}
	var last *TaskSpec
	group := -1
	var item *Item
	for i, spec := range specs {
		if spec == nil {
			out.Absent = out.Absent.Add(i)
			out.setItem(i, &Item{Absent: raw.Absent[i]})
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
			last, group, item = spec, g, differ(out.Groups[g], spec)
		}
		if group > 0 && out.Group == nil {
			out.Group = make([]int, out.Size)
		}
		if group > 0 {
			out.Group[i] = group
		}
		if item != nil {
			out.setItem(i, item)
		}
	}
	return out
}

// setItem notes what task i has of its own.
func (x *Expanded) setItem(i int, it *Item) {
	if x.Items == nil {
		x.Items = make([]*Item, x.Size)
	}
	x.Items[i] = it
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

// keys adds the cache keys of the tasks to out: what they follow from, if nothing but
// their names tells the tasks of a group apart.
func (x *expander) keys(s *stepState, specs []*TaskSpec, out *Expanded) {
	if !slices.ContainsFunc(specs, func(spec *TaskSpec) bool { return spec != nil && !spec.NoCache }) {
		return
	}
	if out.Items == nil {
		for _, spec := range out.Groups {
			base := keyBase(spec)
			out.KeyBases = append(out.KeyBases, base[:]...)
		}
		return
	}
	out.CacheKeys = make([]byte, 32*len(specs))
	var k keyer
	for i, spec := range specs {
		if spec == nil || spec.NoCache {
			continue
		}
		sum := k.key(spec, s.Name, keyOf(s.Step, out.Keys, i), i)
		copy(out.CacheKeys[32*i:], sum[:])
	}
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

// lookupTasks is how many results are asked for at a time.
const lookupTasks = 10_000

// lookup finds the tasks whose result is known, and still there.
func (x *expander) lookup(ctx context.Context, s *stepState, specs []*TaskSpec, out *Expanded) error {
	keys := NewTaskKeys(s.Step, out)
	if x.cache == nil || keys == nil || s.noCache || x.run.info.Limits.NoCache {
		return nil
	}
	known, err := x.lookupFamily(ctx, keys, out)
	if err != nil {
		return fmt.Errorf("looking for known results: %w", err)
	}
	ask := make([]CacheKey, 0, min(len(specs), lookupTasks))
	at := make([]int, 0, cap(ask))
	for i, spec := range specs {
		if spec != nil && !spec.NoCache && !known(i) {
			ask, at = append(ask, keys.Key(i)), append(at, i)
		}
		if len(ask) == lookupTasks || i == len(specs)-1 {
			if err := x.lookupSome(ctx, specs, ask, at, out); err != nil {
				return err
			}
			ask, at = ask[:0], at[:0]
		}
	}
	return nil
}

// lookupFamily finds the results that the cache keeps together, and returns which tasks'
// these are.
func (x *expander) lookupFamily(ctx context.Context, keys *TaskKeys, out *Expanded) (func(i int) bool, error) {
	cache, _ := x.cache.(FamilyCache)
	family, ok := keys.Family()
	if cache == nil || !ok {
		return func(int) bool { return false }, nil
	}
	var err error
	out.HitRanges, err = cache.LookupFamily(ctx, family, out.Size)
	return func(i int) bool {
		return slices.ContainsFunc(out.HitRanges, func(h HitRange) bool { return h.Tasks.Contains(i) })
	}, err
}

// lookupSome looks for the results of the tasks at, whose keys are ask.
func (x *expander) lookupSome(ctx context.Context, specs []*TaskSpec, ask []CacheKey, at []int, out *Expanded) error {
	if len(ask) == 0 {
		return nil
	}
	hits, err := x.cache.Lookup(ctx, ask)
	if err != nil {
		return fmt.Errorf("looking for known results: %w", err)
	}
	for k, h := range hits {
		i := at[k]
		if h.Dir == "" {
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
