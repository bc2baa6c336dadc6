package engine

// With and Without are what tests see of sets of tasks.
func With(a, b Ranges) Ranges    { return a.with(b) }
func Without(a, b Ranges) Ranges { return a.without(b) }

// KeyOf is the cache key of task i of a step with fan-out whose tasks share a spec without
// inputs.
func KeyOf(spec *TaskSpec, x *Expanded, step StepName, i int) CacheKey {
	base := keyBase(spec)
	x.KeyBases = base[:]
	return NewTaskKeys(&Step{Name: step, FanOut: true}, x).Key(i)
}
