package cloudwatch

import (
	"errors"
	"fmt"
	"slices"

	"flow/executor/local/logstore"
)

const (
	byName = "LogStreamName"
	byTime = "LastEventTime"
)

type describeLogStreamsIn struct {
	LogGroupName        *string `json:"logGroupName"`
	LogGroupIdentifier  *string `json:"logGroupIdentifier"`
	LogStreamNamePrefix *string `json:"logStreamNamePrefix"`
	OrderBy             *string `json:"orderBy"`
	Descending          *bool   `json:"descending"`
	NextToken           *string `json:"nextToken"`
	Limit               *int    `json:"limit"`
}

type describeLogStreamsOut struct {
	LogStreams []logStream `json:"logStreams"`
	NextToken  *string     `json:"nextToken,omitempty"`
}

type logStream struct {
	Arn                 string `json:"arn"`
	CreationTime        int64  `json:"creationTime"`
	FirstEventTimestamp *int64 `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  *int64 `json:"lastEventTimestamp,omitempty"`
	LastIngestionTime   *int64 `json:"lastIngestionTime,omitempty"`
	LogStreamName       string `json:"logStreamName"`
	StoredBytes         int64  `json:"storedBytes"` // always 0 since 2019
	UploadSequenceToken string `json:"uploadSequenceToken,omitempty"`
}

func (h *Handler) describeLogStreams(in *describeLogStreamsIn) (any, error) {
	var c checks
	c.text("logStreamNamePrefix", in.LogStreamNamePrefix, streamName)
	c.enum("orderBy", in.OrderBy, byName, byTime)
	c.text("nextToken", in.NextToken, nextToken)
	number(&c, "limit", in.Limit, 1, 50)
	group, err := h.groupOf(&c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	order := or(in.OrderBy, byName)
	if order == byTime && in.LogStreamNamePrefix != nil {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	kind := kindOf(order, or(in.Descending, false))
	var after *position
	if in.NextToken != nil {
		k, p, err := positionOf(*in.NextToken)
		if err != nil || k != kind {
			return nil, errToken
		}
		after = &p
	}
	list := h.streamsByName
	if order == byTime {
		list = h.streamsByTime
	}
	limit := or(in.Limit, 50)
	found, err := list(group, or(in.LogStreamNamePrefix, ""), after, or(in.Descending, false), limit+1)
	if err != nil {
		return nil, err
	}
	out := &describeLogStreamsOut{LogStreams: []logStream{}}
	if len(found) > limit {
		found = found[:limit]
		out.NextToken = found[limit-1].token(kind)
	}
	for _, p := range found {
		st, err := h.stream(group, p.stream)
		if errors.Is(err, logstore.ErrNoStream) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		out.LogStreams = append(out.LogStreams, st)
	}
	return out, nil
}

// kindOf returns the kind of tokens of a listing of streams.
func kindOf(order string, down bool) byte {
	kind := byte('n')
	if order == byTime {
		kind = 't'
	}
	if down {
		kind -= 'a' - 'A'
	}
	return kind
}

// streamsByName returns the first n streams after a position.
func (h *Handler) streamsByName(group, prefix string, after *position, down bool, n int) ([]position, error) {
	last := or(after, position{}).stream
	list := h.store.Streams(group, prefix, last)
	if down {
		list = h.store.StreamsDown(group, prefix, last)
	}
	var found []position
	for st, err := range list {
		if err != nil {
			return nil, err
		}
		if found = append(found, position{stream: st.Name}); len(found) == n {
			break
		}
	}
	return found, nil
}

// streamsByTime does the same in the order of their last events, which needs a look at all
// of them. Streams without events count as the oldest.
func (h *Handler) streamsByTime(group, prefix string, after *position, down bool, n int) ([]position, error) {
	less := position.less
	if down {
		less = func(p, q position) bool { return q.less(p) }
	}
	var found []position
	for st, err := range h.store.Streams(group, prefix, "") {
		if err != nil {
			return nil, err
		}
		p := position{stream: st.Name}
		if st.Size > 0 {
			p.time = st.Last
		}
		if after != nil && !less(*after, p) || len(found) == n && !less(p, found[n-1]) {
			continue
		}
		at, _ := slices.BinarySearchFunc(found, p, func(q, p position) int {
			if less(q, p) {
				return -1
			}
			return 1
		})
		found = slices.Insert(found, at, p)
		found = found[:min(n, len(found))]
	}
	return found, nil
}

// firstWithin is how far into a stream its first event is looked for, in bytes.
const firstWithin = 1 << 20

// stream returns what there is to be shown of a stream.
func (h *Handler) stream(group, name string) (logStream, error) {
	l, err := h.store.Log(group, name)
	if err != nil {
		return logStream{}, err
	}
	defer l.Close()
	show := logStream{Arn: h.arn + group + ":log-stream:" + name, CreationTime: l.Created, LogStreamName: name}
	if l.End() == 0 {
		return show, nil
	}
	first, last := l.Last(), l.Last()
	for e, err := range l.Forward(0, l.End()) {
		if err != nil {
			return logStream{}, err
		}
		if first = e.Time; len(e.Text) > 0 || e.End > firstWithin {
			break
		}
	}
	show.FirstEventTimestamp, show.LastEventTimestamp, show.LastIngestionTime = &first, &last, &last
	show.UploadSequenceToken = fmt.Sprintf("%056d", l.End())
	return show, nil
}
