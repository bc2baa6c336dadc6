package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"flow/executor/trust"
)

// Install copies this very program to dir/flow, for another container that shares dir to
// run it as its agent, and returns its path there. With it go the certificates of authorities
// that this container trusts, if there are any. dir is made if it is not there. It
// needs nothing of the image: no shell, no file but the program.
func Install(dir string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("cannot find this program: %w", err)
	}
	path := filepath.Join(dir, "flow")
	err = installProgram(self, path)
	if certificates := trust.Authorities(); err == nil && certificates != nil {
		err = install(bytes.NewReader(certificates), filepath.Join(dir, certificatesFile), 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("cannot install the agent: %s", Explain(err))
	}
	return path, nil
}

// certificatesFile is what the certificates of authorities are called that Install brings
// with the program: many images have none, and S3 is reached by TLS.
const certificatesFile = "certificates.pem"

// TrustInstalled has this process, if Install has brought it, trust the authorities that came
// with it, unless the image that it is in now has some of its own.
func TrustInstalled() {
	if self, err := os.Executable(); err == nil {
		trust.Fallback(filepath.Join(filepath.Dir(self), certificatesFile))
	}
}

// installProgram makes path a program that anybody may run: a copy, or on one file system,
// where containers are processes, a link, since copying costs more than many a task.
func installProgram(program, path string) error {
	from, err := os.Open(program)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if info, err := from.Stat(); err == nil && info.Mode().Perm()&0o555 == 0o555 && os.Link(program, path) == nil {
		return nil
	}
	return install(from, path, 0o755)
}

// install makes path a file that anybody may read. It is whole when it appears; it need not
// outlive the machine.
func install(from io.Reader, path string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	to, err := os.CreateTemp(filepath.Dir(path), ".flow.*")
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Chmod(mode) // whatever the umask
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

// Share makes dir, if it is not there, and lets everybody make files in it, as in /tmp: a
// volume that two containers of a job share belongs to the user of the one, and the other may
// have another user (ECS Developer Guide, bind-mounts).
func Share(dir string) error {
	err := os.MkdirAll(dir, 0o777)
	if err == nil {
		err = os.Chmod(dir, 0o777|fs.ModeSticky)
	}
	if err != nil {
		return fmt.Errorf("cannot let other users work in %s: %s", dir, Explain(err))
	}
	return nil
}
