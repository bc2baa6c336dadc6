package agent

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"unicode/utf8"

	"flow/engine"
)

// manifestVersion is the version of the manifests written here.
const manifestVersion = 1

// Finish ends an attempt whose command has exited with 0: it checks the outputs, hashes
// them and makes them durable, publishes what is to be published, and then records the
// result. The order makes a result exist either whole or not at all: files, publishing,
// manifest (temp, fsync, rename), the `result` link (temp, rename), directory.
//
// An error is an [*Error], or that of ctx if it ended first; then there is no result. For a
// task that needs no agent, Finish does nothing and returns nil.
func (at *Attempt) Finish(ctx context.Context) (*engine.Manifest, error) {
	if !at.Task.Spec.NeedsAgent() {
		return nil, nil
	}
	m, err := at.finish(ctx)
	if ctx.Err() != nil && err != nil {
		return nil, ctx.Err()
	}
	return m, err
}

func (at *Attempt) finish(ctx context.Context) (*engine.Manifest, error) {
	c, err := at.collect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.sync(); err != nil {
		return nil, stageOutError(err)
	}
	if err := c.publish(); err != nil {
		return nil, err
	}
	t := at.Task
	m := &engine.Manifest{
		Version: manifestVersion, Run: t.Run, Step: t.Step, Task: t.Key, Attempt: t.Attempt,
		Files: c.files, Outputs: c.values,
	}
	if err := writeManifest(t.Dir, m); err != nil {
		return nil, stageOutError(err)
	}
	if err := recordResult(t.Dir, t.Attempt); err != nil {
		return nil, stageOutError(err)
	}
	return m, nil
}

// publish copies the outputs that say so to where they belong.
func (c *collector) publish() error {
	for i := range c.at.Task.Spec.Outputs {
		o := &c.at.Task.Spec.Outputs[i]
		if o.Publish == "" {
			continue
		}
		target := o.Publish
		if o.Kind == engine.OutputFiles && target[len(target)-1] != '/' {
			target += "/"
		}
		for _, rel := range c.byName[o.Name] {
			if err := c.at.agent.Files.Publish(c.ctx, c.real+"/"+rel, target); err != nil {
				return &Error{PublishFailed, fmt.Sprintf("output %q: %v", o.Name, err), err}
			}
		}
	}
	return nil
}

// writeManifest puts the manifest of an attempt in place, durably.
func writeManifest(taskDir string, m *engine.Manifest) error {
	for i := range m.Files {
		if f := &m.Files[i]; !utf8.ValidString(f.Path) {
			f.RawPath = []byte(f.Path)
		}
	}
	data, err := marshal(m)
	if err != nil {
		return err
	}
	path := ManifestPath(taskDir, m.Attempt)
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
	}
	return err
}

// marshal returns v as a line of JSON, with < and > as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// recordResult makes `result` the attempt that succeeded, durably, and with it every
// name in the task's directory.
func recordResult(taskDir string, attempt int) error {
	want := strconv.Itoa(attempt)
	link := taskDir + "/" + engine.ResultDir
	if have, err := os.Readlink(link); err != nil || have != want {
		tmp := link + ".tmp"
		if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(want, tmp); err != nil {
			return err
		}
		if err := os.Rename(tmp, link); err != nil {
			return err
		}
	}
	if err := syncDir(taskDir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(taskDir))
}

// ReadManifest returns the manifest of an attempt. The error is engine.ErrNotFound,
// wrapped, if there is none or it is not whole.
func ReadManifest(taskDir string, attempt int) (*engine.Manifest, error) {
	path := ManifestPath(taskDir, attempt)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", show(path), engine.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	var m engine.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%s is no manifest (%w): %w", show(path), err, engine.ErrNotFound)
	}
	if m.Version != manifestVersion {
		return nil, fmt.Errorf("%s has version %d, and this flow knows %d: %w", show(path), m.Version, manifestVersion, engine.ErrNotFound)
	}
	if m.Attempt != attempt {
		return nil, fmt.Errorf("%s is the manifest of attempt %d: %w", show(path), m.Attempt, engine.ErrNotFound)
	}
	for i := range m.Files {
		if f := &m.Files[i]; f.RawPath != nil {
			f.Path = string(f.RawPath)
		}
	}
	return &m, nil
}

// Recover reports whether an attempt had succeeded when the process that ran it died:
// its manifest is there and fits the files. What was left to do is done then.
func (a *Agent) Recover(ctx context.Context, t *Task) (*engine.Manifest, bool) {
	if !t.Spec.NeedsAgent() {
		return nil, false
	}
	m, err := ReadManifest(t.Dir, t.Attempt)
	if err != nil || m.Run != t.Run || m.Step != t.Step || m.Task != t.Key {
		return nil, false
	}
	if a.Files.verify(ctx, t.Dir, m) != nil || recordResult(t.Dir, t.Attempt) != nil {
		return nil, false
	}
	return m, true
}

// Manifest returns the manifest of a task's successful attempt. The error is
// engine.ErrNotFound, wrapped, with the reason, if there is none, or if a file that it
// names is gone, has another size, or has been changed and has other content.
func (f *Files) Manifest(ctx context.Context, taskDir string) (*engine.Manifest, error) {
	if scheme := uriScheme(taskDir); scheme != "" {
		return nil, errScheme(taskDir, scheme)
	}
	name, err := os.Readlink(taskDir + "/" + engine.ResultDir)
	if err != nil {
		return nil, fmt.Errorf("%s has no result: %w", show(taskDir), engine.ErrNotFound)
	}
	attempt, err := strconv.Atoi(name)
	if err != nil || attempt < 1 {
		return nil, fmt.Errorf("%s/%s leads to %s, which is no attempt: %w", show(taskDir), engine.ResultDir, show(name), engine.ErrNotFound)
	}
	m, err := ReadManifest(taskDir, attempt)
	if err != nil {
		return nil, err
	}
	if err := f.verify(ctx, taskDir, m); err != nil {
		return nil, err
	}
	return m, nil
}

// verify checks that the files of a manifest are there as they were. A file is read
// only if its time of modification is another.
func (f *Files) verify(ctx context.Context, taskDir string, m *engine.Manifest) error {
	dir := attemptDir(taskDir, m.Attempt)
	for i := range m.Files {
		want := &m.Files[i]
		path := dir + "/" + want.Path
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s is gone: %w", show(path), engine.ErrNotFound)
		case err != nil:
			return err
		case info.Size() != want.Size || !info.Mode().IsRegular():
			return fmt.Errorf("%s has %d bytes, it had %d: %w", show(path), info.Size(), want.Size, engine.ErrNotFound)
		case info.ModTime().UnixNano() == want.ModTime:
			continue
		}
		sum, err := f.sum(ctx, path)
		if err != nil {
			return err
		}
		if hex.EncodeToString(sum[:]) != want.SHA256 {
			return fmt.Errorf("%s has been changed: %w", show(path), engine.ErrNotFound)
		}
	}
	return nil
}
