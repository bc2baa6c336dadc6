package state

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"flow/engine"
)

// Lookup returns, for each key, the newest known result, or a Hit with an empty Dir. It
// does not look whether the files are still there.
func (db *DB) Lookup(ctx context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	hits := make([]engine.Hit, len(keys))
	err := db.read(ctx, func(q reader) error {
		l := lookup{ctx: ctx, q: q, hits: hits, steps: map[[2]int64]*hitStep{}}
		for from := 0; from < len(keys); from += lookupKeys {
			if err := l.chunk(keys, from, min(from+lookupKeys, len(keys))); err != nil {
				return err
			}
		}
		return l.resolve()
	})
	if err != nil {
		return nil, err
	}
	return hits, nil
}

// lookupKeys is how many keys one query asks for, all as one blob: binding them one by
// one would take longer than finding them.
const lookupKeys = 10_000

type lookup struct {
	ctx   context.Context
	q     reader
	hits  []engine.Hit
	found []foundResult
	steps map[[2]int64]*hitStep
}

type foundResult struct {
	at        int
	step      *hitStep
	idx       int64
	task, out *string
}

// hitStep is a step that has results.
type hitStep struct {
	run     engine.RunID // "": it is gone
	workDir string
	name    engine.StepName
	fanOut  bool
}

func (l *lookup) chunk(keys []engine.CacheKey, from, to int) error {
	blob := make([]byte, 0, 32*(to-from))
	for _, k := range keys[from:to] {
		blob = append(blob, k[:]...)
	}
	rows, err := l.q.QueryContext(l.ctx, `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
		SELECT n.i, c.run, c.step, c.idx, c.task, c.outputs
		FROM n CROSS JOIN cache c ON c.key = substr(?1, 32 * n.i + 1, 32)`, blob, int64(to-from))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var f foundResult
		var id [2]int64
		if err := rows.Scan(&f.at, &id[0], &id[1], &f.idx, &f.task, &f.out); err != nil {
			return err
		}
		f.at += from
		if keys[f.at] == (engine.CacheKey{}) {
			continue
		}
		if f.step = l.steps[id]; f.step == nil {
			f.step = &hitStep{}
			l.steps[id] = f.step
		}
		l.found = append(l.found, f)
	}
	return rows.Err()
}

// resolve turns the rows found into hits.
func (l *lookup) resolve() error {
	for id, s := range l.steps {
		err := l.q.QueryRowContext(l.ctx, `SELECT r.id, r.work_dir, s.name, s.fan_out FROM runs r JOIN steps s ON s.run = r.num
			WHERE r.num = ? AND s.step = ?`, id[0], id[1]).Scan(&s.run, &s.workDir, &s.name, &s.fanOut)
		if err != nil && !isNoRows(err) {
			return err
		}
	}
	for _, f := range l.found {
		if f.step.run == "" {
			continue
		}
		key := taskKey(f.step.fanOut, f.task, f.idx)
		h := engine.Hit{Run: f.step.run, Step: f.step.name, Task: key,
			Dir: engine.TaskDir(f.step.workDir, f.step.run, f.step.name, engine.KeyDir(f.step.fanOut, key))}
		if f.out != nil {
			if err := json.Unmarshal([]byte(*f.out), &h.Outputs); err != nil {
				return fmt.Errorf("outputs of %s in run %s: %w", engine.TaskName(h.Step, f.step.fanOut, key), h.Run, err)
			}
		}
		l.hits[f.at] = h
	}
	return nil
}

// taskKey returns the key of a task from how it is stored.
func taskKey(fanOut bool, stored *string, idx int64) string {
	switch {
	case !fanOut:
		return ""
	case stored != nil:
		return *stored
	}
	return strconv.FormatInt(idx, 10)
}

// LookupFamily returns known results of the first n tasks of a step whose cache keys are
// of that family; those of newer runs first.
func (db *DB) LookupFamily(ctx context.Context, family engine.CacheKey, n int) ([]engine.HitRange, error) {
	var out []engine.HitRange
	err := db.read(ctx, func(q reader) error {
		rows, err := q.QueryContext(ctx, `SELECT c.tasks, r.id, r.work_dir, s.name
			FROM cache_ranges c JOIN runs r ON r.num = c.run JOIN steps s ON s.run = c.run AND s.step = c.step
			WHERE c.family = ? ORDER BY c.run DESC, c.step, c.seq`, family[:])
		if err != nil {
			return err
		}
		defer rows.Close()
		g := familyHits{known: make([]bool, n), left: n}
		for g.left > 0 && rows.Next() {
			var tasks string
			var h engine.HitRange
			if err := rows.Scan(&tasks, &h.Run, &h.WorkDir, &h.Step); err != nil {
				return err
			}
			if h.Tasks, err = parseRanges(tasks); err != nil {
				return fmt.Errorf("results of step %s in run %s: %w", h.Step, h.Run, err)
			}
			g.add(h)
		}
		g.close()
		out = g.out
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// familyHits gathers results, no task twice.
type familyHits struct {
	known []bool // tasks that have one
	left  int    // tasks that have none
	at    engine.HitRange
	mine  []bool // tasks of at
	out   []engine.HitRange
}

// add takes h over, but the tasks that are known.
func (g *familyHits) add(h engine.HitRange) {
	if h.Run != g.at.Run || h.Step != g.at.Step {
		g.close()
		g.at, g.mine = engine.HitRange{Run: h.Run, Step: h.Step, WorkDir: h.WorkDir}, make([]bool, len(g.known))
	}
	for i := range h.Tasks.All() {
		if i < len(g.known) && !g.known[i] {
			g.known[i], g.mine[i] = true, true
			g.left--
		}
	}
}

// close ends what is gathered of a step.
func (g *familyHits) close() {
	for i, ok := range g.mine {
		if ok {
			g.at.Tasks = g.at.Tasks.Add(i)
		}
	}
	if len(g.at.Tasks) > 0 {
		g.out = append(g.out, g.at)
	}
	g.at, g.mine = engine.HitRange{}, nil
}
