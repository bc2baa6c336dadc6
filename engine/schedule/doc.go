// Package schedule knows when the slots of an [engine.Schedule] are, and decides what becomes of
// each. It is pure: no clock, no files, no goroutines.
package schedule

import (
	_ "github.com/netresearch/go-cron" // until Parse is there
)
