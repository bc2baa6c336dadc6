package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

func TestOutputsText(t *testing.T) {
	many := make([]string, 12)
	for i := range many {
		many[i] = fmt.Sprintf("/w/%d", i)
	}
	list, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	got := outputsText([]engine.Result{
		{Name: "n", Value: json.RawMessage("88")},
		{Name: "summary", Value: json.RawMessage(`"/w/summary.txt"`), Files: []string{"/w/summary.txt"}, Publish: "/out/report.txt"},
		{Name: "vcf", Value: json.RawMessage(`["/w/a.gz","/w/a.tbi"]`), Files: []string{"/w/a.gz", "/w/a.tbi"}, Publish: "/out"},
		{Name: "all", Value: list},
		{Name: "none", Value: json.RawMessage("null")},
		{Name: "token", Sensitive: true},
		{Name: "bad", Value: json.RawMessage(`"a\u001b[2J\nb"`)},
	}, view.Style{})
	want := `n        88
summary  /out/report.txt
vcf      /out/a.gz
         /out/a.tbi
all      /w/0
         /w/1
         /w/2
         /w/3
         /w/4
         /w/5
         /w/6
         /w/7
         /w/8
         /w/9
         … and 2 more
none     null
token    (sensitive)
bad      a\x1b[2J\nb
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestKeyChanges(t *testing.T) {
	before := []engine.KeyPart{{Name: "script", Value: "a"}, {Name: "env OLD", Value: "1"}, {Name: "input reads", Value: "sha256:1"}}
	now := []engine.KeyPart{{Name: "script", Value: "b"}, {Name: "input reads", Value: "sha256:1"}, {Name: "env NEW", Value: "2"}}
	want := []keyChange{{"script", "a", "b", "script: 1 line changed"}, {"env NEW", "", "2", "env.NEW: (none) -> 2"}, {"env OLD", "1", "", "env.OLD: 1 -> (none)"}}
	if diff := cmp.Diff(want, keyChanges(before, now)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := keyChanges(now, now); got != nil {
		t.Errorf("nothing has changed, but: %v", got)
	}
}

func TestExitCodeOf(t *testing.T) {
	for _, tt := range []struct {
		status engine.Status
		cause  string
		want   int
	}{
		{engine.Succeeded, "", exitOK},
		{engine.Failed, `align["x"]`, exitRunFailed},
		{engine.Cancelled, "user", exitCancelled},
		{engine.Cancelled, causeTimeout, exitTimedOut},
		{engine.Failed, causeTimeout, exitTimedOut},
		{engine.Running, "", exitInterrupted},
	} {
		if got := exitCodeOf(tt.status, tt.cause); got != tt.want {
			t.Errorf("exitCodeOf(%s, %q) = %d, want %d", tt.status, tt.cause, got, tt.want)
		}
	}
}
