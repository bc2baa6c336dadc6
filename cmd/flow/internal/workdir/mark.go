package workdir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"flow/engine"
	"flow/executor/store"
)

// A Mark is the content of a file .used/<run>: where the run is that uses results.
type Mark struct {
	WorkDir string `json:"work_dir"`
	Host    string `json:"host,omitempty"` // of a directory on a machine
}

// Marks is an engine.Cache for the driver of a run: what it tells of results on S3 stays
// there as long as the run does. It marks the runs that results are of, and then looks
// whether they are still there. The driver looks at the manifests behind that.
//
// It is the half of an agreement whose other half is [Dir.Remove]: who removes a run says so
// first, and then looks for marks. Of the two, one sees the other.
type Marks struct {
	Cache engine.Cache // that knows results
	Run   engine.RunID // that uses them
	Dir   Dir          // of that run

	mu    sync.Mutex
	given map[string]bool // directories of runs that are marked
}

var (
	_ engine.FamilyCache = (*Marks)(nil)
	_ engine.PlainCache  = (*Marks)(nil)
)

// Lookup implements engine.Cache.
func (m *Marks) Lookup(ctx context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	hits, err := m.Cache.Lookup(ctx, keys)
	if err != nil {
		return nil, err
	}
	return hits, m.keep(ctx, hits)
}

// LookupPlain implements engine.PlainCache.
func (m *Marks) LookupPlain(ctx context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	plain, ok := m.Cache.(engine.PlainCache)
	if !ok {
		return m.Lookup(ctx, keys)
	}
	hits, err := plain.LookupPlain(ctx, keys)
	if err != nil {
		return nil, err
	}
	return hits, m.keep(ctx, hits)
}

// keep marks the runs that results on S3 are of, and empties those that do not stay.
func (m *Marks) keep(ctx context.Context, hits []engine.Hit) (err error) {
	held := map[string]bool{}
	for i := range hits {
		h := &hits[i]
		if !store.Is(h.Dir) || h.Run == m.Run {
			continue
		}
		dir := RunDir(h.Dir)
		ok, known := held[dir]
		if !known {
			ok, err = m.hold(ctx, dir)
			if errors.Is(err, fs.ErrPermission) || errors.Is(err, store.ErrNoBucket) {
				ok, err = false, nil // it cannot be used, and will not be
			}
			if err != nil {
				return fmt.Errorf("marking that results of run %s are used: %w (%w)", h.Run, err, engine.ErrLater)
			}
			held[dir] = ok
		}
		if !ok {
			*h = engine.Hit{}
		}
	}
	return nil
}

// LookupFamily implements engine.FamilyCache. Its results have no files.
func (m *Marks) LookupFamily(ctx context.Context, family engine.CacheKey, n int) ([]engine.HitRange, error) {
	if c, ok := m.Cache.(engine.FamilyCache); ok {
		return c.LookupFamily(ctx, family, n)
	}
	return nil, nil
}

// hold marks the run in a directory, and reports whether it stays.
func (m *Marks) hold(ctx context.Context, dir string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st, err := m.Dir.Store(ctx)
	if err != nil {
		return false, err
	}
	name := dir + usedDir + string(m.Run)
	if !m.given[dir] {
		data, err := json.Marshal(m.mark())
		if err != nil {
			return false, err
		}
		if _, err := st.Put(ctx, name, data); err != nil {
			return false, err
		}
	}
	going, err := m.Dir.there(ctx, dir+removingName)
	if err != nil || going { // the mark stays: results of it may be in use
		return false, err
	}
	there, err := m.Dir.there(ctx, dir+recordName)
	if err != nil {
		return false, err
	}
	if !there { // it is gone, with all that a mark could keep
		return false, st.Remove(ctx, name)
	}
	if m.given == nil {
		m.given = map[string]bool{}
	}
	m.given[dir] = true
	return true, nil
}

func (m *Marks) mark() Mark {
	if m.Dir.Far() {
		return Mark{WorkDir: m.Dir.Path}
	}
	return Mark{WorkDir: m.Dir.Path, Host: host()}
}

func host() string {
	name, _ := os.Hostname()
	return name
}

// user returns whether the run with a mark is there, as far as can be told here: of what is
// in a directory on another machine nobody knows.
func (d Dir) user(ctx context.Context, run engine.RunID, data []byte) (bool, error) {
	var m Mark
	if json.Unmarshal(data, &m) != nil || m.WorkDir == "" {
		return true, nil
	}
	if !store.Is(m.WorkDir) && (m.Host != host() || !filepath.IsAbs(m.WorkDir)) {
		return true, nil
	}
	there, err := d.there(ctx, Dir{Path: m.WorkDir}.Run(run)+recordName)
	if err != nil && ctx.Err() == nil && errors.Is(err, os.ErrPermission) {
		return true, nil
	}
	return there, err
}
