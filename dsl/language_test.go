package dsl

import (
	"fmt"
	"os"
	"regexp"
	"testing"
)

// TestLanguageExamples: the examples of the language's reference have no mistakes.
func TestLanguageExamples(t *testing.T) {
	doc, err := os.ReadFile("../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?ms)^```(hcl|json)\n(.*?)^```$").FindAllSubmatch(doc, -1)
	if len(examples) < 6 {
		t.Fatalf("%d examples found", len(examples))
	}
	for i, m := range examples {
		name := fmt.Sprintf("example%d.hcl", i+1)
		if string(m[1]) == "json" {
			name += ".json"
		} else if got := string(Format(m[2])); got != string(m[2]) {
			t.Errorf("%s is not formatted; flow fmt makes it:\n%s", name, got)
		}
		if p, diags := Load("/w", []Source{{name, m[2]}}); len(diags) > 0 {
			t.Errorf("%s:\n%s", name, show(p, diags))
		}
	}
}
