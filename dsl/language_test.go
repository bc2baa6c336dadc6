package dsl

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestLanguageExamples: the examples of the language's reference have no mistakes.
func TestLanguageExamples(t *testing.T) {
	testExamples(t, "language.md", 6)
	testExamples(t, "infra-blocks.md", 1)
	testExamples(t, "pools.md", 1)
	testExamples(t, "sensors.md", 1)
	testExamples(t, "schedules.md", 1)
}

// testExamples checks the examples of a page, of which there are so many at least.
func testExamples(t *testing.T, page string, least int) {
	doc, err := os.ReadFile("../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?ms)^```(hcl|json)\n(.*?)^```$").FindAllSubmatch(doc, -1)
	if len(examples) < least {
		t.Fatalf("%s: %d examples found", page, len(examples))
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

// TestInfraPage: the page about the blocks about AWS Batch has every argument of each.
func TestInfraPage(t *testing.T) {
	doc, err := os.ReadFile("../docs/infra-blocks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range infraKinds {
		_, section, ok := strings.Cut(string(doc), "\n## "+kind+"\n")
		if !ok {
			t.Errorf("%s has no section", kind)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		names := map[string]bool{}
		for _, a := range infraArgs[kind] {
			names[a.name] = true
		}
		for _, p := range infraParts[kind] {
			names[p.Type] = true
			for _, a := range p.args {
				names[a.name] = true
			}
		}
		for name := range names {
			if !strings.Contains(section, "`"+name+"`") && !strings.Contains(section, "`"+name+" ") {
				t.Errorf("%s: %s is not there", kind, name)
			}
		}
	}
}
