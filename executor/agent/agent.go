// Package agent is what runs around a task's command: it makes the directory of an
// attempt, stages inputs in, says what they are in the command's environment, and,
// when the command has succeeded, checks its outputs and records them in a manifest.
//
// A task directory looks like this (docs/files.md):
//
//	<work_dir>/<run>/<step>/<key>/
//	    1/            the first attempt: the command's working directory
//	        inputs/   links to its inputs
//	    1.log         its stdout and stderr
//	    1.json        its manifest, written last, if it succeeded
//	    1.claim       on AWS Batch: the id of the job that runs it, and no other
//	    1.error       on AWS Batch: why it failed around its command, if it did
//	    result -> 1   the attempt that succeeded
//
// With work_dir on S3 these are objects; `result` has the number of the attempt, and the
// working directory is on the machine where the command runs. What is kept of a task is
// reached by `records`, which has an implementation for directories and one for objects.
// Inputs are found by a resolver (resolve.go) and brought by a stager (stage_*.go).
//
// The caller runs the command between [Agent.Begin] and [Attempt.Finish], in whatever
// way it likes: as a process, in a container, on another machine.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"flow/engine"
	"flow/executor/store"
)

// Names in a task directory and in the directory of an attempt.
const (
	InputsDir   = "inputs" // in the attempt's directory
	logSuffix   = ".log"   // of <attempt>.log
	manifestExt = ".json"  // of <attempt>.json
)

// A Task is one attempt of a task.
type Task struct {
	Run     engine.RunID
	Step    engine.StepName
	Key     string
	Attempt int              // from 1
	Spec    *engine.TaskSpec // of this very task, see TaskSpec.With
	Dir     string           // its task directory, an absolute path or the URI of a prefix
	// Scratch is the directory on this machine in which that of the attempt is made, if Dir
	// is none here: an absolute path.
	Scratch string
	// CacheKey is the key of the task; zeros: its result is not to be used again.
	CacheKey engine.CacheKey
	Job      engine.JobID // that runs it; "": not known

	fresh bool // nobody has begun this attempt before
}

// here returns the directory on this machine that the directories of attempts are in.
func (t *Task) here() string {
	if store.Is(t.Dir) {
		return t.Scratch
	}
	return t.Dir
}

// attemptDir returns the directory of attempt n of the task with directory dir.
func attemptDir(dir string, n int) string { return dir + "/" + strconv.Itoa(n) }

// LogPath returns where the log of an attempt is kept.
func LogPath(taskDir string, attempt int) string { return attemptDir(taskDir, attempt) + logSuffix }

// ManifestPath returns where the manifest of an attempt is kept.
func ManifestPath(taskDir string, attempt int) string {
	return attemptDir(taskDir, attempt) + manifestExt
}

// An Agent stages attempts in and out. The zero value is ready to use; it is safe
// for concurrent use.
type Agent struct {
	// Files hashes and publishes, and knows the store.
	Files Files
}

// An Attempt is an attempt whose inputs are in place.
type Attempt struct {
	Task *Task
	Dir  string // its directory: where the command is to run
	Log  string // where its log is to be written

	// Env has "name=value" for each input and each output with a path known in advance.
	Env []string
	// Mounts are the real paths of the inputs: what a container must be able to read.
	Mounts []string

	// Usage is what the command has taken; whoever ran it may say so before Finish.
	Usage Usage

	agent   *Agent
	records records
	bytesIn int64    // of the inputs that were fetched
	staged  []string // their real paths, below Dir
}

// A Usage is what a command has taken. Zeros: not known.
type Usage struct {
	Started, Stopped int64   // ms since the epoch
	PeakMemory       int64   // bytes
	PeakAtMost       bool    // PeakMemory is no peak, but what it did not exceed
	CPUSeconds       float64 // of all its processes, in user and in system mode
}

// Used returns what an executor tells of it.
func (u *Usage) Used() engine.Used {
	return engine.Used{PeakMemory: u.PeakMemory, AtMost: u.PeakAtMost, CPUMillis: int64(math.Round(u.CPUSeconds * 1000))}
}

// Begin makes a fresh directory for an attempt and stages its inputs in. What a dead
// process left of the very same attempt is removed. A task that needs no agent costs
// two calls of mkdir.
//
// An error is an [*Error] of class [StageIn].
func (a *Agent) Begin(ctx context.Context, t *Task) (*Attempt, error) {
	r, err := a.Files.records(ctx, t.Dir)
	if err != nil {
		return nil, stageInError(err, "%v", err)
	}
	at := &Attempt{Task: t, Dir: attemptDir(t.here(), t.Attempt), agent: a, records: r}
	at.Log = at.Dir + logSuffix
	if !filepath.IsAbs(at.Dir) {
		return nil, stageInError(nil, "the task has no directory on this machine to work in")
	}
	if err := at.makeDir(); err != nil {
		return nil, stageInError(err, "cannot make the task's directory: %v", Explain(err))
	}
	if !t.Spec.NeedsAgent() {
		return at, nil
	}
	if err := at.clear(ctx); err != nil {
		return nil, stageInError(err, "cannot remove what a dead attempt has left: %v", Explain(err))
	}
	if err := at.stageIn(ctx); err != nil {
		return nil, err
	}
	if err := at.makeOutputParents(); err != nil {
		return nil, err
	}
	return at, nil
}

// clear removes what a dead process has left of this very attempt.
func (at *Attempt) clear(ctx context.Context) error {
	if at.Task.fresh && store.Is(at.Task.Dir) {
		return nil // requests that would find nothing
	}
	return at.records.clear(ctx, at.Task.Attempt)
}

// makeDir makes the attempt's directory, in the hope that the step's is there.
func (at *Attempt) makeDir() error {
	dir := at.Task.here()
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dir, 0o777)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	err = os.Mkdir(at.Dir, 0o777)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.RemoveAll(at.Dir); err != nil {
		return err
	}
	return os.Mkdir(at.Dir, 0o777)
}

// makeOutputParents makes the directories that outputs are to be written into, and
// tells the command where each output with a known path belongs.
func (at *Attempt) makeOutputParents() error {
	for i := range at.Task.Spec.Outputs {
		o := &at.Task.Spec.Outputs[i]
		if o.Kind != engine.OutputFiles {
			if err := checkOutputPath(o.Path); err != nil {
				return stageInError(nil, "output %q: %v", o.Name, err)
			}
			if parent := filepath.Dir(o.Path); parent != "." {
				if err := os.MkdirAll(at.Dir+"/"+parent, 0o777); err != nil {
					return stageInError(err, "output %q: %v", o.Name, Explain(err))
				}
			}
		}
		if o.Kind.Static() {
			at.Env = append(at.Env, o.Name+"="+filepath.Join(at.Dir, o.Path))
		}
	}
	return nil
}

// checkOutputPath refuses paths that are not inside the attempt's own directory.
func checkOutputPath(path string) error {
	switch {
	case !filepath.IsLocal(path):
		return fmt.Errorf("%s is not a path inside the task's directory", show(path))
	case underInputs(filepath.Clean(path)):
		return fmt.Errorf("%s is among the inputs, which are not the task's to change", show(path))
	}
	return nil
}

// Exit codes that an agent uses for its own failures, where the failure of a command
// has only a number to tell itself by. Programs seldom use them: 1 to 125 are theirs,
// 126 and 127 the shell's, 129 to 192 are signals.
const (
	ExitStageIn  = 221 // an input is not there
	ExitOutput   = 222 // an output is missing, or not what it should be
	ExitStageOut = 223 // the outputs could not be kept or published
	ExitClaimed  = 224 // another job runs this attempt: the command was not started
)

// Classes of an [Error]: prefixes of the container reason, for retry rules.
const (
	StageIn       = engine.ReasonStageIn          // an input is not there
	NotStarted    = "CannotStartContainerError: " // there is no such program, or it is none
	OutputMissing = engine.ReasonOutputMissing    // the command succeeded and left no such output
	OutputInvalid = "OutputInvalid: "             // an output is there, but not what it should be
	StageOut      = "StageOutError: "             // the outputs could not be kept: a full disk, ...
	PublishFailed = "PublishError: "              // an output could not be copied where it was to be published
)

// An Error says why a task failed around its command. Its text is made for people
// and begins with Class.
type Error struct {
	Class string
	Msg   string
	Err   error // what is behind it, or nil
}

func (e *Error) Error() string { return e.Class + e.Msg }

func (e *Error) Unwrap() error { return e.Err }

// ExitCode returns the code that stands for the error where only a number can.
func (e *Error) ExitCode() int {
	switch e.Class {
	case StageIn:
		return ExitStageIn
	case OutputMissing, OutputInvalid:
		return ExitOutput
	}
	return ExitStageOut
}

func stageInError(err error, format string, args ...any) error {
	return &Error{StageIn, fmt.Sprintf(format, args...), err}
}

func stageOutError(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	return &Error{StageOut, Explain(err), err}
}

// Explain words an error of the file system for people: the path and what is wrong,
// without the name of the system call.
func Explain(err error) string {
	var pe *fs.PathError
	var le *os.LinkError
	var why error
	var path string
	switch {
	case errors.As(err, &pe):
		path, why = pe.Path, pe.Err
	case errors.As(err, &le):
		path, why = le.New, le.Err
	default:
		return err.Error()
	}
	if errors.Is(why, syscall.ENOSPC) || errors.Is(why, syscall.EDQUOT) {
		return fmt.Sprintf("%s: %v%s", show(path), why, freeSpace(filepath.Dir(path)))
	}
	return fmt.Sprintf("%s: %v", show(path), why)
}

// show returns a path as it stands if that is safe to print, else quoted.
func show(path string) string {
	if q := strconv.Quote(path); len(q) != len(path)+2 || path == "" {
		return q
	}
	return path
}
