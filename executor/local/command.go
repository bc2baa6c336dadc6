package local

import (
	"strings"
	"sync"

	"flow/executor/agent"
)

// A finder looks programs up in a PATH, and remembers where they were.
type finder struct {
	mu    sync.RWMutex
	known map[[2]string]string // of name and PATH
}

// find returns the path of a program. A name with a slash is a path already, relative
// to the task's directory.
func (f *finder) find(name, search string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	f.mu.RLock()
	path, ok := f.known[[2]string{name, search}]
	f.mu.RUnlock()
	if ok {
		return path, nil
	}
	path, err := agent.LookPath(name, search)
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	if f.known == nil {
		f.known = map[[2]string]string{}
	}
	f.known[[2]string{name, search}] = path
	f.mu.Unlock()
	return path, nil
}

// forget drops what is known of a program, and reports whether anything was.
func (f *finder) forget(name, search string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.known[[2]string{name, search}]
	delete(f.known, [2]string{name, search})
	return ok
}
