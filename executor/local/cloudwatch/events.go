package cloudwatch

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"flow/executor/local/logstore"
)

// A page has at most so much: GetLogEvents.
const (
	maxEvents = 10_000
	maxBytes  = 1 << 20  // of messages, each counted with
	perEvent  = 26       // more bytes, as PutLogEvents does
	maxScan   = 16 << 20 // bytes that are searched for events, after which a page is handed out as it is
)

type getLogEventsIn struct {
	LogGroupName       *string `json:"logGroupName"`
	LogGroupIdentifier *string `json:"logGroupIdentifier"`
	LogStreamName      *string `json:"logStreamName"`
	StartTime          *int64  `json:"startTime"`
	EndTime            *int64  `json:"endTime"`
	NextToken          *string `json:"nextToken"`
	Limit              *int    `json:"limit"`
	StartFromHead      *bool   `json:"startFromHead"`
	Unmask             *bool   `json:"unmask"`
}

type getLogEventsOut struct {
	Events            []event `json:"events"`
	NextForwardToken  string  `json:"nextForwardToken"`
	NextBackwardToken string  `json:"nextBackwardToken"`
}

type event struct {
	Timestamp     int64  `json:"timestamp"`
	Message       string `json:"message"`
	IngestionTime int64  `json:"ingestionTime"`
}

// getLogEvents returns a page of a stream. Its tokens are offsets into the file, and say
// the direction: what follows a page begins where it ended, also when the stream has grown.
func (h *Handler) getLogEvents(in *getLogEventsIn) (any, error) {
	var c checks
	c.required("logStreamName", in.LogStreamName, streamName)
	number(&c, "startTime", in.StartTime, 0, 0)
	number(&c, "endTime", in.EndTime, 0, 0)
	c.text("nextToken", in.NextToken, nextToken)
	number(&c, "limit", in.Limit, 1, maxEvents)
	group, err := h.groupOf(&c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	l, err := h.store.Log(group, *in.LogStreamName)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	from, to, err := bounds(l, max(or(in.StartTime, 0), h.since(group)), in.EndTime)
	if err != nil {
		return nil, err
	}
	ahead, at := or(in.StartFromHead, false), to
	if ahead {
		at = from
	}
	if in.NextToken != nil {
		if ahead, at, err = offsetOf(*in.NextToken, l.End()); err != nil {
			return nil, err
		}
	}
	p := &page{limit: or(in.Limit, maxEvents)}
	if ahead {
		return p.forward(l, from, to, at)
	}
	return p.backward(l, from, to, at)
}

// bounds returns where the events are whose times are at or after start, and before end.
func bounds(l *logstore.Log, start int64, end *int64) (from, to int64, err error) {
	to = l.End()
	if from, err = l.Since(start); err == nil && end != nil {
		to, err = l.Since(*end)
	}
	return from, to, err
}

const ahead, back = "f/", "b/"

func tokenOf(direction string, offset int64) string {
	return fmt.Sprintf("%s%056d", direction, offset)
}

func offsetOf(token string, end int64) (forward bool, offset int64, err error) {
	digits, forward := strings.CutPrefix(token, ahead)
	digits, backward := strings.CutPrefix(digits, back)
	offset, err = strconv.ParseInt(digits, 10, 64)
	if forward == backward || len(digits) != 56 || err != nil || offset < 0 || offset > end {
		return false, 0, errToken
	}
	return forward, offset, nil
}

// A page is filled with events until it is full.
type page struct {
	limit   int
	bytes   int
	scanned int64
	events  []event
}

// full reports whether there is no room for an event; there is always room for one.
func (p *page) full(e *logstore.Event) bool {
	n := len(p.events)
	return n >= p.limit || p.scanned >= maxScan || n > 0 && p.bytes+len(e.Text)+perEvent > maxBytes
}

// fill takes events until the page is full, which it reports. Empty lines are none: an
// EventMessage has at least one character, and the log driver of containers drops them.
func (p *page) fill(events iter.Seq2[logstore.Event, error], at *int64, ahead bool) error {
	for e, err := range events {
		if err != nil {
			return err
		}
		if p.full(&e) {
			return nil
		}
		if *at = e.Start; ahead {
			*at = e.End
		}
		p.scanned += e.End - e.Start
		if len(e.Text) > 0 {
			p.bytes += len(e.Text) + perEvent
			p.events = append(p.events, event{e.Time, string(e.Text), e.Time})
		}
	}
	return nil
}

func (p *page) forward(l *logstore.Log, from, to, at int64) (*getLogEventsOut, error) {
	if from = max(from, at); from >= to {
		return p.out(at, at), nil
	}
	next := from
	if err := p.fill(l.Forward(from, to), &next, true); err != nil {
		return nil, err
	}
	return p.out(from, next), nil
}

func (p *page) backward(l *logstore.Log, from, to, at int64) (*getLogEventsOut, error) {
	if to = min(to, at); from >= to {
		return p.out(at, at), nil
	}
	next := to
	if err := p.fill(l.Backward(from, to), &next, false); err != nil {
		return nil, err
	}
	slices.Reverse(p.events)
	return p.out(next, to), nil
}

// out returns the page, whose events are between two offsets.
func (p *page) out(from, to int64) *getLogEventsOut {
	if p.events == nil {
		p.events = []event{}
	}
	return &getLogEventsOut{p.events, tokenOf(ahead, to), tokenOf(back, from)}
}
