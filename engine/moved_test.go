package engine_test

import (
	"context"
	"testing"
	"time"

	"flow/engine"
)

// newest is a cache that knows what has succeeded in the logs that it was given.
type newest struct {
	hits map[engine.CacheKey]engine.Hit
	n    int // lookups
}

func (c *newest) Lookup(_ context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	c.n++
	out := make([]engine.Hit, len(keys))
	for i, k := range keys {
		out[i] = c.hits[k]
	}
	return out, nil
}

// take takes in all results of a step, as it is expanded.
func (c *newest) take(step *engine.Step, x *engine.Expanded) {
	if c.hits == nil {
		c.hits = map[engine.CacheKey]engine.Hit{}
	}
	keys := engine.NewTaskKeys(step, x)
	for i := range x.Size {
		c.hits[keys.Key(i)] = engine.Hit{Run: "old", Step: step.Name, Dir: "/old"}
	}
}

// A step that had another name has the results of that, also if its tasks look at the name,
// and by each name that it ever had.
func TestMovedStepHasItsResults(t *testing.T) {
	for name, spec := range map[string]*engine.TaskSpec{
		"looks at it": {Script: "echo $FLOW_STEP"},
		"does not":    {Script: "echo"},
	} {
		for _, own := range []bool{false, true} { // tasks have something of their own
			specs := func(s *script, step engine.StepName) {
				s.tasks(step, 3, spec)
				for i := range 3 {
					if own {
						c := *spec
						c.Env = map[string]string{"N": string(rune('0' + i))}
						s.steps[step][i] = &c
					}
				}
			}
			cache := &newest{}
			old := &engine.Step{Name: "a", FanOut: true}
			s, d := newScript(old)
			specs(s, "a")
			s.load(t, d)
			s.tick(t, d, 0)
			cache.take(old, expanded(s, "a"))

			for _, was := range [][]engine.StepName{{"a"}, {"b", "a"}, nil} {
				s, d := newScript(&engine.Step{Name: "c", FanOut: true, Was: was})
				d.Cache = cache
				specs(s, "c")
				run := s.load(t, d)
				s.tick(t, d, 0)
				want := 3
				if was == nil && name == "looks at it" {
					want = 0
				}
				same(t, name, want, run.Select("c", engine.Cached).Len())
				step := ""
				for _, p := range run.KeyParts("c", 0) {
					if p.Name == "step" {
						step = p.Value
					}
				}
				if name == "looks at it" && was != nil {
					same(t, "the name in the key", "a", step)
				}
			}
		}
	}
}

// Known results of a step that is to be replaced do not count, nor those of what follows it.
func TestReplace(t *testing.T) {
	a, b, c, other := &engine.Step{Name: "a"}, &engine.Step{Name: "b", Deps: []engine.Dep{{Step: "a"}}}, &engine.Step{Name: "c", Deps: []engine.Dep{{Step: "b"}}}, &engine.Step{Name: "other"}
	steps := []*engine.Step{a, b, c, other}
	cache := &newest{}
	begin := func(replace ...engine.StepName) (*script, *engine.Driver, *engine.Run) {
		s, d := newScript(steps...)
		d.Cache = cache
		s.log[0].Info.Limits.Replace = replace
		for _, step := range steps {
			s.tasks(step.Name, 1, &engine.TaskSpec{Command: []string{string(step.Name)}})
		}
		run := s.load(t, d)
		s.tick(t, d, 0)
		return s, d, run
	}
	s, _, _ := begin()
	for _, step := range steps {
		cache.take(step, expanded(s, step.Name))
	}
	for want, replace := range map[string][]engine.StepName{
		"":            nil,
		"a b c":       {"a"},
		"b c":         {"b"},
		"c other":     {"other", "c"},
		" ":           {"unknown"},
		"a b c other": {"a", "other"},
	} {
		s, d, run := begin(replace...)
		ran := ""
		for range 8 {
			s.tick(t, d, 10*time.Second)
			for n := range s.specs {
				s.ends(n+1, engine.Upto(1), engine.JobSucceeded, "", 0)
			}
		}
		for _, step := range steps {
			if run.StepStatus(step.Name).Status == engine.Succeeded {
				ran += " " + string(step.Name)
			}
		}
		if replace != nil && want != " " {
			want = " " + want
		}
		if want == " " {
			want = ""
		}
		same(t, "ran", want, ran)
	}
}
