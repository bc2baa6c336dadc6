package endpoint

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Chaos is how the emulator is to misbehave. The zero value behaves.
type Chaos struct {
	Throttle    float64       // SubmitJob calls a second, and as many at once; more get 429. 0: no limit
	Reads       float64       // the same for calls that only look
	LostReply   float64       // of calls that change something, whose answer is lost after they were carried out: 0 to 1
	ServerError float64       // of calls that get 500; half of them are carried out all the same
	ListLag     time.Duration // how young a job must not be to be listed
	DescribeLag time.Duration // and to be described
	Shuffle     bool          // pages of ListJobs are in no order
	Spot        float64       // of tries that lose their host
	SpotWithin  time.Duration // after STARTING; 0: at once
	PurgeAfter  time.Duration // how long ended jobs are known; 0: seven days
	Seed        uint64        // of the dice; 0: one
}

// ParseChaos reads settings such as "throttle=50/s,lost-reply=1%,list-lag=30s,seed=7".
// They are put over base.
func ParseChaos(base Chaos, s string) (Chaos, error) {
	c := base
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		if err := c.set(key, value); err != nil {
			return base, fmt.Errorf("chaos setting %q: %w", part, err)
		}
	}
	return c, nil
}

func (c *Chaos) set(key, value string) (err error) {
	switch key {
	case "throttle":
		c.Throttle, err = parseRate(value)
	case "throttle-reads":
		c.Reads, err = parseRate(value)
	case "lost-reply":
		c.LostReply, err = parseShare(value)
	case "5xx":
		c.ServerError, err = parseShare(value)
	case "list-lag":
		c.ListLag, err = parseDelay(value)
	case "describe-lag":
		c.DescribeLag, err = parseDelay(value)
	case "shuffle":
		c.Shuffle, err = strconv.ParseBool(value)
	case "spot":
		c.Spot, err = parseShare(value)
	case "spot-within":
		c.SpotWithin, err = parseDelay(value)
	case "purge-after":
		c.PurgeAfter, err = parseDelay(value)
	case "seed":
		c.Seed, err = strconv.ParseUint(value, 10, 64)
	default:
		return fmt.Errorf("there is no %q: it is one of throttle, throttle-reads, lost-reply, 5xx, list-lag, describe-lag, shuffle, spot, spot-within, purge-after, seed", key)
	}
	return err
}

// parseDelay reads 30s and the like.
func parseDelay(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration such as 30s", s)
	}
	return d, nil
}

// parseRate reads 50/s or 50.
func parseRate(s string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "/s"), 64)
	if err != nil || !(n >= 0) {
		return 0, fmt.Errorf("%q is no rate such as 50/s", s)
	}
	return n, nil
}

// parseShare reads 5% or 0.05.
func parseShare(s string) (float64, error) {
	text, percent := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(text, 64)
	if percent {
		n /= 100
	}
	if err != nil || !(n >= 0 && n <= 1) {
		return 0, fmt.Errorf("%q is no share such as 5%%", s)
	}
	return n, nil
}

// retention is how long ended jobs are known (Batch User Guide, job_states).
func (c Chaos) retention() time.Duration {
	if c.PurgeAfter > 0 {
		return c.PurgeAfter
	}
	return 7 * 24 * time.Hour
}

func (c Chaos) String() string {
	var out []string
	add := func(set bool, format string, value any) {
		if set {
			out = append(out, fmt.Sprintf(format, value))
		}
	}
	add(c.Throttle > 0, "throttle=%v/s", c.Throttle)
	add(c.Reads > 0, "throttle-reads=%v/s", c.Reads)
	add(c.LostReply > 0, "lost-reply=%v", c.LostReply)
	add(c.ServerError > 0, "5xx=%v", c.ServerError)
	add(c.ListLag > 0, "list-lag=%v", c.ListLag)
	add(c.DescribeLag > 0, "describe-lag=%v", c.DescribeLag)
	add(c.Shuffle, "shuffle=%v", c.Shuffle)
	add(c.Spot > 0, "spot=%v", c.Spot)
	add(c.SpotWithin > 0, "spot-within=%v", c.SpotWithin)
	add(c.PurgeAfter > 0, "purge-after=%v", c.PurgeAfter)
	add(c.Seed > 0, "seed=%v", c.Seed)
	return strings.Join(out, ",")
}

// A gremlin carries Chaos out.
type gremlin struct {
	chaos atomic.Pointer[Chaos]
	now   func() time.Time

	mu      sync.Mutex
	dice    *rand.Rand
	submits bucket
	reads   bucket
}

func newGremlin(c Chaos, now func() time.Time) *gremlin {
	g := &gremlin{now: now}
	g.set(c)
	return g
}

// set changes how it misbehaves, from now on.
func (g *gremlin) set(c Chaos) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.chaos.Store(&c)
	g.dice = rand.New(rand.NewPCG(max(c.Seed, 1), 0))
	g.submits, g.reads = bucket{}, bucket{}
}

// hits throws the dice: true in that share of all cases.
func (g *gremlin) hits(share float64) bool {
	if share <= 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dice.Float64() < share
}

// throttles reports whether a call comes too soon.
func (g *gremlin) throttles(op *operation) bool {
	c := g.chaos.Load()
	switch {
	case op.name == "SubmitJob" && c.Throttle > 0:
		return !g.take(&g.submits, c.Throttle)
	case !op.changes && c.Reads > 0:
		return !g.take(&g.reads, c.Reads)
	}
	return false
}

func (g *gremlin) take(b *bucket, rate float64) bool {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	return b.take(now, rate)
}

// young reports whether something made at that time is still hidden by a lag.
func (g *gremlin) young(now, created time.Time, lag time.Duration) bool {
	return lag > 0 && now.Sub(created) < lag
}

// shuffle puts a page in no order.
func (g *gremlin) shuffle(n int, swap func(i, j int)) {
	if !g.chaos.Load().Shuffle {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dice.Shuffle(n, swap)
}

// spot returns when a try that starts now is to lose its host; false: not at all.
func (g *gremlin) spot() (time.Duration, bool) {
	c := g.chaos.Load()
	if !g.hits(c.Spot) {
		return 0, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Duration(g.dice.Float64() * float64(c.SpotWithin)), true
}

// A bucket of tokens, as big as what flows in within a second.
type bucket struct {
	tokens float64
	last   time.Time
}

func (b *bucket) take(now time.Time, rate float64) bool {
	size := max(rate, 1)
	if b.last.IsZero() {
		b.tokens = size
	} else {
		b.tokens = min(size, b.tokens+now.Sub(b.last).Seconds()*rate)
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
