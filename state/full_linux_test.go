package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"flow/engine"
)

// TestDiskFull fills a file system of 2 MB, in a process that has mounted it for itself
// alone. TestFull has the same without a mount.
func TestDiskFull(t *testing.T) {
	cmd := child(t, "full", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Start()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("no mount namespaces for this user: %v", err)
	}
	must(t, err)
	must(t, cmd.Wait())
}

func init() { children["full"] = fullChild }

func fullChild(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		return err
	}
	ctx := context.Background()
	db, err := Open(filepath.Join(dir, "flow.db"), Options{})
	if err != nil {
		return err
	}
	if err := db.CreateRun(ctx, NewRun{Info: info("run1"), Steps: []StepInfo{{"align", true}}}); err != nil {
		return err
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		return err
	}
	seq := int64(1)
	resumed := engine.Event{At: epoch, Kind: engine.RunResumed, Reason: string(make([]byte, 500))}
	for ; err == nil && seq < 10_000; seq++ {
		err = db.Append(ctx, "run1", seq, resumed)
	}
	acked := seq - 1
	if !errors.Is(err, ErrFull) && !errors.Is(err, ErrIO) && !errors.Is(err, ErrOutcomeUnknown) {
		return errors.Join(fmt.Errorf("after %d events, want no space", acked), err)
	}
	there, err := countEvents(ctx, db)
	if err != nil {
		return err
	}
	if there < acked || there > acked+1 {
		return fmt.Errorf("%d events, %d were acknowledged", there, acked)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if err := db.Append(ctx, "run1", there, resumed); err != nil {
		return fmt.Errorf("after space was freed: %w", err)
	}
	if err := db.Close(); err != nil {
		return err
	}
	if db, err = Open(filepath.Join(dir, "flow.db"), Options{}); err != nil {
		return err
	}
	if n, err := countEvents(ctx, db); err != nil {
		return err
	} else if n != there+1 {
		return fmt.Errorf("%d events, want %d", n, there+1)
	}
	if err := errors.Join(db.Check(ctx), db.Close()); err != nil {
		return err
	}
	return openOnFullDisk(dir, ballast)
}

// openOnFullDisk opens a state file beside which there is no room for the -shm file, which
// SQLite calls a failure of the disk.
func openOnFullDisk(dir, ballast string) error {
	f, err := os.Create(ballast)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	db, err := Open(filepath.Join(dir, "flow.db"), Options{})
	if err == nil {
		err = errors.Join(db.Append(context.Background(), "run1", 0, engine.Event{At: epoch, Kind: engine.RunResumed}), db.Close())
	}
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), adviceFull) {
		return fmt.Errorf("with no room at all: %w, want %w", err, ErrFull)
	}
	return nil
}

func countEvents(ctx context.Context, db *DB) (n int64, err error) {
	for _, err := range db.Events(ctx, "run1", 0) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
