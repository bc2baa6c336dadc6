package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

// genome is a run of three steps at a moment.
func genome() *Run {
	split := step("split", engine.Succeeded, false, map[engine.Status]int{engine.Succeeded: 1})
	split.Started, split.Ended = noon.Add(-60*time.Second), noon.Add(-57*time.Second)
	align := step("align", engine.Running, true, map[engine.Status]int{engine.Succeeded: 409, engine.Failed: 3, engine.Running: 8, engine.Pending: 580})
	align.Started = noon.Add(-57 * time.Second)
	return run(split, align, step("merge", engine.Pending, false, nil))
}

func TestFrame(t *testing.T) {
	r := genome()
	r.Waits = map[engine.StepName]string{"merge": "known after align"}
	r.Troubles = []Trouble{
		{Step: "align", Task: `align["chr7"]`, Tasks: 3, Why: "exit code 3", Log: "bowtie2: \x1b[31mno such\x1b[0m file"},
		{Step: "align", Task: `align["chr\n9"]`, Tasks: 1, Why: "exit code 137", Retry: true},
	}
	for _, tt := range []struct {
		name string
		term Term
		want []string
	}{
		{"wide", Term{TTY: true, Width: 120, Height: 24}, []string{
			"genome  01k2  RUNNING  1m05s",
			"  SUCCEEDED  split                          1/1                        3.0s",
			"  RUNNING    align  ━━━━━━─·········  412/1,000   3 failed  8 running   57s",
			"  PENDING    merge  known after align",
			"             total  ━━━━━━─·········  413/1,001+  3 failed  8 running",
			"  FAILED  3 tasks of align: exit code 3 (such as align[\"chr7\"])",
			"          │ bowtie2: no such file",
			`  RETRY   align["chr\n9"]: exit code 137`,
		}},
		{"narrow", Term{TTY: true, Width: 60, Height: 24}, []string{
			"genome  01k2  RUNNING  1m05s",
			"  SUCCEEDED  split        1/1",
			"  RUNNING    align  412/1,000   3 failed  8 running",
			"  PENDING    merge  known after align",
			"             total  413/1,001+  3 failed  8 running",
			"  FAILED  3 tasks of align: exit code 3 (such as align[\"ch…",
			"          │ bowtie2: no such file",
			`  RETRY   align["chr\n9"]: exit code 137`,
		}},
		{"low", Term{TTY: true, Width: 70, Height: 6}, []string{
			"genome  01k2  RUNNING  1m05s",
			"  RUNNING    align  ━━━─····  412/1,000   3 failed  8 running  57s",
			"  … 2 more steps: 1 succeeded, 1 pending",
			"             total  ━━━─····  413/1,001+  3 failed  8 running",
			"  FAILED  3 tasks of align: exit code 3 (such as align[\"chr7\"])",
		}},
	} {
		got := NewProgress().Frame(r, noon, tt.term)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestFrameTellsRateAndTimeLeft(t *testing.T) {
	p := NewProgress()
	term := Term{TTY: true, Width: 120, Height: 24}
	at := func(done int, now time.Time) []string {
		s := step("align", engine.Running, true, map[engine.Status]int{engine.Succeeded: done, engine.Pending: 1000 - done})
		s.Started = noon
		last := step("sort", engine.Pending, true, map[engine.Status]int{engine.Pending: 200})
		return p.Frame(run(s, last), now, term)
	}
	at(0, noon)
	got := at(200, noon.Add(10*time.Second))
	if !strings.HasSuffix(got[1], "  20/s  10s  40s left") {
		t.Errorf("after 200 of 1,000 tasks in 10 s: %q", got[1])
	}
	if !strings.Contains(got[3], "total") || !strings.HasSuffix(got[3], "  200/1,200  20/s       50s left") {
		t.Errorf("of the run: %q", got[3])
	}
}

func TestFrameShowsWhatMatters(t *testing.T) {
	var steps []engine.StepStatus
	for i := range 1000 {
		st := engine.Succeeded
		switch {
		case i == 700:
			st = engine.Failed
		case i == 800:
			st = engine.Running
		case i > 800:
			st = engine.Pending
		}
		steps = append(steps, step(fmt.Sprintf("step-%d-%s", i, strings.Repeat("x", 50)), st, true, map[engine.Status]int{st: 2}))
	}
	got := strings.Join(NewProgress().Frame(run(steps...), noon, Term{TTY: true, Width: 80, Height: 20}), "\n")
	for _, want := range []string{"step-700", "step-800", "step-801", "step-799", "more steps: ", "total"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not shown in\n%s", want, got)
		}
	}
}

// Whatever a run is like, its frame fits the terminal and leaves a line for the cursor:
// nothing is ever scrolled away.
func TestFrameFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.String(), 0, 30).Draw(t, "names")
		var steps []engine.StepStatus
		for _, name := range names {
			st := engine.Status(rapid.IntRange(0, int(engine.Cached)).Draw(t, "status"))
			v := step(name, st, rapid.Bool().Draw(t, "fan"), map[engine.Status]int{st: rapid.IntRange(0, 99999).Draw(t, "n"), engine.Failed: rapid.IntRange(0, 3).Draw(t, "failed")})
			v.Reason, v.Started = rapid.String().Draw(t, "reason"), noon.Add(-time.Hour)
			steps = append(steps, v)
		}
		r := run(steps...)
		for range rapid.IntRange(0, 8).Draw(t, "troubles") {
			r.Troubles = append(r.Troubles, Trouble{Task: rapid.String().Draw(t, "task"), Tasks: rapid.IntRange(1, 9).Draw(t, "tasks"), Log: rapid.String().Draw(t, "log")})
		}
		term := Term{TTY: true, Width: rapid.IntRange(1, 150).Draw(t, "width"), Height: rapid.IntRange(2, 40).Draw(t, "height"), Style: Style{Color: rapid.Bool().Draw(t, "color")}}
		got := NewProgress().Frame(r, noon, term)
		if len(got) > term.Height-1 {
			t.Fatalf("%d lines on a screen of %d", len(got), term.Height)
		}
		for _, line := range got {
			if Width(line) > max(term.Width-1, 1) || strings.ContainsAny(line, "\n\r\t") {
				t.Fatalf("%d columns in a terminal of %d: %q", Width(line), term.Width, line)
			}
		}
	})
}
