package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"flow/engine"
)

// claimExt is that of the file, beside the log of an attempt, with the id of the job that
// runs it.
const claimExt = ".claim"

// maxClaim is more than any id of a job has, in bytes.
const maxClaim = 1024

// ClaimPath returns where the claim of an attempt is kept.
func ClaimPath(taskDir string, attempt int) string { return attemptDir(taskDir, attempt) + claimExt }

// ReadClaim returns the id of the job that has claimed an attempt. The error is
// fs.ErrNotExist, wrapped, if none has.
func ReadClaim(taskDir string, attempt int) (engine.JobID, error) {
	b, err := os.ReadFile(ClaimPath(taskDir, attempt))
	if err != nil {
		return "", err
	}
	return claimOf(b), nil
}

// claimOf returns the id that a claim says, and claimText what one says. One that was cut
// says none.
func claimOf(b []byte) engine.JobID {
	id, whole := strings.CutSuffix(string(b[:min(len(b), maxClaim)]), "\n")
	if !whole {
		return ""
	}
	return engine.JobID(id)
}

func claimText(id engine.JobID) []byte { return []byte(string(id) + "\n") }

func (d directory) claimedBy(_ context.Context, attempt int) (engine.JobID, error) {
	return ReadClaim(d.path, attempt)
}

// A ClaimedError says that an attempt belongs to another job.
type ClaimedError struct {
	Attempt int
	By      engine.JobID // "": the claim does not say
}

func (e *ClaimedError) Error() string {
	by := string(e.By)
	if by == "" {
		by = "its claim names none"
	}
	return fmt.Sprintf("another job (%s) runs attempt %d: this one is a twin", by, e.Attempt)
}

// claim makes the file of a claim, and the directory of the task if it is not there.
func (d directory) claim(_ context.Context, attempt int, id engine.JobID) (bool, error) {
	if err := os.MkdirAll(d.path, 0o777); err != nil {
		return false, err
	}
	err := makeClaim(d.path, attempt, id)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	if err == nil {
		return true, syncDir(d.path)
	}
	// Even if it was made by us: NFS may carry out a call, lose the answer and ask again.
	by, err := ReadClaim(d.path, attempt)
	if err != nil {
		return false, err
	}
	if by != id {
		return false, &ClaimedError{Attempt: attempt, By: by}
	}
	return false, syncDir(d.path)
}

// makeClaim makes the file of a claim. It is whole from the start, where the file system
// has hard links, so that nobody who dies half-way leaves one that is nobody's.
func makeClaim(taskDir string, attempt int, id engine.JobID) error {
	path := ClaimPath(taskDir, attempt)
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	tmp, err := os.CreateTemp(taskDir, ".claim.*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err := writeClaim(tmp, id); err != nil {
		return err
	}
	err = os.Link(tmp.Name(), path)
	if !noLinks(err) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return writeClaim(f, id)
}

// writeClaim writes a claim and closes its file.
func writeClaim(f *os.File, id engine.JobID) error {
	_, err := f.Write(claimText(id))
	if err == nil {
		err = f.Chmod(0o644) // flow may run as another user than the container
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// noLinks reports whether a file system has no hard links (link(2)).
func noLinks(err error) bool {
	for _, e := range []syscall.Errno{syscall.EPERM, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EMLINK} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
