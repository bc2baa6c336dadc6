package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"flow/cmd/flow/internal/view"
)

// actPatience is how long a page waits for a command that was started for it. A command that
// takes longer goes on, and the page of the run tells how.
const actPatience = 15 * time.Second

// A spawned is a command that was started for a page.
type spawned struct {
	out  string // what it has written on stdout
	over bool   // it has ended
}

// spawn starts another flow with arguments on the same state, and waits a moment for it. What
// it starts in the background outlives this process. varFile, if not nil, are values of
// variables: they go into a file that only the user can read, since arguments are for everybody
// to see, and which is removed when the command has ended. The error has what the command
// complained about.
func (s *site) spawn(ctx context.Context, varFile []byte, args ...string) (spawned, error) {
	exe, err := os.Executable()
	if err != nil {
		return spawned{}, err
	}
	forget := func() {}
	if varFile != nil {
		path, err := privateFile("values.vars.hcl", varFile)
		if err != nil {
			return spawned{}, err
		}
		forget = func() { _ = os.RemoveAll(filepath.Dir(path)) }
		args = append([]string{args[0], "--var-file=" + path}, args[1:]...)
	}
	cmd := exec.Command(exe, append([]string{"--state", s.src.db().Path(), "--no-color"}, args...)...)
	cmd.Args[0] = "flow" // whatever the file is called
	var out, complaint sharedBuffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	// A session of its own: what ends this process does not end it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		forget()
		return spawned{}, fmt.Errorf("starting flow %s: %w", args[0], err)
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		forget()
		ended <- err
	}()
	patience := time.NewTimer(actPatience)
	defer patience.Stop()
	select {
	case err = <-ended:
		if err != nil {
			err = complained(err, complaint.String())
		}
		return spawned{out: out.String(), over: true}, err
	case <-patience.C:
		return spawned{out: out.String()}, nil
	case <-ctx.Done():
		return spawned{out: out.String()}, ctx.Err()
	}
}

// privateFile writes a file of that name that nobody else can read, in a directory of its own.
func privateFile(name string, data []byte) (path string, err error) {
	dir, err := os.MkdirTemp("", "flow-") // 0700
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return path, nil
}

// complained is the error of a command that has ended badly: what it said.
func complained(err error, text string) error {
	text = strings.TrimSpace(text)
	if text == "" {
		return err
	}
	return errors.New(view.CleanLines(strings.TrimPrefix(text, "Error: ")))
}

// sharedMost is how much of the output of a command is kept.
const sharedMost = 64 << 10

// A sharedBuffer keeps the beginning of what is written, and may be read meanwhile.
type sharedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sharedBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Write(p[:min(len(p), max(0, sharedMost-s.b.Len()))])
	return len(p), nil
}

func (s *sharedBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
