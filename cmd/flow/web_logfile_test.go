package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/cmd/flow/internal/page"
)

func writeLog(t interface{ Fatal(...any) }, dir, text string) string {
	path := filepath.Join(dir, "1.log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// textOf are the lines of a piece without their looks.
func textOf(p page.LogPiece) (out []string) {
	for _, line := range p.Lines {
		text := ""
		for _, s := range line {
			text += s.Text
		}
		out = append(out, text)
	}
	return out
}

func TestFilePiece(t *testing.T) {
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, "line %d\n", i+1)
	}
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name, text, kind string
		at               int64
		live             bool
		first, lines     int
		begins, ends     string
		next             int64
	}{
		{"short", "a\nb\n", "tail", 0, false, 1, 2, "a", "b", 4},
		{"empty", "", "tail", 0, true, 1, 0, "", "", 0},
		{"open line of a task that runs", "a\nb", "tail", 0, true, 1, 1, "a", "a", 2},
		{"open line of a task that has ended", "a\nb", "tail", 0, false, 1, 2, "a", "b", 3},
		{"tail", many.String(), "tail", 0, false, 301, 200, "line 301", "line 500", int64(many.Len())},
		{"before", many.String(), "before", int64(strings.Index(many.String(), "line 301\n")), false, 1, 300, "line 1", "line 300", int64(strings.Index(many.String(), "line 301\n"))},
		{"after", many.String(), "after", int64(strings.Index(many.String(), "line 499\n")), true, 499, 2, "line 499", "line 500", int64(many.Len())},
		{"after the end", "a\n", "after", 99, true, 2, 0, "", "", 2},
		{"a long line", long + "\nb\n", "tail", 0, false, 1, 2, long[:shownBytes] + "… and 905 bytes more, see the whole log", "b", 5003},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := filePiece(writeLog(t, t.TempDir(), c.text), c.kind, c.at, c.live)
			if err != nil {
				t.Fatal(err)
			}
			lines := textOf(p)
			if p.First != c.first || len(lines) != c.lines || p.Next != c.next || p.Size != int64(len(c.text)) {
				t.Errorf("first %d, %d lines, next %d, size %d", p.First, len(lines), p.Next, p.Size)
			}
			if len(lines) > 0 && (lines[0] != c.begins || lines[len(lines)-1] != c.ends) {
				t.Errorf("from %q to %q", lines[0], lines[len(lines)-1])
			}
		})
	}
}

// TestFilePieceMissing: a log that is not there is no error.
func TestFilePieceMissing(t *testing.T) {
	p, err := filePiece(filepath.Join(t.TempDir(), "1.log"), "tail", 0, true)
	if err != nil || len(p.Lines) > 0 {
		t.Errorf("%v, %v", p, err)
	}
}

// TestFilePieces: pieces that follow one another, forwards and backwards, are the whole log.
func TestFilePieces(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.StringMatching(`[a-z<>&]{0,12}`), 0, 300).Draw(t, "lines")
		path := writeLog(t, dir, strings.Join(append(lines, ""), "\n"))
		tail, err := filePiece(path, "tail", 0, false)
		if err != nil {
			t.Fatal(err)
		}
		got := textOf(tail)
		for from := tail.From; from > 0; {
			p, err := filePiece(path, "before", from, false)
			if err != nil || p.From >= from || p.Next != from {
				t.Fatalf("before %d: %+v, %v", from, p, err)
			}
			from, got = p.From, append(textOf(p), got...)
		}
		if diff := cmp.Diff(lines, got); diff != "" && len(lines)+len(got) > 0 {
			t.Fatal(diff)
		}
		got = nil
		for next := int64(0); next < tail.Size; {
			p, err := filePiece(path, "after", next, false)
			if err != nil || p.Next <= next || p.First != len(got)+1 {
				t.Fatalf("after %d: %+v, %v", next, p, err)
			}
			next, got = p.Next, append(got, textOf(p)...)
		}
		if diff := cmp.Diff(lines, got); diff != "" && len(lines)+len(got) > 0 {
			t.Fatal(diff)
		}
	})
}

// TestFilePieceHuge: of a log without line ends, no more is read than a page shows.
func TestFilePieceHuge(t *testing.T) {
	path := writeLog(t, t.TempDir(), "start\n")
	if err := os.Truncate(path, 4<<30); err != nil { // sparse
		t.Fatal(err)
	}
	for _, live := range []bool{false, true} {
		p, err := filePiece(path, "tail", 0, live)
		if err != nil || len(p.Lines) != 1 || p.First != 0 {
			t.Fatalf("%d lines, first %d, %v", len(p.Lines), p.First, err)
		}
		if n := len(textOf(p)[0]); n > 5*shownBytes {
			t.Errorf("a line of %d bytes", n)
		}
	}
}

// TestOddLogs: what a task has put in the place of its log is not waited for, and not read without
// an end.
func TestOddLogs(t *testing.T) {
	dir := t.TempDir()
	pipe, zero := filepath.Join(dir, "1.log"), filepath.Join(dir, "2.log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", zero); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, zero, dir} {
		if _, err := filePiece(path, "tail", 0, false); err == nil || !strings.Contains(err.Error(), "is no file") {
			t.Errorf("%s: %v", path, err)
		}
		if got := lastLines(path, 3); got != nil {
			t.Errorf("%s: %q", path, got)
		}
	}
	long := filepath.Join(dir, "3.log")
	f, err := os.Create(long)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 1 << 38 // which takes no room, and has no line end
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("\nlast\n"), size-6); err != nil {
		t.Fatal(err)
	}
	if got := lastLines(long, 1); len(got) != 1 || got[0] != "last" {
		t.Errorf("the last line is %q", got)
	}
}
