//go:build race

package dsl

// raceEnabled allows for the race detector, which makes everything ten times slower.
const raceEnabled = true
