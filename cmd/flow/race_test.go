//go:build race

package main

// raceEnabled allows for the race detector, which makes everything ten times slower.
const raceEnabled = true
