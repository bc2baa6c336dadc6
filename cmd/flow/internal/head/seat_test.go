package head

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/executor/store"
	"flow/executor/store/storetest"
)

var seeds = flag.Int("seat.seeds", 40, "how many worlds of heads are tried")

// A world has heads that are killed, cut off from S3 and started again, as AWS Batch does. Their
// state is a file with a line for each slot.
type world struct {
	t       *testing.T
	dir     string
	objects *storetest.Mem
	random  *rand.Rand
	mu      sync.Mutex
	driving atomic.Int64
	files   atomic.Int64
}

func (w *world) dice(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

// process returns what a process sees of S3: it may end at a call, and be cut off for a while.
func (w *world) process() *storetest.Mem {
	m := w.objects.Again()
	dies := 1 << 30
	if w.dice(3) == 0 {
		dies = 1 + w.dice(40)
	}
	cut := time.Now().Add(time.Duration(w.dice(600)) * time.Second)
	cutFor := time.Duration(w.dice(2)*w.dice(200)) * time.Second
	m.Fault = func(string, string) storetest.Fault {
		dies--
		switch {
		case dies == 0 && w.dice(2) == 0:
			return storetest.DeathAfter
		case dies == 0:
			return storetest.Death
		case time.Now().After(cut) && time.Now().Before(cut.Add(cutFor)), w.dice(100) < 2:
			return storetest.Refused
		case w.dice(100) < 3:
			return storetest.Lost
		}
		return storetest.Fault{}
	}
	return m
}

// A farStore is one whose calls take time, in which others make theirs.
type farStore struct {
	*storetest.Mem
	w *world
}

func (f *farStore) travel() { time.Sleep(time.Duration(f.w.dice(800)) * time.Millisecond) }

func (f *farStore) Get(ctx context.Context, uri string) ([]byte, store.Object, error) {
	f.travel()
	defer f.travel()
	return f.Mem.Get(ctx, uri)
}

func (f *farStore) Put(ctx context.Context, uri string, data []byte) (store.Object, error) {
	f.travel()
	defer f.travel()
	return f.Mem.Put(ctx, uri, data)
}

func (f *farStore) PutMatch(ctx context.Context, uri string, data []byte, etag string) (store.Object, error) {
	f.travel()
	defer f.travel()
	return f.Mem.PutMatch(ctx, uri, data, etag)
}

// head is what a head does for a slot; see cmd/flow.
func (w *world) head(s *Slot) error {
	p := &Place{Store: &farStore{w.process(), w}, URI: "s3://lab/deploy/w"}
	ctx, end := context.WithCancel(w.t.Context())
	defer end()
	if err := p.Ask(ctx, s); err != nil {
		return err
	}
	done := func(ctx context.Context) (bool, error) { waits, err := p.Waits(ctx, s); return !waits, err }
	for {
		me := Owner{Token: fmt.Sprint(w.files.Add(1)), Since: time.Now()}
		seat, err := p.Take(ctx, me, Usual, done)
		if err != nil || seat == nil {
			return err
		}
		if err := w.drive(ctx, p, seat); err != nil {
			return err
		}
		if err := seat.Release(ctx); err != nil {
			return err
		}
		left, err := p.Asked(ctx)
		if err != nil || len(left) == 0 {
			return err
		}
		done = func(ctx context.Context) (bool, error) { left, err := p.Asked(ctx); return len(left) == 0, err }
	}
}

// drive has the seat.
func (w *world) drive(ctx context.Context, p *Place, seat *Seat) error {
	if n := w.driving.Add(1); n > 1 {
		w.t.Errorf("%d drive at once", n)
	}
	defer w.driving.Add(-1)
	ctx, lose := context.WithCancelCause(ctx)
	var kept sync.WaitGroup
	defer kept.Wait()
	defer lose(nil)
	kept.Go(func() {
		if err := seat.Keep(ctx); err != nil {
			lose(err)
		}
	})
	file := filepath.Join(w.dir, fmt.Sprint(w.files.Add(1)))
	if there, err := seat.Restore(ctx, file); err != nil {
		return err
	} else if !there {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return err
		}
	}
	for {
		asked, err := p.Asked(ctx)
		if err != nil || len(asked) == 0 {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, s := range asked {
			if line := s.Schedule + "\n"; !strings.Contains(string(text), line) {
				text = append(text, line...)
			}
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		if err := Usual.Sleep(ctx, time.Duration(w.dice(90))*time.Second); err != nil {
			return context.Cause(ctx)
		}
		if err := seat.Publish(ctx, file); err != nil {
			return err
		}
		if err := p.Answered(ctx, asked...); err != nil {
			return err
		}
	}
}

// However heads are killed and cut off, one drives at a time, and each slot that was asked for
// ends up once in the state.
func TestSeat(t *testing.T) {
	t.Parallel()
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, dir: dir, objects: storetest.New(), random: rand.New(rand.NewPCG(seed, 8))}
				var all sync.WaitGroup
				var want []string
				for i := range 8 {
					name := fmt.Sprintf("slot%d", i)
					want = append(want, name)
					after := time.Duration(w.dice(600)) * time.Second
					all.Go(func() {
						time.Sleep(after)
						at := time.Now().Truncate(time.Minute).UTC()
						for try := 0; ; try++ {
							err := w.head(&Slot{Schedule: name, Time: at, Bundle: "b"})
							if err == nil {
								return
							}
							if try == 50 {
								t.Errorf("%s: tried %d times: %v", name, try, err)
								return
							}
							time.Sleep(10 * time.Second)
						}
					})
				}
				all.Wait()
				if got := w.published(); cmp.Diff(want, got) != "" {
					t.Errorf("the state has %v", got)
				}
			})
		})
	}
}

// published returns the slots of the state, in order, and looks that nothing else is left.
func (w *world) published() []string {
	p := &Place{Store: w.objects, URI: "s3://lab/deploy/w"}
	d, err := p.Look(w.t.Context())
	if err != nil || d == nil || d.State == nil {
		w.t.Fatalf("%+v, %v", d, err)
	}
	if asked, err := p.Asked(w.t.Context()); err != nil || len(asked) > 0 {
		w.t.Errorf("there still wait %v, %v", asked, err)
	}
	file := filepath.Join(w.dir, "last")
	if err := p.Fetch(w.t.Context(), d.State, file); err != nil {
		w.t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	lines := strings.Fields(string(text))
	slices.Sort(lines)
	return lines
}

// Who has lost the seat publishes nothing, and does not give back what is another's.
func TestSeatLost(t *testing.T) {
	t.Parallel()
	p := &Place{Store: storetest.New(), URI: "s3://lab/deploy/w"}
	clock := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	timing := Usual
	timing.Now = func() time.Time { return clock }
	timing.Sleep = func(ctx context.Context, d time.Duration) error { clock = clock.Add(d); return ctx.Err() }
	no := func(context.Context) (bool, error) { return false, nil }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "state")
		must(os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	first, err := p.Take(t.Context(), Owner{Token: "first"}, timing, no)
	must(err)
	must(first.Publish(t.Context(), file("one")))
	began := clock
	second, err := p.Take(t.Context(), Owner{Token: "second"}, timing, no)
	must(err)
	if waited := clock.Sub(began); waited < Usual.Dead {
		t.Errorf("it was taken over after %s", waited)
	}
	must(second.Publish(t.Context(), file("two")))
	if err := first.Publish(t.Context(), file("three")); !errors.Is(err, ErrLost) {
		t.Errorf("the first one publishes: %v", err)
	}
	if err := first.Keep(t.Context()); !errors.Is(err, ErrLost) {
		t.Errorf("the first one keeps it: %v", err)
	}
	must(first.Release(t.Context()))
	d, err := p.Look(t.Context())
	must(err)
	if d.Owner == nil || d.Owner.Token != "second" || d.Term != 2 {
		t.Errorf("the seat is %+v", d)
	}
	to := filepath.Join(t.TempDir(), "to")
	must(p.Fetch(t.Context(), d.State, to))
	if text, err := os.ReadFile(to); err != nil || string(text) != "two" {
		t.Errorf("the state is %q, %v", text, err)
	}
	if n := len(p.Store.(*storetest.Mem).Objects()); n != 2 {
		t.Errorf("there are %d objects, want the seat and a state", n)
	}
}

// A state that is not what was published is not taken for it.
func TestFetchDamaged(t *testing.T) {
	t.Parallel()
	p := &Place{Store: storetest.New(), URI: "s3://lab/deploy/w"}
	seat, err := p.Take(t.Context(), Owner{Token: "a"}, Usual, func(context.Context) (bool, error) { return false, errors.New("nobody has it") })
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(file, []byte("state"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := seat.Publish(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	d, err := p.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.Store.(*storetest.Mem).Corrupt(d.State.URI, true, func([]byte) []byte { return []byte("STATE") })
	to := filepath.Join(t.TempDir(), "to")
	if err := p.Fetch(t.Context(), d.State, to); err == nil || !strings.Contains(err.Error(), "is not what was published") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
}
