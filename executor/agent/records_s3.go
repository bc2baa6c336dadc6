package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"flow/engine"
)

// claim makes the object of a claim, unless it is there (S3 User Guide,
// conditional-writes).
func (o objects) claim(ctx context.Context, attempt int, id engine.JobID) (bool, error) {
	_, err := o.store.PutNew(ctx, ClaimPath(o.uri, attempt), claimText(id))
	if err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	// It may have been carried out, now or before, and its answer lost.
	by, rerr := o.claimedBy(ctx, attempt)
	switch {
	case rerr == nil && by == id:
		return false, nil
	case rerr == nil:
		return false, &ClaimedError{Attempt: attempt, By: by}
	}
	return false, err
}

func (o objects) claimedBy(ctx context.Context, attempt int) (engine.JobID, error) {
	b, _, err := o.store.Get(ctx, ClaimPath(o.uri, attempt))
	if err != nil {
		return "", err
	}
	return claimOf(b), nil
}

func (o objects) manifest(ctx context.Context, attempt int) (*engine.Manifest, error) {
	path := ManifestPath(o.uri, attempt)
	data, _, err := o.store.Get(ctx, path)
	if err != nil {
		return nil, gone(err)
	}
	return decodeManifest(path, data, attempt, true)
}

// gone makes of an error that says that an object is not there one that engine knows.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", err, engine.ErrNotFound)
	}
	return err
}

// commit puts the manifest last: until then what `result` says leads to nothing.
func (o objects) commit(ctx context.Context, m *engine.Manifest) error {
	if err := o.point(ctx, m.Attempt); err != nil {
		return err
	}
	data, err := encodeManifest(m)
	if err != nil {
		return err
	}
	path := ManifestPath(o.uri, m.Attempt)
	_, err = o.store.PutNew(ctx, path, data)
	if err == nil {
		return nil
	}
	// Likewise: what is there tells whose it is.
	have, _, rerr := o.store.Get(ctx, path)
	switch {
	case rerr == nil && bytes.Equal(have, data):
		return nil
	case rerr == nil:
		return fmt.Errorf("%s: another process has ended this attempt", path)
	}
	return err
}

func (o objects) replaceManifest(ctx context.Context, m *engine.Manifest) error {
	data, err := encodeManifest(m)
	if err == nil {
		_, err = o.store.Put(ctx, ManifestPath(o.uri, m.Attempt), data)
	}
	return err
}

func (o objects) clear(ctx context.Context, attempt int) error {
	uris := []string{ManifestPath(o.uri, attempt)} // before its files
	for object, err := range o.store.List(ctx, attemptDir(o.uri, attempt)+"/") {
		if err != nil {
			return err
		}
		uris = append(uris, object.URI)
	}
	return o.store.Remove(ctx, uris...)
}

func (o objects) verify(ctx context.Context, m *engine.Manifest) error {
	return verifyObjects(ctx, o.store, o.uri, m)
}

// result reads the object `result`, whose text is a number.
func (o objects) result(ctx context.Context) (int, error) {
	path := o.uri + "/" + engine.ResultDir
	data, _, err := o.store.Get(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, notFound("%s has no result", show(o.uri))
	}
	if err != nil {
		return 0, err
	}
	attempt, _ := strconv.Atoi(strings.TrimSuffix(string(data), "\n"))
	if attempt < 1 || !bytes.Equal(data, resultText(attempt)) { // it may have been cut
		return 0, notFound("%s says %q, which is no attempt", show(path), firstBytes(data))
	}
	return attempt, nil
}

// resultText is what the object `result` has for an attempt.
func resultText(attempt int) []byte { return []byte(strconv.Itoa(attempt) + "\n") }

// firstBytes returns as much of what should be short as is good to show.
func firstBytes(b []byte) []byte { return b[:min(len(b), 20)] }

// setResult makes an attempt the result, unless that of a later one is whole: a later one may
// have died before its manifest was there.
func (o objects) setResult(ctx context.Context, attempt int) error {
	if err := o.point(ctx, attempt); err != nil {
		return err
	}
	have, err := o.result(ctx)
	if err != nil || have <= attempt {
		return err
	}
	m, err := o.manifest(ctx, have)
	if err == nil {
		err = o.verify(ctx, m)
	}
	if !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	_, err = o.store.Put(ctx, o.uri+"/"+engine.ResultDir, resultText(attempt))
	return err
}

// point has `result` lead to an attempt, unless it leads to a later one: a host that was taken
// for lost does not undo what came after it.
func (o objects) point(ctx context.Context, attempt int) error {
	path, text := o.uri+"/"+engine.ResultDir, resultText(attempt)
	_, err := o.store.PutNew(ctx, path, text)
	if err == nil || ctx.Err() != nil {
		return err
	}
	have, rerr := o.result(ctx)
	if rerr == nil && have >= attempt {
		return nil
	}
	if rerr != nil && !errors.Is(rerr, engine.ErrNotFound) {
		return err
	}
	_, err = o.store.Put(ctx, path, text)
	return err
}

// index writes the entry of a task's result in W/.cache, three levels up.
func (o objects) index(ctx context.Context, t *Task) {
	workDir := o.uri
	for range 3 {
		workDir = workDir[:strings.LastIndex(workDir, "/")]
	}
	data, err := marshal(&IndexEntry{Run: t.Run, Step: t.Step, Task: t.Key, Dir: t.Dir, Attempt: t.Attempt})
	if err == nil {
		_, _ = o.store.Put(ctx, IndexPath(workDir, t.CacheKey), data)
	}
}

func (o objects) failure(ctx context.Context, attempt int) (string, bool) {
	b, _, err := o.store.Get(ctx, failurePath(o.uri, attempt))
	if err != nil {
		return "", false
	}
	return failureOf(b)
}

func (o objects) putFailure(ctx context.Context, attempt int, e *Error) error {
	b, err := marshal(failure{e.Class, e.Msg})
	if err != nil {
		return err
	}
	_, err = o.store.Put(ctx, failurePath(o.uri, attempt), b)
	return err
}

func (o objects) dropFailure(ctx context.Context, attempt int) error {
	return o.store.Remove(ctx, failurePath(o.uri, attempt))
}
