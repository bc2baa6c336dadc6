package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// What changed is told in a few words, exactly; of a secret nothing but that it changed.
func TestKeyWords(t *testing.T) {
	now := []engine.KeyPart{{Name: "name of input genome", Value: `["ref.fa"]`}, {Name: "name of input ref.fa", Value: `["ref.fa"]`}, {Name: "name of input many", Value: `["a","b"]`}}
	key := strings.Repeat("0", 64)
	for name, tc := range map[string]struct{ part, before, now, want string }{
		"file":             {"input genome", "sha256:a1b2c3d4e5", "sha256:c3d4e5f6a7", "input genome (ref.fa): sha256 a1b2c3d4 -> c3d4e5f6"},
		"its own name":     {"input ref.fa", "sha256:a1b2c3d4e5", "sha256:a1b2c3d4f6", "input ref.fa: sha256 a1b2c3d4e -> a1b2c3d4f"},
		"object":           {"input genome", "etag:0011223344-5:7", "etag:55667788-5:9", "input genome (ref.fa): etag 00112233 -> 55667788"},
		"another kind":     {"input genome", "sha256:a1b2c3d4e5", "etag:55667788:9", "input genome (ref.fa): sha256 a1b2c3d4 -> etag 55667788"},
		"result":           {"input genome", "task:" + key + "/o", "task:1" + key[1:] + "/o", "input genome (ref.fa): what it is made from has changed"},
		"becomes a result": {"input genome", "sha256:a1", "task:" + key + "/o", "input genome (ref.fa): is the result of a task now"},
		"was a result":     {"input genome", "run:/w/o", "sha256:a1", "input genome (ref.fa): was the result of a task"},
		"new":              {"input genome", "", "sha256:a1", "input genome (ref.fa): new"},
		"gone":             {"input old", "sha256:a1", "", "input old: gone"},
		"list":             {"input many", `["sha256:a","sha256:b"]`, `["sha256:a","sha256:c"]`, "input many: 1 of 2 files changed"},
		"longer list":      {"input many", `["sha256:a"]`, `["sha256:a","sha256:c"]`, "input many: 1 file -> 2 files"},
		"order":            {"input many", `["sha256:a","sha256:b"]`, `["sha256:b","sha256:a"]`, "input many: in another order"},
		"list of results":  {"input many", `["task:a/o","task:b/o"]`, `["task:a/o","task:c/o"]`, "input many: what 1 of 2 files are made from has changed"},
		"file name":        {"name of input genome", `["a.fa"]`, `["ref.fa"]`, "name of input genome: a.fa -> ref.fa"},
		"file names":       {"name of input many", `["a","c"]`, `["a","b"]`, "name of input many: 1 of 2 changed"},
		"line":             {"script", "a\nb\nc", "a\nB\nc", "script: 1 line changed"},
		"lines":            {"script", "a\nb\nc\n", "a\nB\nC\nd\n", "script: 2 lines changed, 1 line added"},
		"fewer lines":      {"script", "a\nb\nc", "a", "script: 2 lines removed"},
		"end of the text":  {"script", "a", "a\n", "script: its last line has another end"},
		"env":              {"env MODE", "fast", "slow", "env.MODE: fast -> slow"},
		"env gone":         {"env MODE", "fast", "", "env.MODE: fast -> (none)"},
		"secret":           {"secret TOKEN", "env:ONE", "arn:aws:secretsmanager:x", "secret.TOKEN: read from elsewhere"},
		"new secret":       {"secret TOKEN", "", "env:ONE", "secret.TOKEN: new"},
		"image":            {"image", "tools:1", "tools:2", "image: tools:1 -> tools:2"},
		"long":             {"command", `["a"]`, `["` + strings.Repeat("x", 100) + `"]`, `command: ["a"] -> ["` + strings.Repeat("x", 37) + "…"},
		"flow":             {"version", "1", "2", "flow itself: results of older versions do not count"},
	} {
		c := keyChange{Part: tc.part, Before: tc.before, Now: tc.now}
		if diff := cmp.Diff(tc.want, c.words(now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A plan tells a cause once: in the words of all tasks, or of one for an example.
func TestNotCachedText(t *testing.T) {
	why := map[string]*notCached{}
	noteWhy(why, "changed since run r: env.A", "changed since run r: env.A: 1 -> 2", `a["x"]`)
	noteWhy(why, "changed since run r: env.A", "changed since run r: env.A: 1 -> 2", `a["y"]`)
	n := why["changed since run r: env.A"]
	if got := n.text("changed since run r: env.A"); got != "changed since run r: env.A: 1 -> 2" || n.tasks != 2 {
		t.Errorf("%d tasks: %s", n.tasks, got)
	}
	noteWhy(why, "changed since run r: env.A", "changed since run r: env.A: 1 -> 3", `a["z"]`)
	if got := n.text("changed since run r: env.A"); got != `changed since run r: env.A (a["x"]: env.A: 1 -> 2)` {
		t.Errorf("different words: %s", got)
	}
}
