package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/local/model"
)

// compactFrom has a journal rewritten from a size on.
func compactFrom(b *Batch, size int64) {
	b.mu.Lock()
	b.journal.floor = size
	b.journal.inputs = 0 // whatever jobs there are
	b.unlock()
}

// settled returns the journal of a Batch once nobody rewrites it.
func settled(t *testing.T, b *Batch) []byte {
	t.Helper()
	b.rewriters.Wait()
	text, err := os.ReadFile(crashBatch(t, b))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A journal that is rewritten all the time tells the same as one that is not, whenever
// the process dies, and stays small.
func TestCompact(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	config := model.Config{Capacity: model.Capacity{VCPUs: 2, MemoryMiB: 1 << 20}, KeepEnded: 500}
	open := func(path string) *Batch {
		b := openBatch(t, BatchOptions{Runner: NewInstantRunner(InstantOptions{}), Journal: path, Model: config})
		compactFrom(b, 4<<10)
		return b
	}
	b := open(journalPath(t))
	rewritten, same := 0, 0
	var ids []engine.JobID
	var last os.FileInfo
	for i := range 400 {
		s := submission{Name: fmt.Sprint("job", i%7), Size: []int{0, 0, 2, 30}[random.IntN(4)], Attempts: 1 + random.IntN(3)}
		s.Task = nothing(fmt.Sprint("FLOW_EMULATE_EXIT=", random.IntN(3)))
		if random.IntN(20) == 0 {
			s.Task = nothing("FLOW_EMULATE_SECONDS=1000")
		}
		if len(ids) > 0 && random.IntN(3) == 0 {
			recent := ids[max(len(ids)-10, 0):] // which is not forgotten before the job is submitted
			on := recent[random.IntN(len(recent))]
			b.Look(func(m *model.Model, _ time.Time) {
				if _, ok := m.Describe(on); ok {
					s.DependsOn = []engine.Dependency{{Job: on}}
				}
			})
		}
		ids = append(ids, do(t, b, s))
		if random.IntN(10) == 0 {
			terminate(t, b, ids[random.IntN(len(ids))], "chance")
		}
		if info, err := os.Stat(b.journal.path); err == nil && last != nil && !os.SameFile(info, last) {
			rewritten++
			last = info
		} else if last == nil {
			last = info
		}
		if i%40 == 39 {
			then := endedOf(b, ids)
			b = open(crashBatch(t, b))
			same += assertSame(t, then, endedOf(b, ids))
		}
	}
	if text := settled(t, b); len(text) > 1<<20 {
		t.Errorf("the journal has %d bytes", len(text))
	}
	if rewritten < 5 || same < 100 {
		t.Errorf("the journal was rewritten %d times, and %d jobs were compared", rewritten, same)
	}
}

// endedOf returns what has ended of jobs and their children.
func endedOf(b *Batch, ids []engine.JobID) map[engine.JobID]engine.Job {
	out := map[engine.JobID]engine.Job{}
	b.Look(func(m *model.Model, _ time.Time) {
		for _, id := range ids {
			parent, _ := m.Describe(id)
			tasks := []model.View{parent}
			for i := range parent.Size {
				child, _ := m.Describe(id.Child(i))
				tasks = append(tasks, child)
			}
			for _, v := range tasks {
				if v.Status.Ended() {
					out[v.ID] = v.Job
				}
			}
		}
	})
	return out
}

// assertSame compares what had ended before a crash with what is known of it after it,
// but for what was forgotten since, and returns how much that is.
func assertSame(t *testing.T, before, after map[engine.JobID]engine.Job) (same int) {
	t.Helper()
	for id, j := range before {
		if k, ok := after[id]; ok {
			same++
			if diff := cmp.Diff(j, k); diff != "" {
				t.Fatalf("after a crash it is different (-before +after):\n%s", diff)
			}
		}
	}
	return same
}

// Numbers of jobs, what is kept beside the model, and what is declared, survive.
func TestCompactKeeps(t *testing.T) {
	config := model.Config{Declared: true, Capacity: model.Capacity{VCPUs: 64}}
	beside := []byte("what \"else\"\nthere is")
	var loaded []byte
	type detail struct{ Text string }
	options := BatchOptions{
		Journal: journalPath(t), Model: config,
		Save: func() []byte { return beside },
		Load: func(b []byte) error {
			loaded = b
			return nil
		},
		Decode: model.Decoders{Queue: func(b json.RawMessage) (any, error) {
			d := &detail{}
			return d, json.Unmarshal(b, d)
		}},
	}
	r := newGateRunner()
	options.Runner = r
	b := openBatch(t, options)
	declared := submission{Name: "ce", VCPUs: 4}
	if err := tryDo(b, "environment", &declared, declared.environment); err != nil {
		t.Fatal(err)
	}
	if err := tryDo(b, "queue", &declared, func(m *model.Model, now time.Time) error {
		return m.CreateQueue(now, model.Queue{Name: "queue", Environments: []string{"ce"}, Detail: &detail{"kept"}})
	}); err != nil {
		t.Fatal(err)
	}
	array := do(t, b, submission{Name: "array", Size: 3, Attempts: 2, VCPUs: 1, Task: sh("echo kept")})
	r.wait(t, 3)
	r.end(array.Child(1), 0)
	untilBatch(t, b, array.Child(1), func(j *engine.Job) bool { return j.Status.Ended() })
	compactFrom(b, 0)
	text := settled(t, b)
	if !bytes.HasPrefix(text, []byte(journalHeader+"\nc ")) {
		t.Fatalf("the journal begins with %.60q", text)
	}
	compactFrom(b, 1<<30)
	r.end(array.Child(2), 3) // its line needs a number again
	r.wait(t, 4)
	r.end(array.Child(2), 0)
	untilBatch(t, b, array.Child(2), func(j *engine.Job) bool { return j.Status.Ended() })
	other := do(t, b, submission{Name: "other", VCPUs: 1, Task: sh("true")})
	r.wait(t, 5)
	r.end(other, 0)
	ended(t, b, other)

	r2 := newGateRunner()
	options.Journal, options.Runner = crashBatch(t, b), r2
	c := openBatch(t, options)
	all := []engine.JobID{array.Child(1), array.Child(2), other}
	if diff := cmp.Diff(look(t, b, all...), look(t, c, all...)); diff != "" {
		t.Errorf("after a crash it is different:\n%s", diff)
	}
	if !bytes.Equal(loaded, beside) {
		t.Errorf("Load was given %q", loaded)
	}
	r2.wait(t, 1)
	if j := look(t, c, array.Child(0))[0]; len(j.Attempts) != 1 || !strings.HasPrefix(j.Attempts[0].StatusReason, engine.ReasonHostLost) {
		t.Errorf("what ran is %+v", j)
	}
	c.Look(func(m *model.Model, _ time.Time) {
		if q, _, _ := m.JobQueue("queue"); !cmp.Equal(q.Detail, &detail{"kept"}) {
			t.Errorf("queue is %+v", q)
		}
		v, _ := m.Describe(array)
		if task, ok := v.Request.Payload.(*Task); !ok || task.Containers[0].Command[2] != "echo kept" {
			t.Errorf("payload is %+v", v.Request.Payload)
		}
	})
	// The new file is locked as the old one was.
	if _, err := OpenBatch(options); !errors.As(err, new(*LockedError)) {
		t.Errorf("a second OpenBatch: %v", err)
	}
}

// A journal that cannot be rewritten is written on.
func TestCompactFails(t *testing.T) {
	r := newGateRunner()
	path := journalPath(t)
	b, err := OpenBatch(BatchOptions{Runner: r, Journal: path, Apply: applyTest, Save: saveNothing, Load: loadNothing, Model: model.Config{Capacity: model.Capacity{VCPUs: 2, MemoryMiB: 1 << 20}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(path+newSuffix+"/x", 0o755); err != nil {
		t.Fatal(err)
	}
	compactFrom(b, 0)
	b.rewriters.Wait()
	id := do(t, b, submission{Name: "a", Task: sh("true")})
	r.wait(t, 1)
	r.end(id, 0)
	j := ended(t, b, id)
	if err := b.Close(t.Context()); err == nil || !strings.Contains(err.Error(), filepath.Base(path+newSuffix)) {
		t.Errorf("Close = %v", err)
	}
	if err := os.RemoveAll(path + newSuffix); err != nil {
		t.Fatal(err)
	}
	c := openBatch(t, BatchOptions{Runner: newGateRunner(), Journal: path})
	if diff := cmp.Diff(j, look(t, c, id)[0]); diff != "" {
		t.Errorf("after that it is different:\n%s", diff)
	}
}

// A snapshot that is not whole is an error, not the end of the journal.
func TestTornSnapshot(t *testing.T) {
	b := openBatch(t, BatchOptions{Runner: newGateRunner(), Journal: journalPath(t)})
	for range 3 {
		do(t, b, submission{Name: "a", Task: sh("true")})
	}
	compactFrom(b, 0)
	text := settled(t, b)
	lines := bytes.SplitAfter(text, []byte("\n"))
	for name, torn := range map[string][]byte{
		"a job is missing":      bytes.Join(lines[:4], nil),
		"two are in one":        append(bytes.Join(lines[:5], nil), "j 0 {}\n"...),
		"a job makes no sense":  append(bytes.Join(lines[:4], nil), "j 0 {]\n"...),
		"another version":       bytes.Replace(text, []byte(`"version":1`), []byte(`"version":99`), 1),
		"the model has no head": bytes.Replace(text, []byte(`{"version"`), []byte(`["version"`), 1),
	} {
		path := journalPath(t)
		if err := os.WriteFile(path, torn, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenBatch(BatchOptions{Runner: newGateRunner(), Journal: path, Apply: applyTest, Save: saveNothing, Load: loadNothing}); err == nil {
			t.Errorf("%s: it opens", name)
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, torn) {
			t.Errorf("%s: the file has changed, %v", name, err)
		}
	}
}
