package workdir

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/store"
)

// A Removal is the content of .removing: who removes a run. Until Gone it may be called off;
// from then on no mark counts, and all that is left to do is to go on.
type Removal struct {
	By   string `json:"by"`             // the state file, as HOST:PATH
	Gone bool   `json:"gone,omitempty"` // files may be gone
}

// removing returns who removes a run; nil: nobody.
func (d Dir) removing(ctx context.Context, run engine.RunID) (*Removal, error) {
	data, err := d.get(ctx, d.Run(run)+removingName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	is := &Removal{}
	if json.Unmarshal(data, is) != nil {
		is.By = "(not known)"
	}
	return is, nil
}

// A Remover removes runs from S3. Whoever calls it owns the run: nobody drives it.
type Remover struct {
	Dir Dir
	Me  string // names the state file, as HOST:PATH; of two that have one run, one removes it
	// Going reports whether a run is about to be removed as well: its marks do not count.
	Going func(engine.RunID) bool
	// Used returns what else keeps the run, if that came up since it was chosen; "": nothing.
	Used func(context.Context) (string, error)
	Now  time.Time
}

// Use returns the size in bytes of a run's files, and why it is to be kept, as things are
// now; "": it is not. It changes nothing.
func (r *Remover) Use(ctx context.Context, run engine.RunID) (size int64, kept string, err error) {
	is, err := r.Dir.removing(ctx, run)
	if err != nil {
		return 0, "", err
	}
	switch {
	case is != nil && is.By != r.Me:
		return 0, keptGoing(is), nil
	case is == nil || !is.Gone:
		if kept, err = r.users(ctx, run); err != nil || kept != "" {
			return 0, kept, err
		}
	}
	st, err := r.Dir.Store(ctx)
	if err != nil {
		return 0, "", err
	}
	for o, err := range st.List(ctx, r.Dir.Run(run)+"/") {
		if err != nil {
			return 0, "", err
		}
		size += o.Size
	}
	return size, "", nil
}

func keptGoing(is *Removal) string {
	return "flow clean with the state file " + is.By + " is removing it"
}

// Remove removes a run with all its files, or says why it is kept. It may be stopped at any
// moment, and goes on when it is called again: a run that is kept is whole.
func (r *Remover) Remove(ctx context.Context, run engine.RunID) (kept string, err error) {
	st, err := r.Dir.Store(ctx)
	if err != nil {
		return "", err
	}
	gone, kept, err := r.announce(ctx, st, run)
	if err != nil || kept != "" {
		return kept, err
	}
	if !gone {
		if kept, err = r.users(ctx, run); err == nil && kept == "" && r.Used != nil {
			kept, err = r.Used(ctx)
		}
		if err != nil {
			return "", err
		}
		name := r.Dir.Run(run) + removingName
		if kept != "" {
			return kept, st.Remove(ctx, name)
		}
		// From here on there is no way back: a mark that comes now sees .removing.
		if err := r.put(ctx, st, name, Removal{By: r.Me, Gone: true}); err != nil {
			return "", err
		}
	}
	return "", r.remove(ctx, st, run)
}

// announce says that the run is being removed, unless that is said already. It reports
// whether files may be gone.
func (r *Remover) announce(ctx context.Context, st store.Store, run engine.RunID) (gone bool, kept string, err error) {
	data, err := json.Marshal(Removal{By: r.Me})
	if err != nil {
		return false, "", err
	}
	_, failed := st.PutNew(ctx, r.Dir.Run(run)+removingName, data)
	if failed != nil && !errors.Is(failed, store.ErrExists) {
		return false, "", failed
	}
	if failed == nil {
		return false, "", nil
	}
	is, err := r.Dir.removing(ctx, run)
	switch {
	case err != nil:
		return false, "", err
	case is == nil:
		return false, "", failed // another one has called it off just now
	case is.By != r.Me:
		return false, keptGoing(is), nil
	}
	return is.Gone, "", nil
}

func (r *Remover) put(ctx context.Context, st store.Store, name string, is Removal) error {
	data, err := json.Marshal(is)
	if err == nil {
		_, err = st.Put(ctx, name, data)
	}
	return err
}

// users says which run uses results of a run, if there is one.
func (r *Remover) users(ctx context.Context, run engine.RunID) (kept string, err error) {
	st, err := r.Dir.Store(ctx)
	if err != nil {
		return "", err
	}
	for o, err := range st.List(ctx, r.Dir.Run(run)+usedDir) {
		if err != nil {
			return "", err
		}
		by := engine.RunID(path.Base(o.URI))
		if r.Going(by) || by == run {
			continue
		}
		data, _, err := st.Get(ctx, o.URI)
		if errors.Is(err, fs.ErrNotExist) {
			continue // taken back meanwhile
		}
		if err != nil {
			return "", err
		}
		there, err := r.Dir.user(ctx, by, data)
		if err != nil {
			return "", err
		}
		if there {
			return fmt.Sprintf("run %s uses its results", by), nil
		}
	}
	return "", nil
}

// removeAtOnce is how many objects are removed, or looked at, together.
const (
	removeAtOnce = 1000
	lookAtOnce   = 64
)

// remove removes the files of a run: what leads to its results first, its record and the
// announcement last. What of it was in vain is done again by the next call.
func (r *Remover) remove(ctx context.Context, st store.Store, run engine.RunID) error {
	base := r.Dir.Run(run)
	if err := r.forget(ctx, st, run); err != nil {
		return err
	}
	if err := st.Sweep(ctx, base+"/", r.Now); err != nil {
		return err
	}
	last := func(uri string) bool { return strings.HasPrefix(uri, base+recordDir) || uri == base+removingName }
	if err := r.removeAll(ctx, st, base+"/", func(uri string) bool { return !last(uri) }); err != nil {
		return err
	}
	for _, uris := range [][]string{{base + recordName, r.Dir.listed(run)}, {base + removingName}} {
		if err := st.Remove(ctx, uris...); err != nil {
			return err
		}
	}
	// Who marked it and saw that it is being removed has left the mark; who does so now sees
	// that it is gone, and takes it back.
	return r.removeAll(ctx, st, base+usedDir, func(string) bool { return true })
}

// removeAll removes the objects below a prefix that are wanted.
func (r *Remover) removeAll(ctx context.Context, st store.Store, prefix string, wanted func(uri string) bool) error {
	var uris []string
	flush := func() error {
		err := error(nil)
		if len(uris) > 0 {
			err = st.Remove(ctx, uris...)
		}
		uris = uris[:0]
		return err
	}
	for o, err := range st.List(ctx, prefix) {
		if err != nil {
			return err
		}
		if !wanted(o.URI) {
			continue
		}
		if uris = append(uris, o.URI); len(uris) == removeAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// forget removes the entries of the index of known results that lead to the run: the
// manifests of its attempts say which those may be.
func (r *Remover) forget(ctx context.Context, st store.Store, run engine.RunID) error {
	base := r.Dir.Run(run)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(lookAtOnce)
	err := error(nil)
	for o, failed := range st.List(gctx, base+"/") {
		if failed != nil {
			err = failed
			break
		}
		if isManifest(strings.TrimPrefix(o.URI, base+"/")) && o.Size <= store.MaxGet {
			g.Go(func() error { return r.forgetOne(gctx, st, run, o.URI) })
		}
	}
	return errors.Join(g.Wait(), err)
}

// isManifest reports whether a name in the directory of a run is that of a manifest:
// <step>/<key>/<attempt>.json.
func isManifest(name string) bool {
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return false
	}
	number, ok := strings.CutSuffix(parts[2], ".json")
	_, err := strconv.Atoi(number)
	return ok && err == nil
}

// forgetOne removes the entry that leads to the result of a manifest.
func (r *Remover) forgetOne(ctx context.Context, st store.Store, run engine.RunID, manifest string) error {
	data, _, err := st.Get(ctx, manifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var m engine.Manifest
	var key engine.CacheKey
	if json.Unmarshal(data, &m) != nil || len(m.CacheKey) != hex.EncodedLen(len(key)) {
		return nil // it leads to nothing
	}
	if _, err := hex.Decode(key[:], []byte(m.CacheKey)); err != nil {
		return nil
	}
	name := agent.IndexPath(r.Dir.Path, key)
	data, _, err = st.Get(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var e agent.IndexEntry
	if json.Unmarshal(data, &e) == nil && e.Run != run {
		return nil // of a newer run
	}
	return st.Remove(ctx, name)
}

// Lift removes the marks of a run that is gone from the runs whose results it used, which
// are in those directories. What stays does no harm.
func (d Dir) Lift(ctx context.Context, run engine.RunID, dirs []string) error {
	if len(dirs) == 0 {
		return nil
	}
	st, err := d.Store(ctx)
	if err != nil {
		return err
	}
	uris := make([]string, 0, len(dirs))
	for _, dir := range slices.Compact(slices.Sorted(slices.Values(dirs))) {
		uris = append(uris, dir+usedDir+string(run))
	}
	return st.Remove(ctx, uris...)
}
