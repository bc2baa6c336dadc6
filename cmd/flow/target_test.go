package main

import (
	"testing"

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
