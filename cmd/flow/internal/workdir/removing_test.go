package workdir

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/store/storetest"
)

// TestRemoveByTwo: a run that is in two state files is removed with one of them; the other
// neither goes on with that nor calls it off.
func TestRemoveByTwo(t *testing.T) {
	t.Parallel()
	mem := storetest.New()
	whole := fill(t, mem, 1)
	first := mem.Again()
	calls := 0
	first.Fault = func(string, string) storetest.Fault { // it is announced, and no more
		if calls++; calls > 1 {
			return storetest.Death
		}
		return storetest.Fault{}
	}
	if _, err := remover(first, "other:/flow.db").Remove(t.Context(), runN(1)); err == nil {
		t.Fatal("it was to die")
	}
	kept, err := remover(mem, here).Remove(t.Context(), runN(1))
	if err != nil || !strings.Contains(kept, "other:/flow.db") || len(missing(mem, whole)) > 0 {
		t.Errorf("%q, %v, and there is no %v", kept, err, missing(mem, whole))
	}
	if _, kept, err := remover(mem, here).Use(t.Context(), runN(1)); err != nil || !strings.Contains(kept, "other:/flow.db") {
		t.Errorf("as it would be: %q, %v", kept, err)
	}
	var going *GoingError
	if err := at(mem, testDir).Put(t.Context(), recordOf(runN(1)), here); !errors.As(err, &going) || going.Mine {
		t.Errorf("taken up: %v", err)
	}
	if _, err := at(mem, testDir).Get(t.Context(), runN(1)); !errors.As(err, &going) {
		t.Errorf("recovered: %v", err)
	}
	// With its own state file it is taken up again: nothing is gone yet.
	if err := at(mem, testDir).Put(t.Context(), recordOf(runN(1)), "other:/flow.db"); err != nil {
		t.Error(err)
	}
	if ok, err := takes(t.Context(), mem, runN(1), 1); err != nil || !ok {
		t.Errorf("its results do not count: %v", err)
	}
}

// TestRemoveGoesOn: once files may be gone, no mark counts, and the run is not taken up.
func TestRemoveGoesOn(t *testing.T) {
	t.Parallel()
	mem := storetest.New()
	fill(t, mem, 1)
	fill(t, mem, 2)
	broken := mem.Again()
	gone := at(mem, testDir).Run(runN(1)) + "/.jobs/j.job"
	broken.Fault = func(op, uri string) storetest.Fault {
		if op == "Remove" && uri == gone {
			return storetest.DeathAfter
		}
		return storetest.Fault{}
	}
	if _, err := remover(broken, here).Remove(t.Context(), runN(1)); err == nil {
		t.Fatal("it was to die")
	}
	if ok, err := takes(t.Context(), mem, runN(2), 1); ok || err != nil {
		t.Errorf("a result of it is taken: %v, %v", ok, err)
	}
	var going *GoingError
	if err := at(mem, testDir).Put(t.Context(), recordOf(runN(1)), here); !errors.As(err, &going) || !going.Mine {
		t.Errorf("taken up: %v", err)
	}
	if kept, err := remover(mem, here).Remove(t.Context(), runN(1)); kept != "" || err != nil {
		t.Errorf("the next one: %q, %v", kept, err)
	}
	if rest := under(mem, at(mem, testDir).Run(runN(1))); len(rest) > 0 {
		t.Errorf("left: %v", rest)
	}
}

// TestRemoveLeavesNoMark: whoever marks a run in its last moments leaves nothing behind.
func TestRemoveLeavesNoMark(t *testing.T) {
	t.Parallel()
	mem := storetest.New()
	fill(t, mem, 1)
	fill(t, mem, 2)
	base := at(mem, testDir).Run(runN(1))
	busy := mem.Again()
	busy.Fault = func(op, uri string) storetest.Fault {
		if op == "Remove" && uri == base+removingName {
			if ok, err := takes(t.Context(), mem.Again(), runN(2), 1); ok || err != nil {
				t.Errorf("a result is taken: %v, %v", ok, err)
			}
		}
		return storetest.Fault{}
	}
	if kept, err := remover(busy, here).Remove(t.Context(), runN(1)); kept != "" || err != nil {
		t.Fatal(kept, err)
	}
	if rest := under(mem, base); len(rest) > 0 {
		t.Errorf("left: %v", rest)
	}
	if ok, err := takes(t.Context(), mem, runN(2), 1); ok || err != nil {
		t.Errorf("a result of what is gone is taken: %v, %v", ok, err)
	}
	if rest := under(mem, base); len(rest) > 0 {
		t.Errorf("left by who came later: %v", rest)
	}
}

// TestMarks says which marks keep a run.
func TestMarks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		mark any
		kept bool
	}{
		{"of a run that is there", Mark{WorkDir: testDir}, true},
		{"of a run that is gone", Mark{WorkDir: "s3://lab/elsewhere"}, false},
		{"of a directory of another machine", Mark{WorkDir: "/work", Host: "another"}, true},
		{"of a directory here that is gone", Mark{WorkDir: t.TempDir(), Host: host()}, false},
		{"of nobody knows whom", "?", true},
	} {
		mem := storetest.New()
		fill(t, mem, 1)
		fill(t, mem, 2)
		data, err := json.Marshal(c.mark)
		if err == nil {
			_, err = mem.Put(t.Context(), at(mem, testDir).Run(runN(1))+usedDir+string(runN(2)), data)
		}
		if err != nil {
			t.Fatal(err)
		}
		kept, err := remover(mem, here).Remove(t.Context(), runN(1))
		if err != nil || (kept != "") != c.kept {
			t.Errorf("a mark %s: kept: %q, %v", c.name, kept, err)
		}
		if kept != "" && !strings.Contains(kept, string(runN(2))) {
			t.Errorf("a mark %s: it is not said by whom: %q", c.name, kept)
		}
	}
}

// TestMarksPutOnce: results of one run cost one mark, however many there are; what is no
// result on S3, and the run's own, none.
func TestMarksPutOnce(t *testing.T) {
	t.Parallel()
	mem := storetest.New()
	fill(t, mem, 1)
	fill(t, mem, 2)
	m := &Marks{Cache: results{}, Run: runN(2), Dir: at(mem, testDir)}
	keys := make([]engine.CacheKey, 1000)
	for i := range keys {
		keys[i] = engine.CacheKey{1, byte(i), byte(i >> 8)}
	}
	keys[7] = key(2)
	before := mem.Calls()
	if _, err := m.Lookup(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	if n := mem.Calls() - before; n != 3 {
		t.Errorf("1000 results of one run cost %d calls, want 3", n)
	}
	mem.Fault = func(string, string) storetest.Fault { return storetest.Refused }
	if _, err := m.Lookup(t.Context(), keys); !errors.Is(err, engine.ErrLater) {
		t.Errorf("without an answer: %v", err)
	}
}

// TestRecordThereAndBack: what was put is what is got, here and on S3, and one that is there
// stays.
func TestRecordThereAndBack(t *testing.T) {
	t.Parallel()
	mem := storetest.New()
	for _, path := range []string{t.TempDir(), testDir} {
		d := at(mem, path)
		for n := range 3 {
			r := recordOf(runN(n))
			r.Info.WorkDir = path
			if err := d.Put(t.Context(), r, here); err != nil {
				t.Fatal(err)
			}
			again := *r
			again.Dir = "/other"
			if err := d.Put(t.Context(), &again, here); err != nil {
				t.Fatal(err)
			}
			got, err := d.Get(t.Context(), runN(n))
			if diff := cmp.Diff(r, got); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", path, err, diff)
			}
		}
		list, err := d.List(t.Context(), func(id engine.RunID, err error) { t.Error(id, err) })
		if err != nil || len(list) != 3 || list[2].Info.Run != runN(2) {
			t.Errorf("%s: %v, %v", path, list, err)
		}
		if _, err := d.Get(t.Context(), runN(9)); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s: %v", path, err)
		}
		workDir, run, err := Split(d.Run(runN(1)) + "/")
		if workDir != path || run != runN(1) || err != nil {
			t.Errorf("Split: %s, %s, %v", workDir, run, err)
		}
		if _, _, err := Split(path + "/align"); err == nil {
			t.Error("align is taken for a run")
		}
	}
	moved := recordOf(runN(5))
	if err := at(mem, testDir+"2").Create(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	if _, err := at(mem, testDir+"2").Get(t.Context(), runN(5)); err == nil || !strings.Contains(err.Error(), "moved") {
		t.Errorf("a work_dir that was moved: %v", err)
	}
}

// TestCreateKilled lets the process that creates a run die at every call: a run with a
// record is in the list.
func TestCreateKilled(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 3; n++ {
		mem := storetest.New()
		broken := mem.Again()
		broken.DieAt(n)
		_ = at(broken, testDir).Create(t.Context(), recordOf(runN(1)))
		_, err := at(mem, testDir).Get(t.Context(), runN(1))
		list, failed := at(mem, testDir).List(t.Context(), func(id engine.RunID, err error) { t.Error(id, err) })
		if failed != nil || (err == nil) != (len(list) == 1) {
			t.Errorf("call %d: %v, and %d runs are listed (%v)", n, err, len(list), failed)
		}
	}
}
