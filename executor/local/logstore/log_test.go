package logstore

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type piece struct{ Start, End int64 }

// pieces says in a plain way where the events of a text are.
func pieces(text []byte, grows bool) []piece {
	var all []piece
	for pos := int64(0); pos < int64(len(text)); {
		line := text[pos:]
		i := bytes.IndexByte(line, '\n')
		if i >= 0 {
			line = line[:i]
		}
		c := (pos+block-1)/block*block + block
		switch {
		case pos+int64(len(line)) > c:
			all = append(all, piece{pos, c})
		case i >= 0:
			all = append(all, piece{pos, pos + int64(i) + 1})
		case grows:
			return all
		default:
			all = append(all, piece{pos, int64(len(text))})
		}
		pos = all[len(all)-1].End
	}
	return all
}

func piecesOf(seq func(func(Event, error) bool)) []piece {
	var all []piece
	for e, err := range seq {
		check(err)
		all = append(all, piece{e.Start, e.End})
	}
	return all
}

// Forward and backward, from anywhere, a log has the same events.
func TestEventsForwardAndBackward(t *testing.T) {
	lengths := rapid.OneOf(rapid.IntRange(0, 5), rapid.IntRange(0, 3*chunk), rapid.IntRange(block-3, block+3),
		rapid.IntRange(2*block-3, 2*block+3), rapid.IntRange(0, 4*block))
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		s := newClock().open(outer.TempDir())
		defer s.Close()
		f := must(s.Open(DefaultGroup, "s", false))
		var text []byte
		for _, n := range rapid.SliceOfN(lengths, 0, 8).Draw(t, "lengths") {
			text = append(append(text, bytes.Repeat([]byte("x"), n)...), '\n')
		}
		if len(text) > 0 && rapid.Bool().Draw(t, "no end") {
			text = text[:len(text)-1]
		}
		must(f.Write(text))
		grows := rapid.Bool().Draw(t, "grows")
		if !grows {
			s.Ended(DefaultGroup, "s")
		}
		l := must(s.Log(DefaultGroup, "s"))
		defer l.Close()
		want := pieces(text, grows)
		if diff := cmp.Diff(want, piecesOf(l.Forward(0, l.End()))); diff != "" {
			t.Fatal(diff)
		}
		back := piecesOf(l.Backward(0, l.End()))
		slices.Reverse(back)
		if diff := cmp.Diff(want, back); diff != "" {
			t.Fatal(diff)
		}
		for range 5 {
			at := rapid.Int64Range(0, int64(len(text))).Draw(t, "at")
			bound := int64(0)
			for _, p := range want {
				if p.End <= at {
					bound = p.End
				}
			}
			if got := l.bound(at); got != bound && (grows || at < l.End()) {
				t.Fatalf("before %d: %d, not %d", at, got, bound)
			}
		}
	})
}

func TestTextOfEvents(t *testing.T) {
	long := strings.Repeat("a", block)
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"lines", "a\nb\r\n\nc\n", []string{"a", "b\r", "", "c"}},
		{"no end", "a\nb", []string{"a", "b"}},
		{"256 KiB", long + "\n", []string{long}},
		{"256 KiB behind another line", "x\n" + long + "\ny", []string{"x", long, "y"}},
		{"more", long + "b\n", []string{long, "b"}},
		{"no text", "\x00\xff\n", []string{"\x00\xff"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newClock().open(t.TempDir())
			must(must(s.Open(DefaultGroup, "s", false)).WriteString(test.text))
			s.Ended(DefaultGroup, "s")
			var got []string
			for _, l := range read(s, DefaultGroup, "s") {
				got = append(got, l.Text)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The marks of a long log are not read as a whole, and give each line its time.
func TestManyMarks(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := c.open(dir)
	f := must(s.Open(DefaultGroup, "s", false))
	var want []line
	for i := range 3 * pageMarks {
		c.add(1 + i%7)
		for range rand.IntN(3) {
			must(f.WriteString("x\n"))
			want = append(want, line{c.UnixMilli() - 1_000_000, "x"})
		}
		s.Look()
	}
	s.Ended(DefaultGroup, "s")
	l := must(s.Log(DefaultGroup, "s"))
	defer l.Close()
	if diff := cmp.Diff(want, lines(l)); diff != "" {
		t.Error(diff)
	}
	for since := int64(0); since < want[len(want)-1].Time+2; since++ {
		i := slices.IndexFunc(want, func(l line) bool { return l.Time >= since })
		if i < 0 {
			i = len(want)
		}
		if got := must(l.Since(1_000_000 + since)); got != int64(2*i) {
			t.Fatalf("since %d: %d, not %d", since, got, 2*i)
		}
	}
}

// A log that was made shorter while it is read is an error, no crash.
func TestShortened(t *testing.T) {
	s := newClock().open(t.TempDir())
	f := must(s.Open(DefaultGroup, "s", false))
	must(f.WriteString("one\ntwo\n"))
	l := must(s.Log(DefaultGroup, "s"))
	defer l.Close()
	check(f.Truncate(2))
	l.buf = nil
	for _, seq := range []func(func(Event, error) bool){l.Forward(0, l.End()), l.Backward(0, l.End())} {
		for _, err := range seq {
			if err == nil {
				t.Error("no error")
			}
		}
	}
	if got := read(s, DefaultGroup, "s"); len(got) > 0 {
		t.Error(got)
	}
}

func BenchmarkForward(b *testing.B) {
	s := newClock().open(b.TempDir())
	f := must(s.Open(DefaultGroup, "s", false))
	text := []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 1<<16))
	must(f.Write(text))
	s.Ended(DefaultGroup, "s")
	b.SetBytes(int64(len(text)))
	for _, way := range []string{"forward", "backward"} {
		b.Run(way, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				l := must(s.Log(DefaultGroup, "s"))
				seq := l.Forward(0, l.End())
				if way == "backward" {
					seq = l.Backward(0, l.End())
				}
				for _, err := range seq {
					check(err)
				}
				l.Close()
			}
		})
	}
}
