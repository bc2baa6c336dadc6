package dsl

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// maxConsumables is how many consumable resources a job has at most (Batch User Guide,
// resource-aware-scheduling-how-to-for-jobs).
const maxConsumables = 5

// setConsumables reads how much of which consumable resources a job has: by name or ARN. An
// entry that is null takes away that of the defaults.
func (t *task) setConsumables(a *arg) {
	entries, ok := value(t, a, toEntries)
	if !ok {
		return
	}
	list := slices.Clone(t.spec.Consumables)
	for _, e := range entries {
		list = t.consumable(a, e, list)
	}
	t.putConsumables(a, list)
}

// consumable puts an entry into list.
func (t *task) consumable(a *arg, e entry, list []engine.Consumable) []engine.Consumable {
	key, val := t.keyRange(a.expr, e.key)
	if _, err := toBlockName(kindConsumable)(cty.StringVal(e.key)); err != nil {
		t.wrong(a.name, key, err)
		return list
	}
	c := engine.Consumable{Resource: e.key}
	if slices.Contains(t.ev.p.poolNames(), c.Name()) {
		t.errorf(key, "%s is a pool. Write: pools = { %s = 1 }.", c.Name(), c.Name())
		return list
	}
	at := slices.IndexFunc(list, func(o engine.Consumable) bool { return o.Name() == c.Name() })
	if at >= 0 && list[at].Resource != e.key {
		t.errorf(key, "The consumable resource %s is there twice: as %s and as %s. Remove one.", c.Name(), list[at].Resource, e.key)
		return list
	}
	if !e.value.IsMarked() && e.value.IsKnown() && e.value.IsNull() {
		if !t.lacks(&a.refs) && at >= 0 {
			return slices.Delete(list, at, at+1)
		}
		return list
	}
	n, err := toNeed(e.value)
	switch {
	case errors.Is(err, errUnknown) && !t.final: // that it is there is known
		n = 1
	case err != nil:
		if !t.lacks(&a.refs) {
			t.wrong(a.name+"."+e.key, val, err)
		}
		return list
	}
	if total, ok := t.ev.totals[c.Name()]; ok && n > total {
		t.errorf(val, "A job would have %d of the consumable resource %s, and wait for ever, since there are only %d. Ask for less, or raise its total_quantity.", n, c.Name(), total)
		return list
	}
	if c.Quantity = n; at >= 0 {
		list[at] = c
		return list
	}
	return append(list, c)
}

// toNeed reads how much of a consumable resource a job has.
func toNeed(v cty.Value) (int64, error) {
	n, err := toInt(v, 1, math.MaxInt)
	if err != nil && !errors.Is(err, errUnknown) && !errors.Is(err, errSensitive) {
		err = fmt.Errorf("this is how much of it a job has, a whole number of at least 1")
	}
	return int64(n), err
}

// setTotal keeps how much there is of a consumable resource, if that is known.
func (ev *evaluator) setTotal(name string, total int64) {
	if ev.totals == nil {
		ev.totals = map[string]int64{}
	}
	ev.totals[name] = total
}

// totalsOf returns how much there is of each consumable resource that flow manages.
func totalsOf(in *engine.Infra) map[string]int64 {
	totals := map[string]int64{}
	if in == nil {
		return totals
	}
	for _, c := range in.Consumables {
		if !c.Existing {
			totals[c.Name] = c.Total
		}
	}
	return totals
}
