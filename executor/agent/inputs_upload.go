package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"flow/engine"
)

// noticeFrom is from which size on an upload is told of, in bytes.
const noticeFrom = 32 << 20

// uploads is what this process has put into an S3 work_dir, or seen there.
type uploads struct {
	flights singleflight.Group // by URI
	mu      sync.Mutex
	done    map[string]bool // likewise
}

// Upload puts local files and directories where the tasks of an S3 work_dir can read them,
// each content once: W/.inputs/<sha256>/<name>. It returns the URI for each path; one that is
// a URI itself stands for itself. notice, unless nil, is told what takes its time; it may be
// called by many at the same time. The error is engine.ErrNotFound, wrapped, if a path is not
// there.
func (f *Files) Upload(ctx context.Context, workDir string, paths []string, notice func(string)) (map[string]string, error) {
	if notice == nil {
		notice = func(string) {}
	}
	uris := make(map[string]string, len(paths))
	local := make([]string, 0, len(paths))
	for _, path := range paths {
		if uriScheme(path) != "" {
			uris[path] = path
		} else {
			local = append(local, path)
		}
	}
	if len(local) == 0 {
		return uris, nil
	}
	st, err := f.open(ctx, workDir)
	if err != nil {
		return nil, err
	}
	u := &uploader{f, &mover{st}, strings.TrimRight(workDir, "/") + "/" + inputsDir + "/", notice}
	slices.Sort(local)
	local = slices.Compact(local)
	got := make([]string, len(local))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(transfersAtOnce)
	for i, path := range local {
		g.Go(func() (err error) {
			got[i], err = u.upload(ctx, path)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, path := range local {
		uris[path] = got[i]
	}
	return uris, nil
}

// An uploader puts inputs into a work_dir.
type uploader struct {
	*Files
	mover  *mover
	prefix string // W/.inputs/
	notice func(string)
}

// upload puts one path there, unless it is.
func (u *uploader) upload(ctx context.Context, from string) (string, error) {
	id, err := u.Identify(ctx, from)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(from)
	if err != nil {
		return "", errors.New(Explain(err))
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", errors.New(Explain(err))
	}
	sum := strings.TrimPrefix(id, "sha256:")
	name := objectName(baseName(from))
	if info.IsDir() {
		uri := u.prefix + sum + "/" + name
		return uri + "/", u.once(ctx, uri, func() error { return u.directory(ctx, real, uri) })
	}
	if info.Mode()&0o111 != 0 {
		sum += executable
	}
	uri := u.prefix + sum + "/" + name
	return uri, u.once(ctx, uri, func() error {
		_, err := u.file(ctx, real, uri, id)
		return err
	})
}

// once does what puts a URI there, unless it is known to be there, or is being put there.
func (u *uploader) once(ctx context.Context, uri string, put func() error) error {
	for {
		u.uploads.mu.Lock()
		done := u.uploads.done[uri]
		u.uploads.mu.Unlock()
		if done {
			return nil
		}
		_, err, _ := u.uploads.flights.Do(uri, func() (any, error) { return nil, put() })
		if err == nil {
			u.uploads.mu.Lock()
			if u.uploads.done == nil {
				u.uploads.done = map[string]bool{}
			}
			u.uploads.done[uri] = true
			u.uploads.mu.Unlock()
			return nil
		}
		if ctx.Err() != nil || !isStopped(err) {
			return err
		}
		// It was another caller who was stopped.
	}
}

// file puts a file there whose identity is id.
func (u *uploader) file(ctx context.Context, real, uri, id string) (engine.ManifestFile, error) {
	file, err := os.Open(real)
	if err != nil {
		return engine.ManifestFile{}, errors.New(Explain(err))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return engine.ManifestFile{}, errors.New(Explain(err))
	}
	entry := engine.ManifestFile{Size: info.Size(), SHA256: strings.TrimPrefix(id, "sha256:"), ModTime: info.ModTime().UnixNano()}
	if info.Mode()&0o111 != 0 {
		entry.Mode = uint32(info.Mode().Perm())
	}
	done, err := u.mover.turn(ctx, info.Size())
	if err != nil {
		return entry, err
	}
	defer done()
	have, err := u.mover.store.Head(ctx, uri)
	switch {
	case err == nil && have.Size == info.Size() && (have.SHA256 == "" || have.SHA256 == entry.SHA256):
		entry.ETag = have.ETag
		return entry, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return entry, fmt.Errorf("looking for %s in the work_dir: %w", show(real), err)
	}
	if info.Size() >= noticeFrom {
		u.notice(fmt.Sprintf("uploading %s (%d MiB) to %s", show(real), info.Size()>>20, show(uri)))
	}
	o, sum, err := u.mover.store.Upload(ctx, uri, file, info.Size())
	if err != nil {
		return entry, fmt.Errorf("uploading %s: %w", show(real), err)
	}
	entry.ETag = o.ETag
	if hex.EncodeToString(sum[:]) != entry.SHA256 {
		// Nobody is to take it for what its name says.
		if err := u.mover.store.Remove(context.WithoutCancel(ctx), uri); err != nil {
			return entry, fmt.Errorf("%s changed while it was uploaded, and %s is to be removed: %w", show(real), show(uri), err)
		}
		return entry, fmt.Errorf("%s changed while it was uploaded", show(real))
	}
	return entry, nil
}

// directory puts a directory there: its files, and then the list of them, without which it
// is not there.
func (u *uploader) directory(ctx context.Context, real, uri string) error {
	list := uri + manifestExt
	data, _, err := u.mover.store.Get(ctx, list)
	if err == nil {
		_, err = decodeList(list, data)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, engine.ErrNotFound) {
		return fmt.Errorf("looking for %s in the work_dir: %w", show(real), err)
	}
	found, err := walk(real)
	if err != nil {
		return err
	}
	u.tell(real, uri, found)
	files := make([]engine.ManifestFile, len(found))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(transfersAtOnce)
	for i := range found {
		if found[i].info.IsDir() {
			files[i] = engine.ManifestFile{Path: found[i].rel}
			continue
		}
		g.Go(func() error {
			sum, err := u.Files.file(gctx, found[i].real, found[i].info)
			if err != nil {
				return err
			}
			files[i], err = u.file(gctx, found[i].real, uri+"/"+objectName(found[i].rel), sumID(hex.EncodeToString(sum[:])))
			files[i].Path = found[i].rel
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if data, err = encodeList(files); err != nil {
		return err
	}
	_, err = u.mover.store.Put(ctx, list, data)
	return err
}

// tell tells of the upload of a directory that takes its time.
func (u *uploader) tell(real, uri string, found []entry) {
	var size int64
	for i := range found {
		if !found[i].info.IsDir() {
			size += found[i].info.Size()
		}
	}
	if size >= noticeFrom || len(found) >= 1000 {
		u.notice(fmt.Sprintf("uploading %s (%d files, %d MiB) to %s", show(real), len(found), size>>20, show(uri)))
	}
}

// An entry is a file of a directory, or an empty directory of it.
type entry struct {
	rel  string // ends in / for an empty directory
	real string
	info fs.FileInfo
}

// walk returns what is in the directory with the real path real: the files, also those that
// links lead to, and the directories with nothing in them, by name. Links that lead nowhere
// are left out.
func walk(real string) ([]entry, error) {
	var found []entry
	var visit func(real, rel string, way []string) error
	visit = func(real, rel string, way []string) error {
		if slices.Contains(way, real) {
			return fmt.Errorf("%s is a link to a directory that it is in", show(rel))
		}
		way = append(way[:len(way):len(way)], real)
		entries, err := os.ReadDir(real)
		if err != nil {
			return errors.New(Explain(err))
		}
		before := len(found)
		for _, e := range entries {
			if rel == "" && e.Name() == InputsDir && isAttempt(real) {
				continue
			}
			sub, name := real+"/"+e.Name(), path.Join(rel, e.Name())
			if e.Type()&fs.ModeSymlink != 0 {
				target, err := filepath.EvalSymlinks(sub)
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					return errors.New(Explain(err))
				}
				sub = target
			}
			info, err := os.Stat(sub)
			if err != nil {
				return errors.New(Explain(err))
			}
			switch {
			case info.IsDir():
				err = visit(sub, name, way)
			case info.Mode().IsRegular():
				found = append(found, entry{name, sub, info})
			default:
				err = fmt.Errorf("%s is neither a file nor a directory (%s)", show(sub), info.Mode().Type())
			}
			if err != nil {
				return err
			}
		}
		if len(found) == before && rel != "" {
			info, err := os.Stat(real)
			if err != nil {
				return errors.New(Explain(err))
			}
			found = append(found, entry{rel + "/", real, info})
		}
		return nil
	}
	return found, visit(real, "", nil)
}
