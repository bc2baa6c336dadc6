package cloudwatch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/executor/local/logstore"
)

// filter returns the streams and messages of all pages.
func (s *service) filter(in map[string]any) []string {
	s.Helper()
	found, ids := []string{}, map[string]bool{}
	in["logGroupName"] = "/aws/batch/job"
	for {
		var out filterLogEventsOut
		s.do("FilterLogEvents", in, &out)
		for _, e := range out.Events {
			found = append(found, e.LogStreamName+" "+e.Message)
			if len(e.EventID) != 56 || ids[e.EventID] {
				s.Fatal("bad id", e.EventID)
			}
			ids[e.EventID] = true
		}
		if out.NextToken == nil {
			delete(in, "nextToken")
			return found
		}
		in["nextToken"] = *out.NextToken
	}
}

func TestFilterLogEvents(t *testing.T) {
	s := newService(t)
	s.now = time.UnixMilli(downSince)
	s.write("b", "b0 ERROR\n")
	s.write("a", "a0\n\npart")
	s.add(1000)
	s.write("b", "b1\nb2 ERROR\n")
	s.add(1000)
	s.write("a", "ial\n")
	s.write("ab", "ab ERROR\n")
	s.end("ab")
	all := []string{"a a0", "b b0 ERROR", "b b1", "b b2 ERROR", "a partial", "ab ab ERROR"}
	tests := []struct {
		in   map[string]any
		want []string
	}{
		{map[string]any{}, all},
		{map[string]any{"interleaved": false}, all},
		{map[string]any{"filterPattern": "ERROR"}, []string{"b b0 ERROR", "b b2 ERROR", "ab ab ERROR"}},
		{map[string]any{"filterPattern": "-ERROR"}, []string{"a a0", "b b1", "a partial"}},
		{map[string]any{"logStreamNames": []string{"b", "b"}}, []string{"b b0 ERROR", "b b1", "b b2 ERROR"}},
		{map[string]any{"logStreamNames": []string{"b", "ab"}, "filterPattern": "?ab ?b1"}, []string{"b b1", "ab ab ERROR"}},
		{map[string]any{"logStreamNamePrefix": "a"}, []string{"a a0", "a partial", "ab ab ERROR"}},
		{map[string]any{"logStreamNamePrefix": "x"}, []string{}},
		{map[string]any{"startTime": downSince + 1000}, all[2:]},
		{map[string]any{"endTime": downSince + 1000}, all[:4]}, // inclusive
		{map[string]any{"startTime": downSince + 1, "endTime": downSince + 999}, []string{}},
		{map[string]any{"startTime": downSince + 3000, "endTime": downSince}, []string{}},
	}
	for range 2 {
		for _, test := range tests {
			for _, limit := range []int{10000, 1, 2} {
				test.in["limit"] = limit
				if diff := cmp.Diff(test.want, s.filter(test.in)); diff != "" {
					t.Errorf("%v: %s", test.in, diff)
				}
				down := map[string]any{"startTime": downSince, "startFromHead": false}
				for key, value := range test.in {
					down[key] = value
				}
				got := s.filter(down)
				if slices.Reverse(got); !cmp.Equal(test.want, got) {
					t.Errorf("downwards, %v: %s", test.in, cmp.Diff(test.want, got))
				}
			}
		}
		s.end("a")
		s.end("b")
		s.reopen()
	}
	_, body := s.call("FilterLogEvents", `{"logGroupName":"/aws/batch/job","limit":1}`)
	want := `{"events":[{"logStreamName":"a","timestamp":1704067200000,"message":"a0","ingestionTime":1704067200000,` +
		`"eventId":"00017040672000001263818720055564199600000000000000000000"}],"searchedLogStreams":[],"nextToken":"`
	if !strings.HasPrefix(body, want) {
		t.Error(cmp.Diff(want, body))
	}
}

// What was written after a page was asked for waits for the next one: then it is not
// behind what other streams have got meanwhile.
func TestFilterWaitsForWhatIsWritten(t *testing.T) {
	s := newService(t)
	s.write("s", "one\n")
	s.now = time.UnixMilli(epoch - 1)
	if got := s.filter(map[string]any{}); len(got) > 0 {
		t.Error(got)
	}
}

// Whatever the limit and the direction, pages are in the order of times and have each
// event once.
func TestFilterPagesHaveEachEventOnce(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		s := newService(outer)
		s.now = time.UnixMilli(downSince)
		type line struct {
			time   int64
			stream string
			text   string
		}
		var all []line
		for i := range rapid.IntRange(0, 30).Draw(t, "lines") {
			stream := rapid.SampledFrom([]string{"a", "b", "c/d/e", "c/d/f"}).Draw(t, "stream")
			if rapid.IntRange(0, 9).Draw(t, "end") == 0 && s.files[stream] != nil {
				s.end(stream)
			}
			s.write(stream, fmt.Sprintf("%d\n", i))
			all = append(all, line{s.now.UnixMilli(), stream, fmt.Sprint(i)})
			s.add(rapid.IntRange(0, 1).Draw(t, "ms") * 600)
		}
		in := map[string]any{"limit": rapid.IntRange(1, 5).Draw(t, "limit")}
		slices.SortStableFunc(all, func(a, b line) int {
			if a.time != b.time {
				return int(a.time - b.time)
			}
			return strings.Compare(a.stream, b.stream)
		})
		if rapid.Bool().Draw(t, "down") {
			slices.Reverse(all)
			in["startTime"], in["startFromHead"] = downSince, false
		}
		want := []string{}
		for _, l := range all {
			want = append(want, l.stream+" "+l.text)
		}
		if diff := cmp.Diff(want, s.filter(in)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// More streams than are looked at for one page: none is left out.
func TestFilterManyStreams(t *testing.T) {
	s := newService(t)
	const n = maxRuns + 50
	want := []string{}
	for i := range n {
		name := fmt.Sprintf("d/default/%032x", i*7919%n)
		f, err := s.store.Open(logstore.DefaultGroup, name, false)
		s.check(err)
		fmt.Fprintln(f, i)
		f.Close()
		s.store.Ended(logstore.DefaultGroup, name)
		want = append(want, fmt.Sprintf("%s %d", name, i))
		s.add(1)
	}
	start := time.Now()
	got := s.filter(map[string]any{"logStreamNamePrefix": "d/"})
	t.Logf("%d streams in %v", n, time.Since(start).Round(time.Millisecond))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff[:min(len(diff), 1000)])
	}
	start = time.Now()
	var out describeLogStreamsOut
	s.do("DescribeLogStreams", map[string]any{"logGroupName": "/aws/batch/job", "orderBy": "LastEventTime", "descending": true, "limit": 1}, &out)
	t.Logf("the last one in %v", time.Since(start).Round(time.Millisecond))
	if got := out.LogStreams[0].LogStreamName; !strings.HasPrefix(want[n-1], got) {
		t.Error(got)
	}
}
