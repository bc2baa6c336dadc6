package state

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"flow/engine"
)

// BenchmarkAppend ends tasks of an array of 10,000, so many a commit.
func BenchmarkAppend(b *testing.B) {
	for _, group := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(group), func(b *testing.B) {
			const size = 10_000
			db := newDB(b)
			var run engine.RunID
			var seq int64
			at, tasks := size, 0
			for b.Loop() {
				if at+group > size {
					b.StopTimer()
					run = engine.RunID(fmt.Sprintf("run%d", tasks))
					mustCreate(b, db, run, "align*")
					must(b, db.Append(b.Context(), run, 1, expanded("align", size, string(run)), planned("align", 1, engine.Upto(size))))
					seq, at = 3, 0
					b.StartTimer()
				}
				must(b, db.Append(b.Context(), run, seq, ended("align", 1, engine.Ranges{{From: at, To: at + group - 1}}, engine.TaskSucceeded)))
				seq++
				at += group
				tasks += group
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(tasks), "us/task")
		})
	}
}

// BenchmarkExpand makes 10,000 tasks known and plans them.
func BenchmarkExpand(b *testing.B) {
	for _, form := range []string{"plain", "items"} {
		b.Run(form, func(b *testing.B) {
			const size = 10_000
			db := newDB(b)
			n := 0
			for b.Loop() {
				b.StopTimer()
				n++
				run := engine.RunID(fmt.Sprintf("run%d", n))
				mustCreate(b, db, run, "align*")
				e := expanded("align", size, string(run))
				if form == "items" {
					for i := range size {
						name := fmt.Sprintf("sample-%05d", i)
						e.Expanded.Keys = append(e.Expanded.Keys, name)
						e.Expanded.Items = append(e.Expanded.Items, &engine.Item{
							Inputs: []engine.Input{{Name: "reads", Paths: []string{"/data/reads/" + name + ".fq"}, IDs: []string{"sha256:0123456789abcdef" + name}}}})
					}
				}
				b.StartTimer()
				must(b, db.Append(b.Context(), run, 1, e))
				must(b, db.Append(b.Context(), run, 2, planned("align", 1, engine.Upto(size))))
			}
		})
	}
}

// BenchmarkLookup asks for 10,000 results, which are known or not.
func BenchmarkLookup(b *testing.B) {
	const size = 10_000
	db := newDB(b)
	mustCreate(b, db, "run1", "align*")
	must(b, db.Append(b.Context(), "run1", 1, expanded("align", size, "s"), planned("align", 1, engine.Upto(size)),
		ended("align", 1, engine.Upto(size), engine.TaskSucceeded)))
	for _, salt := range []string{"s", "other"} {
		keys := make([]engine.CacheKey, size)
		for i := range keys {
			keys[i] = cacheKey(salt, i)
		}
		b.Run(map[string]string{"s": "hit", "other": "miss"}[salt], func(b *testing.B) {
			for b.Loop() {
				hits := value(db.Lookup(b.Context(), keys))(b)
				if (hits[size-1].Dir != "") != (salt == "s") {
					b.Fatal(hits[size-1])
				}
			}
		})
	}
}

// BenchmarkOpen opens a file that is there, and closes it.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "flow.db")
	mustOpen(b, path, Options{})
	for _, ro := range []bool{false, true} {
		b.Run(map[bool]string{false: "rw", true: "ro"}[ro], func(b *testing.B) {
			for b.Loop() {
				db := value(Open(path, Options{ReadOnly: ro}))(b)
				b.StopTimer()
				must(b, db.Close())
				b.StartTimer()
			}
		})
	}
}

// BenchmarkFold folds a run of 100,000 tasks in 10 arrays, with an item and a key each, as
// pages and flow status do. retained-MB is what the folded run takes.
func BenchmarkFold(b *testing.B) {
	const size = 100_000
	db := newDB(b)
	mustCreate(b, db, "run1", "align*")
	e := expanded("align", size, "salt")
	for i := range size {
		name := fmt.Sprintf("sample-%06d", i)
		e.Expanded.Keys = append(e.Expanded.Keys, name)
		e.Expanded.Items = append(e.Expanded.Items, &engine.Item{Inputs: []engine.Input{{Name: "reads", Paths: []string{"/data/reads/" + name + ".fq"}, IDs: []string{"sha256:" + name}}}})
	}
	must(b, db.Append(b.Context(), "run1", 1, e))
	seq := int64(2)
	for n := range size / engine.MaxArraySize {
		from := n * engine.MaxArraySize
		tasks := engine.Ranges{{From: from, To: from + engine.MaxArraySize - 1}}
		done := ended("align", n+1, tasks, engine.TaskSucceeded)
		for i := range engine.MaxArraySize {
			done.Memory, done.CPU = append(done.Memory, int64(1<<30+i*i%997*4096)), append(done.CPU, int64(1000+i%313))
		}
		must(b, db.Append(b.Context(), "run1", seq, planned("align", n+1, tasks), done))
		seq += 2
	}
	wf := &engine.Workflow{Name: "w", Steps: []*engine.Step{{Name: "align", FanOut: true}}}
	var run *engine.Run
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		run = value(engine.NewRun(wf))(b)
		for e, err := range db.Events(b.Context(), "run1", 0) {
			must(b, err)
			must(b, run.Apply(e))
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "retained-MB")
	if n := run.StepStatus("align").Counts[engine.Succeeded]; n != size {
		b.Errorf("%d tasks have succeeded", n)
	}
}
