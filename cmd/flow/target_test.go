package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"flow/engine"
)

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]target{
		"@last":                        {run: "@last"},
		"genome@last":                  {run: "genome@last"},
		"01k2/split":                   {run: "01k2", step: "split"},
		`@last/align["chr1"]`:          {run: "@last", step: "align", key: "chr1", hasKey: true},
		"@last/align[chr1]":            {run: "@last", step: "align", key: "chr1", hasKey: true},
		`@last/m.align["a/b"]`:         {run: "@last", step: "m.align", key: "a/b", hasKey: true},
		`@last/align["a\nb \"c\" []"]`: {run: "@last", step: "align", key: "a\nb \"c\" []", hasKey: true},
		"@last/align[]":                {run: "@last", step: "align", hasKey: true},
	} {
		got, err := parseTarget(in)
		if err != nil || got != want {
			t.Errorf("parseTarget(%q) = %+v, %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "/split", "@last/", "@last/align[chr1", "@last/a/b"} {
		if got, err := parseTarget(in); err == nil {
			t.Errorf("parseTarget(%q) = %+v, want an error", in, got)
		}
	}
}

// What flow prints as the name of a task can be given back to it, whatever the key.
func TestTaskNamesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.String().Draw(t, "key")
		got, err := parseTarget("run/" + engine.TaskName("align", true, key))
		if err != nil || got.key != key || got.step != "align" {
			t.Fatalf("%q came back as %+v, %v", key, got, err)
		}
	})
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"01k2/split":                   "01k2/split",
		`01k2/align["chr1"]`:           `'01k2/align["chr1"]'`,
		"":                             "''",
		"it's":                         `'it'\''s'`,
		"$(touch PWNED)":               "'$(touch PWNED)'",
		"a\nb":                         `$'a\nb'`,
		"back\\slash and\nnewline's '": `$'back\\slash and\nnewline\'s \''`,
	} {
		if got := shellWord(in); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestWhyText(t *testing.T) {
	code := func(n int) *int { return &n }
	for _, tt := range []struct {
		code          *int
		reason, cause string
		want          string
	}{
		{code(2), engine.ReasonExited, "", "exit code 2"},
		{code(137), engine.ReasonOutOfMemory, "", "exit code 137 (SIGKILL, often out of memory): " + engine.ReasonOutOfMemory},
		{nil, engine.ReasonTimeout, "", engine.ReasonTimeout},
		{nil, "a needed task failed", `align["x"]`, `a needed task failed, because of align["x"]`},
		{nil, "", "split", "because of split"},
		{nil, "", "", "no reason was recorded"},
		{nil, "bad\x1b[2J", "", `bad\x1b[2J`},
	} {
		if got := whyText(tt.code, tt.reason, tt.cause); got != tt.want {
			t.Errorf("whyText(%v, %q, %q) = %q, want %q", tt.code, tt.reason, tt.cause, got, tt.want)
		}
	}
}

func TestParseSizeAndAge(t *testing.T) {
	for in, want := range map[string]int{"512MiB": 512, "8 GiB": 8192, "2G": 2048, "100": 100, "1.5gib": 1536} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "lots", "-1G", "5 parsecs", "NaN", "9999999TiB"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", in, got)
		}
	}
	for in, want := range map[string]time.Duration{"30d": 720 * time.Hour, "2w": 336 * time.Hour, "12h": 12 * time.Hour, "0d": 0, "0s": 0} {
		if got, err := parseAge(in); err != nil || got != want {
			t.Errorf("parseAge(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "soon", "-3d", "-1h", "d"} {
		if got, err := parseAge(in); err == nil {
			t.Errorf("parseAge(%q) = %v, want an error", in, got)
		}
	}
}

func TestFindStateDir(t *testing.T) {
	top := t.TempDir()
	deep := filepath.Join(top, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, found := findStateDir(deep); found || got != filepath.Join(deep, ".flow") {
		t.Errorf("without any .flow: %s, %v", got, found)
	}
	want := filepath.Join(top, ".flow")
	if err := makeStateDir(want); err != nil {
		t.Fatal(err)
	}
	if got, found := findStateDir(deep); !found || got != want {
		t.Errorf("got %s, %v, want %s", got, found, want)
	}
	ignore, err := os.ReadFile(filepath.Join(want, ".gitignore"))
	if err != nil || string(ignore) != "*\n" {
		t.Errorf(".gitignore: %q, %v", ignore, err)
	}
}

func TestNearby(t *testing.T) {
	names := []string{"split", "index", "align", "dedup", "merge", "call", "report"}
	if got := nearby("aling", names); !strings.HasPrefix(got, `"align", `) || !strings.HasSuffix(got, "and 2 more") {
		t.Errorf("nearby(aling) = %s", got)
	}
	if got := nearby("x", names[:2]); got != `"split", "index"` {
		t.Errorf("of two names: %s", got)
	}
}

func TestLogTail(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := logTailOf(dir, 3); got != nil {
		t.Errorf("without a log: %q", got)
	}
	write("1.log", "of the first attempt\n")
	for text, want := range map[string][]string{
		"":                           nil,
		"one\n":                      {"one"},
		"one\ntwo\nthree\nfour\n":    {"two", "three", "four"},
		"one\ntwo\nthree\nno end":    {"two", "three", "no end"},
		strings.Repeat("x\n", 99999): {"x", "x", "x"},
		"a\n\n\n\n":                  {"", "", ""},
	} {
		write("2.log", text)
		got := logTailOf(dir, 3)
		if len(got) != len(want) {
			t.Errorf("of %.20q: %q, want %q", text, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("of %.20q: %q, want %q", text, got, want)
				break
			}
		}
	}
	write("2.log", strings.Repeat("y", 10<<20)+"\nlast\n")
	got := logTailOf(dir, 2)
	if len(got) != 2 || got[1] != "last" || len(got[0]) > longestTailLine+3 {
		t.Errorf("with a line of 10 MiB: %d lines", len(got))
	}
}
