package engine

import "crypto/sha256"

// TaskKeys are the cache keys of the tasks of a step. Where nothing but their names tells
// the tasks apart, only what they share is stored, and each key is computed when it is
// asked for: a million of them would be 32 MB. What is computed from a stored base must
// never change; other keys need another field of Expanded.
type TaskKeys struct {
	step   Step     // its name in keys, and FanOut
	keys   []string // of the tasks
	stored []byte   // 32 bytes a task; nil: they are computed
	only   Ranges   // the tasks that stored has; nil: all
	groups []keyGroup
	group  []int
	leaves bool // tasks have outputs
}

// NewTaskKeys returns the keys of the tasks of a step, of which only the name and FanOut
// are used; nil if no result of it is to be kept.
func NewTaskKeys(step *Step, x *Expanded) *TaskKeys {
	if x.CacheKeys == nil && x.KeyBases == nil {
		return nil
	}
	name := step.Name
	if x.KeyName != "" {
		name = x.KeyName
	}
	k := &TaskKeys{step: Step{Name: name, FanOut: step.FanOut}, keys: x.Keys, stored: x.CacheKeys, group: x.Group}
	for g := 0; g < len(x.KeyBases)/32; g++ {
		k.groups = append(k.groups, newKeyGroup(x.Groups[g], [32]byte(x.KeyBases[32*g:])))
		k.leaves = k.leaves || len(x.Groups[g].Outputs) > 0
	}
	return k
}

// StoredKeys are keys that were computed before, of some tasks of a step: 32 bytes each, in
// the order of the tasks. It must not be asked for those of others.
func StoredKeys(tasks Ranges, keys []byte) *TaskKeys { return &TaskKeys{stored: keys, only: tasks} }

// Key returns the key of task i; zeros if its result is not kept.
func (k *TaskKeys) Key(i int) (key CacheKey) {
	switch {
	case k == nil:
		return key
	case k.stored != nil:
		if k.only != nil {
			i = k.only.Rank(i)
		}
		copy(key[:], k.stored[32*i:])
		return key
	}
	return k.groups[k.groupOf(i)].task(k.step.Name, keyOf(&k.step, k.keys, i), i)
}

func (k *TaskKeys) groupOf(i int) int {
	if k.group == nil {
		return 0
	}
	return k.group[i]
}

// alone is Key for those who ask at the same time.
func (k *TaskKeys) alone(i int) CacheKey {
	if k == nil || k.stored != nil {
		return k.Key(i)
	}
	g := k.groups[k.groupOf(i)]
	g.h, g.buf = sha256.New(), nil
	return g.task(k.step.Name, keyOf(&k.step, k.keys, i), i)
}

// Family names all tasks, of whatever run, whose keys are equal to those of this step
// where their indices are. It is not ok if the tasks are told apart by more than their
// index, or leave something.
func (k *TaskKeys) Family() (family CacheKey, ok bool) {
	if k == nil || len(k.groups) != 1 || !k.step.FanOut || k.keys != nil || k.leaves {
		return family, false
	}
	g := &k.groups[0]
	if g.base == ([32]byte{}) {
		return family, false
	}
	b := appendPart(nil, "family", string(g.base[:]))
	if g.step {
		b = appendPart(b, "step", string(k.step.Name))
	}
	return sha256.Sum256(b), true
}

func (x *Expanded) group(i int) int {
	if x.Group == nil {
		return 0
	}
	return x.Group[i]
}

// Fits reports whether the parts of an expansion fit together.
func (x *Expanded) Fits() bool {
	known := x.Cached.Len() == len(x.Hits) && inside(x.Cached, x.Size)
	for i := range x.HitRanges {
		known = known && inside(x.HitRanges[i].Tasks, x.Size)
	}
	return known && x.Size >= 0 && (x.Keys == nil || len(x.Keys) == x.Size) && (x.Items == nil || len(x.Items) == x.Size) &&
		(x.Group == nil || len(x.Group) == x.Size) && (x.CacheKeys == nil || len(x.CacheKeys) == 32*x.Size) &&
		(x.KeyBases == nil || len(x.KeyBases) == 32*len(x.Groups)) && (len(x.Absent) == 0 || x.Items != nil)
}

// inside reports whether all indices are below n.
func inside(r Ranges, n int) bool { return len(r) == 0 || r[len(r)-1].To < n }
