package logstore

import (
	"cmp"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
)

// A Stream is a log stream, as a listing has it.
type Stream struct {
	Name string
	Size int64 // bytes
	Last int64 // the time of its last event; if Size is 0, when it was made
	// Even says that all its events have one time, Last.
	Even bool
}

// Streams yields the streams of a group whose names begin with prefix and come after
// after, by name. The order is that of the bytes, and memory does not grow with their number.
func (s *Store) Streams(group, prefix, after string) iter.Seq2[Stream, error] {
	return s.streams(group, span{prefix: prefix, after: after})
}

// StreamsDown yields the same streams from the last name to the first, those before
// before; all of them if it is empty.
func (s *Store) StreamsDown(group, prefix, before string) iter.Seq2[Stream, error] {
	return s.streams(group, span{prefix: prefix, before: before, down: true})
}

func (s *Store) streams(group string, sp span) iter.Seq2[Stream, error] {
	return func(yield func(Stream, error) bool) {
		if !s.hasGroup(group) {
			yield(Stream{}, ErrNoGroup)
			return
		}
		sp.dir, sp.suffix = groupPath(group), streamSuffix
		for leaf, err := range s.walk(sp) {
			if err != nil {
				yield(Stream{}, err)
				return
			}
			if st, ok := s.look(leaf); ok && !yield(st, nil) {
				return
			}
		}
	}
}

// look returns what a listing has of a stream, and false if it is gone.
func (s *Store) look(l leaf) (Stream, bool) {
	if o := s.liveAt(l.path); o != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if _, err := s.note(o); err == nil {
			return Stream{Name: l.name, Size: o.last.size, Last: o.last.time, Even: o.kept == 0}, true
		}
	}
	info, err := l.entry.Info()
	if err != nil {
		return Stream{}, false
	}
	return Stream{Name: l.name, Size: info.Size(), Last: info.ModTime().UnixMilli(), Even: !l.marked}, true
}

// A span is a part of a tree of names.
type span struct {
	dir           string // where it begins
	suffix        string // of what is looked for
	prefix        string
	after, before string
	down          bool
}

// A leaf is what a walk finds.
type leaf struct {
	name   string // unescaped
	path   string // without its suffix
	entry  fs.DirEntry
	marked bool // it has a file of marks
}

// holds reports whether a name is of the span.
func (sp *span) holds(name string) bool {
	return strings.HasPrefix(name, sp.prefix) && name > sp.after && (sp.before == "" || name < sp.before)
}

// reaches reports whether there may be a name of the span that begins with stem.
func (sp *span) reaches(stem string) bool {
	switch {
	case !strings.HasPrefix(stem, sp.prefix) && !strings.HasPrefix(sp.prefix, stem):
		return false
	case stem < sp.after && !strings.HasPrefix(sp.after, stem):
		return false
	}
	return sp.before == "" || stem < sp.before
}

// walk yields what there is of a span, by name.
func (s *Store) walk(sp span) iter.Seq2[leaf, error] {
	return func(yield func(leaf, error) bool) { s.descend(&sp, sp.dir, "", yield) }
}

// A node is an entry of a directory: a leaf, or a directory of names that begin with stem.
type node struct {
	leaf
	inner bool
}

// descend yields what is below a directory whose names begin with stem; false: stop.
func (s *Store) descend(sp *span, dir, stem string, yield func(leaf, error) bool) bool {
	entries, err := s.entries(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true // removed since it was seen
	}
	if err != nil {
		return yield(leaf{}, err) && false
	}
	for _, n := range nodes(sp, dir, stem, entries) {
		if n.inner {
			if !s.descend(sp, n.path, n.name, yield) {
				return false
			}
		} else if !yield(n.leaf, nil) {
			return false
		}
	}
	return true
}

// nodes returns what of a directory belongs to a span, in its order.
func nodes(sp *span, dir, stem string, entries []fs.DirEntry) []node {
	found := make([]node, 0, len(entries))
	marked := map[string]bool{}
	for _, e := range entries {
		base, suffix := e.Name(), ""
		if at := strings.IndexByte(base, '.'); at >= 0 {
			base, suffix = base[:at], base[at:]
		}
		if suffix == marksSuffix {
			marked[base] = true
			continue
		}
		piece, ok := unescape(base)
		name, inner := stem+piece, suffix == "" && e.IsDir()
		if !ok || !(inner && sp.reaches(name) || suffix == sp.suffix && sp.holds(name)) {
			continue
		}
		found = append(found, node{leaf{name: name, path: path.Join(dir, base), entry: e}, inner})
	}
	for i := range found {
		found[i].marked = !found[i].inner && marked[path.Base(found[i].path)]
	}
	slices.SortFunc(found, func(a, b node) int {
		if c := cmp.Compare(a.name, b.name); c != 0 {
			return c
		}
		if a.inner { // holds names that are longer than b
			return 1
		}
		return -1
	})
	if sp.down {
		slices.Reverse(found)
	}
	return found
}

// entries returns what is in a directory, in no order.
func (s *Store) entries(dir string) ([]fs.DirEntry, error) {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}
