package main

import (
	"slices"
	"strings"
	"testing"
)

// TestWaitPages says on the pages of a run, of its steps and of a task what they wait for: files,
// and a pool that another task has.
func TestWaitPages(t *testing.T) {
	t.Parallel()
	b := newBench(t, "waits.hcl", `
pool "db" { slots = 1 }
step "query" {
  for_each = ["a", "b"]
  pools    = { db = 1 }
  script   = "until [ -e '${path.workflow}/go' ]; do sleep 0.1; done"
}
step "other" { script = "until [ -e '${path.workflow}/go' ]; do sleep 0.1; done" }
step "load" {
  wait_for "file" {
    path    = "go"
    every   = "1s"
    timeout = "1h"
  }
  command = ["true"]
}`)
	run := b.begin("run", "-q", "-vcpus", "4", "waits.hcl")
	var id string
	until(t, func() bool { id = b.newest(); return id != "" })
	s := serveSite(t, b)
	const pool = "Tasks wait for pool db (1 of 1 in use by this run)."
	s.comes(t, "/runs/"+id, pool, "waits for "+b.dir+"/go, until ")
	s.comes(t, "/runs/"+id+"/steps/query", "<b>Tasks wait</b> for pool db (1 of 1 in use by this run).")
	s.comes(t, "/runs/"+id+"/steps/load", "<b>Waiting</b> for "+b.dir+"/go, ", " so far. It fails if that is not there by ", "They are known once what it waits for is there.")
	hasNot(t, s, "/runs/"+id+"/steps/other", "pool db")
	write(t, b.dir+"/go", "")
	b.ends(run, exitOK)
	s.comes(t, "/runs/"+id+"/steps/load", "It waited ", " until it was there: ")
	hasNot(t, s, "/runs/"+id, "Tasks wait")
}

// comes waits until a page has all these texts.
func (s *served) comes(t *testing.T, path string, texts ...string) {
	t.Helper()
	until(t, func() bool {
		_, body := fetch(t, s, path)
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(body, text) })
	})
}
