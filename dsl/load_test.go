package dsl

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

// loadFile loads one file of testdata.
func loadFile(t *testing.T, path string) (*Program, hcl.Diagnostics) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return Load("/w", []Source{{Name: filepath.Base(path), Bytes: src}})
}

// loadText loads a workflow that must have no mistakes.
func loadText(t testing.TB, text string) *Program {
	t.Helper()
	p, diags := Load(t.TempDir(), []Source{{Name: "main.hcl", Bytes: []byte(text)}})
	if len(diags) > 0 {
		t.Fatalf("unexpected diagnostics:\n%s", show(p, diags))
	}
	return p
}

func show(p *Program, diags hcl.Diagnostics) string {
	var b strings.Builder
	if err := WriteText(&b, p.Files, diags, 0, false); err != nil {
		return err.Error()
	}
	return b.String()
}

func TestValidFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/valid-files/*")
	if err != nil || len(files) < 2 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			p, diags := loadFile(t, path)
			if len(diags) > 0 {
				t.Fatalf("unexpected diagnostics:\n%s", show(p, diags))
			}
			if len(p.Workflow.Steps) == 0 {
				t.Error("no steps")
			}
		})
	}
}

var wantComment = regexp.MustCompile(`# (ERROR|WARNING): (.*)`)

// TestErrorFiles compares the diagnostics of each file with the comments in it: every
// line with a comment has exactly that diagnostic, whose summary or detail begins so;
// "summary | part" also has part in its detail. No other line has any.
func TestErrorFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/error-files/*.hcl")
	if err != nil || len(files) < 5 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			p, diags := loadFile(t, path)
			want, got := map[int]string{}, map[int]string{}
			for i, line := range strings.Split(string(p.Files[filepath.Base(path)].Bytes), "\n") {
				if m := wantComment.FindStringSubmatch(line); m != nil {
					want[i+1] = m[1] + ": " + m[2]
				}
			}
			if len(want) == 0 {
				t.Fatal("the file expects nothing")
			}
			for _, d := range diags {
				line := 0
				if d.Subject != nil {
					line = d.Subject.Start.Line
				}
				text := describeDiagnostic(d, want[line])
				if _, twice := got[line]; twice {
					text = got[line] + " AND " + text
				}
				got[line] = text
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("diagnostics by line (-want +got):\n%s\n%s", diff, show(p, diags))
			}
		})
	}
}

// describeDiagnostic returns want if d is what want expects, else what d is.
func describeDiagnostic(d *hcl.Diagnostic, want string) string {
	kind := "ERROR"
	if d.Severity == hcl.DiagWarning {
		kind = "WARNING"
	}
	is := fmt.Sprintf("%s: %s | %s", kind, d.Summary, d.Detail)
	summary, detail, _ := strings.Cut(want, " | ")
	if strings.HasPrefix(kind+": "+d.Summary, summary) && strings.Contains(d.Detail, detail) && want != "" {
		return want
	}
	return is
}

func TestTwelveMistakes(t *testing.T) {
	p, diags := loadFile(t, "testdata/error-files/twelve.hcl")
	lines := map[int]bool{}
	for _, d := range diags {
		lines[d.Subject.Start.Line] = true
	}
	if len(diags) != 12 || len(lines) != 12 {
		t.Errorf("%d diagnostics on %d lines, want 12 on 12:\n%s", len(diags), len(lines), show(p, diags))
	}
}
