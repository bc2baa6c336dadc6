package export

import (
	"encoding/json"
	"io"
	"time"

	"flow/engine"
)

// StreamVersion is the version of the stream of events. It grows by 0.1 when fields are added,
// and by 1 when what a field means has changed.
const StreamVersion = "1.0"

// Events writes events as lines of JSON, the first of which says what they are.
type Events struct {
	enc *json.Encoder
	run engine.RunID
}

// NewEvents begins a stream of the events of a run, by a version of flow.
func NewEvents(w io.Writer, flow string, run engine.RunID) (*Events, error) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &Events{enc, run}, enc.Encode(struct {
		Type   string       `json:"type"`
		Flow   string       `json:"flow"`
		Stream string       `json:"stream"`
		Run    engine.RunID `json:"run"`
	}{"version", flow, StreamVersion, run})
}

// An eventLine is an event as others see it: with its time and number, with lists of numbers
// that are lists however long they are, and without the cache keys of tasks.
type eventLine struct {
	Type string       `json:"type"`
	Run  engine.RunID `json:"run"`
	Seq  int64        `json:"seq"`
	Time time.Time    `json:"time"`
	*engine.Event
	Started  []int64      `json:"started,omitempty"`
	Stopped  []int64      `json:"stopped,omitempty"`
	Memory   []int64      `json:"memory,omitempty"`
	CPU      []int64      `json:"cpu,omitempty"`
	Expanded *stepOfEvent `json:"expanded,omitempty"`
}

type stepOfEvent struct {
	*engine.Expanded
	CacheKeys []byte `json:"cache_keys,omitempty"` // none: they mean nothing to others
	KeyBases  []byte `json:"key_bases,omitempty"`
}

// Write adds an event.
func (s *Events) Write(e *engine.Event) error {
	line := eventLine{
		Type: string(e.Kind), Run: s.run, Seq: e.Seq, Time: e.At.UTC(), Event: e,
		Started: e.Started, Stopped: e.Stopped, Memory: known(e.Memory), CPU: known(e.CPU),
	}
	if e.Expanded != nil {
		line.Expanded = &stepOfEvent{Expanded: e.Expanded}
	}
	return s.enc.Encode(&line)
}

// known returns amounts, none if all are 0: nothing is known.
func known(amounts []int64) []int64 {
	for _, n := range amounts {
		if n != 0 {
			return amounts
		}
	}
	return nil
}
