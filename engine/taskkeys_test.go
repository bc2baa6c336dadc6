package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// keyFromParts is what a cache key is, in the plainest way.
func keyFromParts(spec *TaskSpec, step StepName, key string, index int) CacheKey {
	shared, h := sha256.New(), sha256.New()
	writeParts(shared, specParts(spec))
	h.Write(shared.Sum(nil))
	writeParts(h, taskParts(spec, step, key, index))
	return CacheKey(h.Sum(nil))
}

// specTemplate expands every step to the same specs.
type specTemplate struct {
	specs []*TaskSpec
	keys  []string
}

func (s specTemplate) Expand(StepName, Scope) (*Expansion, error) {
	return &Expansion{Specs: s.specs, Keys: s.keys}, nil
}

func (specTemplate) Results(Scope) ([]Result, error) { return nil, nil }

func expandWith(t *testing.T, template Template, cache Cache, fanOut bool) (*Run, *Expanded) {
	t.Helper()
	run, err := NewRun(&Workflow{Name: "w", Steps: []*Step{{Name: "s", FanOut: fanOut}}})
	if err == nil {
		err = run.Apply(Event{Seq: 1, Kind: RunStarted, At: time.Unix(0, 0), Info: &RunInfo{Run: "run", WorkDir: "/work"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	x := expander{run: run, template: template, cache: cache}
	e, err := x.expand(t.Context(), "s")
	if err != nil || e.Kind != StepExpanded {
		t.Fatalf("%+v, %v", e, err)
	}
	if err := run.Apply(e); err != nil {
		t.Fatal(err)
	}
	return run, e.Expanded
}

// TestTaskKeys: however they are stored, keys are the hash over the parts that explain them.
func TestTaskKeys(t *testing.T) {
	one := &TaskSpec{Script: "echo $FLOW_KEY"}
	index := &TaskSpec{Script: "echo $FLOW_INDEX"}
	step := &TaskSpec{Command: []string{"echo", "$FLOW_STEP", "$AWS_BATCH_JOB_ARRAY_INDEX"}}
	never := &TaskSpec{Script: "date", NoCache: true}
	for name, c := range map[string]struct {
		template specTemplate
		bases    int  // stored in place of keys
		family   bool // results can be kept together
	}{
		"alike":         {specTemplate{specs: []*TaskSpec{one, one, one}}, 1, true},
		"index":         {specTemplate{specs: []*TaskSpec{index, index}}, 1, true},
		"step":          {specTemplate{specs: []*TaskSpec{step, step}}, 1, true},
		"named":         {specTemplate{specs: []*TaskSpec{one, one}, keys: []string{"a", "b"}}, 1, false},
		"groups":        {specTemplate{specs: []*TaskSpec{one, {Script: "echo $FLOW_KEY", Image: "debian"}, one}}, 2, false},
		"one not kept":  {specTemplate{specs: []*TaskSpec{one, never}}, 2, false},
		"none kept":     {specTemplate{specs: []*TaskSpec{never, never}}, 0, false},
		"equal outputs": {specTemplate{specs: []*TaskSpec{{Script: "x", Outputs: []Output{{Name: "o"}}}, {Script: "x", Outputs: []Output{{Name: "o"}}}}}, 1, false},
		"own":           {specTemplate{specs: []*TaskSpec{one, index}}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, x := expandWith(t, c.template, nil, true)
			if len(x.KeyBases) != 32*c.bases {
				t.Errorf("%d bases, want %d", len(x.KeyBases)/32, c.bases)
			}
			keys := NewTaskKeys(&Step{Name: "s", FanOut: true}, x)
			if _, ok := keys.Family(); ok != c.family {
				t.Errorf("family: %v, want %v", ok, c.family)
			}
			for i, spec := range c.template.specs {
				var want CacheKey
				if !spec.NoCache {
					want = keyFromParts(spec, "s", keyOf(&Step{FanOut: true}, c.template.keys, i), i)
				}
				if got := keys.Key(i); got != want {
					t.Errorf("key of task %d is %x, want %x", i, got, want)
				}
			}
		})
	}
}

// TestFamilies: two steps have one family only if all their keys are equal.
func TestFamilies(t *testing.T) {
	family := func(step StepName, spec *TaskSpec) CacheKey {
		base := keyBase(spec)
		x := &Expanded{Size: 2, Groups: []*TaskSpec{spec}, KeyBases: base[:]}
		f, ok := NewTaskKeys(&Step{Name: step, FanOut: true}, x).Family()
		if !ok {
			t.Fatal("no family")
		}
		return f
	}
	key, step := &TaskSpec{Script: "echo $FLOW_KEY"}, &TaskSpec{Script: "echo $FLOW_STEP"}
	if family("a", key) != family("b", key) {
		t.Error("the name of the step counts, though no task sees it")
	}
	if family("a", step) == family("b", step) || family("a", key) == family("a", step) {
		t.Error("different tasks are of one family")
	}
}

// rangeCache knows tasks as ranges, and one more by its key.
type rangeCache struct {
	ranges []HitRange
	key    CacheKey
	asked  int
	err    error
}

func (c *rangeCache) Lookup(_ context.Context, keys []CacheKey) ([]Hit, error) {
	c.asked += len(keys)
	hits := make([]Hit, len(keys))
	for i, k := range keys {
		if k == c.key {
			hits[i] = Hit{Run: "older", Step: "s", Task: "x", Dir: "/older/s/x"}
		}
	}
	return hits, nil
}

func (c *rangeCache) LookupFamily(context.Context, CacheKey, int) ([]HitRange, error) {
	return c.ranges, c.err
}

func TestLookupFamily(t *testing.T) {
	spec := &TaskSpec{Script: "echo $FLOW_KEY"}
	template := specTemplate{specs: []*TaskSpec{spec, spec, spec, spec, spec}}
	cache := &rangeCache{
		ranges: []HitRange{{Run: "old", Step: "s", WorkDir: "/old", Tasks: RangesOf(0, 1)}, {Run: "older", Step: "t", WorkDir: "/older", Tasks: RangesOf(4)}},
		key:    keyFromParts(spec, "s", "3", 3),
	}
	run, x := expandWith(t, template, cache, true)
	var dirs []string
	for i := range 5 {
		dirs = append(dirs, run.Task("s", i).Dir)
	}
	want := []string{"/old/old/s/0", "/old/old/s/1", "/work/run/s/2", "/older/s/x", "/older/older/t/4"}
	if diff := cmp.Diff(want, dirs); diff != "" || cache.asked != 2 || run.StepStatus("s").Counts[Cached] != 4 {
		t.Errorf("directories (-want +got):\n%s%d keys asked for one by one, %d cached", diff, cache.asked, run.StepStatus("s").Counts[Cached])
	}
	if err := run.Apply(Event{Seq: 2, Kind: TasksReset, Step: "s", Tasks: RangesOf(0)}); err != nil || run.Task("s", 0).Hit != nil {
		t.Errorf("a task that is to run again has %v, %v", run.Task("s", 0).Hit, err)
	}
	x.HitRanges = append(x.HitRanges, HitRange{Run: "old", Step: "s", Tasks: RangesOf(1)})
	again, err := NewRun(run.Workflow())
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Apply(Event{Kind: RunStarted, Info: &RunInfo{Run: "run"}}) // is fine
	if err := again.Apply(Event{Kind: StepExpanded, Step: "s", Expanded: x}); err == nil {
		t.Error("a task is cached twice")
	}
	cache.err = errors.New("disk")
	if _, err := (&expander{run: again, template: template, cache: cache}).expand(t.Context(), "s"); !errors.Is(err, cache.err) {
		t.Errorf("error %v", err)
	}
}
