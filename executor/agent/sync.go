package agent

import (
	"fmt"
	"os"
	"path"
	"syscall"
)

// manyFiles is from how many files on it is cheaper to have the whole file system
// written than each file by itself.
const manyFiles = 16

// sync makes the files of the outputs durable, and the directories they are in.
func (c *collector) sync() error {
	if len(c.files) > manyFiles && syncFS(c.real) == nil {
		return nil
	}
	dirs := map[string]bool{}
	for i := range c.files {
		rel := c.files[i].Path
		if _, ok := c.source[rel]; !ok {
			if err := syncFile(c.real + "/" + rel); err != nil {
				return err
			}
		}
		for dir := path.Dir(rel); !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
			if err := syncDir(path.Join(c.real, dir)); err != nil {
				return err
			}
		}
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// freeSpace says how much room there is where a write failed, to go behind a message.
func freeSpace(dir string) string {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return ""
	}
	free := uint64(st.Bavail) * uint64(st.Bsize) >> 20
	if free > 0 && st.Ffree == 0 {
		return fmt.Sprintf(" (%d MiB are free, but no inode)", free)
	}
	return fmt.Sprintf(" (%d MiB are free)", free)
}
