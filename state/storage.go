package state

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// Storage tells of the file system that a directory is on, or would be made on: its kind if
// it is one of a network, or another on which processes of several hosts may share a state
// file ("": it is local, as far as is known), and how many bytes may be written there.
func Storage(dir string) (network string, free uint64, err error) {
	magic, err := fileSystem(dir)
	for errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		magic, err = fileSystem(dir)
	}
	if err != nil {
		return "", 0, err
	}
	return networks[magic], room(dir), nil
}
