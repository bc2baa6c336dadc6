package export

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/cmd/flow/internal/runstat/runstattest"
	"flow/engine"
)

// gathered returns a random run as it is exported.
func gathered(t *rapid.T) (*runstattest.Run, *Run) {
	random := runstattest.Draw(t)
	r, err := Gather(random.Fold(), func(yield func(engine.Event, error) bool) {
		for _, e := range random.Events {
			if !yield(e, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return random, r
}

// TestRandomTrace compares the rows of traces with the tries that were made and, the last one of
// each task, with how the task is.
func TestRandomTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random, r := gathered(t)
		var b strings.Builder
		if err := Trace(&b, r); err != nil {
			t.Fatal(err)
		}
		var rows []map[string]string
		for line := range strings.Lines(b.String()) {
			cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			row := map[string]string{}
			for i, name := range traceColumns {
				row[name] = cells[i]
			}
			rows = append(rows, row)
		}
		rows = rows[1:]
		for _, try := range random.Tries {
			if try.Index >= len(random.Tasks[try.Step]) {
				continue // of a step that was expanded anew, with fewer tasks
			}
			row := rows[0]
			rows = rows[1:]
			word := map[engine.Outcome]string{engine.TaskSucceeded: "COMPLETED", engine.TaskCancelled: "ABORTED"}[try.Outcome]
			if word == "" {
				word = "FAILED"
			}
			text := []string{string(try.Step), strconv.Itoa(try.Index), strconv.Itoa(try.Attempt), word, string(try.Outcome), knownText(try.Started), knownText(try.Stopped), knownText(max(try.Memory, 0)), knownText(try.CPU), none, none}
			if try.Started > 0 && try.Stopped >= try.Started {
				text[9] = strconv.FormatInt(try.Stopped-try.Started, 10)
				if at := r.Log.Submitted(try.Job).UnixMilli(); try.Stopped >= at {
					text[10] = strconv.FormatInt(try.Stopped-at, 10)
				}
			}
			got := []string{row["process"], row["index"], row["attempt"], row["status"], row["outcome"], row["start"], row["complete"], row["peak_rss"], row["cpu_time"], row["realtime"], row["duration"]}
			if diff := cmp.Diff(text, got); diff != "" {
				t.Fatalf("row (-made +told):\n%s", diff)
			}
			id := fmt.Sprint("id", try.Job)
			if tasks := random.InJob(try.Job); len(tasks) > 1 {
				id += fmt.Sprint(":", slices.Index(tasks, try.Index))
			}
			if row["native_id"] != id {
				t.Fatalf("job %s, row %v", id, row)
			}
			if asked, ok := random.Asked[try.Job]; ok && (row["cpus"] != strconv.FormatFloat(asked.VCPUs, 'f', -1, 64) || row["memory"] != strconv.Itoa(asked.MemoryMiB<<20)) {
				t.Fatalf("asked for %+v, row %v", asked, row)
			}
		}
		for _, s := range random.Workflow.Steps {
			for i, v := range random.Tasks[s.Name] {
				tried := slices.ContainsFunc(random.Tries, func(try runstattest.Try) bool { return try.Step == s.Name && try.Index == i })
				if v.Status == engine.Succeeded || v.Status == engine.Cancelled || v.Status == engine.Failed && tried {
					continue
				}
				if len(rows) == 0 {
					t.Fatalf("there is no row of %s %d, which is %s", s.Name, i, v.Status)
				}
				row := rows[0]
				rows = rows[1:]
				word := map[engine.Status]string{engine.Failed: "FAILED", engine.Running: "RUNNING", engine.Pending: "NEW"}[v.Status]
				if v.Status == engine.Pending && random.Alive(s.Name, i) {
					word = "SUBMITTED"
				}
				if row["process"] != string(s.Name) || row["index"] != strconv.Itoa(i) || row["status"] != word {
					t.Fatalf("%s %d, which is %s: row %v", s.Name, i, v.Status, row)
				}
			}
		}
		if len(rows) > 0 {
			t.Fatalf("rows of nothing: %v", rows)
		}
	})
}

func knownText(n int64) string {
	if n == 0 {
		return none
	}
	return strconv.FormatInt(n, 10)
}

// shapes are what the fields of a span look like in OTLP/JSON: identifiers are hexadecimal, numbers
// of 64 bits text, enumerations numbers (opentelemetry.io/docs/specs/otlp, JSON Protobuf Encoding).
var shapes = map[string]*regexp.Regexp{
	"traceId": regexp.MustCompile(`^"[0-9a-f]{32}"$`), "spanId": regexp.MustCompile(`^"[0-9a-f]{16}"$`), "parentSpanId": regexp.MustCompile(`^"[0-9a-f]{16}"$`),
	"startTimeUnixNano": regexp.MustCompile(`^"[0-9]{19}"$`), "endTimeUnixNano": regexp.MustCompile(`^"[0-9]{19}"$`),
	"kind": regexp.MustCompile(`^1$`), "status": regexp.MustCompile(`^\{"code":2(,"message":".*")?\}$`), "name": regexp.MustCompile(`^".+"$`),
	"attributes": regexp.MustCompile(`^\[(\{"key":"[a-z0-9._]+","value":\{("stringValue":"(\\.|[^"\\])*"|"intValue":"-?[0-9]+")\}\},?)+\]$`),
}

// TestRandomSpans looks at each span as a receiver does: at its fields, that its parent is there
// before it, unless that goes on, and that it lies within its parent.
func TestRandomSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random, r := gathered(t)
		var b strings.Builder
		if err := OTLP(&b, r, "flow"); err != nil {
			t.Fatal(err)
		}
		type span struct {
			Name, TraceID, SpanID, ParentSpanID, StartTimeUnixNano, EndTimeUnixNano string
		}
		spans, tries := map[string]span{}, 0
		for line := range strings.Lines(b.String()) {
			var m struct {
				ResourceSpans []struct {
					ScopeSpans []struct{ Spans []map[string]json.RawMessage }
				}
			}
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			for _, fields := range m.ResourceSpans[0].ScopeSpans[0].Spans {
				for name, value := range fields {
					if shapes[name] == nil || !shapes[name].Match(value) {
						t.Fatalf("%s is %s", name, value)
					}
				}
				var s span
				text, err := json.Marshal(fields)
				if err := json.Unmarshal(text, &s); err != nil {
					t.Fatal(err)
				}
				if _, twice := spans[s.SpanID]; err != nil || twice || s.EndTimeUnixNano < s.StartTimeUnixNano {
					t.Fatalf("twice %v, or odd: %+v, %v", twice, s, err)
				}
				spans[s.SpanID] = s
				if strings.Contains(s.Name, " attempt ") {
					tries++
				}
				if p, there := spans[s.ParentSpanID]; there && (p.TraceID != s.TraceID || s.StartTimeUnixNano < p.StartTimeUnixNano || s.EndTimeUnixNano > p.EndTimeUnixNano) {
					t.Fatalf("%+v is not within %+v", s, p)
				} else if !there && random.Ended && !strings.HasPrefix(s.Name, "run ") {
					t.Fatalf("%+v has no parent", s)
				}
			}
		}
		want := 0
		for _, try := range random.Tries {
			if try.Started > 0 && try.Stopped > 0 && try.Index < len(random.Tasks[try.Step]) {
				want++
			}
		}
		if tries != want {
			t.Fatalf("%d tries, of %d", tries, want)
		}
	})
}
