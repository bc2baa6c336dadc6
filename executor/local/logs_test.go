package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"flow/engine"
)

func writeLog(t testing.TB, dir string, attempt int, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(LogPath(dir, attempt), []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func lines(t testing.TB, x *Executor, id engine.JobID, o engine.LogOptions) []string {
	t.Helper()
	var out []string
	for l, err := range x.Logs(t.Context(), id, o) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l.Text)
	}
	return out
}

func TestLogFiles(t *testing.T) {
	r := newGateRunner()
	x := openTest(t, Options{Runner: r, VCPUs: 1})
	s := spec("a", 2)
	s.WorkDir, s.Attempt, s.Attempts, s.Keys = t.TempDir(), 5, 3, []string{"x/y", "z"}
	id := submit(t, x, s)
	r.wait(t, 1)
	child, dir := id.Child(0), s.TaskDir(0)
	if got := lines(t, x, child, engine.LogOptions{}); got != nil {
		t.Errorf("a log that is not there has %q", got)
	}
	huge := strings.Repeat("x", 3*maxLine+5)
	writeLog(t, dir, 5, "first\n\nno end")
	for _, test := range []struct {
		o    engine.LogOptions
		want []string
	}{
		{engine.LogOptions{}, []string{"first", "", "no end"}},
		{engine.LogOptions{Attempt: 1}, []string{"first", "", "no end"}},
		{engine.LogOptions{Attempt: 2}, nil},
		{engine.LogOptions{Tail: 2}, []string{"", "no end"}},
		{engine.LogOptions{Tail: 1}, []string{"no end"}},
		{engine.LogOptions{Tail: 9}, []string{"first", "", "no end"}},
	} {
		if got := lines(t, x, child, test.o); !slices.Equal(got, test.want) {
			t.Errorf("%+v: %q, want %q", test.o, got, test.want)
		}
	}
	r.end(child, 1)
	r.wait(t, 2)
	writeLog(t, dir, 6, huge+"\nlast\n")
	got := lines(t, x, child, engine.LogOptions{Attempt: 2})
	if len(got) != 5 || len(got[0]) != maxLine || strings.Join(got[:4], "") != huge || got[4] != "last" {
		t.Errorf("a huge line came in %d pieces", len(got))
	}
	if got := lines(t, x, child, engine.LogOptions{Attempt: 2, Tail: 1}); !slices.Equal(got, []string{"last"}) {
		t.Errorf("last line: %q", got)
	}
	if got := lines(t, x, id, engine.LogOptions{}); got != nil {
		t.Errorf("log of an array parent: %q", got)
	}
}

// Following goes on from try to try, and ends with the job.
func TestFollow(t *testing.T) {
	r := newGateRunner()
	x := openTest(t, Options{Runner: r})
	s := spec("a", 0)
	s.WorkDir, s.Attempts = t.TempDir(), 2
	id := submit(t, x, s)
	r.wait(t, 1)
	dir := s.TaskDir(0)
	writeLog(t, dir, 1, "one\ntwo\n")
	var got []string
	for l, err := range x.Logs(t.Context(), id, engine.LogOptions{Follow: true, Tail: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l.Text)
		switch l.Text {
		case "two":
			r.end(id, 1)
			r.wait(t, 2)
			writeLog(t, dir, 2, "three\nfour\n")
		case "four":
			writeLog(t, dir, 2, "three\nfour\nfive\nsix")
			r.end(id, 0)
		}
	}
	if want := []string{"two", "three", "four", "five", "six"}; !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

// A line that grows is handed on once it is whole.
func TestFollowWaitsForTheLine(t *testing.T) {
	r := newGateRunner()
	x := openTest(t, Options{Runner: r})
	s := spec("a", 0)
	s.WorkDir = t.TempDir()
	id := submit(t, x, s)
	r.wait(t, 1)
	writeLog(t, s.TaskDir(0), 1, "one\ntw")
	var got []string
	for l, err := range x.Logs(t.Context(), id, engine.LogOptions{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l.Text)
		switch l.Text {
		case "one":
			writeLog(t, s.TaskDir(0), 1, "one\ntwo\nend")
		case "two":
			r.end(id, 0)
		}
	}
	if want := []string{"one", "two", "end"}; !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestFollowUntilCancelled(t *testing.T) {
	r := newGateRunner()
	x := openTest(t, Options{Runner: r})
	id := submit(t, x, spec("a", 0))
	r.wait(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range x.Logs(ctx, id, engine.LogOptions{Follow: true}) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the end of it is %v", last)
	}
}

// tail agrees with splitting, wherever the blocks fall.
func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "bc", strings.Repeat("x", maxLine-1), strings.Repeat("y", maxLine)}), 0, 8).Draw(t, "lines")
		text := strings.Join(parts, "\n")
		if rapid.Bool().Draw(t, "end") && text != "" {
			text += "\n"
		}
		n := rapid.IntRange(1, 10).Draw(t, "n")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		at, err := tail(f, n)
		if err != nil {
			t.Fatal(err)
		}
		all := strings.SplitAfter(text, "\n")
		if all[len(all)-1] == "" {
			all = all[:len(all)-1]
		}
		want := strings.Join(all[max(len(all)-n, 0):], "")
		if text[at:] != want {
			t.Fatalf("the last %d lines begin at %d of %d", n, at, len(text))
		}
	})
}

// However the bytes come in, the lines are the same.
func TestLineReader(t *testing.T) {
	var want []string
	var text strings.Builder
	for i := range 3000 {
		line := fmt.Sprint("line ", i, strings.Repeat("z", i%97))
		want = append(want, line)
		text.WriteString(line + "\n")
	}
	text.WriteString("rest")
	want = append(want, "rest")
	in := newLineReader(iotest.OneByteReader(strings.NewReader(text.String())))
	var got []string
	for {
		l, err := in.next(true)
		if err != nil {
			break
		}
		got = append(got, l)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
	in = newLineReader(iotest.ErrReader(os.ErrPermission))
	if _, err := in.next(true); !errors.Is(err, os.ErrPermission) {
		t.Errorf("error of the file: %v", err)
	}
}
