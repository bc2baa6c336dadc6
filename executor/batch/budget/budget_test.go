package budget

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// A clock stands still until it is set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func open(t interface {
	Helper()
	Fatal(...any)
	Cleanup(func())
}, o Options) *Budget {
	t.Helper()
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// A grant is a token that was given: of what class, when it was asked for, and when due.
type grant struct {
	c          Class
	asked, due time.Duration
}

// A step of a script: a process does something after a while.
type step struct {
	process int
	after   time.Duration
	c       Class
	what    string // take, throttled, ok
	n       int    // how often
}

// play plays a script with n processes on one file, and returns the tokens in order.
func play(t *rapid.T, dir string, n int, rates Rates, script []step) []grant {
	c := &clock{start}
	processes := make([]*Budget, n)
	for i := range processes {
		processes[i] = open(t, Options{Dir: dir, Key: "k", Rates: rates, Now: c.Now})
	}
	var grants []grant
	for _, s := range script {
		c.now = c.now.Add(s.after)
		switch b := processes[s.process]; s.what {
		case "take":
			for range s.n {
				d, err := b.take(context.Background(), s.c)
				if err != nil || !b.Shared() {
					t.Fatal(err, b.Shared())
				}
				asked := c.now.Sub(start)
				grants = append(grants, grant{s.c, asked, asked + d})
			}
		case "throttled":
			b.Throttled(s.c)
		case "ok":
			b.OK(s.c)
		}
	}
	return grants
}

func TestRates(t *testing.T) {
	base := t.TempDir()
	var round int
	rapid.Check(t, func(t *rapid.T) {
		rates := Rates{
			Cancel: rapid.Float64Range(1, 50).Draw(t, "cancel"), Submit: rapid.Float64Range(1, 50).Draw(t, "submit"),
			Poll: rapid.Float64Range(1, 50).Draw(t, "poll"), Logs: rapid.Float64Range(1, 50).Draw(t, "logs"),
			Total: rapid.Float64Range(1, 100).Draw(t, "total"),
		}
		n := rapid.IntRange(1, 4).Draw(t, "processes")
		script := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				process: rapid.IntRange(0, n-1).Draw(t, "process"),
				after:   time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 10, 50, 3000}).Draw(t, "after")) * time.Millisecond,
				c:       Class(rapid.IntRange(0, int(classes)-1).Draw(t, "class")),
				what:    rapid.SampledFrom([]string{"take", "take", "take", "take", "take", "throttled", "ok"}).Draw(t, "what"),
				n:       rapid.SampledFrom([]int{1, 1, 1, 2, 15}).Draw(t, "n"),
			}
		}), 1, 60).Draw(t, "script")
		game := func(script []step) []grant {
			round++
			return play(t, filepath.Join(base, strconv.Itoa(round)), n, rates, script)
		}
		grants := game(script)
		l, _ := rates.limits()
		for c := range classes {
			checkRate(t, c, grants, l.highest[c])
		}
		checkTotal(t, grants, l.total)

		// A class is not delayed by those that come after it: without them, all is the same.
		last := rapid.SampledFrom([]Class{Cancel, Submit, Poll}).Draw(t, "last")
		if diff := cmp.Diff(game(upTo(last, script)), upToClass(last, grants), cmp.AllowUnexported(grant{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal("not the same without lower classes (-without +with)\n", diff)
		}

		// Cancel does not wait for the total.
		rates.Total = 1e6
		if diff := cmp.Diff(upToClass(Cancel, game(script)), upToClass(Cancel, grants), cmp.AllowUnexported(grant{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal("Cancel waits for the total (-without +with)\n", diff)
		}
	})
}

// upTo returns a script without the takes of classes after last. The time before them passes
// all the same.
func upTo(last Class, script []step) []step {
	var few []step
	var owed time.Duration
	for _, s := range script {
		owed += s.after
		if s.c > last && s.what == "take" {
			continue
		}
		s.after, owed = owed, 0
		few = append(few, s)
	}
	return few
}

// upToClass returns the tokens of the classes up to last.
func upToClass(last Class, grants []grant) []grant {
	return slices.DeleteFunc(slices.Clone(grants), func(g grant) bool { return g.c > last })
}

// checkRate checks that in no stretch of time more than rate*t+Burst tokens are due.
func checkRate(t *rapid.T, c Class, grants []grant, rate float64) {
	var due []time.Duration
	for _, g := range grants {
		if g.c == c {
			due = append(due, g.due)
		}
	}
	if !slices.IsSorted(due) {
		t.Fatalf("%v: later ones are due earlier: %v", c, due)
	}
	for i := range due {
		for j := i; j < len(due); j++ {
			if n, most := j-i+1, rate*(due[j]-due[i]).Seconds()+Burst; float64(n) > most+1e-6 {
				t.Fatalf("%v: %d tokens in %v at %v/s", c, n, due[j]-due[i], rate)
			}
		}
	}
}

// checkTotal checks that a token, but one of Cancel, is due only when the total rate allows
// it and all that went before it in its class and in higher ones.
func checkTotal(t *rapid.T, grants []grant, total float64) {
	for j, g := range grants {
		if g.c == Cancel || g.c == Logs {
			continue
		}
		n := 0
		for i := j; i >= 0; i-- {
			if grants[i].c > g.c {
				continue
			}
			n++
			if passed := g.due - grants[i].asked; float64(n) > total*passed.Seconds()+totalBurst+1e-6 {
				t.Fatalf("%v at %v: %d tokens of its class and higher ones in %v at %v/s in total", g.c, g.due, n, passed, total)
			}
		}
	}
}

// Tokens that wait for the total are given at the rate of their own class afterwards.
func TestRateAfterTotal(t *testing.T) {
	c := &clock{start}
	b := open(t, Options{Dir: t.TempDir(), Rates: Rates{Cancel: 50, Poll: 2, Total: 10}, Now: c.Now})
	var last time.Duration
	for i := range 40 {
		class := Cancel
		if i >= 30 {
			class = Poll
		}
		var err error
		if last, err = b.take(t.Context(), class); err != nil {
			t.Fatal(err)
		}
	}
	// 30 calls of the total rate, a burst, and what is left of 10 calls at the rate of Poll.
	if want := 3*time.Second + (10-Burst)*time.Second/2; last != want {
		t.Errorf("the last poll is due in %v, want %v", last, want)
	}
}

// Many callers in many processes, each of which waits for its token, in virtual time.
func TestWait(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		began := time.Now()
		for range 3 {
			b := open(t, Options{Dir: dir})
			for range 50 {
				wg.Go(func() {
					for range 3 {
						if err := b.Wait(t.Context(), Submit); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		wg.Wait()
		took := time.Since(began)
		// 450 tokens at 45 a second, and some milliseconds for who found the file locked.
		if took < 9900*time.Millisecond || took > 10200*time.Millisecond {
			t.Errorf("450 tokens took %v", took)
		}
	})
}

// Three kinds of callers that never have enough.
func TestPriority(t *testing.T) {
	for _, tt := range []struct {
		busy []Class
		want map[Class]int // a second
	}{
		{[]Class{Poll}, map[Class]int{Poll: 20}},
		{[]Class{Submit, Poll}, map[Class]int{Submit: 45, Poll: 15}},
		{[]Class{Cancel, Submit, Poll, Logs}, map[Class]int{Cancel: 20, Submit: 40, Poll: 0, Logs: 10}},
	} {
		t.Run(fmt.Sprint(tt.busy), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				var wg sync.WaitGroup
				var counts [classes]int
				for _, c := range tt.busy {
					b := open(t, Options{Dir: dir})
					wg.Go(func() {
						for b.Wait(ctx, c) == nil {
							counts[c]++
						}
					})
				}
				wg.Wait()
				for c := range classes {
					if got, want := counts[c]/20, tt.want[c]; got < want-1 || got > want+2 {
						t.Errorf("%v: %d/s, want %d/s", c, got, want)
					}
				}
			})
		})
	}
}

// A caller who gives up does not keep the others from going on.
func TestWaitEnds(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, Options{Dir: dir, Rates: Rates{Submit: 1}})
		if err := b.Wait(t.Context(), Submit); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		for range 3 {
			if err := b.Wait(ctx, Submit); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		began := time.Now()
		if err := b.Wait(t.Context(), Submit); err != nil || time.Since(began) > 3*time.Second/2 {
			t.Error(err, time.Since(began))
		}
	})
}

// The other side allows 25 calls a second; two processes find that out together.
func TestThrottled(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const allowed = 25.0
		tokens, filled := allowed, time.Now()
		var mu sync.Mutex
		call := func() bool {
			mu.Lock()
			defer mu.Unlock()
			tokens, filled = min(tokens+allowed*time.Since(filled).Seconds(), allowed), time.Now()
			if tokens < 1 {
				return false
			}
			tokens--
			return true
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		var counts [2]struct{ done, throttled int }
		for i := range counts {
			b := open(t, Options{Dir: dir})
			wg.Go(func() {
				for b.Wait(ctx, Submit) == nil {
					if call() {
						counts[i].done++
						b.OK(Submit)
					} else {
						counts[i].throttled++
						b.Throttled(Submit)
					}
				}
			})
		}
		wg.Wait()
		done, throttled := counts[0].done+counts[1].done, counts[0].throttled+counts[1].throttled
		if done < 300*allowed*0.75 || throttled > done/100 {
			t.Errorf("%d calls done of %v possible, %d throttled", done, 300*allowed, throttled)
		}
	})
}

func TestRateMoves(t *testing.T) {
	c := &clock{start}
	dir := t.TempDir()
	a, b := open(t, Options{Dir: dir, Now: c.Now}), open(t, Options{Dir: dir, Now: c.Now})
	rate := func() float64 {
		t.Helper()
		if _, err := a.take(t.Context(), Logs); err != nil { // any call reads the file
			t.Fatal(err)
		}
		return a.last.Classes[Submit].Rate
	}
	for _, s := range []struct {
		after time.Duration
		do    func(*Budget)
		by    *Budget
		want  float64
	}{
		{0, func(b *Budget) { b.OK(Submit) }, a, 45},
		{0, func(b *Budget) { b.Throttled(Submit) }, a, 22.5},
		{999 * time.Millisecond, func(b *Budget) { b.Throttled(Submit) }, b, 22.5}, // the same trouble
		{0, func(b *Budget) { b.OK(Submit) }, b, 22.5},
		{time.Millisecond, func(b *Budget) { b.Throttled(Submit) }, b, 11.25},
		{time.Second, func(b *Budget) { b.OK(Submit) }, b, 12.75},
		{time.Second / 2, func(b *Budget) { b.OK(Submit) }, a, 12.75},
		{time.Second / 2, func(b *Budget) { b.OK(Submit) }, a, 14.25},
		{20 * time.Second, func(b *Budget) { b.OK(Submit) }, a, 44.25},
		{time.Hour, func(b *Budget) { b.Throttled(Poll) }, b, 44.25}, // each class for itself
		{time.Hour, func(b *Budget) { b.OK(Submit) }, b, 45},
		{0, func(b *Budget) {
			for range 20 {
				c.now = c.now.Add(time.Second)
				b.Throttled(Submit)
			}
		}, b, 0.5},
	} {
		c.now = c.now.Add(s.after)
		if _, err := s.by.take(t.Context(), Poll); err != nil { // as before any call
			t.Fatal(err)
		}
		s.do(s.by)
		if got := rate(); got != s.want {
			t.Errorf("at %v: %v/s, want %v/s", c.now.Sub(start), got, s.want)
		}
	}
	// A burst is not what follows a throttled call.
	a.Throttled(Poll)
	if d, err := a.take(t.Context(), Poll); d < 100*time.Millisecond || err != nil {
		t.Error(d, err)
	}
	// What was throttled hard gets no burst after a while either.
	c.now = c.now.Add(time.Minute)
	first, _ := a.take(t.Context(), Submit)
	second, _ := b.take(t.Context(), Submit)
	if first != 0 || second < time.Second {
		t.Error(first, second)
	}
}

func TestUnlimited(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	b := open(t, Options{Dir: dir, Unlimited: true, Wait: func(context.Context, time.Duration) error {
		return errors.New("it waits")
	}})
	for range 1000 {
		if err := b.Wait(t.Context(), Submit); err != nil {
			t.Fatal(err)
		}
		b.Throttled(Submit)
		b.OK(Submit)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Wait(ctx, Submit); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a directory was made", err)
	}
}

func TestBadRates(t *testing.T) {
	for _, r := range []Rates{{Cancel: -1}, {Submit: 0.1}, {Total: 1e9}, {Poll: math.Inf(1)}, {Logs: math.NaN()}} {
		if _, err := Open(Options{Dir: t.TempDir(), Rates: r}); err == nil {
			t.Errorf("%+v is no error", r)
		}
	}
}
