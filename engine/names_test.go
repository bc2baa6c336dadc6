package engine

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A key's directory is one harmless path element, and different for different keys.
func TestKeyDir(t *testing.T) {
	harmless := regexp.MustCompile(`^[A-Za-z0-9%_=+@,-][A-Za-z0-9%._=+@,-]{0,127}$`)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.OneOf(rapid.String(), rapid.StringN(100, 300, -1), rapid.SampledFrom([]string{"", ".", "..", "_", "a/b", "$(touch PWNED)", "%", "%25"})).Draw(t, "a")
		b := rapid.String().Draw(t, "b")
		da, db := KeyDir(true, a), KeyDir(true, b)
		if !harmless.MatchString(da) {
			t.Fatalf("%q becomes %q", a, da)
		}
		if a != b && da == db {
			t.Fatalf("%q and %q share the directory %q", a, b, da)
		}
		if da == NoKeyDir {
			t.Fatalf("%q has the directory of a task without key", a)
		}
	})
	if got := KeyDir(true, "chr1"); got != "chr1" {
		t.Errorf("an ordinary key is changed to %q", got)
	}
}

// Job names are legal in Batch, lower case, and different for different jobs.
func TestJobName(t *testing.T) {
	legal := regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,127}$`)
	long := StepName(strings.Repeat("x", 300))
	seen := map[string]bool{}
	for _, step := range []StepName{"align", "Align", "m.align", "a_b", long, long + "y"} {
		for n := 1; n < 4; n++ {
			name := JobName("01JD0000000000000000000000", step, n)
			if !legal.MatchString(name) {
				t.Errorf("%s", name)
			}
			if seen[name] {
				t.Errorf("%s comes twice", name)
			}
			seen[name] = true
		}
	}
}

func TestJobIDSplit(t *testing.T) {
	for id, want := range map[JobID]int{"a-b": -1, "a-b:0": 0, "a-b:9999": 9999, "a:x": -1, "a:-1": -1, "a:01": -1, "a:+1": -1, "": -1} {
		parent, i := id.Split()
		if i != want || (i >= 0 && parent.Child(i) != id) || (i < 0 && parent != id) {
			t.Errorf("%q: %q %d", id, parent, i)
		}
	}
}
