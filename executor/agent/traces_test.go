package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/store"
	"flow/executor/store/storetest"
)

// TestTraces: whatever an attempt has left counts, here and on S3, and nothing else does.
func TestTraces(t *testing.T) {
	const run = engine.RunID("01jd0000000000000000000000")
	left := []string{
		"align/a/1.claim", "align/a/1.error", "align/a/2.claim",
		"align/b/3/inputs/x/y.txt",
		"align/c/1.log", "align/c/result",
		"align/d/.claim.123", "align/d/x.log", "align/d/0.log", "align/d/99999999.log",
		"aligned/e/7.claim",
	}
	want := map[string]int{"a": 2, "b": 3, "c": 1, "d": 0}

	dir := t.TempDir()
	mem := storetest.New()
	for _, name := range left {
		path := filepath.Join(dir, string(run), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := mem.Put(t.Context(), "s3://b/w/"+string(run)+"/"+name, nil); err != nil {
			t.Fatal(err)
		}
	}
	f := &agent.Files{Store: func(context.Context) (store.Store, error) { return mem, nil }}
	for _, workDir := range []string{dir, "s3://b/w", "s3://b/w/"} {
		got, err := f.Traces(t.Context(), workDir, run, "align")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", workDir, err, diff)
		}
		if got, err := f.Traces(t.Context(), workDir, run, "none"); err != nil || len(got) > 0 {
			t.Errorf("%s: %v, %v", workDir, got, err)
		}
	}
	mem.Fault = func(op, uri string) storetest.Fault { return storetest.Refused }
	_, err := f.Traces(t.Context(), "s3://b/w", run, "align")
	if err == nil || !strings.Contains(err.Error(), "align") || !errors.Is(err, engine.ErrLater) {
		t.Errorf("without an answer: %v", err)
	}
}
