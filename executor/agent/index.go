package agent

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"

	"golang.org/x/sync/errgroup"

	"flow/engine"
)

// cacheDir is the directory, beside those of the runs, of what is known of results by cache
// key. No run has that name.
const cacheDir = ".cache"

// IndexPath returns where the entry of a cache key is: <work_dir>/.cache/<2 digits>/<64 digits>.
func IndexPath(workDir string, key engine.CacheKey) string {
	name := hex.EncodeToString(key[:])
	return strings.TrimRight(workDir, "/") + "/" + cacheDir + "/" + name[:2] + "/" + name
}

// An IndexEntry says where the result for a cache key is, for machines whose state has never
// heard of the run. It is written after the manifest, so that it may lack, and is not
// trusted: the manifest says itself which key it is for.
type IndexEntry struct {
	Run     engine.RunID    `json:"run"`
	Step    engine.StepName `json:"step"`
	Task    string          `json:"task"` // its key
	Dir     string          `json:"dir"`  // its task directory
	Attempt int             `json:"attempt"`
}

// Limits on what is looked up in an index.
const (
	maxIndexed  = 10_000 // keys that one call asks for
	indexAtOnce = 64     // of them at the same time
)

// An Index is what is known of results by cache key, beside the runs of an S3 work_dir. It
// implements engine.Cache.
type Index struct {
	Files   *Files
	WorkDir string // "s3://bucket/prefix"
}

var _ engine.PlainCache = (*Index)(nil)

// LookupPlain implements engine.PlainCache: what has no manifest has no entry.
func (x *Index) LookupPlain(_ context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	return make([]engine.Hit, len(keys)), nil
}

// Lookup implements engine.Cache. Each key is a request or more, so that of more than
// 10,000 keys none behind those is known.
func (x *Index) Lookup(ctx context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	hits := make([]engine.Hit, len(keys))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(indexAtOnce)
	for i, key := range keys[:min(len(keys), maxIndexed)] {
		if key == (engine.CacheKey{}) {
			continue
		}
		g.Go(func() error {
			hit, err := x.lookup(ctx, key)
			hits[i] = hit
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, later(err)
	}
	return hits, nil
}

// lookup returns what is known for one key, or a Hit with an empty Dir.
func (x *Index) lookup(ctx context.Context, key engine.CacheKey) (engine.Hit, error) {
	st, err := x.Files.open(ctx, x.WorkDir)
	if err != nil {
		return engine.Hit{}, err
	}
	data, _, err := st.Get(ctx, IndexPath(x.WorkDir, key))
	if errors.Is(err, fs.ErrNotExist) {
		return engine.Hit{}, nil
	}
	if err != nil {
		return engine.Hit{}, err
	}
	var e IndexEntry
	if json.Unmarshal(data, &e) != nil || e.Dir == "" {
		return engine.Hit{}, nil // of another version, or torn: it is only a hint
	}
	m, err := x.Files.newest(ctx, e.Dir)
	if errors.Is(err, engine.ErrNotFound) {
		return engine.Hit{}, nil
	}
	if err != nil {
		return engine.Hit{}, err
	}
	if m.CacheKey != hex.EncodeToString(key[:]) || m.Run != e.Run || m.Step != e.Step || m.Task != e.Task {
		return engine.Hit{}, nil
	}
	return engine.Hit{Run: m.Run, Step: m.Step, Task: m.Task, Dir: e.Dir, Outputs: m.Outputs}, nil
}
