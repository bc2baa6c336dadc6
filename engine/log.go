package engine

import (
	"context"
	"iter"
)

// A Log keeps the events of runs.
type Log interface {
	// Append adds events to a run whose last event is after; they get the numbers
	// after+1 and so on. All are durable when it returns nil; none is there on
	// ErrConflict. After any other error nobody knows: read again.
	Append(ctx context.Context, run RunID, after int64, events ...Event) error

	// Events yields the events of a run in order, from the one behind after.
	Events(ctx context.Context, run RunID, after int64) iter.Seq2[Event, error]
}

// A Cache knows the results of tasks that have succeeded, in whatever run.
type Cache interface {
	// Lookup returns, for each key, the newest known result, or a Hit with an empty Dir.
	Lookup(ctx context.Context, keys []CacheKey) ([]Hit, error)
}

// A FamilyCache is a Cache that keeps the results of steps of very many tasks together.
type FamilyCache interface {
	Cache
	// LookupFamily returns known results of the tasks 0 to n-1 of a step whose TaskKeys
	// have that family, those of newer runs first, no task twice. Lookup does not know them.
	LookupFamily(ctx context.Context, family CacheKey, n int) ([]HitRange, error)
}

// A CacheKey is the sha256 over everything a task's result depends on.
type CacheKey [32]byte

// A Hit is a known result of a task.
type Hit struct {
	Run     RunID    `json:"run"`
	Step    StepName `json:"step"`
	Task    string   `json:"task"`              // its key
	Dir     string   `json:"dir"`               // its task directory
	Outputs Values   `json:"outputs,omitempty"` // see Event.Outputs
}

// Files is the core's view of where task files live.
type Files interface {
	// Identify returns the identity of the content of a file, a directory or an
	// object, for a cache key: "sha256:..." for local files. ErrNotFound (wrapped) if
	// there is none.
	Identify(ctx context.Context, path string) (string, error)

	// Manifest returns the manifest of a task's successful attempt. ErrNotFound
	// (wrapped) if there is none, or if it does not fit the files that are there.
	Manifest(ctx context.Context, taskDir string) (*Manifest, error)

	// Failure returns why an attempt of a task failed around its command, as flow's agent has
	// written it down: "OutputMissing: ..."; "" if nothing is known.
	Failure(ctx context.Context, taskDir string, attempt int) string

	// Publish copies or links a result to target, an absolute path or URI, replacing
	// what is there at once and never half.
	Publish(ctx context.Context, source, target string) error
}

// A Manifest is what a task's successful attempt left behind. It is written last,
// after the files: a result without one does not exist.
type Manifest struct {
	Version  int            `json:"version"` // 1
	Run      RunID          `json:"run"`
	Step     StepName       `json:"step"`
	Task     string         `json:"task"` // key
	Attempt  int            `json:"attempt"`
	ExitCode int            `json:"exit_code"`
	Files    []ManifestFile `json:"files,omitempty"`
	Outputs  Values         `json:"outputs,omitempty"`
}

// A ManifestFile is one file of a result.
type ManifestFile struct {
	Path   string `json:"path"` // relative to the attempt's directory
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// ModTime is its time of modification in nanoseconds since the epoch, so that a file
	// that is as it was need not be read again; 0: not known.
	ModTime int64 `json:"mtime,omitempty"`
	// RawPath has the bytes of Path if they are not UTF-8, which JSON cannot hold.
	RawPath []byte `json:"raw_path,omitempty"`
}
