package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

// arraySpec returns an array job of three tasks, of which each has something of its own.
func arraySpec(workDir string) *engine.JobSpec {
	script := "own"
	return &engine.JobSpec{
		Name: "job", Run: "run", Step: "m.step", FanOut: true, WorkDir: workDir, ArraySize: 3, Attempt: 4,
		Tasks: engine.RangesOf(2, 3, 9), Keys: []string{"a", "../b", "c\n"},
		Items:     []*engine.Item{{Env: map[string]string{"own": "1"}}, nil, {Script: &script}},
		Resources: engine.Resources{VCPUs: 2, MemoryMiB: 512},
		Task: &engine.TaskSpec{
			Script: "all", Shell: []string{"sh", "-c"}, Env: map[string]string{"all": "<x>", "own": "0"},
			Secrets: map[string]string{"TOKEN": "arn:aws:secretsmanager:us-east-1:1:secret:t"},
			Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "o"}},
		},
	}
}

func TestJobFile(t *testing.T) {
	work := t.TempDir()
	spec := arraySpec(work + "/deep/work/")
	path := JobPath(spec.WorkDir, spec.Run, spec.Name)
	if want := work + "/deep/work/run/.jobs/job.job"; path != want {
		t.Errorf("its path is %s, want %s", path, want)
	}
	for range 2 { // the second time over the first
		if err := WriteJob(path, spec); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside it there are %v, %v", entries, err)
	}
	for i := range spec.Size() {
		got, err := ReadJob(path, i)
		if err != nil {
			t.Fatal(err)
		}
		want := &Job{
			Run: "run", Step: "m.step", Key: spec.Keys[i], Index: spec.Tasks.At(i), Dir: spec.TaskDir(i), WorkDir: spec.WorkDir,
			Attempt: 4, Spec: spec.Task.With(spec.Items[i]), Resources: spec.Resources,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("child %d: %s", i, diff)
		}
		if task := got.Task(3); task.Attempt != 6 || task.Dir != want.Dir || task.Spec != got.Spec {
			t.Errorf("the third attempt of child %d is %+v", i, task)
		}
	}
	plain := &engine.JobSpec{Run: "r", Step: "s", WorkDir: work, Tasks: engine.RangesOf(5), Task: &engine.TaskSpec{Command: []string{"true"}}}
	path = JobPath(work, "r", "plain")
	if err := WriteJob(path, plain); err != nil {
		t.Fatal(err)
	}
	got, err := ReadJob(path, 0)
	if err != nil || got.Key != "5" || got.Attempt != 1 || got.Dir != work+"/r/s/_" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A child reads its own part, however many others there are.
func TestJobFileIsReadInParts(t *testing.T) {
	const children = 10_000
	spec := arraySpec("/work")
	spec.ArraySize, spec.Tasks, spec.Keys, spec.Items = children, engine.Upto(children), nil, nil
	for range children {
		spec.Items = append(spec.Items, &engine.Item{Env: map[string]string{"big": strings.Repeat("x", 1000)}})
	}
	data, err := encodeJob(spec)
	if err != nil {
		t.Fatal(err)
	}
	r := &countingReader{ReaderAt: bytes.NewReader(data)}
	_, record, err := decodeJob(r, int64(len(data)), children-1)
	if err != nil || record.Index != children-1 {
		t.Fatal(record, err)
	}
	if r.bytes > 3000 || len(data) < 10<<20 {
		t.Errorf("%d of %d bytes were read", r.bytes, len(data))
	}
}

type countingReader struct {
	io.ReaderAt
	bytes int
}

func (r *countingReader) ReadAt(p []byte, at int64) (int, error) {
	r.bytes += len(p)
	return r.ReaderAt.ReadAt(p, at)
}

func TestJobFileErrors(t *testing.T) {
	work := t.TempDir()
	spec := arraySpec(work)
	path := JobPath(work, "run", "job")
	if err := WriteJob(path, spec); err != nil {
		t.Fatal(err)
	}
	whole := []byte(read(t, path))
	changed := func(change func(b []byte)) string {
		b := bytes.Clone(whole)
		change(b)
		return string(b)
	}
	other := func(change func(*engine.JobSpec)) string {
		s := arraySpec(work)
		change(s)
		b, err := encodeJob(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	tests := []struct{ name, content, want string }{
		{"empty", "", "is no job file of flow"},
		{"foreign", "#!/bin/sh\n" + strings.Repeat("x", 100), "is no job file of flow"},
		{"newer", changed(func(b []byte) { binary.BigEndian.PutUint32(b[8:], 2) }),
			"has version 2, and this flow knows 1: the agent must be of the same release as the flow that submitted the job"},
		{"cut", string(whole[:len(whole)-1]), "is no whole job file: it was cut or changed"},
		{"longer", string(whole) + "x", "is no whole job file: it was cut or changed"},
		{"a bit of the header", changed(func(b []byte) { b[12] ^= 1 }), "is no whole job file: it was cut or changed"},
		{"a bit of the head", changed(func(b []byte) { b[jobHeader+3] ^= 1 }), "is no whole job file: it was cut or changed"},
		{"a bit of the record", changed(func(b []byte) { b[len(b)-3] ^= 1 }), "is no whole job file: it was cut or changed"},
		{"fewer children", other(func(s *engine.JobSpec) { s.ArraySize, s.Tasks, s.Keys, s.Items = 2, engine.Upto(2), nil, nil }), "has no child 2: there are 2"},
		{"another work_dir", other(func(s *engine.JobSpec) { s.WorkDir = "/elsewhere" }), "belongs into /elsewhere/run/.jobs"},
		{"another run", other(func(s *engine.JobSpec) { s.Run = "other" }), "belongs into " + work + "/other/.jobs"},
		{"a relative work_dir", other(func(s *engine.JobSpec) { s.WorkDir = "work" }), "says work_dir work, which is not an absolute path"},
		{"a step that leads away", other(func(s *engine.JobSpec) { s.Step = "../../etc" }), `is for step "../../etc" of run "run", and these are no names`},
		{"a run that leads away", other(func(s *engine.JobSpec) { s.Run = ".." }), `is for step "m.step" of run "..", and these are no names`},
	}
	for _, tt := range tests {
		write(t, path, tt.content)
		if _, err := ReadJob(path, 2); err == nil || err.Error() != path+" "+tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	if _, err := ReadJob(work+"/no", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("where none is: %v", err)
	}
	for want, change := range map[string]func(*engine.JobSpec){
		"the job has no task to run":                          func(s *engine.JobSpec) { s.Task = nil },
		"the job has 3 children, 3 tasks, 2 keys and 3 items": func(s *engine.JobSpec) { s.Keys = s.Keys[:2] },
	} {
		s := arraySpec(work)
		change(s)
		if err := WriteJob(path, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := WriteJob("/dev/null/x/j.job", spec); err == nil || err.Error() != "cannot write the job file: /dev/null: not a directory" {
		t.Error(err)
	}
}

// What is written is read, child by child, and no byte of it may change unseen.
func TestJobFileProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(1, 5).Draw(rt, "size")
		spec := arraySpec("/w")
		spec.ArraySize, spec.Tasks, spec.Keys, spec.Items = size, engine.Upto(size), nil, nil
		for range size {
			spec.Keys = append(spec.Keys, rapid.String().Draw(rt, "key"))
			spec.Items = append(spec.Items, &engine.Item{Command: rapid.SliceOfN(rapid.String(), 1, 3).Draw(rt, "command")})
		}
		data, err := encodeJob(spec)
		if err != nil {
			rt.Fatal(err)
		}
		for i := range size {
			_, record, err := decodeJob(bytes.NewReader(data), int64(len(data)), i)
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(&jobRecord{Child: i, Index: i, Key: spec.Keys[i], Item: spec.Items[i]}, record); diff != "" {
				rt.Fatal(diff)
			}
		}
		at := rapid.IntRange(0, len(data)-1).Draw(rt, "at")
		data[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		seen := false
		for i := range size {
			_, _, err := decodeJob(bytes.NewReader(data), int64(len(data)), i)
			seen = seen || err != nil
		}
		if !seen {
			rt.Fatalf("nobody has noticed the change of byte %d", at)
		}
	})
}

// FuzzReadJob: whatever a job file is, there is an error or a task inside its work_dir.
func FuzzReadJob(f *testing.F) {
	data, err := encodeJob(arraySpec("/w"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, 0)
	f.Add(data[:50], 1)
	f.Add([]byte(nil), -1)
	f.Fuzz(func(t *testing.T, data []byte, child int) {
		repair(data)
		head, record, err := decodeJob(bytes.NewReader(data), int64(len(data)), child)
		if err != nil {
			return
		}
		job, err := newJob(head, record)
		if err != nil {
			return
		}
		if rel, err := filepath.Rel(head.WorkDir, job.Dir); err != nil || !filepath.IsLocal(rel) || strings.Count(filepath.Clean(rel), "/") != 2 {
			t.Errorf("the task's directory is %q in work_dir %q", job.Dir, head.WorkDir)
		}
	})
}

// repair makes the sums of a job file right, so that a fuzzer gets behind them.
func repair(data []byte) {
	if len(data) < jobHeader {
		return
	}
	copy(data, jobMagic)
	binary.BigEndian.PutUint32(data[8:], jobVersion)
	binary.BigEndian.PutUint64(data[24:], uint64(len(data)))
	if end := jobHeader + int64(binary.BigEndian.Uint32(data[16:])); end <= int64(len(data)) {
		binary.BigEndian.PutUint32(data[20:], sum32(data[jobHeader:end]))
	}
	binary.BigEndian.PutUint32(data[32:], sum32(data[:32]))
}

func BenchmarkJobFile(b *testing.B) {
	const children = 10_000
	spec := arraySpec(b.TempDir())
	spec.ArraySize, spec.Tasks, spec.Keys, spec.Items = children, engine.Upto(children), nil, nil
	for range children {
		spec.Items = append(spec.Items, &engine.Item{Env: map[string]string{"big": strings.Repeat("x", 1000)}})
	}
	path := JobPath(spec.WorkDir, spec.Run, spec.Name)
	b.Run("Write", func(b *testing.B) {
		for b.Loop() {
			if err := WriteJob(path, spec); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Read", func(b *testing.B) {
		for b.Loop() {
			if _, err := ReadJob(path, children-1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
