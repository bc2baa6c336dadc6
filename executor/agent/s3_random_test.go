package agent

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"flow/engine"
	"flow/executor/store/storetest"
)

// TestKilledAtRandom kills agents 1,000 times, before or behind any call, while calls fail and
// answers are lost, and damages what they have left. No command runs twice for an attempt, a
// result is whole whenever it is accepted, and in the end there is one.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	kills := 1000
	if testing.Short() {
		kills = 100
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := &randomWorld{random: rand.New(rand.NewPCG(seed, 0))}
	for w.kills < kills && !t.Failed() {
		w.toTheEnd(t)
	}
	t.Logf("%d kills in %d attempts, of %d tasks; %d results damaged", w.kills, w.attempts, w.tasks, w.damaged)
}

// A randomWorld has in it what may happen to agents.
type randomWorld struct {
	random                          *rand.Rand
	kills, attempts, tasks, damaged int
}

// toTheEnd has a task tried until it has succeeded, the tenth time without faults: as often
// as AWS Batch does it.
func (w *randomWorld) toTheEnd(t *testing.T) {
	w.tasks++
	s := newS3Test(t, `read x < "$in/a"; echo "$x" > "$out"; : > part-1; : > part-2; echo '{"a": 1}' > n.json`, allOutputs[0], allOutputs[2], allOutputs[3])
	s.input("content\n")
	for attempt := 1; attempt <= 10; attempt++ {
		w.attempts++
		mem := s.mem.Again()
		if attempt < 10 {
			mem.Fault = w.fault(1 + w.random.IntN(30))
		}
		code, said := s.run(mem, "job", attempt)
		m, err := s.result()
		switch {
		case err != nil && !errors.Is(err, engine.ErrNotFound):
			t.Fatal(err)
		case code == 0 && err != nil:
			t.Errorf("attempt %d has succeeded, and its result: %v", attempt, err)
		case attempt == 10 && code != 0:
			t.Errorf("the last attempt ended with %d: %s", code, said)
		}
		if m != nil {
			w.whole(t, s, m)
		}
		if attempt < 10 {
			w.damage(t, s, m)
		}
	}
	for attempt, times := range s.starts() {
		if times > 1 {
			t.Errorf("the command of attempt %s was started %d times", attempt, times)
		}
	}
}

// fault lets an agent die at a call, if it makes so many; one in ten before that fails or has
// its answer lost.
func (w *randomWorld) fault(last int) func(op, uri string) storetest.Fault {
	calls := 0
	return func(string, string) storetest.Fault {
		calls++
		switch k := w.random.IntN(20); {
		case calls == last:
			w.kills++
			return []storetest.Fault{storetest.Death, storetest.DeathAfter}[k%2]
		case k == 0:
			return storetest.Lost
		case k == 1:
			return storetest.Refused
		}
		return storetest.Fault{}
	}
}

// whole checks the files of a result that is accepted.
func (w *randomWorld) whole(t *testing.T, s *s3Test, m *engine.Manifest) {
	t.Helper()
	objects := s.mem.Objects()
	for path, want := range map[string]string{"sub/out": "content\n", "part-1": "", "part-2": "", "n.json": "{\"a\": 1}\n"} {
		data, ok := objects[fmt.Sprintf("%s/%d/%s", s.dir(), m.Attempt, path)]
		if !ok || string(data) != want {
			t.Errorf("%s of the accepted result of attempt %d is %q", path, m.Attempt, data)
		}
	}
}

// damage cuts or changes, now and then, an object that the attempts have left, but for their
// claims. If it is of the result m, that is noticed.
func (w *randomWorld) damage(t *testing.T, s *s3Test, m *engine.Manifest) {
	t.Helper()
	left := slices.DeleteFunc(slices.Sorted(maps.Keys(s.mem.Objects())), func(uri string) bool {
		return !strings.HasPrefix(uri, s.dir()+"/") || strings.HasSuffix(uri, claimExt)
	})
	if len(left) == 0 || w.random.IntN(2) == 0 {
		return
	}
	uri := left[w.random.IntN(len(left))]
	data := s.mem.Objects()[uri]
	record := path.Dir(uri) == s.dir() // and no file of an attempt
	cut := w.random.IntN(2) == 0
	if len(data) == 0 {
		return // there is nothing to cut
	}
	// Records have sums; of files only the ETag tells that without reading them.
	s.mem.Corrupt(uri, record && w.random.IntN(2) == 0, func(b []byte) []byte { return damage(b, w.random.IntN(len(b)), cut) })
	if m == nil {
		return
	}
	of := uri == s.dir()+"/"+engine.ResultDir || strings.HasPrefix(uri, fmt.Sprintf("%s/%d/", s.dir(), m.Attempt)) || uri == ManifestPath(s.dir(), m.Attempt)
	if !of {
		return
	}
	w.damaged++
	if m, err := s.result(); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("%s of the result was damaged, and it is accepted as that of attempt %v (%v)", uri, m, err)
	}
}
