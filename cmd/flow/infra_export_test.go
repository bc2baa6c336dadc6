package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The example of the documentation is what the program writes.
func TestExportAsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/infra-export.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) string {
		m := regexp.MustCompile("(?s)\n```" + language + "\n(.*?)```\n").FindSubmatch(text)
		if m == nil {
			t.Fatalf("there is no example in %s", language)
		}
		return string(m[1])
	}
	b := &killBench{t: t, dir: t.TempDir()}
	if err := os.WriteFile(b.dir+"/pipeline.hcl", []byte(block("hcl")), 0o644); err != nil {
		t.Fatal(err)
	}
	for language, format := range map[string]string{"terraform": "terraform", "json": "cloudformation"} {
		if d := cmp.Diff(block(language), string(b.output("infra", "export", "-region", "us-east-1", "-o", format, "pipeline.hcl"))); d != "" {
			t.Errorf("documented (-) and written (+):\n%s", d)
		}
	}
}
