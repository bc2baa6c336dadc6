package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Install copies this very program to dir/flow, for another container that shares dir to
// run it as its agent, and returns its path there. dir is made if it is not there. It
// needs nothing of the image: no shell, no file but the program.
func Install(dir string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("cannot find this program: %w", err)
	}
	path := filepath.Join(dir, "flow")
	if err := install(self, path); err != nil {
		return "", fmt.Errorf("cannot install the agent: %s", Explain(err))
	}
	return path, nil
}

// install makes path a copy of a program that anybody may run. It is whole when it
// appears; it need not outlive the machine.
func install(program, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	from, err := os.Open(program)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.CreateTemp(filepath.Dir(path), ".flow.*")
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Chmod(0o755) // whatever the umask
	}
	err = errors.Join(err, to.Close())
	if err == nil {
		err = os.Rename(to.Name(), path)
	}
	if err != nil {
		os.Remove(to.Name())
	}
	return err
}
