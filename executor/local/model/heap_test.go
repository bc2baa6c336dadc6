package model

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A heap agrees with a sorted slice.
func TestHeap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := heap[int]{less: func(a, b int) bool { return a < b }}
		var want []int
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				x := rapid.IntRange(0, 99).Draw(t, "x")
				h.push(x)
				want = append(want, x)
				slices.Sort(want)
			},
			"pop": func(t *rapid.T) {
				if len(want) == 0 {
					t.Skip()
				}
				if x := h.pop(); x != want[0] {
					t.Fatalf("popped %d, want %d", x, want[0])
				}
				want = want[1:]
			},
			"keep": func(t *rapid.T) {
				n := rapid.IntRange(2, 5).Draw(t, "n")
				ok := func(x int) bool { return x%n != 0 }
				h.keep(ok)
				want = slices.DeleteFunc(want, func(x int) bool { return !ok(x) })
			},
		})
		for len(want) > 0 {
			if x := h.pop(); x != want[0] {
				t.Fatalf("popped %d, want %d", x, want[0])
			}
			want = want[1:]
		}
		if len(h.all) > 0 {
			t.Fatalf("%v are left", h.all)
		}
	})
}
