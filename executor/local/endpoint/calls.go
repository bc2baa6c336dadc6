package endpoint

import "sync"

// callCounts are the calls of each operation since the server began.
type callCounts struct {
	mu sync.Mutex
	of map[string]*callCount
}

// A callCount is how often an operation was called, and how that went.
type callCount struct {
	Calls     int // all of them
	Throttled int // 429
	Failed    int // with another error
	Lost      int // carried out, but the answer was lost
}

// count notes a call of an operation; status as in a Trace.
func (c *callCounts) count(operation string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.of[operation]
	if n == nil {
		if c.of == nil {
			c.of = map[string]*callCount{}
		}
		n = &callCount{}
		c.of[operation] = n
	}
	n.Calls++
	switch {
	case status == 0:
		n.Lost++
	case status == errThrottled.status:
		n.Throttled++
	case status >= 400:
		n.Failed++
	}
}

// told returns a copy, to be encoded.
func (c *callCounts) told() map[string]callCount {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]callCount, len(c.of))
	for name, n := range c.of {
		out[name] = *n
	}
	return out
}
