package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unicode/utf8"

	"flow/engine"
	"flow/executor/store"
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
	defer c.root.Close()
	if c.objects == nil {
		err = c.sync()
	} else {
		err = c.upload()
	}
	if err != nil {
		return nil, stageOutError(err)
	}
	if err := c.publish(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// From here on there is a result or none, whoever is told to stop meanwhile.
	ctx, cancel := outliving(ctx, recordWait)
	defer cancel()
	m := at.manifest(c)
	if err := at.records.commit(ctx, m); err != nil {
		return nil, stageOutError(err)
	}
	at.Task.index(ctx, at.records)
	return m, nil
}

// recordWait is how long recording a result may go on after the task was told to stop: less
// than ECS gives a container by default (ECS, stopTimeout).
const recordWait = 20 * time.Second

// outliving returns a context that ends some time after ctx.
func outliving(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(wait, cancel)
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// index makes a result known by its cache key, if it has one.
func (t *Task) index(ctx context.Context, r records) {
	if t.CacheKey != (engine.CacheKey{}) {
		r.index(ctx, t)
	}
}

// manifest says what the attempt has left.
func (at *Attempt) manifest(c *collector) *engine.Manifest {
	t := at.Task
	m := &engine.Manifest{
		Version: manifestVersion, Run: t.Run, Step: t.Step, Task: t.Key, Attempt: t.Attempt,
		Files: c.files, Outputs: c.values, Paths: outputPaths(t.Spec), Job: t.Job,
		Started: at.Usage.Started, Stopped: at.Usage.Stopped, PeakMemory: at.Usage.PeakMemory, PeakAtMost: at.Usage.PeakAtMost, CPUSeconds: at.Usage.CPUSeconds,
		BytesIn: at.bytesIn,
	}
	for i := range m.Files {
		m.BytesOut += m.Files[i].Size
	}
	if t.CacheKey != (engine.CacheKey{}) {
		m.CacheKey = hex.EncodeToString(t.CacheKey[:])
	}
	return m
}

// publish copies the outputs that say so to where they belong. What belongs on the disk of
// who started the run is not for here to copy if the result is on S3.
func (c *collector) publish() error {
	dir := c.real
	if c.objects != nil {
		dir = attemptDir(c.objects.uri, c.at.Task.Attempt)
	}
	for i := range c.at.Task.Spec.Outputs {
		o := &c.at.Task.Spec.Outputs[i]
		if o.Publish == "" || c.objects != nil && !store.Is(o.Publish) {
			continue
		}
		target := o.Publish
		if o.Kind == engine.OutputFiles && target[len(target)-1] != '/' {
			target += "/"
		}
		for _, rel := range c.byName[o.Name] {
			if err := c.at.agent.Files.Publish(c.ctx, dir+"/"+rel, target); err != nil {
				return &Error{PublishFailed, fmt.Sprintf("output %q: %v", o.Name, err), err}
			}
		}
	}
	return nil
}

// encodeManifest returns the content of the file of a manifest: a line of JSON, of which
// the last member is the sha256 of all before it, so that a change anywhere is noticed.
func encodeManifest(m *engine.Manifest) ([]byte, error) {
	for i := range m.Files {
		if f := &m.Files[i]; !utf8.ValidString(f.Path) {
			f.RawPath = []byte(f.Path)
		}
	}
	data, err := marshal(m)
	if err != nil {
		return nil, err
	}
	data = bytes.TrimSuffix(data, []byte("}\n"))
	sum := sha256.Sum256(data)
	return fmt.Appendf(data, manifestSum, sum), nil
}

// manifestSum is how the file of a manifest ends.
const manifestSum = ",\"sum\":\"%x\"}\n"

// decodeManifest reads the content of the file of a manifest, path, for an attempt. Those
// of former releases, which are on local file systems only, have no sum. The error is
// engine.ErrNotFound, wrapped.
func decodeManifest(path string, data []byte, attempt int, needSum bool) (*engine.Manifest, error) {
	var m engine.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%s is no manifest (%w): %w", show(path), err, engine.ErrNotFound)
	}
	if m.Version != manifestVersion {
		return nil, notFound("%s has version %d, and this flow knows %d", show(path), m.Version, manifestVersion)
	}
	if !fitsSum(data, needSum) {
		return nil, notFound("%s is not as it was written", show(path))
	}
	if m.Attempt != attempt {
		return nil, notFound("%s is the manifest of attempt %d", show(path), m.Attempt)
	}
	for i := range m.Files {
		if f := &m.Files[i]; f.RawPath != nil {
			f.Path = string(f.RawPath)
		}
	}
	return &m, nil
}

// fitsSum reports whether the content of a manifest fits the sum in it.
func fitsSum(data []byte, needSum bool) bool {
	end := len(data) - len(manifestSum) + len("%x") - 2*sha256.Size
	if end < 0 || !bytes.Contains(data[end:], []byte("sum")) {
		return !needSum && !bytes.HasSuffix(data, []byte(`"}`+"\n"))
	}
	sum := sha256.Sum256(data[:end])
	return string(data[end:]) == fmt.Sprintf(manifestSum, sum)
}

// marshal returns v as a line of JSON, with < and > as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

func (d directory) commit(ctx context.Context, m *engine.Manifest) error {
	if err := d.replaceManifest(ctx, m); err != nil {
		return err
	}
	return d.setResult(ctx, m.Attempt)
}

// replaceManifest puts the file of a manifest in place by way of a temporary one.
func (d directory) replaceManifest(_ context.Context, m *engine.Manifest) error {
	data, err := encodeManifest(m)
	if err != nil {
		return err
	}
	path := ManifestPath(d.path, m.Attempt)
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

func (d directory) clear(_ context.Context, attempt int) error {
	return remove(ManifestPath(d.path, attempt))
}

// setResult makes `result` a link to the attempt that succeeded, and every name in the
// task's directory durable with it.
func (d directory) setResult(_ context.Context, attempt int) error {
	want := strconv.Itoa(attempt)
	link := d.path + "/" + engine.ResultDir
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
	if err := syncDir(d.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(d.path))
}

// index does nothing: the results on this machine are in its state.
func (directory) index(context.Context, *Task) {}

// result reads the link `result`.
func (d directory) result(context.Context) (int, error) {
	name, err := os.Readlink(d.path + "/" + engine.ResultDir)
	if err != nil {
		return 0, notFound("%s has no result", show(d.path))
	}
	attempt, err := strconv.Atoi(name)
	if err != nil || attempt < 1 {
		return 0, notFound("%s/%s leads to %s, which is no attempt", show(d.path), engine.ResultDir, show(name))
	}
	return attempt, nil
}

func (d directory) manifest(_ context.Context, attempt int) (*engine.Manifest, error) {
	return ReadManifest(d.path, attempt)
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
	return decodeManifest(path, data, attempt, false)
}

// Recover returns the manifest of an attempt that had succeeded when the process that ran
// it died: it is there and fits the files. What was left to do is done then. The error is
// engine.ErrNotFound, wrapped, if it had not; of any other nobody knows.
func (a *Agent) Recover(ctx context.Context, t *Task) (*engine.Manifest, error) {
	if !t.Spec.NeedsAgent() {
		return nil, engine.ErrNotFound
	}
	r, err := a.Files.records(ctx, t.Dir)
	if err != nil {
		return nil, err
	}
	m, err := r.manifest(ctx, t.Attempt)
	if err != nil {
		return nil, err
	}
	if m.Run != t.Run || m.Step != t.Step || m.Task != t.Key {
		return nil, notFound("%s is that of another task", show(ManifestPath(t.Dir, t.Attempt)))
	}
	if err := r.verify(ctx, m); err != nil {
		return nil, err
	}
	if err := r.setResult(ctx, t.Attempt); err != nil {
		return nil, err
	}
	t.index(ctx, r)
	return m, nil
}

func (d directory) verify(ctx context.Context, m *engine.Manifest) error {
	return d.files.verifyFiles(ctx, attemptDir(d.path, m.Attempt), present(m))
}
