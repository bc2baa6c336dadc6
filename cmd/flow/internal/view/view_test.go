package view

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestClean(t *testing.T) {
	for _, tt := range []struct{ in, one, lines string }{
		{"plain", "plain", "plain"},
		{"grün 日本", "grün 日本", "grün 日本"},
		{"a\nb\tc", `a\nb\tc`, "a\nb\tc"},
		{"\x1b]0;owned\x07", `\x1b]0;owned\x07`, `\x1b]0;owned\x07`},
		{"\x1b[2J", `\x1b[2J`, `\x1b[2J`},
		{"bad \xff byte", `bad \xff byte`, `bad \xff byte`},
		{"\u202egnp.exe", `\u202egnp.exe`, `\u202egnp.exe`},
		{"c1 \u009b31m", `c1 \u009b31m`, `c1 \u009b31m`},
		{"cr\rlf", `cr\rlf`, `cr\rlf`},
	} {
		if got := Clean(tt.in); got != tt.one {
			t.Errorf("Clean(%q) = %q, want %q", tt.in, got, tt.one)
		}
		if got := CleanLines(tt.in); got != tt.lines {
			t.Errorf("CleanLines(%q) = %q, want %q", tt.in, got, tt.lines)
		}
	}
}

func TestCleanLog(t *testing.T) {
	for in, want := range map[string]string{
		"\x1b[31mred\x1b[0m and \x1b[1;32mgreen\x1b[m": "red and green",
		"\x1b[2Jwiped":          `\x1b[2Jwiped`,
		"\x1b[31":               `\x1b[31`,
		" 10%\r 50%\r100% done": "100% done",
		"dos line\r":            "dos line",
		"a\tb":                  "a    b",
	} {
		if got := CleanLog(in); got != want {
			t.Errorf("CleanLog(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNothingHarmfulPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")) + rapid.String().Draw(t, "more")
		for name, got := range map[string]string{"Clean": Clean(text), "CleanLog": CleanLog(text)} {
			if !utf8.ValidString(got) {
				t.Fatalf("%s(%q) is no UTF-8: %q", name, text, got)
			}
			for _, r := range got {
				if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
					t.Fatalf("%s(%q) lets %q through", name, text, r)
				}
			}
		}
	})
}

func TestCutFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := Clean(rapid.String().Draw(t, "text"))
		if rapid.Bool().Draw(t, "marked") {
			text = Style{Color: true}.Red(text)
		}
		columns := rapid.IntRange(1, 30).Draw(t, "columns")
		got := Cut(text, columns)
		if Width(got) > columns {
			t.Fatalf("Cut(%q, %d) = %q is %d wide", text, columns, got, Width(got))
		}
		if Width(text) <= columns && got != text {
			t.Fatalf("Cut(%q, %d) = %q changes what fits", text, columns, got)
		}
	})
}

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{
		"abc": 3, "日本": 4, "e\u0301": 1, Style{Color: true}.Bold("ab"): 2, "": 0,
	} {
		if got := Width(text); got != want {
			t.Errorf("Width(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0s", -time.Second: "0s", 440 * time.Millisecond: "0.4s", 12 * time.Second: "12s",
		185 * time.Second: "3m05s", 130 * time.Minute: "2h10m", 102 * time.Hour: "4d06h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestCountAndBytes(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{17: "17 B", 4300: "4.2 KiB", 1 << 30: "1.0 GiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	table := &Table{Header: []string{"RUN", "N", "WHAT"}, Right: []bool{false, true}}
	table.Add("one", "5", "something that is much too long for the terminal")
	table.Add("three", "1,000", "short")
	var out bytes.Buffer
	if err := table.Write(&out, Term{TTY: true, Width: 40}); err != nil {
		t.Fatal(err)
	}
	want := "RUN        N  WHAT\n" +
		"one        5  something that is much to…\n" +
		"three  1,000  short\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("on a terminal (-want +got):\n%s", diff)
	}
	out.Reset()
	if err := table.Write(&out, Term{}); err != nil {
		t.Fatal(err)
	}
	want = "one\t5\tsomething that is much too long for the terminal\nthree\t1,000\tshort\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("in a pipe (-want +got):\n%s", diff)
	}
}

// step makes a step with so many tasks in each status.
func step(name string, status engine.Status, fanOut bool, counts map[engine.Status]int) engine.StepStatus {
	v := engine.StepStatus{Step: &engine.Step{Name: engine.StepName(name), FanOut: fanOut}, Status: status, Size: -1}
	for st, n := range counts {
		v.Counts[st] += n
		v.Size = max(v.Size, 0) + n
	}
	return v
}

func run(steps ...engine.StepStatus) *Run {
	return &Run{ID: "01k2", Workflow: "genome", Status: engine.Running, Created: noon.Add(-65 * time.Second), Steps: steps}
}

// A terminal is a small model of what a real one does with the output of a Screen.
type terminal struct {
	lines []string
	row   int
	width int // lines that are wider are folded; 0: none is
}

// resize gives the terminal another width, and folds its lines anew, as most terminals do.
func (t *terminal) resize(width int) {
	t.width = width
	var lines []string
	for _, line := range t.lines {
		lines = append(lines, t.fold(line)...)
	}
	t.lines, t.row = lines, len(lines)
}

func (t *terminal) fold(line string) (rows []string) {
	for t.width > 0 && len(line) > t.width {
		rows, line = append(rows, line[:t.width]), line[t.width:]
	}
	return append(rows, line)
}

func (t *terminal) Write(p []byte) (int, error) {
	for s := string(p); s != ""; {
		up := 0
		switch {
		case strings.HasPrefix(s, "\x1b[J"):
			t.lines = t.lines[:t.row]
			s = s[3:]
		case strings.HasPrefix(s, "\x1b["):
			if _, err := fmt.Sscanf(s, "\x1b[%dA\r", &up); err != nil {
				return 0, fmt.Errorf("unknown sequence %q", s)
			}
			t.row = max(t.row-up, 0)
			s = s[strings.Index(s, "\r")+1:]
		default:
			line, rest, ok := strings.Cut(s, "\n")
			if !ok {
				return 0, fmt.Errorf("%q has no newline", s)
			}
			line, whole := strings.CutSuffix(line, "\x1b[K")
			if t.row == len(t.lines) {
				t.lines = append(t.lines, "")
			}
			if !whole && t.lines[t.row] != "" {
				return 0, fmt.Errorf("%q is written over %q", line, t.lines[t.row])
			}
			t.lines[t.row] = line
			t.row++
			s = rest
		}
	}
	return len(p), nil
}

func TestScreen(t *testing.T) {
	term := &terminal{}
	s := NewScreen(term)
	s.Draw([]string{"a 1", "b 1", "c 1"})
	s.Draw([]string{"a 2", "b 2", "c 2"})
	s.Print("FAILED x\n  log\n", []string{"a 3", "b 3"})
	s.Draw([]string{"a 4"})
	want := []string{"FAILED x", "  log", "a 4"}
	if diff := cmp.Diff(want, term.lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestScreenFollowsTheWidth(t *testing.T) {
	term := &terminal{width: 12}
	s := NewScreen(term)
	s.Fit(Term{TTY: true, Width: 12})
	s.Print("text\n", []string{"eleven long", "b 1"})
	term.resize(5) // the first line is folded into three
	s.Fit(Term{TTY: true, Width: 5})
	s.Draw([]string{"a 2", "b 2"})
	if diff := cmp.Diff([]string{"text", "a 2", "b 2"}, term.lines); diff != "" {
		t.Errorf("narrower (-want +got):\n%s", diff)
	}
	term.resize(12)
	s.Fit(Term{TTY: true, Width: 12})
	s.Draw([]string{"a 3", "b 3"})
	if diff := cmp.Diff([]string{"text", "a 3", "b 3"}, term.lines); diff != "" {
		t.Errorf("wider (-want +got):\n%s", diff)
	}
}

func TestChanges(t *testing.T) {
	align := step("align", engine.Running, true, map[engine.Status]int{engine.Pending: 1000})
	first := run(align, step("merge", engine.Pending, false, nil))
	got := Changes(nil, first, noon)
	if diff := cmp.Diff([]string{"2026-11-23T12:00:00Z align RUNNING 1,000 tasks"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	align = step("align", engine.Failed, true, map[engine.Status]int{engine.Succeeded: 999, engine.Failed: 1})
	align.Started, align.Ended, align.Reason = noon, noon.Add(90*time.Second), "1 of 1,000 tasks failed"
	merge := step("merge", engine.Skipped, false, map[engine.Status]int{engine.Skipped: 1})
	merge.Reason = "align\x1b[2J failed"
	none := step("unknown", engine.Skipped, true, nil) // its tasks were never known
	none.Reason = "needs align"
	second := run(align, merge, none)
	want := []string{
		"2026-11-23T12:00:00Z align FAILED 999 succeeded, 1 failed after 1m30s: 1 of 1,000 tasks failed",
		`2026-11-23T12:00:00Z merge SKIPPED: align\x1b[2J failed`,
		"2026-11-23T12:00:00Z unknown SKIPPED: needs align",
	}
	if diff := cmp.Diff(want, Changes(first, second, noon)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if again := Changes(second, second, noon); again != nil {
		t.Errorf("nothing changed, and yet: %q", again)
	}
}

func TestHeartbeat(t *testing.T) {
	r := run(step("align", engine.Running, true, map[engine.Status]int{engine.Succeeded: 409, engine.Failed: 3, engine.Running: 71, engine.Pending: 517}), step("merge", engine.Pending, false, nil))
	want := "2026-11-23T12:00:00Z align 412/1,000 done, 3 failed, 71 running, 1m05s"
	if got := Heartbeat(r, noon); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFailureBlock(t *testing.T) {
	f := Failure{Task: `align["a\nb"]`, Why: "exit code 2", Attempts: 3, Log: []string{"reading", "\x1b]0;owned\x07no such file"}, More: "flow logs '01k2/align[\"a\\nb\"]'"}
	want := `FAILED align["a\nb"]: exit code 2 (3 attempts)
  │ reading
  │ \x1b]0;owned\x07no such file
  whole log: flow logs '01k2/align["a\nb"]'
`
	if diff := cmp.Diff(want, f.Block(Term{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestBrief(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "",
		"run x is not over": "run x is not over",
		"disk full\nmore":   "disk full",
		"it cannot be created: Error: No value\n  on a.hcl line 1:\n    1: variable \"x\" {\n\nGive one.\n\n1 error in 1 file\n":                                        "it cannot be created: No value (a.hcl line 1): Give one.",
		"Error: Missing value\n  on w.hcl line 2, in variable \"pw\":\n    2: variable \"pw\" {\n       ^^^\n\nVariable \"pw\" has\nno default.\n\n1 error in 1 file\n": `Missing value (w.hcl line 2, in variable "pw"): Variable "pw" has no default.`,
		"Error: One\n\n-var x: none.\n\nError: Two\n\nIt is bad.\n\n2 errors":                                                                                           "One: -var x: none. (2 errors)",
	} {
		if got := Brief(text); got != want {
			t.Errorf("Brief(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestTableWhole(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int][]int{100: {20, 30}, 45: {20, 23}, 30: {20, 8}, 25: {15, 8}, 5: {8, 8}} {
		widths := []int{20, 30}
		shrink(widths, []bool{true}, limit)
		if diff := cmp.Diff(want, widths); diff != "" {
			t.Errorf("in %d columns: %s", limit, diff)
		}
	}
}
