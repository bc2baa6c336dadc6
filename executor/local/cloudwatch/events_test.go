package cloudwatch

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func (s *service) get(in map[string]any) getLogEventsOut {
	s.Helper()
	in["logGroupName"] = "/aws/batch/job"
	var out getLogEventsOut
	s.do("GetLogEvents", in, &out)
	return out
}

func messages(events []event) []string {
	texts := []string{}
	for _, e := range events {
		texts = append(texts, e.Message)
	}
	return texts
}

func TestGetLogEvents(t *testing.T) {
	s := newService(t)
	for i := range 3 {
		s.write("s", fmt.Sprintf("a%d\n\nb%d\n", i, i))
		s.add(1000)
	}
	s.write("s", "no end")
	tests := []struct {
		in   map[string]any
		want []string
	}{
		{map[string]any{}, []string{"a0", "b0", "a1", "b1", "a2", "b2"}},
		{map[string]any{"limit": 3}, []string{"b1", "a2", "b2"}},
		{map[string]any{"limit": 3, "startFromHead": true}, []string{"a0", "b0", "a1"}},
		{map[string]any{"startTime": epoch + 1000}, []string{"a1", "b1", "a2", "b2"}},
		{map[string]any{"endTime": epoch + 2000}, []string{"a0", "b0", "a1", "b1"}},
		{map[string]any{"startTime": epoch + 1000, "endTime": epoch + 1001}, []string{"a1", "b1"}},
		{map[string]any{"startTime": epoch + 1001, "endTime": epoch + 2000}, []string{}},
		{map[string]any{"startTime": epoch + 1000, "endTime": epoch + 1000}, []string{}},
		{map[string]any{"startTime": epoch + 3000, "endTime": epoch}, []string{}},
		{map[string]any{"startTime": 1 << 60}, []string{}},
		{map[string]any{"endTime": 0}, []string{}},
	}
	for range 2 {
		for _, test := range tests {
			test.in["logStreamName"] = "s"
			if diff := cmp.Diff(test.want, messages(s.get(test.in).Events)); diff != "" {
				t.Errorf("%v: %s", test.in, diff)
			}
		}
		s.reopen()
		tests[0].want = append(tests[0].want, "no end")
		tests[1].want = []string{"a2", "b2", "no end"}
		tests[3].want = append(tests[3].want, "no end")
	}
	_, body := s.call("GetLogEvents", `{"logGroupIdentifier":"arn:aws:logs:eu-central-1:123456789012:log-group:/aws/batch/job","logStreamName":"s","startFromHead":true,"limit":1}`)
	want := `{"events":[{"timestamp":1000000,"message":"a0","ingestionTime":1000000}],` +
		`"nextForwardToken":"f/00000000000000000000000000000000000000000000000000000003","nextBackwardToken":"b/00000000000000000000000000000000000000000000000000000000"}`
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
}

// The tokens of the ends are repeated, and are good for what is written later.
func TestTokensAtTheEnds(t *testing.T) {
	s := newService(t)
	s.write("s", "one\ntwo\n")
	first := s.get(map[string]any{"logStreamName": "s"})
	next := func(token string) getLogEventsOut {
		return s.get(map[string]any{"logStreamName": "s", "nextToken": token})
	}
	for range 2 {
		if got := next(first.NextForwardToken); len(got.Events) > 0 || got.NextForwardToken != first.NextForwardToken {
			t.Error(got)
		}
		if got := next(first.NextBackwardToken); len(got.Events) > 0 || got.NextBackwardToken != first.NextBackwardToken {
			t.Error(got)
		}
	}
	s.write("s", "three\nfo")
	got := next(first.NextForwardToken)
	if diff := cmp.Diff([]string{"three"}, messages(got.Events)); diff != "" {
		t.Error(diff)
	}
	s.write("s", "ur")
	s.end("s")
	if diff := cmp.Diff([]string{"four"}, messages(next(got.NextForwardToken).Events)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"one", "two"}, messages(next(got.NextBackwardToken).Events)); diff != "" {
		t.Error(diff)
	}
}

func TestPagesAreBounded(t *testing.T) {
	s := newService(t)
	s.write("s", strings.Repeat("x\n", maxEvents+5)+strings.Repeat(strings.Repeat("y", 1000)+"\n", 2000))
	var pages []int
	for token := tokenOf(ahead, 0); ; {
		out := s.get(map[string]any{"logStreamName": "s", "nextToken": token})
		if out.NextForwardToken == token {
			break
		}
		pages, token = append(pages, len(out.Events)), out.NextForwardToken
	}
	if diff := cmp.Diff([]int{10000, 1026, 979}, pages); diff != "" {
		t.Error(diff)
	}
	// So is what is read for a page without events.
	s.write("t", "x\n"+strings.Repeat("\n", maxScan+10)+"y\n")
	out := s.get(map[string]any{"logStreamName": "t"})
	if diff := cmp.Diff([]string{"y"}, messages(out.Events)); diff != "" {
		t.Error(diff)
	}
	out = s.get(map[string]any{"logStreamName": "t", "nextToken": out.NextBackwardToken})
	if diff := cmp.Diff([]string{"x"}, messages(out.Events)); diff != "" {
		t.Error(diff)
	}
}

func TestRetentionHidesEvents(t *testing.T) {
	s := newService(t)
	s.write("s", "old\n")
	s.add(24 * 60 * 60 * 1000)
	s.write("s", "new\n")
	s.do("PutRetentionPolicy", map[string]any{"logGroupName": "/aws/batch/job", "retentionInDays": 1}, nil)
	s.add(1)
	if diff := cmp.Diff([]string{"new"}, messages(s.get(map[string]any{"logStreamName": "s"}).Events)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"s new"}, s.filter(map[string]any{})); diff != "" {
		t.Error(diff)
	}
}

// Whatever the limit and the direction, the pages have each event once and in order, while
// the log grows as well.
func TestPagesHaveEachEventOnce(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		s := newService(outer)
		var all []string
		grow := func() {
			for range rapid.IntRange(0, 4).Draw(t, "lines") {
				text := fmt.Sprint(len(all))
				if rapid.IntRange(0, 5).Draw(t, "long") == 0 {
					text += strings.Repeat("x", rapid.IntRange(0, 200_000).Draw(t, "length"))
				}
				all = append(all, text)
				s.write("s", text+"\n"+strings.Repeat("\n", rapid.IntRange(0, 1).Draw(t, "empty")))
			}
			s.add(rapid.IntRange(0, 500).Draw(t, "ms"))
		}
		grow()
		s.write("s", "")
		page := func(token string) getLogEventsOut {
			return s.get(map[string]any{"logStreamName": "s", "nextToken": token, "limit": rapid.IntRange(1, 5).Draw(t, "limit")})
		}
		middle := s.get(map[string]any{"logStreamName": "s", "limit": rapid.IntRange(1, 5).Draw(t, "limit")})
		got := messages(middle.Events)
		for token := middle.NextForwardToken; ; {
			if rapid.Bool().Draw(t, "grow") {
				grow()
			}
			out := page(token)
			got = append(got, messages(out.Events)...)
			if out.NextForwardToken == token && len(got) > 0 && got[len(got)-1] == all[len(all)-1] || len(all) == 0 {
				break
			}
			token = out.NextForwardToken
		}
		for token := middle.NextBackwardToken; ; {
			out := page(token)
			got = slices.Concat(messages(out.Events), got)
			if out.NextBackwardToken == token {
				break
			}
			token = out.NextBackwardToken
		}
		if diff := cmp.Diff(all, got, cmp.Transformer("short", func(s string) string { return s[:min(len(s), 9)] })); diff != "" && len(all) > 0 {
			t.Fatal(diff)
		}
	})
}
