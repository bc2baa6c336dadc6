package cloudwatch

import (
	"container/heap"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math"
	"slices"

	"flow/executor/local/logstore"
)

type filterLogEventsIn struct {
	LogGroupName        *string  `json:"logGroupName"`
	LogGroupIdentifier  *string  `json:"logGroupIdentifier"`
	LogStreamNames      []string `json:"logStreamNames"`
	LogStreamNamePrefix *string  `json:"logStreamNamePrefix"`
	StartTime           *int64   `json:"startTime"`
	EndTime             *int64   `json:"endTime"`
	FilterPattern       *string  `json:"filterPattern"`
	NextToken           *string  `json:"nextToken"`
	Limit               *int     `json:"limit"`
	StartFromHead       *bool    `json:"startFromHead"`
	Interleaved         *bool    `json:"interleaved"`
	Unmask              *bool    `json:"unmask"`
}

type filterLogEventsOut struct {
	Events             []filteredEvent `json:"events"`
	SearchedLogStreams []struct{}      `json:"searchedLogStreams"` // empty since 2020
	NextToken          *string         `json:"nextToken,omitempty"`
}

type filteredEvent struct {
	LogStreamName string `json:"logStreamName"`
	event
	EventID string `json:"eventId"`
}

func (in *filterLogEventsIn) check(c *checks) {
	c.text("logStreamNamePrefix", in.LogStreamNamePrefix, streamName)
	for i := range in.LogStreamNames {
		c.text("logStreamNames", &in.LogStreamNames[i], streamName)
	}
	if n := len(in.LogStreamNames); in.LogStreamNames != nil && n < 1 {
		c.fail("'[]'", "logStreamNames", "have length greater than or equal to 1")
	} else if n > 100 {
		c.fail(fmt.Sprintf("'%v'", in.LogStreamNames), "logStreamNames", "have length less than or equal to 100")
	}
	number(c, "startTime", in.StartTime, 0, 0)
	number(c, "endTime", in.EndTime, 0, 0)
	c.text("filterPattern", in.FilterPattern, filterPattern)
	c.text("nextToken", in.NextToken, nextToken)
	number(c, "limit", in.Limit, 1, maxEvents)
}

// downSince is the start time from which on FilterLogEvents lists the newest events first
// if asked to: January 1, 2024.
const downSince = 1_704_067_200_000

func (h *Handler) filterLogEvents(in *filterLogEventsIn) (any, error) {
	var c checks
	in.check(&c)
	group, err := h.groupOf(&c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if in.LogStreamNames != nil && in.LogStreamNamePrefix != nil {
		return nil, invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
	}
	f := &filter{
		store: h.store, group: group, limit: or(in.Limit, maxEvents),
		// What is written while streams are looked at, one after the other, comes next time.
		start: max(or(in.StartTime, 0), h.since(group)), end: min(or(in.EndTime, math.MaxInt64), h.store.Now()),
		down: !or(in.StartFromHead, true), logs: map[string]*logstore.Log{},
	}
	defer f.close()
	if f.pattern, err = parsePattern(or(in.FilterPattern, "")); err != nil {
		return nil, err
	}
	if in.NextToken != nil {
		kind, p, err := positionOf(*in.NextToken)
		if err != nil || kind != 'f' && kind != 'b' {
			return nil, errToken
		}
		f.after, f.down = &p, kind == 'b'
	} else if f.down && f.start < downSince {
		return nil, invalid("startFromHead can be false only if startTime is on or after Jan 1, 2024 00:00:00 UTC")
	}
	if in.LogStreamNames != nil {
		err = f.named(in.LogStreamNames)
	} else {
		err = f.list(or(in.LogStreamNamePrefix, ""))
	}
	if err == nil {
		err = f.merge()
	}
	if err != nil {
		return nil, err
	}
	return f.out(), nil
}

// A filter finds the events of several streams in the order of their positions; upwards
// the offset of one is where it begins, and downwards, where it ends.
type filter struct {
	store      *logstore.Store
	group      string
	pattern    *pattern
	start, end int64 // times, both inclusive
	after      *position
	down       bool
	limit      int

	runs    []position // a heap: of each stream, the first event that has not been looked at
	beyond  *position  // of the streams that are not in the heap, since there are too many
	logs    map[string]*logstore.Log
	found   []filteredEvent
	bytes   int
	scanned int64
	next    *position // what the next page begins with; nil: there is none
}

// The most of a filter that is in memory.
const (
	maxRuns = 10_000
	maxLogs = 64
)

// before reports whether one position comes before another.
func (f *filter) before(p, q position) bool {
	if f.down {
		return q.less(p)
	}
	return p.less(q)
}

func (f *filter) Len() int           { return len(f.runs) }
func (f *filter) Less(i, j int) bool { return f.before(f.runs[i], f.runs[j]) }
func (f *filter) Swap(i, j int)      { f.runs[i], f.runs[j] = f.runs[j], f.runs[i] }
func (f *filter) Push(p any)         { f.runs = append(f.runs, p.(position)) }
func (f *filter) Pop() any {
	last := f.runs[len(f.runs)-1]
	f.runs = f.runs[:len(f.runs)-1]
	return last
}

// named begins with the streams of these names.
func (f *filter) named(names []string) error {
	names = slices.Clone(names)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		l, err := f.log(name)
		if err != nil {
			return err
		}
		if err := f.add(l, name); err != nil {
			return err
		}
	}
	heap.Init(f)
	return nil
}

// list begins with the streams whose names begin with prefix.
func (f *filter) list(prefix string) error {
	for st, err := range f.store.Streams(f.group, prefix, "") {
		if err != nil {
			return err
		}
		if err := f.consider(st); err != nil {
			return err
		}
		if len(f.runs) >= 2*maxRuns {
			f.prune()
		}
	}
	f.prune()
	heap.Init(f)
	return nil
}

// prune drops all but the first streams.
func (f *filter) prune() {
	if len(f.runs) <= maxRuns {
		return
	}
	slices.SortFunc(f.runs, func(p, q position) int {
		if f.before(p, q) {
			return -1
		}
		return 1
	})
	if first := f.runs[maxRuns]; f.beyond == nil || f.before(first, *f.beyond) {
		f.beyond = &first
	}
	f.runs = f.runs[:maxRuns]
}

// consider adds a stream if it has events in the range. Most of them need not be opened.
func (f *filter) consider(st logstore.Stream) error {
	if st.Size == 0 || st.Last < f.start || st.Even && st.Last > f.end {
		return nil
	}
	if f.after != nil && !f.down && st.Last < f.after.time || f.after != nil && f.down && st.Even && st.Last > f.after.time {
		return nil
	}
	if st.Even && (f.after == nil || st.Last != f.after.time) {
		p := position{time: st.Last, stream: st.Name}
		if f.down {
			p.offset = math.MaxInt64
		}
		f.runs = append(f.runs, p)
		return nil
	}
	l, err := f.store.Log(f.group, st.Name)
	if errors.Is(err, logstore.ErrNoStream) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	defer l.Close()
	return f.add(l, st.Name)
}

// add adds a stream from where the page begins on, if it has events from there on.
func (f *filter) add(l *logstore.Log, name string) error {
	first := f.up
	if f.down {
		first = f.downwards
	}
	at, err := first(l, name)
	if err != nil {
		return err
	}
	for e, err := range f.events(l, at) {
		if err != nil {
			return err
		}
		f.runs = append(f.runs, f.position(&e, name))
		break
	}
	return nil
}

// up returns where the first event of a stream begins that belongs to the page or to one
// that follows it.
func (f *filter) up(l *logstore.Log, name string) (int64, error) {
	if f.after == nil || f.after.time < f.start {
		return l.Since(f.start)
	}
	if name < f.after.stream {
		return l.Since(f.after.time + 1)
	}
	at, err := l.Since(f.after.time)
	if name == f.after.stream {
		at = max(at, min(f.after.offset, l.End()))
	}
	return at, err
}

// downwards returns where the last such event ends.
func (f *filter) downwards(l *logstore.Log, name string) (int64, error) {
	if f.after == nil || f.after.time > f.end {
		return l.Since(after(f.end))
	}
	if name > f.after.stream {
		return l.Since(f.after.time)
	}
	at, err := l.Since(after(f.after.time))
	if name == f.after.stream {
		at = min(at, f.after.offset)
	}
	return at, err
}

func after(t int64) int64 { return min(t, math.MaxInt64-1) + 1 }

// events yields the events of a stream from an offset on.
func (f *filter) events(l *logstore.Log, at int64) iter.Seq2[logstore.Event, error] {
	if f.down {
		return l.Backward(0, min(at, l.End()))
	}
	return l.Forward(at, l.End())
}

func (f *filter) position(e *logstore.Event, stream string) position {
	if f.down {
		return position{e.Time, stream, e.End}
	}
	return position{e.Time, stream, e.Start}
}

// within reports whether a time is in the range; what comes behind it is not either.
func (f *filter) within(t int64) bool {
	if f.down {
		return t >= f.start
	}
	return t <= f.end
}

// merge takes the events of the streams in turn, until the page is full.
func (f *filter) merge() error {
	for len(f.runs) > 0 && f.next == nil {
		p := heap.Pop(f).(position)
		if !f.within(p.time) {
			return nil
		}
		if f.beyond != nil && !f.before(p, *f.beyond) {
			break
		}
		if err := f.run(p); err != nil && !errors.Is(err, logstore.ErrNoStream) {
			return err
		}
	}
	if f.next == nil && f.beyond != nil && f.within(f.beyond.time) {
		f.next = f.beyond
	}
	return nil
}

// run takes events of one stream, until that of another comes first.
func (f *filter) run(p position) error {
	l, err := f.log(p.stream)
	if err != nil {
		return err
	}
	until := f.beyond
	if len(f.runs) > 0 && (until == nil || f.before(f.runs[0], *until)) {
		until = &f.runs[0]
	}
	for e, err := range f.events(l, p.offset) {
		if err != nil {
			return err
		}
		at := f.position(&e, p.stream)
		switch {
		case !f.within(at.time):
			return nil
		case until != nil && !f.before(at, *until):
			heap.Push(f, at)
			return nil
		case f.full(&e):
			f.next = &at
			return nil
		}
		f.take(&e, p.stream)
	}
	return nil
}

func (f *filter) full(e *logstore.Event) bool {
	n := len(f.found)
	return n >= f.limit || f.scanned >= maxScan || n > 0 && f.bytes+len(e.Text)+perEvent > maxBytes
}

func (f *filter) take(e *logstore.Event, stream string) {
	f.scanned += e.End - e.Start
	if len(e.Text) == 0 || !f.pattern.matches(e.Text) {
		return
	}
	f.bytes += len(e.Text) + perEvent
	f.found = append(f.found, filteredEvent{stream, event{e.Time, string(e.Text), e.Time}, eventID(e, stream)})
}

// eventID returns the ID of an event: 56 digits that begin with its time.
func eventID(e *logstore.Event, stream string) string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(stream))
	return fmt.Sprintf("%016d%020d%020d", e.Time, hash.Sum64(), e.Start)
}

// log opens a stream, or returns it as it was when this page opened it before.
func (f *filter) log(name string) (*logstore.Log, error) {
	if l := f.logs[name]; l != nil {
		return l, nil
	}
	if len(f.logs) >= maxLogs {
		f.close()
	}
	l, err := f.store.Log(f.group, name)
	if err == nil {
		f.logs[name] = l
	}
	return l, err
}

func (f *filter) close() {
	for _, l := range f.logs {
		l.Close()
	}
	clear(f.logs)
}

func (f *filter) out() *filterLogEventsOut {
	out := &filterLogEventsOut{Events: f.found, SearchedLogStreams: []struct{}{}}
	if f.found == nil {
		out.Events = []filteredEvent{}
	}
	if f.next != nil {
		kind := byte('f')
		if f.down {
			kind = 'b'
		}
		out.NextToken = f.next.token(kind)
	}
	return out
}
