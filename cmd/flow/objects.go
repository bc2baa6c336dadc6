package main

import (
	"cmp"
	"context"
	"path/filepath"
	"strings"
	"sync"

	"flow/dsl"
	"flow/engine"
	"flow/executor/agent"
	"flow/executor/store"
)

// An opener returns the store of objects. It opens it at the first call, so that whoever has
// no path on S3 needs no AWS, and answers the same from then on.
type opener = func(context.Context) (store.Store, error)

// store returns what opens the store of objects of a site. Where S3 is, the SDK finds out:
// AWS_ENDPOINT_URL_S3.
func (a *app) store(site dsl.Site) opener {
	return openOnce(store.Options{Region: site.Region, Profile: site.Profile})
}

// openOnce returns an opener with options. What could not be opened is tried again.
func openOnce(o store.Options) opener {
	var mu sync.Mutex
	var opened store.Store
	return func(ctx context.Context) (store.Store, error) {
		mu.Lock()
		defer mu.Unlock()
		if opened != nil {
			return opened, nil
		}
		s3, err := store.Open(ctx, o)
		if err != nil {
			return nil, err
		}
		opened = s3
		return opened, nil
	}
}

// store returns what opens the store of objects of the session's run.
func (s *session) store() opener {
	if s.objects == nil {
		site := s.site
		site.Region = cmp.Or(site.Region, s.jobs.Region)
		s.objects = s.a.store(site)
	}
	return s.objects
}

// files returns where the session's run finds files.
func (s *session) files() *agent.Files {
	f := &agent.Files{Store: s.store()}
	if s.db != nil {
		f.Memo = s.db
	}
	return f
}

// files returns where a past run's files are.
func (p *past) files(a *app) (*agent.Files, error) {
	kept, err := paramsOf(p.row)
	if err != nil {
		return nil, err
	}
	s := &session{a: a, site: kept.Batch.overSite(kept.Site), jobs: kept.Place}
	return &agent.Files{Store: s.store()}, nil
}

// knownResults returns the results that the session's run may use again: those that its state
// knows, and with a work_dir on S3 then those that are listed there.
func (s *session) knownResults(files *agent.Files) engine.Cache {
	if !store.Is(s.filesAt) {
		if s.db == nil {
			return nil
		}
		return s.db
	}
	index := &agent.Index{Files: files, WorkDir: s.filesAt}
	if s.db == nil {
		return index
	}
	return &chainedCache{FamilyCache: s.db, next: index}
}

// A chainedCache asks a cache, and another one for what that does not know. It knows as many
// families as the first.
type chainedCache struct {
	engine.FamilyCache
	next engine.Cache
}

// LookupPlain implements engine.PlainCache: only the state knows of tasks without files.
func (c *chainedCache) LookupPlain(ctx context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	return c.FamilyCache.Lookup(ctx, keys)
}

// Lookup implements engine.Cache.
func (c *chainedCache) Lookup(ctx context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	hits, err := c.FamilyCache.Lookup(ctx, keys)
	if err != nil {
		return nil, err
	}
	var ask []engine.CacheKey
	var at []int
	for i := range hits {
		if hits[i].Dir == "" {
			ask, at = append(ask, keys[i]), append(at, i)
		}
	}
	if len(ask) == 0 {
		return hits, nil
	}
	more, err := c.next.Lookup(ctx, ask)
	if err != nil {
		return nil, err
	}
	for k, i := range at {
		hits[i] = more[k]
	}
	return hits, nil
}

// scratchPath is where tasks on this machine work whose files are on S3, beside the state:
// <run>/<step>/<key> in it, as below work_dir.
func scratchPath(home string) string { return filepath.Join(home, "scratch") }

// hereDir returns the directory on this machine that has the logs of a task which ran here:
// its task directory, or if that is on S3 its scratch directory. home is that of the state.
func hereDir(home, taskDir string) string {
	if !store.Is(taskDir) {
		return taskDir
	}
	parts := strings.Split(taskDir, "/")
	return filepath.Join(append([]string{scratchPath(home)}, parts[max(0, len(parts)-3):]...)...) // run, step, key
}

// home is the directory of the state file that a past run is in.
func (p *past) home() string { return filepath.Dir(p.db.Path()) }
