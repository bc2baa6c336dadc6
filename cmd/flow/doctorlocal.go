package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"flow/cmd/flow/internal/view"
	"flow/executor/batch/doctor"
	"flow/state"
)

// lowRoom is how many bytes should be free: the state of a run of some hundred thousand
// tasks, with its logs.
const lowRoom = 1 << 30

// localLines looks at what flow itself needs on this machine: the directory of the state,
// and work_dir if it is here.
func (a *app) localLines(home, workDir string) []doctor.Line {
	lines := []doctor.Line{{Group: "flow", Name: "version", Status: doctor.OK, Text: version()}}
	lines = append(lines, directoryLine("state", home, "choose another place with --state or FLOW_STATE"))
	if network, _, err := state.Storage(home); err == nil && network != "" {
		lines = append(lines, doctor.Line{
			Group: "flow", Name: "state", Status: doctor.Warning, Text: home + " is on " + network + ": one process at a time can use it, and its locks may not be sound",
			Fix: "put the state on a local disk: --state FILE, or FLOW_STATE=FILE",
		})
	}
	if !strings.Contains(workDir, "://") {
		lines = append(lines, directoryLine("work_dir", workDir, "choose another place with --work-dir"))
	}
	return lines
}

// directoryLine tells whether a directory is writable, or can be made, and has room.
func directoryLine(name, dir, fix string) doctor.Line {
	l := doctor.Line{Group: "flow", Name: name, Status: doctor.Fault, Fix: fix}
	at := nearest(dir)
	info, err := os.Stat(at)
	switch {
	case err != nil:
		l.Text = "cannot be looked at: " + err.Error()
		return l
	case !info.IsDir():
		l.Text = at + " is no directory"
		return l
	}
	if err := tryWriting(at); err != nil {
		l.Text = at + " cannot be written: " + err.Error()
		return l
	}
	_, free, err := state.Storage(at)
	if err == nil && free < lowRoom {
		l.Status, l.Text, l.Fix = doctor.Warning, dir+" has only "+view.Bytes(int64(free))+" left", "free some space, or "+fix
		return l
	}
	l.Status, l.Fix, l.Text = doctor.OK, "", dir
	if at != dir {
		l.Text += ", which the first run makes"
	}
	return l
}

// nearest returns dir, or the nearest directory above it that is there.
func nearest(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// tryWriting makes a file and removes it.
func tryWriting(dir string) error {
	f, err := os.CreateTemp(dir, ".flow-doctor-*")
	if err != nil {
		return unpath(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
