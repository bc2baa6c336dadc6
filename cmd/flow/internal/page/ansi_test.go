package page

import (
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestANSI(t *testing.T) {
	type spans = []LogSpan
	for _, c := range []struct {
		name, line string
		want       spans
	}{
		{"plain", "hello", spans{{"", "hello"}}},
		{"nothing", "\r\n", nil},
		{"markup is text", "<script>alert(1)</script>", spans{{"", "<script>alert(1)</script>"}}},
		{"red", "a\x1b[31mb\x1b[0mc", spans{{"", "a"}, {"a-f1", "b"}, {"", "c"}}},
		{"no parameters is 0", "\x1b[31mb\x1b[mc", spans{{"a-f1", "b"}, {"", "c"}}},
		{"bright on bright", "\x1b[1;91;104mx", spans{{"a-bold a-f9 a-b12", "x"}}},
		{"inverse swaps", "\x1b[7;31;44mx", spans{{"a-inv a-f4 a-b1", "x"}}},
		{"faces end", "\x1b[1;2;3;4;7;9mx\x1b[22;23;24;27;29my", spans{{"a-bold a-dim a-italic a-under a-strike a-inv", "x"}, {"", "y"}}},
		{"256 colours", "\x1b[38;5;196mx\x1b[48;5;9my", spans{{"a-f9", "x"}, {"a-f9 a-b9", "y"}}},
		{"of the cube", "\x1b[38;5;21mx", spans{{"a-f4", "x"}}},
		{"grey", "\x1b[38;5;244mx", spans{{"a-f8", "x"}}},
		{"true colour", "\x1b[38;2;250;250;5mx\x1b[1my", spans{{"a-f11", "x"}, {"a-bold a-f11", "y"}}},
		{"colons", "\x1b[38:5:2mx", spans{{"a-f2", "x"}}},
		{"same colour twice is one span", "\x1b[32ma\x1b[32mb", spans{{"a-f2", "ab"}}},
		{"cursor and erasing are left out", "a\x1b[2Kb\x1b[10;20Hc\x1b[?25ld", spans{{"", "abcd"}}},
		{"title and link are left out", "a\x1b]0;evil\x07b\x1b]8;;http://x\x1b\\c", spans{{"", "abc"}}},
		{"character set", "\x1b(Ba\x1bMb", spans{{"", "ab"}}},
		{"cut off", "a\x1b[31", spans{{"", "a"}}},
		{"string without an end", "a\x1b]0;title", spans{{"", "a"}}},
		{"escape alone", "a\x1b", spans{{"", `a\x1b`}}},
		{"other controls are written out", "a\x07\x00\bb", spans{{"", `a\x07\x00\x08b`}}},
		{"no UTF-8", "a\xff\xfeb", spans{{"", `a\xff\xfeb`}}},
		{"direction is not turned", "a\u202eb", spans{{"", `a\u202eb`}}},
		{"tabs stay", "a\tb\x01", spans{{"", "a\tb\\x01"}}},
		{"a progress bar shows its last state", "10%\r50%\r100%", spans{{"", "100%"}}},
		{"colours before a return hold", "\x1b[32m10%\r100%\r\n", spans{{"a-f2", "100%"}}},
		{"numbers beyond all bounds", "\x1b[99999999999999999999mx\x1b[38;5;999my\x1b[38;9mz", spans{{"", "x"}, {"a-f7", "yz"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, new(ANSI).Line(c.line)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestANSIHolds: colours hold over the end of a line.
func TestANSIHolds(t *testing.T) {
	var a ANSI
	a.Line("\x1b[31mone")
	if diff := cmp.Diff([]LogSpan{{"a-f1", "two"}}, a.Line("two")); diff != "" {
		t.Error(diff)
	}
}

// TestANSIHarmless: whatever a task writes, a page gets printable text, and classes of ours.
func TestANSIHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.OneOf(
			rapid.SampledFrom([]string{"\x1b", "\x1b[", "\x1b]", "m", ";", "31", "38;5;", "\x07", "\x1b\\", "\r", "<b>", "\t", "\x9b"}),
			rapid.String(),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		)).Draw(t, "parts")
		for _, s := range new(ANSI).Line(strings.ReplaceAll(strings.Join(parts, ""), "\n", " ")) {
			for _, r := range s.Text {
				if r != '\t' && (unicode.IsControl(r) || r >= 0x202a && r <= 0x202e) {
					t.Fatalf("%q has %U", s.Text, r)
				}
			}
			if strings.Trim(s.Class, "abcdefghijklmnopqrstuvwxyz0123456789- ") != "" {
				t.Fatalf("class %q", s.Class)
			}
		}
	})
}
