package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// longestWord is how much of a value is shown among others on a line, in characters.
const longestWord = 40

// partName is how a part of a key is called: env.MODE.
func partName(part string) string {
	for _, kind := range []string{"env ", "secret ", "parameter "} {
		if name, ok := strings.CutPrefix(part, kind); ok {
			return strings.TrimSuffix(kind, " ") + "." + name
		}
	}
	if part == "version" {
		return "flow itself"
	}
	return part
}

// words tells the change in a few words. now are all parts of the key as they are.
func (c *keyChange) words(now []engine.KeyPart) string {
	name := partName(c.Part)
	switch {
	case strings.HasPrefix(c.Part, "input "):
		return c.inputName(now) + ": " + inputWords(c.Before, c.Now)
	case strings.HasPrefix(c.Part, "name of input "):
		return name + ": " + namesWords(c.Before, c.Now)
	case strings.HasPrefix(c.Part, "secret ") && c.Before != "" && c.Now != "":
		return name + ": read from elsewhere"
	case strings.HasPrefix(c.Part, "secret "):
		return name + ": " + presence(c.Before != "", c.Now != "")
	case c.Part == "version":
		return name + ": results of older versions do not count"
	case c.Part == "script" && c.Before != "" && c.Now != "":
		return name + ": " + linesWords(c.Before, c.Now)
	}
	return name + ": " + short(c.Before) + " -> " + short(c.Now)
}

// inputName names an input, with its file if that has another name.
func (c *keyChange) inputName(now []engine.KeyPart) string {
	input := strings.TrimPrefix(c.Part, "input ")
	for _, p := range now {
		if p.Name != "name of input "+input {
			continue
		}
		var files []string
		if json.Unmarshal([]byte(p.Value), &files) == nil && len(files) == 1 && files[0] != input && files[0] != "" {
			return c.Part + " (" + files[0] + ")"
		}
	}
	return c.Part
}

func presence(before, now bool) string {
	if before && !now {
		return "gone"
	}
	return "new"
}

// short is a value on a line.
func short(v string) string {
	if v == "" {
		return "(none)"
	}
	return view.Cut(strings.ReplaceAll(v, "\n", " "), longestWord)
}

// inputWords compares identities of an input: of one file, or of a list of them.
func inputWords(before, now string) string {
	if before == "" || now == "" {
		return presence(before != "", now != "")
	}
	old, many := identities(before)
	ids, more := identities(now)
	if !many && !more {
		return identityWords(old[0], ids[0])
	}
	if len(old) != len(ids) {
		return fmt.Sprintf("%s -> %s", view.Plural(len(old), "file"), view.Plural(len(ids), "file"))
	}
	left := map[string]int{}
	for _, id := range old {
		left[id]++
	}
	changed, made := 0, 0
	for _, id := range ids {
		if left[id]--; left[id] < 0 {
			changed++
			if isResult(id) {
				made++
			}
		}
	}
	switch {
	case changed == 0:
		return "in another order"
	case made == len(ids):
		return "what it is made from has changed"
	case made == changed:
		return fmt.Sprintf("what %d of %s are made from has changed", changed, view.Plural(len(ids), "file"))
	}
	return fmt.Sprintf("%d of %s changed", changed, view.Plural(len(ids), "file"))
}

// identities are those in a part of a key, and whether it is that of a list.
func identities(part string) ([]string, bool) {
	var list []string
	if strings.HasPrefix(part, "[") && json.Unmarshal([]byte(part), &list) == nil {
		return list, true
	}
	return []string{part}, false
}

// identityWords compares the identities of one file: "sha256 a1b2c3d4 -> c3d4e5f6".
func identityWords(before, now string) string {
	old, was, _ := strings.Cut(before, ":")
	kind, is, _ := strings.Cut(now, ":")
	switch {
	case isResult(before) && isResult(now):
		return "what it is made from has changed"
	case isResult(now):
		return "is the result of a task now"
	case isResult(before):
		return "was the result of a task"
	case old != kind:
		return fmt.Sprintf("%s %s -> %s %s", old, digits(was, ""), kind, digits(is, ""))
	}
	return fmt.Sprintf("%s %s -> %s", kind, digits(was, is), digits(is, was))
}

// isResult reports whether an identity is that of what a task leaves.
func isResult(id string) bool { return strings.HasPrefix(id, "task:") || strings.HasPrefix(id, "run:") }

// digits is the beginning of a hash, as long as it takes to tell it from another.
func digits(id, other string) string {
	n := 8
	for n < len(id) && n < len(other) && id[:n] == other[:n] {
		n++
	}
	return id[:min(n, len(id))]
}

// namesWords compares the names under which files of an input are staged.
func namesWords(before, now string) string {
	old, _ := identities(before)
	names, _ := identities(now)
	if len(old) == 1 && len(names) == 1 {
		return short(old[0]) + " -> " + short(names[0])
	}
	if len(old) != len(names) {
		return fmt.Sprintf("%d -> %d", len(old), len(names))
	}
	changed := 0
	for i := range names {
		if names[i] != old[i] {
			changed++
		}
	}
	return fmt.Sprintf("%d of %d changed", changed, len(names))
}

// linesWords counts the lines in which texts differ: "1 line changed, 2 lines added".
func linesWords(before, now string) string {
	added, removed := 0, 0
	for i, line := range strings.Split(string(diff.Diff("before", []byte(withNewline(before)), "now", []byte(withNewline(now)))), "\n") {
		switch {
		case i < 3: // names of files that are none
		case strings.HasPrefix(line, "+"):
			added++
		case strings.HasPrefix(line, "-"):
			removed++
		}
	}
	changed := min(added, removed)
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{changed, "changed"}, {added - changed, "added"}, {removed - changed, "removed"}} {
		if p.n > 0 {
			parts = append(parts, view.Plural(p.n, "line")+" "+p.what)
		}
	}
	if len(parts) == 0 {
		return "its last line has another end"
	}
	return strings.Join(parts, ", ")
}

func withNewline(text string) string { return strings.TrimSuffix(text, "\n") + "\n" }
