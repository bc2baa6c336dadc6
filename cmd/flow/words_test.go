package main

import (
	"strings"
	"testing"
	"time"

	"flow/engine"
)

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
		{nil, engine.ReasonWhen, "", "its when is false"},
		{nil, engine.ReasonWhen, `a["x"]`, `needs a["x"], which was skipped`},
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

func TestNearby(t *testing.T) {
	names := []string{"split", "index", "align", "dedup", "merge", "call", "report"}
	if got := nearby("aling", names); !strings.HasPrefix(got, `"align", `) || !strings.HasSuffix(got, "and 2 more") {
		t.Errorf("nearby(aling) = %s", got)
	}
	if got := nearby("x", names[:2]); got != `"split", "index"` {
		t.Errorf("of two names: %s", got)
	}
}
