package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
)

// A branch is a directory of which the sums of the files are known.
type branch struct {
	files map[string]Sum
	dirs  map[string]*branch
}

// add puts a file into a directory.
func (b *branch) add(rel string, sum Sum) {
	name, rest, more := strings.Cut(rel, "/")
	if !more {
		if b.files == nil {
			b.files = map[string]Sum{}
		}
		b.files[name] = sum
		return
	}
	if b.dirs == nil {
		b.dirs = map[string]*branch{}
	}
	if b.dirs[name] == nil {
		b.dirs[name] = &branch{}
	}
	if rest != "" { // else it is empty
		b.dirs[name].add(rest, sum)
	}
}

// sum returns what Files.tree does for the same directory on a local file system.
func (b *branch) sum() Sum {
	h := newTree()
	for _, name := range slices.Sorted(maps.Keys(b.names())) {
		if dir := b.dirs[name]; dir != nil {
			writeEntry(h, 'd', name, dir.sum())
		} else {
			writeEntry(h, 'f', name, b.files[name])
		}
	}
	return Sum(h.Sum(nil))
}

func (b *branch) names() map[string]bool {
	names := make(map[string]bool, len(b.files)+len(b.dirs))
	for name := range b.files {
		names[name] = true
	}
	for name := range b.dirs {
		names[name] = true
	}
	return names
}

// newTree returns the hash of a directory, before its entries.
func newTree() hash.Hash {
	h := sha256.New()
	h.Write([]byte("flow directory 1\n"))
	return h
}

// treeID returns the identity of a directory of which all sums are known: that of the same
// directory on a local file system.
func treeID(files []remoteFile) string {
	var root branch
	for i := range files {
		var sum Sum
		if b, err := hex.DecodeString(files[i].sha256); err == nil {
			copy(sum[:], b)
		}
		root.add(files[i].rel, sum)
	}
	sum := root.sum()
	return sumID(hex.EncodeToString(sum[:]))
}

// listID returns the identity of a directory of which only names, sizes and ETags are known.
func listID(files []remoteFile) string {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b remoteFile) int { return strings.Compare(a.rel, b.rel) })
	h := sha256.New()
	for i := range files {
		fmt.Fprintf(h, "%q %d %q\n", files[i].rel, files[i].size, files[i].etag)
	}
	return "list:" + hex.EncodeToString(h.Sum(nil))
}
