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

// A PlainCache is a Cache that is asked apart for tasks without inputs and outputs: of those
// nothing is kept beside the files.
type PlainCache interface {
	Cache
	// LookupPlain is Lookup for the keys of such tasks.
	LookupPlain(ctx context.Context, keys []CacheKey) ([]Hit, error)
}

// An Attempter is Files that can tell which attempt a result is of without a look at it.
type Attempter interface {
	// Attempts has an answer for each task directory; its error is like that of Manifest.
	Attempts(ctx context.Context, taskDirs []string) []AttemptAnswer
}

// An AttemptAnswer is which attempt a result is of.
type AttemptAnswer struct {
	Attempt int
	Err     error
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
	Gone    []string `json:"gone,omitempty"`    // its temporary outputs that have been removed
}

// Files is the core's view of where task files live. An error that is [ErrLater], wrapped,
// says that nobody knows now, and that it is worth asking again; what ErrNotFound says is
// final.
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

// A Matcher is Files that can say which objects match a pattern.
type Matcher interface {
	// Match returns the URIs of the objects that match a pattern with *, ? and [], sorted.
	// That there are none is no error.
	Match(ctx context.Context, pattern string) ([]string, error)
}

// BulkFiles are Files that look at many results side by side, since each takes its time.
type BulkFiles interface {
	// Manifests returns, for each task directory, what Files.Manifest would.
	Manifests(ctx context.Context, taskDirs []string) []ManifestAnswer
}

// A BulkIdentifier is Files that find out the identities of many inputs side by side.
type BulkIdentifier interface {
	// Identities returns, for each path, what Files.Identify would.
	Identities(ctx context.Context, paths []string) []IdentityAnswer
}

// An IdentityAnswer is what became of asking for an identity; see [Files.Identify].
type IdentityAnswer struct {
	ID  string
	Err error
}

// A BulkPublisher is Files that publish many files side by side.
type BulkPublisher interface {
	// PublishAll does, for each, what Files.Publish would, and returns the error of each or
	// nil if there is none. Of those with the same target the last one is there in the end.
	PublishAll(ctx context.Context, all []Publication) []error
}

// A Publication is a result that is to be published; see [Files.Publish].
type Publication struct {
	Source, Target string
	What           string // it is, for messages
}

// A ManifestAnswer is what became of looking for a manifest; see [Files.Manifest].
type ManifestAnswer struct {
	Manifest *Manifest
	Err      error
}

// A Discarder is Files that can remove what nobody needs any more.
type Discarder interface {
	// Discard removes the files of some outputs of a task's result, and notes in its
	// manifest that they are gone. Those that are gone already are no error.
	Discard(ctx context.Context, taskDir string, outputs []string) error
}

// A Tracer is Files that can tell what tasks have left behind of which nothing was recorded.
type Tracer interface {
	// Traces returns the highest attempt of each task of a step that has left anything at
	// all, by the name of the task's directory: see KeyDir. ErrLater, wrapped, if that cannot
	// be told now.
	Traces(ctx context.Context, workDir string, run RunID, step StepName) (map[string]int, error)
}

// A BulkDiscarder is a Discarder that removes files of many results side by side.
type BulkDiscarder interface {
	Discarder
	// DiscardAll does, for each task directory, what Discard would, and returns the error of
	// each or nil if there is none.
	DiscardAll(ctx context.Context, taskDirs []string, outputs []string) []error
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

	// Gone are the outputs, by name, whose files have been removed since nobody needed them
	// any more.
	Gone []string `json:"gone,omitempty"`
	// Paths are where the outputs are, by name, but those of a list of files, which are in
	// Outputs; nil if none of them is temporary.
	Paths map[string]string `json:"paths,omitempty"`
	// CacheKey is the key of the task in hexadecimal digits; "": its result is not to be used
	// again.
	CacheKey string `json:"cache_key,omitempty"`
	Job      JobID  `json:"job,omitempty"` // that ran it; "": not known

	// What it took; 0: not known.
	Started    int64   `json:"started,omitempty"` // when its command was started and had ended, in ms since the epoch
	Stopped    int64   `json:"stopped,omitempty"`
	PeakMemory int64   `json:"peak_memory,omitempty"`  // bytes
	PeakAtMost bool    `json:"peak_at_most,omitempty"` // PeakMemory is what it did not exceed, see [Used]
	CPUSeconds float64 `json:"cpu_seconds,omitempty"`
	BytesIn    int64   `json:"bytes_in,omitempty"` // that came to the task as inputs, and went as outputs
	BytesOut   int64   `json:"bytes_out,omitempty"`
}

// A ManifestFile is one file of a result.
type ManifestFile struct {
	Path   string `json:"path"` // relative to the attempt's directory
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// ETag is that of the object on S3, and Mode its permissions if it is executable.
	ETag string `json:"etag,omitempty"`
	Mode uint32 `json:"mode,omitempty"`
	// ModTime is its time of modification in nanoseconds since the epoch, so that a file
	// that is as it was need not be read again; 0: not known.
	ModTime int64 `json:"mtime,omitempty"`
	// RawPath has the bytes of Path if they are not UTF-8, which JSON cannot hold.
	RawPath []byte `json:"raw_path,omitempty"`
}
