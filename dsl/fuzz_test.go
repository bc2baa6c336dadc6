package dsl

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad: whatever the bytes, Load and Bind return.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/valid-files/*", "testdata/error-files/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, err)
		}
		for _, path := range files {
			src, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src, filepath.Ext(path) == ".json")
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, asJSON bool) {
		name := "fuzz.hcl"
		if asJSON {
			name += ".json"
		}
		p, diags := Load("/nowhere", []Source{{name, src}})
		if p == nil || p.Workflow == nil {
			t.Fatal("no program")
		}
		show(p, diags)
		if !diags.HasErrors() {
			p.Bind(VarInput{}, RunContext{ID: "01run"})
			p.Infra(VarInput{})
			p.Sketch(VarInput{}, RunContext{})
		}
	})
}

// TestBrokenFiles loads every beginning of a large valid file, and the file without each
// of its lines: names that are lost in such ways must end in diagnostics, not worse.
func TestBrokenFiles(t *testing.T) {
	for _, name := range []string{"everything.hcl", "twin.hcl.json", "infra.hcl", "infra.hcl.json"} {
		src, err := os.ReadFile(filepath.Join("testdata/valid-files", name))
		if err != nil {
			t.Fatal(err)
		}
		begin := 0
		for i, c := range src {
			if c != '\n' {
				continue
			}
			without := append(append([]byte(nil), src[:begin]...), src[i+1:]...)
			for _, text := range [][]byte{src[:i], src[:i-(i-begin)/2], without} {
				p, diags := Load("/nowhere", []Source{{name, text}})
				show(p, diags)
			}
			begin = i + 1
		}
	}
}
