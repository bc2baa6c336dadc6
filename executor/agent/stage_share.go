package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/singleflight"

	"flow/engine"
)

// shareKey returns under which name the content of an input is shared: its sha256 if that
// is known, else a hash over what else is known of it, and where it is from. own tells apart
// those of which nothing is known.
func shareKey(src source, uri, own string) string {
	id := src.identity()
	kind, sum, _ := strings.Cut(id, ":")
	r, _ := src.(*remote)
	programs := r.programs()
	switch {
	case kind == "sha256" && programs == "" && isHex(sum, sha256.Size):
		return sum
	case kind == "sha256", kind == "https": // it says where it is from
		id += programs
	case id == "":
		id = own + "\n" + uri
	default:
		id += "\n" + uri + programs
	}
	key := sha256.Sum256([]byte(id))
	return hex.EncodeToString(key[:])
}

// programs returns what tells files with the same contents apart: which are executable.
func (r *remote) programs() string {
	var b strings.Builder
	for i := 0; r != nil && i < len(r.files); i++ {
		if f := &r.files[i]; f.mode&0o111 != 0 {
			b.WriteString("\n" + f.rel)
			b.WriteByte(0)
		}
	}
	return b.String()
}

// isStopped reports whether it was the end of a context that ended something.
func isStopped(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// sharing is what this process is bringing to where tasks share it, by path.
var sharing singleflight.Group

// A shared is what is shared under a key.
type shared struct {
	real  string
	files []engine.ManifestFile
}

// share returns the real path of what is shared in the directory dir under key, and its
// files. It is placed there, as <key>/<name>, if it is not yet, or not as it was: a list of
// its files, <key>.json, which is written last, tells.
func (f *Files) share(ctx context.Context, dir, key, name string, place func(context.Context, *os.Root, string) ([]engine.ManifestFile, error)) (string, []engine.ManifestFile, error) {
	for {
		v, err, _ := sharing.Do(dir+"/"+key, func() (any, error) { return f.shareOnce(ctx, dir, key, name, place) })
		if err == nil {
			s := v.(*shared)
			return s.real, s.files, nil
		}
		if ctx.Err() != nil || !isStopped(err) {
			return "", nil, err
		}
		// It was another task that was stopped while it brought it.
	}
}

func (f *Files) shareOnce(ctx context.Context, dir, key, name string, place func(context.Context, *os.Root, string) ([]engine.ManifestFile, error)) (*shared, error) {
	if s := f.shared(ctx, dir, key); s != nil {
		return s, nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(dir, ".new-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	files, err := place(ctx, root, name)
	if err != nil {
		return nil, err
	}
	if err := protect(root, files); err != nil {
		return nil, err
	}
	if len(files) == 0 { // it is an empty directory
		files = []engine.ManifestFile{{Path: name + "/"}}
	}
	list, err := encodeList(files)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(tmp, 0o755); err != nil { // containers may run as another user
		return nil, err
	}
	if err := f.keep(ctx, dir, key, tmp, list); err != nil {
		return nil, err
	}
	if s := f.shared(ctx, dir, key); s != nil {
		return s, nil
	}
	return nil, errors.New(show(dir+"/"+key) + " was changed at once: something else writes there")
}

// protect makes files durable, and such that a task does not change what others read.
func protect(root *os.Root, files []engine.ManifestFile) error {
	if err := syncPlaced(root, files); err != nil {
		return err
	}
	for i := range files {
		if path := files[i].Path; !strings.HasSuffix(path, "/") {
			if err := root.Chmod(path, 0o444|fs.FileMode(files[i].Mode&0o111)); err != nil {
				return err
			}
		}
	}
	return nil
}

// syncPlaced makes files of root durable.
func syncPlaced(root *os.Root, files []engine.ManifestFile) error {
	if len(files) > manyFiles && syncFS(root.Name()) == nil {
		return nil
	}
	for i := range files {
		if path := files[i].Path; !strings.HasSuffix(path, "/") {
			if err := syncFile(root.Name() + "/" + path); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep moves tmp to where it is shared, in the place of what is not as it was, and writes
// its list.
func (f *Files) keep(ctx context.Context, dir, key, tmp string, list []byte) error {
	at := dir + "/" + key
	err := os.Rename(tmp, at)
	if err != nil {
		if f.shared(ctx, dir, key) != nil {
			return nil // another process was faster
		}
		if err := os.RemoveAll(at); err != nil {
			return err
		}
		err = os.Rename(tmp, at)
	}
	if err != nil {
		return err
	}
	return putFile(at+manifestExt, list)
}

// shared returns what is shared under a key; nil if it is not there as it was.
func (f *Files) shared(ctx context.Context, dir, key string) *shared {
	data, err := os.ReadFile(dir + "/" + key + manifestExt)
	if err != nil {
		return nil
	}
	files, err := decodeList(key, data)
	if err != nil || len(files) == 0 || f.verifyFiles(ctx, dir+"/"+key, files) != nil {
		return nil
	}
	name, _, _ := strings.Cut(files[0].Path, "/")
	real, err := filepath.EvalSymlinks(dir + "/" + key + "/" + name)
	if err != nil {
		return nil
	}
	return &shared{real, files}
}
