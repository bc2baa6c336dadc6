package workdir

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/store"
	"flow/executor/store/storetest"
	"flow/state"
)

const (
	testDir = "s3://lab/flow"
	here    = "laptop:/home/ann/.flow/flow.db"
)

// runN returns the n-th id of a run.
func runN(n int) engine.RunID { return engine.RunID(fmt.Sprintf("01jd%022d", n)) }

func at(st store.Store, path string) Dir {
	return Dir{Path: path, Store: func(context.Context) (store.Store, error) { return st, nil }}
}

func key(n int) engine.CacheKey { return engine.CacheKey{byte(n), 1} }

func recordOf(run engine.RunID) *Record {
	return NewRecord(state.NewRun{
		Info: engine.RunInfo{Run: run, Workflow: "w", WorkDir: testDir, Executor: engine.ExecutorBatch},
		Dir:  "/home/ann/w", Sources: []state.Source{{Name: "w.hcl", Bytes: []byte("step")}}, Steps: []state.StepInfo{{Name: "align", FanOut: true}},
	}, time.Unix(1_700_000_000, 0))
}

// fill puts a run with one task on S3: its record, a result, what leads to it, and an upload
// that never ended. It returns the objects that make the run.
func fill(t testing.TB, mem *storetest.Mem, n int) (whole []string) {
	t.Helper()
	ctx := context.Background()
	run := runN(n)
	d := at(mem, testDir)
	if err := d.Put(ctx, recordOf(run), here); err != nil {
		t.Fatal(err)
	}
	base := d.Run(run)
	put := func(name string, v any) {
		data, err := json.Marshal(v)
		if err == nil {
			_, err = mem.Put(ctx, name, data)
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, base) {
			whole = append(whole, name)
		}
	}
	dir := base + "/align/a"
	put(dir+"/1/x.bam", "bam")
	put(dir+"/1.claim", "job")
	put(dir+"/1.json", engine.Manifest{Version: 1, Run: run, Step: "align", Task: "a", Attempt: 1, CacheKey: fmt.Sprintf("%x", key(n))})
	put(dir+"/result", 1)
	put(base+"/.jobs/j.job", "job")
	put(agent.IndexPath(testDir, key(n)), agent.IndexEntry{Run: run, Step: "align", Task: "a", Dir: dir, Attempt: 1})
	return append(whole, base+recordName)
}

// results is a cache that knows the result of each run, whatever became of it.
type results struct{}

func (results) Lookup(_ context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	hits := make([]engine.Hit, len(keys))
	for i, k := range keys {
		hits[i] = engine.Hit{Run: runN(int(k[0])), Step: "align", Task: "a", Dir: testDir + "/" + string(runN(int(k[0]))) + "/align/a"}
	}
	return hits, nil
}

// takes has a run take a result over, as a driver does, and reports whether it did.
func takes(ctx context.Context, st store.Store, by engine.RunID, n int) (bool, error) {
	m := &Marks{Cache: results{}, Run: by, Dir: at(st, testDir)}
	hits, err := m.Lookup(ctx, []engine.CacheKey{key(n)})
	if err != nil || hits[0].Dir == "" {
		return false, err
	}
	there, err := m.Dir.there(ctx, hits[0].Dir+"/1.json")
	return there, err
}

// remover is one that removes only what it is told to.
func remover(st store.Store, me string) *Remover {
	return &Remover{Dir: at(st, testDir), Me: me, Going: func(engine.RunID) bool { return false }, Now: time.Now()}
}

// missing returns which of a run's objects are not there.
func missing(mem *storetest.Mem, whole []string) (out []string) {
	all := mem.Objects()
	for _, uri := range whole {
		if _, ok := all[uri]; !ok {
			out = append(out, uri)
		}
	}
	return out
}

// under returns the objects below a prefix.
func under(mem *storetest.Mem, prefix string) (out []string) {
	for uri := range mem.Objects() {
		if strings.HasPrefix(uri, prefix) {
			out = append(out, uri)
		}
	}
	return out
}

// TestRemoveKilledEverywhere lets flow clean die at every call of S3, before it and behind
// it, and loses the answers of all calls, once each: what lives is whole at every moment,
// what leads to a result leads to one that is there or is known to go, and the next flow
// clean finishes.
func TestRemoveKilledEverywhere(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]storetest.Fault{
		"death": storetest.Death, "death behind": storetest.DeathAfter, "refused": storetest.Refused, "lost": storetest.Lost,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				if !removeWithFault(t, n, fault) {
					if n < 20 {
						t.Fatalf("only %d calls were made", n)
					}
					return
				}
			}
		})
	}
}

// removeWithFault removes runs 1, 3 and 4 of a world; of run 2 results are used by run 9,
// which lives, and of run 3 by run 4. Call n goes wrong; false: there were not so many.
func removeWithFault(t *testing.T, n int, fault storetest.Fault) bool {
	ctx := t.Context()
	mem := storetest.New()
	whole := map[int][]string{}
	for _, k := range []int{1, 2, 3, 4, 9} {
		whole[k] = fill(t, mem, k)
	}
	// A newer run has made the result of run 1 again.
	data, _ := json.Marshal(agent.IndexEntry{Run: runN(9), Step: "align", Task: "a", Dir: testDir + "/x"})
	if _, err := mem.Put(ctx, agent.IndexPath(testDir, key(1)), data); err != nil {
		t.Fatal(err)
	}
	for _, use := range [][2]int{{9, 2}, {4, 3}} {
		if ok, err := takes(ctx, mem.Again(), runN(use[0]), use[1]); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	broken := mem.Again()
	left, hit := n, false
	broken.Fault = func(string, string) storetest.Fault {
		if left--; left != 0 {
			return storetest.Fault{}
		}
		hit = true
		return fault
	}
	clean := func(st *storetest.Mem) (err error) {
		for _, k := range []int{4, 3, 2, 1} {
			kept, failed := remover(st, here).Remove(ctx, runN(k))
			if err = failed; err != nil {
				return err
			}
			if (kept != "") != (k == 2) {
				t.Errorf("call %d: run %d is kept: %q", n, k, kept)
			}
		}
		return nil
	}
	check := func(when string) {
		for _, k := range []int{2, 9} {
			if gone := missing(mem, whole[k]); len(gone) > 0 {
				t.Errorf("call %d, %s: of run %d, which is used, there is no %v", n, when, k, gone)
			}
		}
		for k, files := range whole {
			is, err := at(mem, testDir).removing(ctx, runN(k))
			if err != nil {
				t.Fatal(err)
			}
			gone := missing(mem, files)
			if len(gone) > 0 && len(gone) < len(files) && (is == nil || !is.Gone) {
				t.Errorf("call %d, %s: half of run %d is gone, and nobody would know: %v", n, when, k, gone)
			}
			_, entry := mem.Objects()[agent.IndexPath(testDir, key(k))]
			if k != 1 && entry && len(gone) > 0 {
				t.Errorf("call %d, %s: an entry leads to run %d, of which there is no %v", n, when, k, gone)
			}
		}
		if _, ok := mem.Objects()[agent.IndexPath(testDir, key(1))]; !ok {
			t.Errorf("call %d, %s: what leads to the newer result is gone", n, when)
		}
	}
	_ = clean(broken)
	check("when it died")
	if err := clean(mem.Again()); err != nil {
		t.Fatalf("call %d: the next one: %v", n, err)
	}
	check("after the next one")
	for _, k := range []int{1, 3, 4} {
		if rest := under(mem, testDir+"/"+string(runN(k))); len(rest) > 0 {
			t.Errorf("call %d: of run %d there is still %v", n, k, rest)
		}
	}
	if is, err := at(mem, testDir).removing(ctx, runN(2)); is != nil || err != nil {
		t.Errorf("call %d: run 2 is still being removed: %v, %v", n, is, err)
	}
	var ids []engine.RunID
	records, err := at(mem, testDir).List(ctx, func(id engine.RunID, err error) { t.Error(id, err) })
	for _, r := range records {
		ids = append(ids, r.Info.Run)
	}
	if diff := cmp.Diff([]engine.RunID{runN(2), runN(9)}, ids); err != nil || diff != "" {
		t.Errorf("call %d: %v, runs that are there (-want +got):\n%s", n, err, diff)
	}
	return hit
}

// TestRemoveSweepsUploads: what never became an object goes as well.
func TestRemoveSweepsUploads(t *testing.T) {
	t.Parallel()
	mem := storetest.New()
	fill(t, mem, 1)
	fill(t, mem, 2)
	broken := mem.Again()
	broken.DieAt(1)
	for _, n := range []int{1, 2} {
		_, _, err := broken.Upload(t.Context(), testDir+"/"+string(runN(n))+"/align/b/1/y.bam", strings.NewReader("y"), 1)
		if err == nil {
			t.Fatal("it was to fail")
		}
	}
	if kept, err := remover(mem, here).Remove(t.Context(), runN(1)); kept != "" || err != nil {
		t.Fatal(kept, err)
	}
	if diff := cmp.Diff([]string{testDir + "/" + string(runN(2)) + "/align/b/1/y.bam"}, mem.Uploads()); diff != "" {
		t.Error(diff)
	}
}

// A process is a goroutine that makes calls of S3 one at a time, each when it is let. It may
// die, and be there again.
type process struct {
	asks  chan struct{} // before each call, and at its end
	may   chan storetest.Fault
	ended bool
}

// process begins one; again returns S3 as it sees it in its next life.
func (w *interleaved) process(run func(again func() store.Store)) {
	p := &process{asks: make(chan struct{}), may: make(chan storetest.Fault)}
	w.procs = append(w.procs, p)
	go func() {
		run(func() store.Store {
			st := w.mem.Again()
			st.Fault = func(string, string) storetest.Fault {
				p.asks <- struct{}{}
				return <-p.may
			}
			return st
		})
		p.ended = true
		p.asks <- struct{}{}
	}()
	<-p.asks
}

// interleaved is processes whose calls are put in one order after another.
type interleaved struct {
	mem   *storetest.Mem
	procs []*process
}

// step lets one process make a call.
func (w *interleaved) step(t *rapid.T) bool {
	var live []*process
	for _, p := range w.procs {
		if !p.ended {
			live = append(live, p)
		}
	}
	if len(live) == 0 {
		return false
	}
	p := live[rapid.IntRange(0, len(live)-1).Draw(t, "process")]
	fault := storetest.Fault{}
	switch rapid.IntRange(0, 24).Draw(t, "fault") {
	case 24:
		fault = storetest.Death
	case 23:
		fault = storetest.Lost
	}
	p.may <- fault
	<-p.asks
	return true
}

// TestRemoveWhileTaken puts the calls of flow clean, dying and called again, of another one
// with another state file, and of drivers that take results over in every order: what a run
// that is there has taken over is there.
func TestRemoveWhileTaken(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		mem := storetest.New()
		w := &interleaved{mem: mem}
		tb := &quietTB{}
		whole := fill(tb, mem, 1)
		ctx := context.Background()
		taken := map[engine.RunID]bool{}
		for n := range rapid.IntRange(1, 3).Draw(t, "takers") {
			by := runN(20 + n)
			if err := at(mem, testDir).Put(ctx, recordOf(by), here); err != nil {
				t.Fatal(err)
			}
			w.process(func(again func() store.Store) {
				st := again()
				for range 2 {
					if ok, err := takes(ctx, st, by, 1); ok && err == nil {
						taken[by] = true
					}
				}
			})
		}
		for n := range rapid.IntRange(1, 2).Draw(t, "cleaners") {
			me := fmt.Sprintf("%s%d", here, n)
			w.process(func(again func() store.Store) {
				for range 3 {
					_, _ = remover(again(), me).Remove(ctx, runN(1))
				}
			})
		}
		for w.step(t) {
			if len(taken) > 0 {
				if gone := missing(mem, whole); len(gone) > 0 {
					t.Fatalf("%v have taken results over, and there is no %v", taken, gone)
				}
			}
		}
		if kept, err := remover(mem, here+"0").Remove(ctx, runN(1)); err != nil || len(taken) > 0 && kept == "" {
			t.Fatalf("kept: %q, %v; taken by %v", kept, err, taken)
		}
	})
}

// quietTB is a testing.TB for fill, which does not fail.
type quietTB struct{ testing.TB }

func (quietTB) Helper() {}
