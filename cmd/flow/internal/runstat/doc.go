// Package runstat puts together what the events of a run say: how long its tasks waited and
// ran, what they used of what they asked for, what failed for the same cause.
package runstat
