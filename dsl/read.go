package dsl

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

// A Source is one file of a workflow.
type Source struct {
	Name  string // relative to the workflow's directory
	Bytes []byte
}

// Read reads a workflow: the .hcl or .hcl.json file at path, or every such file of the
// directory at path. It leaves out hidden files, flow.config.hcl and *.vars.hcl. dir is
// the absolute directory that relative paths in the workflow are relative to; sources
// are sorted by name.
func Read(path string) (dir string, sources []Source, err error) {
	dir, err = filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", nil, fmt.Errorf("cannot read the workflow: %w", err)
	}
	var names []string
	if info.IsDir() {
		if names, err = sourceNames(dir); err != nil {
			return "", nil, err
		}
		if len(names) == 0 {
			return "", nil, fmt.Errorf("there is no .hcl or .hcl.json file in %s: a workflow is such a file, or a directory that holds some", path)
		}
	} else {
		if !isSource(dir) {
			return "", nil, fmt.Errorf("%s is no workflow: its name must end in .hcl or .hcl.json", path)
		}
		names = []string{filepath.Base(dir)}
		dir = filepath.Dir(dir)
	}
	for _, name := range names {
		src, err := readLimited(filepath.Join(dir, name))
		if err != nil {
			return "", nil, fmt.Errorf("cannot read the workflow: %w", err)
		}
		sources = append(sources, Source{Name: name, Bytes: src})
	}
	return dir, sources, nil
}

func isSource(name string) bool {
	return strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json")
}

// IsWorkflowFile reports whether a file of that name in the directory of a workflow is one of its
// files; one of sites, or of values for variables, is not.
func IsWorkflowFile(name string) bool {
	return isSource(name) && !strings.HasPrefix(name, ".") && name != ConfigName &&
		!strings.HasSuffix(name, ".vars.hcl") && !strings.HasSuffix(name, ".vars.hcl.json")
}

// sourceNames returns the names of the workflow files in dir, sorted.
func sourceNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the workflow: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && IsWorkflowFile(e.Name()) {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// readLimit is more than guard lets pass, so that guard is what refuses a large file.
const readLimit = 2 << 20

// readLimited reads a file, but no more of it than is needed to see that it is too large.
func readLimited(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for its writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	return io.ReadAll(io.LimitReader(f, readLimit))
}
