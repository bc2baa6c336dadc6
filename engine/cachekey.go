package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// A KeyPart is one of the things a task's result depends on. All of them make up its
// cache key; what changed between two runs of a task is told by comparing them.
type KeyPart struct {
	Name  string // "script", "env.MODE", "input reads", ...
	Value string
}

// keyVersion is part of every key: raised when results of older versions of flow must
// not be taken over.
const keyVersion = "1"

// KeyParts returns what the result of a task depends on, in a fixed order. The
// identities of its inputs must be set.
func KeyParts(spec *TaskSpec, step StepName, key string, index int) []KeyPart {
	return append(specParts(spec), taskParts(spec, step, key, index)...)
}

// specParts are the parts that all tasks with that spec share.
func specParts(s *TaskSpec) []KeyPart {
	parts := []KeyPart{{"version", keyVersion}}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, KeyPart{name, value})
		}
	}
	if s.Command != nil {
		add("command", jsonText(s.Command))
	}
	add("script", s.Script)
	if s.Shell != nil {
		add("shell", jsonText(s.Shell))
	}
	add("image", s.Image)
	add("job_definition", s.JobDefinition)
	add("cache_version", s.CacheVersion)
	for _, m := range []struct {
		name string
		of   map[string]string
	}{{"parameter ", s.Parameters}, {"env ", s.Env}, {"secret ", s.Secrets}} {
		for _, k := range sortedKeys(m.of) {
			parts = append(parts, KeyPart{m.name + k, m.of[k]})
		}
	}
	for i := range s.Inputs {
		in := &s.Inputs[i]
		id := strings.Join(in.IDs, "")
		if in.List {
			id = jsonText(in.IDs)
		}
		parts = append(parts, KeyPart{"input " + in.Name, id})
		// The script sees under which names its inputs are staged.
		names := make([]string, len(in.Paths))
		for k, p := range in.Paths {
			names[k] = p[strings.LastIndexByte(p, '/')+1:]
		}
		parts = append(parts, KeyPart{"name of input " + in.Name, jsonText(names)})
	}
	for _, o := range s.Outputs {
		value := string(o.Kind) + " " + o.Path
		if o.Optional {
			value += " optional"
		}
		add("output "+o.Name, value)
	}
	return parts
}

// taskParts are what a task's environment tells it of itself: its key; its index and
// its step only if the text of what it runs mentions them.
func taskParts(s *TaskSpec, step StepName, key string, index int) []KeyPart {
	parts := []KeyPart{{"key", key}}
	if s.mentions("FLOW_INDEX", "AWS_BATCH_JOB_ARRAY") {
		parts = append(parts, KeyPart{"index", strconv.Itoa(index)})
	}
	if namesStep(s) {
		parts = append(parts, KeyPart{"step", string(step)})
	}
	return parts
}

// namesStep reports whether the name of the step is part of a task's key.
func namesStep(s *TaskSpec) bool { return s.mentions("FLOW_STEP") }

// mentions reports whether the text of what a task runs has one of the words in it.
func (s *TaskSpec) mentions(words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool {
		return strings.Contains(s.Script, w) || slices.ContainsFunc(s.Command, func(c string) bool { return strings.Contains(c, w) })
	})
}

// keyBase is the hash over the parts of a key that all tasks with that spec share; zeros
// if their results are not kept.
func keyBase(spec *TaskSpec) (base [32]byte) {
	if !spec.NoCache {
		h := sha256.New()
		writeParts(h, specParts(spec))
		h.Sum(base[:0])
	}
	return base
}

// keyer computes cache keys; the shared part of a spec is hashed once.
type keyer struct {
	spec *TaskSpec
	keyGroup
}

func (k *keyer) key(spec *TaskSpec, step StepName, key string, index int) CacheKey {
	if spec != k.spec {
		k.spec, k.keyGroup = spec, newKeyGroup(spec, keyBase(spec))
	}
	return k.task(step, key, index)
}

// A keyGroup makes the cache keys of tasks that share what they run.
type keyGroup struct {
	base        [32]byte
	index, step bool // are parts of the key
	h           hash.Hash
	buf         []byte
}

func newKeyGroup(spec *TaskSpec, base [32]byte) keyGroup {
	return keyGroup{base: base, index: spec.mentions("FLOW_INDEX", "AWS_BATCH_JOB_ARRAY"), step: namesStep(spec), h: sha256.New()}
}

// task returns the key of a task: the hash over the base and over taskParts.
func (k *keyGroup) task(step StepName, key string, index int) (out CacheKey) {
	if k.base == ([32]byte{}) {
		return out
	}
	k.buf = appendPart(append(k.buf[:0], k.base[:]...), "key", key)
	if k.index {
		k.buf = appendPart(k.buf, "index", strconv.Itoa(index))
	}
	if k.step {
		k.buf = appendPart(k.buf, "step", string(step))
	}
	k.h.Reset()
	k.h.Write(k.buf)
	k.h.Sum(out[:0])
	return out
}

func appendPart(b []byte, name, value string) []byte {
	for _, s := range [2]string{name, value} {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	return b
}

func writeParts(h hash.Hash, parts []KeyPart) {
	var b []byte
	for _, p := range parts {
		b = appendPart(b[:0], p.Name, p.Value)
		h.Write(b)
	}
}

// A KeyChange is a part of a key that differs between two tasks. "" is not there.
type KeyChange struct {
	Name     string `json:"name"`
	Old, New string
}

// DiffKeys returns what differs between the key parts of an earlier task and a later one.
func DiffKeys(old, now []KeyPart) []KeyChange {
	before := make(map[string]string, len(old))
	for _, p := range old {
		before[p.Name] = p.Value
	}
	var out []KeyChange
	for _, p := range now {
		if v, ok := before[p.Name]; !ok || v != p.Value {
			out = append(out, KeyChange{p.Name, v, p.Value})
		}
		delete(before, p.Name)
	}
	for _, p := range old {
		if _, gone := before[p.Name]; gone {
			out = append(out, KeyChange{p.Name, p.Value, ""})
		}
	}
	return out
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("engine: " + err.Error()) // only plain strings are given
	}
	return string(b)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
