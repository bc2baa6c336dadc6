package main

import (
	"net/http"
	"os"
	"path/filepath"

	"flow/executor/local/cloudwatch"
	"flow/executor/local/logstore"
)

// An emulatorHome is where an emulator keeps its files: the directory of --state, or a
// temporary one that goes with the process.
//
//	jobs       the journal
//	logs/      log groups and streams
//	scratch/   directories of containers that run
type emulatorHome struct {
	dir       string
	temporary bool
	journal   string // "": none
	scratch   string
	store     *logstore.Store
	logs      http.Handler
}

func (a *app) openEmulatorHome(f *emulateFlags) (h *emulatorHome, err error) {
	h = &emulatorHome{dir: a.state}
	if h.dir == "" {
		h.temporary = true
		if h.dir, err = os.MkdirTemp("", "flow-emulate-"); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if h.dir, err = filepath.Abs(h.dir); err != nil {
		return nil, err
	}
	h.scratch = filepath.Join(h.dir, "scratch")
	// Containers may run as other users, who are to get through to their own directories.
	logs := filepath.Join(h.dir, "logs")
	for _, d := range []directory{{h.dir, 0o711}, {h.scratch, 0o711}, {logs, 0o700}} {
		if err := os.MkdirAll(d.path, d.mode); err != nil {
			return nil, err
		}
	}
	if h.temporary {
		if err := os.Chmod(h.dir, 0o711); err != nil {
			return nil, err
		}
	}
	if !h.temporary {
		h.journal = filepath.Join(h.dir, "jobs")
	}
	if h.store, err = logstore.Open(logs, a.now); err != nil {
		return nil, err
	}
	h.logs = cloudwatch.New(h.store, f.region, f.account)
	return h, nil
}

func (h *emulatorHome) close() {
	if h.store != nil {
		_ = h.store.Close()
	}
	if h.temporary {
		_ = os.RemoveAll(h.dir)
	}
}

type directory struct {
	path string
	mode os.FileMode
}
