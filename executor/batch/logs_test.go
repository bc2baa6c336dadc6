package batch

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
)

// A fakeLog is a stream of n lines, given in pages of 10 of which every second is empty.
type fakeLog struct {
	n      int
	group  string
	detail map[string]any // of the job
	gone   bool
}

func (l *fakeLog) answer(t *testing.T) func(w http.ResponseWriter, operation string, body map[string]any) {
	return func(w http.ResponseWriter, operation string, body map[string]any) {
		if operation == "describejobs" {
			give(w, map[string]any{"jobs": []any{l.detail}})
			return
		}
		if body["logGroupName"] != l.group || body["logStreamName"] != "stream" {
			t.Errorf("it reads %v, %v", body["logGroupName"], body["logStreamName"])
		}
		if l.gone {
			says(w, 400, "ResourceNotFoundException", "The specified log stream does not exist.")
			return
		}
		head, _ := body["startFromHead"].(bool)
		at, size := l.n, 10
		if head {
			at = 0
		}
		empty := false
		if token, ok := body["nextToken"].(string); ok {
			at, _ = strconv.Atoi(token[2:])
			empty = token[1] == 'e'
		}
		if limit, ok := body["limit"].(float64); ok {
			size = min(size, int(limit))
		}
		from, to := at, min(at+size, l.n)
		if !head {
			from, to = max(at-size, 0), at
		}
		if empty {
			from, to = at, at
		}
		events := []any{}
		for i := from; i < to; i++ {
			events = append(events, map[string]any{"message": fmt.Sprint("line ", i), "timestamp": 1000 + i})
		}
		next := map[bool]string{true: "f", false: "b"}[head] + map[bool]string{true: ".", false: "e"}[empty]
		forward, back := next+strconv.Itoa(to), next+strconv.Itoa(from)
		if head && at >= l.n || !head && at == 0 { // the end: the same token
			forward, back = fmt.Sprint(body["nextToken"]), fmt.Sprint(body["nextToken"])
		}
		give(w, map[string]any{"events": events, "nextForwardToken": forward, "nextBackwardToken": back})
	}
}

func (l *fakeLog) of(status string, container map[string]any) {
	l.group = "/aws/batch/job"
	container["logStreamName"] = "stream"
	l.detail = map[string]any{"jobId": "1", "status": status, "container": container}
}

func read(t *testing.T, x *Executor, o engine.LogOptions) (out []string) {
	t.Helper()
	for l, err := range x.Logs(t.Context(), "1", o) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l.Text)
	}
	return out
}

// The end of a stream is where the token stays the same, and not an empty page.
func TestLogsInPages(t *testing.T) {
	for _, n := range []int{0, 1, 10, 35, 100} {
		l := &fakeLog{n: n}
		l.of("SUCCEEDED", map[string]any{})
		_, x := newFake(t, l.answer(t))
		var all []string
		for i := range n {
			all = append(all, fmt.Sprint("line ", i))
		}
		if got := read(t, x, engine.LogOptions{}); !slices.Equal(got, all) {
			t.Errorf("of %d lines there are %d: %q", n, len(got), got)
		}
		for _, tail := range []int{1, 7, 10, 34, 1000, 20_000} {
			if got, want := read(t, x, engine.LogOptions{Tail: tail}), all[max(n-tail, 0):]; !slices.Equal(got, want) {
				t.Errorf("the last %d lines of %d are %q", tail, n, got)
			}
		}
	}
}

func TestLogsNotThere(t *testing.T) {
	l := &fakeLog{gone: true}
	l.of("RUNNING", map[string]any{})
	_, x := newFake(t, l.answer(t))
	if got := read(t, x, engine.LogOptions{}); len(got) != 0 {
		t.Errorf("a stream that is not there has %q", got)
	}
}

func TestLogsElsewhere(t *testing.T) {
	l := &fakeLog{n: 3}
	l.of("SUCCEEDED", map[string]any{"logConfiguration": map[string]any{"logDriver": "awslogs", "options": map[string]any{"awslogs-group": "mine", "awslogs-region": "eu-west-1"}}})
	l.group = "mine"
	_, x := newFake(t, l.answer(t))
	if got := read(t, x, engine.LogOptions{}); len(got) != 3 {
		t.Errorf("of a group of one's own: %q", got)
	}
	own := streamsOf(&types.JobDetail{Container: &types.ContainerDetail{LogStreamName: new("stream"), LogConfiguration: &types.LogConfiguration{
		LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-region": "eu-west-1"},
	}}})
	if want := []stream{{group: "/aws/batch/job", region: "eu-west-1", name: "stream"}}; !slices.Equal(own, want) {
		t.Errorf("it is read from %+v", own)
	}
	l.of("SUCCEEDED", map[string]any{"logConfiguration": map[string]any{"logDriver": "splunk"}})
	x.conn.Load().near = false
	for _, err := range x.Logs(t.Context(), "1", engine.LogOptions{}) {
		if err == nil {
			t.Error("what went to Splunk has lines")
		}
	}
}

// Behind the last lines what is new is followed, and nothing twice.
func TestLogsTailFollowed(t *testing.T) {
	l := &fakeLog{n: 25}
	l.of("RUNNING", map[string]any{})
	_, x := newFake(t, l.answer(t))
	x.sleep = func(ctx context.Context, _ time.Duration) error {
		l.n = 28
		l.of("SUCCEEDED", map[string]any{})
		return ctx.Err()
	}
	var want []string
	for i := 13; i < 28; i++ {
		want = append(want, fmt.Sprint("line ", i))
	}
	if got := read(t, x, engine.LogOptions{Follow: true, Tail: 12}); !slices.Equal(got, want) {
		t.Errorf("followed: %q, want %q", got, want)
	}
}

// What comes after the end of the job is waited for, and no longer than that.
func TestLogsLinger(t *testing.T) {
	l := &fakeLog{n: 2}
	l.of("SUCCEEDED", map[string]any{})
	_, x := newFake(t, l.answer(t))
	x.every, x.linger = time.Second, 3*time.Second
	slept := 0
	x.sleep = func(ctx context.Context, _ time.Duration) error {
		if slept++; slept == 2 {
			l.n = 4
		}
		return ctx.Err()
	}
	if got, want := read(t, x, engine.LogOptions{Follow: true}), []string{"line 0", "line 1", "line 2", "line 3"}; !slices.Equal(got, want) {
		t.Errorf("followed: %q, want %q", got, want)
	}
	if slept != 6 {
		t.Errorf("it waited %d times, want 2, and 4 after the last news", slept)
	}
}
