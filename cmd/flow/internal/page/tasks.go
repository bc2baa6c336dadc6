package page

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"flow/cmd/flow/internal/runstat"
	"flow/engine"
)

// TasksPerPage is how many tasks a page of the table has.
const TasksPerPage = 100

// A TaskQuery says which tasks of a step a table shows, and in which order.
type TaskQuery struct {
	Status engine.Status
	Any    bool          // whatever the status
	Text   string        // in the key
	Tasks  engine.Ranges // these only; nil: all
	Cause  string        // those that failed for it, see CauseID
	Sort   string        // one of TaskSorts
	Down   bool          // the greatest first
	Page   int           // from 1
}

// TaskSorts are what tasks can be sorted by.
var TaskSorts = []string{"index", "status", "attempts", "started", "duration", "memory", "exit"}

// ParseTaskQuery reads a query: status, q, tasks ("0-99,105"), cause, sort ("-duration": the
// greatest first), page. The error says what is wrong with it.
func ParseTaskQuery(q url.Values) (t TaskQuery, err error) {
	t = TaskQuery{Any: true, Text: q.Get("q"), Cause: q.Get("cause"), Sort: "index", Page: 1}
	if s := q.Get("status"); s != "" {
		if err := t.Status.UnmarshalText([]byte(strings.ToUpper(s))); err != nil {
			return t, fmt.Errorf("no task has the status %q", s)
		}
		t.Any = false
	}
	if s := q.Get("tasks"); s != "" {
		quoted, _ := json.Marshal(s)
		if err := t.Tasks.UnmarshalJSON(quoted); err != nil {
			return t, fmt.Errorf("tasks=%q is no list of numbers, such as 0-99,105", s)
		}
	}
	if s := q.Get("sort"); s != "" {
		t.Sort, t.Down = strings.CutPrefix(s, "-")
		if !slices.Contains(TaskSorts, t.Sort) {
			return t, fmt.Errorf("tasks cannot be sorted by %q; write one of: %s", t.Sort, strings.Join(TaskSorts, ", "))
		}
	}
	if s := q.Get("page"); s != "" {
		if t.Page, err = strconv.Atoi(s); err != nil || t.Page < 1 {
			return t, fmt.Errorf("page=%q is no number from 1 on", s)
		}
	}
	return t, nil
}

// Filters reports whether the query leaves tasks out.
func (t *TaskQuery) Filters() bool {
	return !t.Any || t.Text != "" || t.Tasks != nil || t.Cause != ""
}

// CauseID is how a query names why tasks failed.
func CauseID(g *runstat.FailureGroup) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(string(g.Cause) + "\n" + g.Text))
	return strconv.FormatUint(uint64(h.Sum32()), 36)
}

// Pick returns the indices of the tasks that a query asks for, in its order. groups are the
// failures of the step.
func (t *TaskQuery) Pick(run *engine.Run, step engine.StepName, groups []runstat.FailureGroup, now time.Time) []int {
	c := run.Columns(step)
	keys := c.Keys()
	cause := engine.Ranges(nil)
	for i := range groups {
		if CauseID(&groups[i]) == t.Cause {
			cause = groups[i].Indices
		}
	}
	text := strings.ToLower(t.Text)
	has := func(i int) bool {
		key := ""
		if keys != nil {
			key = strings.ToLower(keys[i])
		} else {
			key = strconv.Itoa(i)
		}
		return strings.Contains(key, text)
	}
	out := make([]int, 0, len(c.Status))
	for i, s := range c.Status {
		if (t.Any || s == t.Status) && (t.Tasks == nil || t.Tasks.Contains(i)) &&
			(t.Cause == "" || cause.Contains(i)) && (text == "" || has(i)) {
			out = append(out, i)
		}
	}
	t.sort(out, run, step, &c, now.UnixMilli())
	return out
}

// sort brings tasks into the order that the query asks for; those that are alike stay in the
// order of their indices.
func (t *TaskQuery) sort(tasks []int, run *engine.Run, step engine.StepName, c *engine.Columns, now int64) {
	var by func(i int) int64
	switch t.Sort {
	case "status":
		rank := map[engine.Status]int64{}
		for k, s := range failedFirst {
			rank[s] = int64(k)
		}
		by = func(i int) int64 { return rank[c.Status[i]] }
	case "attempts":
		by = func(i int) int64 { return int64(c.Attempts[i]) }
	case "started":
		by = func(i int) int64 { return c.Started[i] }
	case "duration":
		by = func(i int) int64 { return lasted(c, i, now) }
	case "memory":
		by = func(i int) int64 { return c.Used(i).PeakMemory }
	case "exit":
		by = func(i int) int64 { return exitOf(run, step, c, i) }
	default:
		if t.Down {
			slices.Reverse(tasks)
		}
		return
	}
	values := make(map[int]int64, len(tasks))
	for _, i := range tasks {
		values[i] = by(i)
	}
	slices.SortStableFunc(tasks, func(a, b int) int {
		if t.Down {
			return cmp.Compare(values[b], values[a])
		}
		return cmp.Compare(values[a], values[b])
	})
}

// failedFirst is the order of statuses in which what needs somebody comes first; heat-data.js
// has the same.
var failedFirst = []engine.Status{engine.Failed, engine.Running, engine.Cancelled, engine.Skipped, engine.Pending, engine.Succeeded, engine.Cached}

// lasted is how long the last try of a task took, or has taken so far, in ms.
func lasted(c *engine.Columns, i int, now int64) int64 {
	switch {
	case c.Started[i] == 0 || c.Status[i] == engine.Pending:
		return 0
	case c.Status[i] == engine.Running:
		return max(now-c.Started[i], 0)
	}
	return max(c.Stopped[i]-c.Started[i], 0)
}

// exitOf is the exit code of the last try of a task; ExitNone: it has none.
func exitOf(run *engine.Run, step engine.StepName, c *engine.Columns, i int) int64 {
	switch {
	case c.Status[i] == engine.Succeeded:
		return 0
	case c.Attempts[i] == 0 || c.Status[i] == engine.Cached:
		return ExitNone
	}
	if t := run.Task(step, i); t.ExitCode != nil {
		return int64(*t.ExitCode)
	}
	return ExitNone
}
