package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/agext/levenshtein"
)

// nearby lists the names that are most like name, best first, and says how many more there are.
func nearby(name string, names []string) string {
	const most = 5
	params := levenshtein.NewParams()
	sorted := slices.Clone(names)
	if len(sorted) > most && len(sorted) <= 10_000 {
		distance := make(map[string]int, len(sorted))
		for _, n := range sorted {
			distance[n] = levenshtein.Distance(name, n, params)
		}
		slices.SortStableFunc(sorted, func(a, b string) int { return distance[a] - distance[b] })
	}
	text := ""
	for i, n := range sorted[:min(most, len(sorted))] {
		if i > 0 {
			text += ", "
		}
		text += strconv.Quote(n)
	}
	if more := len(sorted) - most; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}
