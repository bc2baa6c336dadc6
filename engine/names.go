package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// A RunID names one execution of a workflow: a lower-case ULID, 26 characters,
// which sorts by time.
type RunID string

// A StepName is the address of a step: its name, or "module.name" for a step of
// a module. It never contains a slash.
type StepName string

// A JobID is an executor's name for a job. A child of an array job is
// "<id of the array>:<index>" (Batch User Guide, array_jobs).
type JobID string

// Child returns the id of child i of the array job id.
func (id JobID) Child(i int) JobID { return id + JobID(":"+strconv.Itoa(i)) }

// Split returns the array job and the index of a child's id. For the id of a plain
// job or of an array parent, index is -1.
func (id JobID) Split() (parent JobID, index int) {
	at := strings.LastIndexByte(string(id), ':')
	if at < 0 {
		return id, -1
	}
	i, err := strconv.Atoi(string(id[at+1:]))
	if err != nil || i < 0 || id[:at].Child(i) != id { // a child has one id: not a:01
		return id, -1
	}
	return id[:at], i
}

// TaskName is how people and commands name a task: align["chr1"], or the bare
// step for a step without fan-out.
func TaskName(step StepName, fanOut bool, key string) string {
	if !fanOut {
		return string(step)
	}
	return string(step) + "[" + strconv.Quote(key) + "]"
}

// NoKeyDir is the directory name of the one task of a step without fan-out.
const NoKeyDir = "_"

// KeyDir turns a task's key into one path element which is legal on every file
// system and as part of an S3 key, and different for different keys: unusual
// bytes are percent-encoded, and what would be too long is cut and hashed.
func KeyDir(fanOut bool, key string) string {
	if !fanOut {
		return NoKeyDir
	}
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '=', c == '+', c == '@', c == ',':
			b.WriteByte(c)
		case c == '.' && i > 0, c == '_' && len(key) > 1:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	s := b.String()
	if s == "" {
		return "%"
	}
	if len(s) > 120 {
		sum := sha256.Sum256([]byte(key))
		s = s[:80] + "%-" + hex.EncodeToString(sum[:8])
	}
	return s
}

// ResultDir is the name, beside the attempts of a task, under which the files of
// its successful attempt are found: <work_dir>/<run>/<step>/<key>/result/<path>.
// It is known before the task runs.
const ResultDir = "result"

// TaskDir returns <work_dir>/<run>/<step>/<key>, the directory of a task's attempts.
// workDir is an absolute path or a URI.
func TaskDir(workDir string, run RunID, step StepName, keyDir string) string {
	return strings.TrimRight(workDir, "/") + "/" + string(run) + "/" + string(step) + "/" + keyDir
}

// ResultPath returns where output path rel of a task with directory taskDir is
// found once the task has succeeded.
func ResultPath(taskDir, rel string) string { return taskDir + "/" + ResultDir + "/" + rel }
