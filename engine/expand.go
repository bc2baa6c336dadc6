package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// An expander answers Expand commands: it evaluates a step, finds out what its inputs
// are, and which of its tasks have a known result. It only reads.
type expander struct {
	run      *Run
	template Template
	files    Files
	cache    Cache               // nil: nothing is known
	ids      map[string]string   // of paths
	matches  map[string][]string // of patterns
}

// expand returns StepExpanded, or StepEnded with FAILED if the step cannot be
// evaluated. An error is one of the cache or of ctx, or ErrLater, wrapped, of the files.
func (x *expander) expand(ctx context.Context, name StepName) (Event, error) {
	s := x.run.step(name)
	failed := func(err error) (Event, error) {
		if ctx.Err() != nil {
			return Event{}, ctx.Err()
		}
		if errors.Is(err, ErrLater) {
			return Event{}, fmt.Errorf("step %s: %w", name, err)
		}
		return Event{Kind: StepEnded, Step: name, Status: Failed, Reason: err.Error()}, nil
	}
	raw, err := x.template.Expand(name, scope{r: x.run})
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
	name := s.Name
	if n := len(s.Was); n > 0 && slices.ContainsFunc(specs, func(spec *TaskSpec) bool { return spec != nil && namesStep(spec) }) {
		name = s.Was[n-1]
		out.KeyName = name
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
		sum := k.key(spec, name, keyOf(s.Step, out.Keys, i), i)
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
	if x.cache == nil || keys == nil || s.noCache || x.run.info.Limits.NoCache || x.run.replaced(s) {
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

// replaced reports whether known results of s do not count in this run, since it follows a
// step that is to run again, or is that.
func (r *Run) replaced(s *stepState) bool {
	_, ok := r.Replaced(s.Name)
	return ok
}

// Replaced returns the step of Limits.Replace because of which known results of a step do not
// count in this run: that step itself, if it is one of them.
func (r *Run) Replaced(step StepName) (by StepName, ok bool) {
	if slices.Contains(r.info.Limits.Replace, step) {
		return step, true
	}
	for _, name := range r.info.Limits.Replace {
		if slices.ContainsFunc(r.graph.After(name), func(after *Step) bool { return after.Name == step }) {
			return name, true
		}
	}
	return "", false
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
	hits, err := x.hits(ctx, specs, ask, at)
	if err != nil {
		return fmt.Errorf("looking for known results: %w", err)
	}
	if err := x.verify(ctx, specs, at, hits); err != nil {
		return err
	}
	for k, h := range hits {
		if h.Dir != "" {
			out.Cached = out.Cached.Add(at[k])
			out.Hits = append(out.Hits, h)
		}
	}
	return nil
}

// hits asks the cache, for tasks without files apart from the others if that has something
// of its own to tell of them.
func (x *expander) hits(ctx context.Context, specs []*TaskSpec, ask []CacheKey, at []int) ([]Hit, error) {
	cache, ok := x.cache.(PlainCache)
	if !ok {
		return x.cache.Lookup(ctx, ask)
	}
	hits := make([]Hit, len(ask))
	some := func(lookup func(context.Context, []CacheKey) ([]Hit, error), files bool) error {
		var keys []CacheKey
		var which []int // of ask
		for k, key := range ask {
			if specs[at[k]].NeedsAgent() == files {
				keys, which = append(keys, key), append(which, k)
			}
		}
		if len(keys) == 0 {
			return nil
		}
		found, err := lookup(ctx, keys)
		for n := range found {
			hits[which[n]] = found[n]
		}
		return err
	}
	if err := some(cache.Lookup, true); err != nil {
		return nil, err
	}
	return hits, some(cache.LookupPlain, false)
}

// keeps reports whether a result counts of which those outputs are gone: none of them is to
// be kept.
func (s *TaskSpec) keeps(gone []string) bool {
	return !slices.ContainsFunc(s.Outputs, func(o Output) bool { return !o.Temporary && slices.Contains(gone, o.Name) })
}

// verify looks whether results that are known of the tasks at are still there, takes their
// values from their manifests, and empties the Dir of those that are not.
func (x *expander) verify(ctx context.Context, specs []*TaskSpec, at []int, hits []Hit) error {
	var dirs []string
	var which []int // of hits
	flush := func() error {
		for k, a := range manifestsOf(ctx, x.files, dirs) {
			h := &hits[which[k]]
			switch {
			case a.Err == nil && specs[at[which[k]]].keeps(a.Manifest.Gone):
				h.Outputs, h.Gone = a.Manifest.Outputs, a.Manifest.Gone
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(a.Err, ErrLater): // nobody knows whether it is there
				return fmt.Errorf("looking for the result of %s in run %s: %w", h.Step, h.Run, a.Err)
			default:
				*h = Hit{} // cleaned away, or changed since: it runs again
			}
		}
		dirs, which = dirs[:0], which[:0]
		return nil
	}
	for k := range hits {
		if x.run.recovered() && hits[k].Run == x.run.info.Run {
			hits[k] = Hit{} // it is the task's own, see survey
		}
		if hits[k].Dir == "" || len(specs[at[k]].Outputs) == 0 {
			continue
		}
		if dirs, which = append(dirs, hits[k].Dir), append(which, k); len(dirs) == manifestsAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
