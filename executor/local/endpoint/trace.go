package endpoint

import "time"

// A Trace is one request that was answered.
type Trace struct {
	Operation string
	Status    int // of HTTP; 0: the answer was lost
	Took      time.Duration
}
