package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/batch"
)

// uploads are what jobs on AWS Batch read of this machine, where work_dir is on S3: flow
// uploads it before it submits them.
type uploads struct {
	seen   map[string]bool
	inputs int   // files and directories
	bytes  int64 // of their files
}

// add counts what a job reads, each path once. What is not there, and what cannot be read,
// is said elsewhere.
func (u *uploads) add(spec *engine.JobSpec) {
	for p := range batch.LocalInputs(spec) {
		if u.seen[p] {
			continue
		}
		if u.seen == nil {
			u.seen = map[string]bool{}
		}
		u.seen[p] = true
		u.inputs++
		u.bytes += sizeBelow(p)
	}
}

// sizeBelow returns the bytes of a file, or of all files of a directory.
func sizeBelow(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if !info.IsDir() {
		return info.Size()
	}
	var sum int64
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return 0
	}
	_ = filepath.WalkDir(real, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // as far as it can be read
		}
		if info, err := os.Stat(p); err == nil && !info.IsDir() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// write writes what is uploaded; more says that there may be more later.
func (u *uploads) write(w io.Writer, workDir string, more bool) {
	if u.inputs == 0 {
		return
	}
	later := ""
	if more {
		later = ", as far as is known"
	}
	fmt.Fprintf(w, "Uploaded to %s first, unless it is there already: %s of this machine, %s%s.\n", view.Clean(workDir), view.Plural(u.inputs, "input"), view.Bytes(u.bytes), later)
}

// An uploadsJSON is what is uploaded before jobs are submitted, unless it is there already.
type uploadsJSON struct {
	Inputs int   `json:"inputs"` // files and directories of this machine
	Bytes  int64 `json:"bytes"`
}

func (u *uploads) data() *uploadsJSON {
	if u.inputs == 0 {
		return nil
	}
	return &uploadsJSON{u.inputs, u.bytes}
}
