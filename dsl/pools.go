package dsl

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// kindPool is the kind of a `pool` block. To AWS Batch it is a consumable resource.
const kindPool = "pool"

// maxSlots is how many slots a pool has at most.
const maxSlots = 1_000_000

var poolArgs = blockSpec{{name: "slots"}}

// pool reads a pool.
func (b *infraBlock) pool(blk engine.Block) *engine.ConsumableResource {
	c := &engine.ConsumableResource{Block: blk, Pool: true}
	read(b, "slots", &c.Total, toSlots)
	b.require("slots = 4")
	return c
}

func toSlots(v cty.Value) (int64, error) {
	n, err := toInt(v, 1, maxSlots)
	if err != nil && !errors.Is(err, errUnknown) && !errors.Is(err, errSensitive) {
		err = fmt.Errorf("this is how many slots the pool has, a whole number from 1 to %d", maxSlots)
	}
	return int64(n), err
}

// poolsOf returns the pools among what there is to be on AWS Batch.
func poolsOf(in *engine.Infra) []*engine.Pool {
	if in == nil {
		return nil
	}
	var out []*engine.Pool
	for _, c := range in.Consumables {
		if c.Pool {
			out = append(out, &engine.Pool{Name: c.Name, Slots: int(c.Total), Pos: c.Pos})
		}
	}
	return out
}

// poolNames are the names of the pools, in source order.
func (p *Program) poolNames() []string {
	var names []string
	for _, c := range p.infra {
		if c.kind == kindPool {
			names = append(names, c.label)
		}
	}
	return names
}

// setPools reads how many slots of which pools a task has. An entry that is null takes away
// that of the defaults.
func (t *task) setPools(a *arg) {
	entries, ok := value(t, a, toEntries)
	if !ok {
		return
	}
	list := slices.Clone(t.spec.Consumables)
	for _, e := range entries {
		list = t.pool(a, e, list)
	}
	t.putConsumables(a, list)
}

// pool puts an entry into list.
func (t *task) pool(a *arg, e entry, list []engine.Consumable) []engine.Consumable {
	key, val := t.keyRange(a.expr, e.key)
	if names := t.ev.p.poolNames(); !slices.Contains(names, e.key) {
		if !t.ev.p.lost.hidden[e.key] {
			t.errorf(key, "There is no pool %q.%s", e.key, poolHint(e.key, names))
		}
		return list
	}
	at := slices.IndexFunc(list, func(o engine.Consumable) bool { return o.Pool && o.Resource == e.key })
	if !e.value.IsMarked() && e.value.IsKnown() && e.value.IsNull() {
		if !t.lacks(&a.refs) && at >= 0 {
			return slices.Delete(list, at, at+1)
		}
		return list
	}
	n, err := toInt(e.value, 1, maxSlots)
	switch {
	case errors.Is(err, errUnknown) && !t.final: // that it is there is known
		n = 1
	case err != nil:
		if !errors.Is(err, errUnknown) && !errors.Is(err, errSensitive) {
			err = errors.New("this is how many of its slots a task has, a whole number of at least 1")
		}
		if !t.lacks(&a.refs) {
			t.wrong(a.name+"."+e.key, val, err)
		}
		return list
	}
	if total, ok := t.ev.totals[e.key]; ok && int64(n) > total {
		t.errorf(val, "A task would have %d slots of the pool %s, and wait for ever, since there are only %d. Ask for less, or raise its slots.", n, e.key, total)
		return list
	}
	c := engine.Consumable{Resource: e.key, Quantity: int64(n), Pool: true}
	if at >= 0 {
		list[at] = c
		return list
	}
	return append(list, c)
}

func poolHint(name string, names []string) string {
	if len(names) == 0 {
		return fmt.Sprintf(" Add one: pool %q { slots = 4 }.", name)
	}
	if s := suggest(name, names); s != "" {
		return s
	}
	return " There are " + list(names, "and") + "."
}

// putConsumables sets what a task has of consumable resources and pools, which AWS Batch
// counts together.
func (t *task) putConsumables(a *arg, list []engine.Consumable) {
	if len(list) > maxConsumables {
		what := fmt.Sprintf("There are %d consumable resources", len(list))
		if slices.ContainsFunc(list, func(c engine.Consumable) bool { return c.Pool }) {
			what = fmt.Sprintf("There are %d pools and consumable resources together", len(list))
		}
		t.errorf(a.expr.Range(), "%s; AWS Batch takes %d of a job.", what, maxConsumables)
	}
	slices.SortFunc(list, func(x, y engine.Consumable) int { return strings.Compare(x.Resource, y.Resource) })
	t.spec.Consumables = list
}
