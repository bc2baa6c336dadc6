package engine

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Ranges behave like the sorted set of integers they stand for.
func TestRangesAreASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.SliceOfNDistinct(rapid.IntRange(0, 60), 0, 40, rapid.ID[int]).Draw(t, "set")
		r := RangesOf(set...)
		slices.Sort(set)
		if got := slices.Collect(r.All()); !slices.Equal(got, set) {
			t.Fatalf("All: %v, want %v", got, set)
		}
		if r.Len() != len(set) {
			t.Fatalf("Len: %d, want %d", r.Len(), len(set))
		}
		for k, i := range set {
			if r.At(k) != i || r.Rank(i) != k {
				t.Fatalf("At(%d) = %d, Rank(%d) = %d", k, r.At(k), i, r.Rank(i))
			}
		}
		probe := rapid.IntRange(0, 61).Draw(t, "probe")
		if r.Contains(probe) != slices.Contains(set, probe) {
			t.Fatalf("Contains(%d) = %v", probe, r.Contains(probe))
		}
		n := rapid.IntRange(0, 41).Draw(t, "n")
		if got, want := slices.Collect(r.First(n).All()), set[:min(n, len(set))]; !slices.Equal(got, want) {
			t.Fatalf("First(%d): %v, want %v", n, got, want)
		}
		want := slices.DeleteFunc(slices.Clone(set), func(i int) bool { return i <= probe })
		if got := slices.Collect(r.After(probe).All()); !slices.Equal(got, want) {
			t.Fatalf("After(%d): %v, want %v", probe, got, want)
		}
		if got := slices.Collect(r.All()); !slices.Equal(got, set) {
			t.Fatalf("looking at it changed it: %v, want %v", got, set)
		}
		text, err := json.Marshal(r)
		var back Ranges
		if err != nil || json.Unmarshal(text, &back) != nil || !back.Equal(r) {
			t.Fatalf("%s comes back as %v", text, back)
		}
		rank := newRanker(r)
		for k, i := range set {
			if got, ok := rank.task(k); !ok || got != i {
				t.Fatalf("child %d is task %d, %v; want %d", k, got, ok, i)
			}
		}
		if _, ok := rank.task(len(set)); ok {
			t.Fatalf("child %d of %d exists", len(set), len(set))
		}
	})
}

func TestRangesJSON(t *testing.T) {
	for text, want := range map[string]Ranges{
		`""`:          nil,
		`"7"`:         {{7, 7}},
		`"0-99,105"`:  {{0, 99}, {105, 105}},
		`"3-3,4-5"`:   {{3, 3}, {4, 5}},
		`"5,3"`:       nil,
		`"5-3"`:       nil,
		`"x"`:         nil,
		`"1-2-3"`:     nil,
		`"-1"`:        nil,
		`"1,1"`:       nil,
		`"0-9999999"`: {{0, 9999999}},
	} {
		var r Ranges
		err := json.Unmarshal([]byte(text), &r)
		if (err != nil) != (want == nil && text != `""`) {
			t.Errorf("%s: %v", text, err)
		} else if diff := cmp.Diff(want, r); err == nil && diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}
