package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"flow/dsl"
	"flow/engine"
	"flow/state"
)

// goneAfter is how long the files of a workflow have to be away before its schedules end: what is
// being replaced is away for a moment.
const goneAfter = 10 * time.Second

// A Version is a workflow whose files had no mistakes.
type Version struct {
	Path    string // absolute: a directory, or a file
	Dir     string // of its files
	Sources []dsl.Source
	Program *dsl.Program // with the files that it reads as they were, if their names are in the sources

	files []state.Source // all of it
	reads []string       // names of those that are no sources

	notices []*engine.Notice // with the values that variables have without a run
}

// A Problem is what is wrong with the files of a workflow.
type Problem struct {
	Path  string    // of the workflow
	Text  string    // diagnostics for people, with places and lines
	Since time.Time // when it was first seen
	Good  bool      // a version without mistakes is known, which goes on
}

// Files watches files of workflows: it asks the file system for their times and sizes, which
// every file system answers. It is a [Watcher]. It is safe for concurrent use.
type Files struct {
	dirs []string // absolute
	kept func(ctx context.Context, path string) ([]state.Source, error)

	mu    sync.Mutex
	known map[string]*watched // by path
}

// A watched is a workflow that is watched.
type watched struct {
	mark    string // of its files when they were last read
	next    string // as it was at the last look, if it has changed since
	seen    time.Time
	good    *Version // nil: none is known
	problem *Problem // nil: none
	names   []string // of the files beside the sources that it reads, relative to its directory
}

// NewFiles returns what watches workflows: each of dirs is the file of one, or a directory with
// the files of one, or a directory with such directories in it. kept returns the files of a workflow
// in the last version without mistakes that an earlier service has seen, such as
// [state.DB.KeptSources]; nil: there was none.
func NewFiles(kept func(ctx context.Context, path string) ([]state.Source, error), dirs ...string) (*Files, error) {
	f := &Files{kept: kept, known: map[string]*watched{}}
	for _, dir := range dirs {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(abs); err != nil {
			return nil, fmt.Errorf("cannot watch %s: %w", dir, err)
		}
		f.dirs = append(f.dirs, abs)
	}
	return f, nil
}

// Look reads the files that have changed, and returns all workflows.
func (f *Files) Look(ctx context.Context, now time.Time) ([]Workflow, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := map[string]bool{}
	var errs []error
	for _, dir := range f.dirs {
		paths, err := f.workflowsIn(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, path := range paths {
			found[path] = true
			f.lookAt(ctx, path, now)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("looking for workflows: %w", err)
	}
	var out []Workflow
	for path, w := range f.known {
		if !found[path] && now.Sub(w.seen) >= goneAfter {
			delete(f.known, path)
			continue
		}
		out = append(out, w.workflow(path))
	}
	slices.SortFunc(out, func(a, b Workflow) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// workflowsIn returns the paths of the workflows that a person means by a path. What cannot be
// looked into is one if it was one: a network that fails ends no schedules.
func (f *Files) workflowsIn(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var below []string
	for _, e := range entries {
		if dsl.IsWorkflowFile(e.Name()) && !e.IsDir() {
			return []string{path}, nil
		}
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		dir := filepath.Join(path, e.Name())
		is, err := isWorkflow(dir)
		if is || err != nil && f.known[dir] != nil {
			below = append(below, dir)
		}
	}
	return below, nil
}

// isWorkflow reports whether there is a directory with files of a workflow. The error is that
// nobody knows.
func isWorkflow(dir string) (bool, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return false, nil
	}
	var entries []os.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return dsl.IsWorkflowFile(e.Name()) && !e.IsDir() }), err
}

// lookAt reads a workflow, if its files have changed.
func (f *Files) lookAt(ctx context.Context, path string, now time.Time) {
	w := f.known[path]
	if w == nil {
		w = &watched{}
		f.known[path] = w
	}
	w.seen = now
	mark := markOf(path, w.names)
	if mark == w.mark {
		return
	}
	if w.mark != "" && mark != w.next {
		w.next = mark // somebody writes, maybe not all of it yet: it is read when it stays like that
		return
	}
	v, problem := load(path)
	if markOf(path, w.names) != mark {
		return
	}
	if problem == "" {
		w.mark, w.good, w.problem = mark, v, nil
		w.names = v.reads
		return
	}
	if w.good == nil {
		w.good = f.stored(ctx, path)
	}
	since := now
	if w.problem != nil {
		since = w.problem.Since
	}
	w.mark, w.problem = mark, &Problem{Path: path, Text: problem, Since: since, Good: w.good != nil}
}

// markOf is another one once a file of the workflow has changed.
func markOf(path string, more []string) string {
	var b strings.Builder
	dir := path
	names := []string{""}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			fmt.Fprintln(&b, err)
		}
		names = names[:0]
		for _, e := range entries {
			if dsl.IsWorkflowFile(e.Name()) {
				names = append(names, e.Name())
			}
		}
	} else {
		dir = filepath.Dir(path)
		names[0] = filepath.Base(path)
	}
	for _, name := range append(names, more...) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			fmt.Fprintln(&b, name, err)
			continue
		}
		fmt.Fprintln(&b, name, info.Size(), info.ModTime().UnixNano(), inodeOf(info))
	}
	return b.String()
}

// load reads a workflow, or says for people what is wrong with it.
func load(path string) (*Version, string) {
	dir, sources, err := dsl.Read(path)
	if err != nil {
		return nil, err.Error()
	}
	v, problem := loaded(path, dir, sources)
	if problem != "" || len(v.reads) == 0 {
		return v, problem
	}
	return loaded(path, dir, append(sources, v.Program.Embedded()...))
}

// loaded loads a workflow from its sources, and from files that they read, as far as they are given.
func loaded(path, dir string, sources []dsl.Source) (*Version, string) {
	program, diags := dsl.Load(dir, sources)
	if diags.HasErrors() {
		var b strings.Builder
		_ = dsl.WriteText(&b, program.Files, diags, 0, false) // a Builder takes everything
		return nil, b.String()
	}
	v := &Version{Path: path, Dir: dir, Program: program}
	v.notices = program.Notices(dsl.VarInput{Env: os.Environ(), AutoFiles: true})
	for _, src := range sources {
		if dsl.IsWorkflowFile(src.Name) {
			v.Sources = append(v.Sources, src)
			v.files = append(v.files, state.Source(src))
		}
	}
	for _, src := range program.Embedded() {
		v.reads = append(v.reads, src.Name)
		v.files = append(v.files, state.Source(src))
	}
	return v, ""
}

// workflow is what the service wants to know.
func (w *watched) workflow(path string) Workflow {
	out := Workflow{Path: path, Broken: w.good == nil}
	if w.problem != nil {
		out.Problem = w.problem.Text
	}
	if w.good != nil {
		wf := w.good.Program.Workflow
		out.Name, out.Schedules, out.Notices = wf.Name, wf.Schedules, w.good.notices
		out.Sources = w.good.files
	}
	out.Revision = w.mark + out.Problem
	return out
}

// Good returns the version of a workflow that goes on: what its files say, or said when they had
// no mistakes. nil: there is none.
func (f *Files) Good(path string) *Version {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w := f.known[path]; w != nil {
		return w.good
	}
	return nil
}

// Problems returns what is wrong with files, by their paths.
func (f *Files) Problems() []Problem {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Problem
	for _, w := range f.known {
		if w.problem != nil {
			out = append(out, *w.problem)
		}
	}
	slices.SortFunc(out, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// stored returns the version that was kept; nil: none, or it cannot be used.
func (f *Files) stored(ctx context.Context, path string) *Version {
	if f.kept == nil {
		return nil
	}
	files, err := f.kept(ctx, path)
	if err != nil || len(files) == 0 {
		return nil
	}
	dir := path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		dir = filepath.Dir(path)
	}
	sources := make([]dsl.Source, len(files))
	for i, file := range files {
		sources[i] = dsl.Source(file)
	}
	v, _ := loaded(path, dir, sources)
	return v
}

// inodeOf returns the number of a file's inode, which is another one once the file was replaced.
func inodeOf(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}
