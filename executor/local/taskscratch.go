package local

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/store"
)

// ScratchDir returns the directory on this machine in which child i of a job makes those of
// its attempts, if its files are on S3: <scratch>/<run>/<step>/<key>.
func ScratchDir(scratch string, spec *engine.JobSpec, i int) string {
	return engine.TaskDir(scratch, spec.Run, spec.Step, engine.KeyDir(spec.FanOut, spec.Key(i)))
}

// localDir returns the directory on this machine that has the logs of child i of a job.
func localDir(scratch string, spec *engine.JobSpec, i int) string {
	if store.Is(spec.WorkDir) {
		return ScratchDir(scratch, spec, i)
	}
	return spec.TaskDir(i)
}

// tidy removes what a task that has succeeded has left in its scratch directory, now that
// its files are on S3: the directories of its attempts, and not their logs. What cannot be
// removed goes with the run.
func tidy(at *agent.Attempt) {
	t := at.Task
	if t.Scratch == "" {
		return
	}
	for n := 1; n <= t.Attempt; n++ {
		dir := filepath.Join(t.Scratch, strconv.Itoa(n))
		os.RemoveAll(dir)
		os.Remove(dir + agent.ScriptSuffix)
	}
}

// A keptSpec is a job as the journal has it: with its cache keys, 32 bytes a child, if its
// files are on S3, where the agent writes them down.
type keptSpec struct {
	*engine.JobSpec
	CacheKeys []byte `json:"cache_keys,omitempty"` // of its children in order
}

func journaled(spec *engine.JobSpec) keptSpec {
	k := keptSpec{JobSpec: spec}
	if store.Is(spec.WorkDir) && spec.CacheKeys != nil && spec.Task.NeedsAgent() {
		for i := range spec.Size() {
			key := spec.CacheKey(i)
			k.CacheKeys = append(k.CacheKeys, key[:]...)
		}
	}
	return k
}

// readJournaled reads a job from the journal; nil: it is none.
func readJournaled(line string) *engine.JobSpec {
	k := keptSpec{JobSpec: new(engine.JobSpec)}
	if json.Unmarshal([]byte(line), &k) != nil {
		return nil
	}
	if n := len(k.CacheKeys); n > 0 && n == len(engine.CacheKey{})*k.Size() {
		k.JobSpec.CacheKeys = engine.StoredKeys(k.Tasks, k.CacheKeys)
	}
	return k.JobSpec
}
