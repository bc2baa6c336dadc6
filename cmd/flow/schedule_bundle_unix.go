//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// ownDir returns an error unless a directory is one that only this user has made and can read:
// others may write into that of temporary files.
func ownDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || info.Mode().Perm() != 0o700 || int(s.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not this user's own: remove it", dir)
	}
	return nil
}
