package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"flow/engine"
	"flow/executor/store"
)

// inputsDir is the directory, beside those of the runs, of inputs by content: local ones in
// an S3 work_dir, and those from elsewhere in a local one. No run has that name.
const inputsDir = ".inputs"

// executable is behind the hash of an input that is a program: S3 keeps no permissions.
const executable = ".x"

// open returns the store that a path on S3 is in.
func (f *Files) open(ctx context.Context, path string) (store.Store, error) {
	if f.Store == nil {
		return nil, fmt.Errorf("%s is on S3, and there is no S3 here", show(path))
	}
	return f.Store(ctx)
}

// A remote is a file or a directory on S3.
type remote struct {
	uri   string
	dir   bool
	id    string       // its identity, see Files.Identify
	files []remoteFile // the file itself; of a directory those in it
}

// A remoteFile is an object as the content of a file.
type remoteFile struct {
	rel      string // its path in the directory; one that ends in / is an empty directory
	uri      string
	size     int64
	etag     string // "": any
	sha256   string // 64 hexadecimal digits; "": not known
	mode     uint32 // permissions if it is executable
	modified time.Time
}

// A resolver finds out what URIs stand for. It remembers manifests, since the inputs of a
// gather come from few tasks, or many from one. It is safe for concurrent use.
type resolver struct {
	files *Files

	mu        sync.Mutex
	manifests map[string]func() (*engine.Manifest, error) // by task directory
}

// resolve returns what is at a URI of S3: the file or directory of a task's result, an
// object, or the objects below a prefix. The error is engine.ErrNotFound, wrapped, if
// there is nothing.
func (r *resolver) resolve(ctx context.Context, uri string) (*remote, error) {
	if _, _, err := store.Split(uri); err != nil {
		return nil, err
	}
	st, err := r.files.open(ctx, uri)
	if err != nil {
		return nil, err
	}
	there, denied, err := r.named(ctx, st, uri)
	if there != nil || err != nil {
		return there, err
	}
	if dir, err := r.uploaded(ctx, st, uri); dir != nil || err != nil {
		return dir, err
	}
	dir, err := ofPrefix(ctx, st, uri)
	if err == nil && dir == nil {
		if denied != nil {
			return nil, denied
		}
		return nil, fmt.Errorf("%s: %w", r.missing(ctx, st, uri), engine.ErrNotFound)
	}
	return dir, err
}

// named returns what has that very name: the file or directory of a task's result, or an
// object; nil if nothing has. denied is why it is not known whether a result has.
func (r *resolver) named(ctx context.Context, st store.Store, uri string) (there *remote, denied, err error) {
	const mark = "/" + engine.ResultDir + "/"
	for at := len("s3://"); ; at++ {
		next := strings.Index(uri[at:], mark)
		if next < 0 {
			break
		}
		at += next
		m, err := r.manifest(ctx, uri[:at])
		switch {
		case err == nil:
			there, err := ofResult(uri, uri[:at], m, uri[at+len(mark):])
			return there, nil, err
		case errors.Is(err, engine.ErrNotFound):
		case errors.Is(err, fs.ErrPermission):
			denied = err // so S3 says as well of what is not there, if one may not list
		default:
			return nil, nil, err
		}
	}
	if strings.HasSuffix(uri, "/") {
		return nil, denied, nil
	}
	switch o, err := st.Head(ctx, uri); {
	case err == nil:
		return ofObject(uri, o), denied, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, denied, err
	}
	return nil, denied, nil
}

// manifest returns the manifest of a task's result, whose files are not looked at.
func (r *resolver) manifest(ctx context.Context, taskDir string) (*engine.Manifest, error) {
	r.mu.Lock()
	get, ok := r.manifests[taskDir]
	if !ok {
		get = sync.OnceValues(func() (*engine.Manifest, error) { return r.files.newest(ctx, taskDir) })
		if r.manifests == nil {
			r.manifests = map[string]func() (*engine.Manifest, error){}
		}
		r.manifests[taskDir] = get
	}
	r.mu.Unlock()
	return get()
}

// ofResult returns a file or a directory of a result.
func ofResult(uri, taskDir string, m *engine.Manifest, rel string) (*remote, error) {
	rel = path.Clean(rel)
	gone := isGone(m)
	dir := attemptDir(taskDir, m.Attempt) + "/"
	out := &remote{uri: uri, dir: true}
	for i := range m.Files {
		f := &m.Files[i]
		name, ok := below(rel, f.Path)
		if rel == "." {
			name, ok = f.Path, true
		}
		if !ok {
			continue
		}
		if gone(f.Path) {
			return nil, fmt.Errorf("%s was temporary and has been removed: %w", show(uri), engine.ErrNotFound)
		}
		r := ofManifest(f, dir+objectName(f.Path))
		if name == "." {
			return &remote{uri: uri, id: sumID(f.SHA256), files: []remoteFile{r}}, nil
		}
		if r.rel = name; name != "" { // else it is the empty directory itself
			out.files = append(out.files, r)
		}
		out.id = "-"
	}
	if out.id == "" {
		return nil, fmt.Errorf("%s is not there: the result of its task has no such file: %w", show(uri), engine.ErrNotFound)
	}
	out.id = treeID(out.files)
	return out, nil
}

// ofManifest returns a file of a manifest, which the object uri has the content of.
func ofManifest(f *engine.ManifestFile, uri string) remoteFile {
	r := remoteFile{rel: f.Path, uri: uri, size: f.Size, etag: f.ETag, sha256: f.SHA256, mode: f.Mode}
	if f.ModTime != 0 {
		r.modified = time.Unix(0, f.ModTime)
	}
	return r
}

// sumID is the identity of a file whose sha256 is known.
func sumID(sha256 string) string { return "sha256:" + sha256 }

// ofObject returns an object as a file.
func ofObject(uri string, o store.Object) *remote {
	f := remoteFile{uri: uri, size: o.Size, etag: o.ETag, sha256: o.SHA256, modified: o.Modified}
	if sum := inputSum(uri); sum != "" {
		f.sha256 = sum
	}
	if isProgram(uri) {
		f.mode = 0o755
	}
	r := &remote{uri: uri, files: []remoteFile{f}}
	if r.id = sumID(f.sha256); f.sha256 == "" {
		r.id = fmt.Sprintf("etag:%s:%d", o.ETag, o.Size)
	}
	return r
}

// inputPath returns what a path below .inputs tells: the hash, and whether it is a program.
var inputPath = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`/\.inputs/([0-9a-f]{64})(\.x)?/[^/]+$`)
})

// inputSum returns the sha256 that the URI of an uploaded input has in it; "" if it is none.
func inputSum(uri string) string {
	if m := inputPath().FindStringSubmatch(uri); m != nil {
		return m[1]
	}
	return ""
}

func isProgram(uri string) bool {
	m := inputPath().FindStringSubmatch(uri)
	return m != nil && m[2] != ""
}

// uploaded returns a directory that Files.Upload has put there; nil if that never puts
// anything there.
func (r *resolver) uploaded(ctx context.Context, st store.Store, uri string) (*remote, error) {
	uri = strings.TrimSuffix(uri, "/")
	sum := inputSum(uri)
	if sum == "" {
		return nil, nil
	}
	data, _, err := st.Get(ctx, uri+manifestExt)
	if errors.Is(err, fs.ErrNotExist) { // whatever of it is there is not all
		return nil, fmt.Errorf("%s is not there: its upload did not end: %w", show(uri), engine.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	list, err := decodeList(uri+manifestExt, data)
	if err != nil {
		return nil, err
	}
	out := &remote{uri: uri, dir: true, id: sumID(sum)}
	for i := range list {
		out.files = append(out.files, ofManifest(&list[i], uri+"/"+objectName(list[i].Path)))
	}
	return out, nil
}

// ofPrefix returns what is below a prefix as a directory; nil if that is nothing.
func ofPrefix(ctx context.Context, st store.Store, uri string) (*remote, error) {
	prefix := strings.TrimRight(uri, "/") + "/"
	out := &remote{uri: uri, dir: true}
	found := false
	for o, err := range st.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		found = true
		rel := strings.TrimPrefix(o.URI, prefix)
		if rel == "" {
			continue // the directory itself, as the console of S3 makes it
		}
		if len(out.files) == maxMatches {
			return nil, fmt.Errorf("%s has more than %d objects below it", show(uri), maxMatches)
		}
		out.files = append(out.files, remoteFile{rel: rel, uri: o.URI, size: o.Size, etag: o.ETag, modified: o.Modified})
	}
	if !found {
		return nil, nil
	}
	out.id = listID(out.files)
	return out, nil
}

// missing says that nothing is at a URI, and why if it is known.
func (r *resolver) missing(ctx context.Context, st store.Store, uri string) string {
	if at := strings.LastIndex(uri, "/"+engine.ResultDir+"/"); at >= 0 {
		for _, err := range st.List(ctx, uri[:at]+"/") {
			if err == nil {
				return show(uri) + " is not there: the task that makes it has no result"
			}
			break
		}
	}
	return show(uri) + " is not there"
}

// isHex reports whether text is n bytes in hexadecimal digits.
func isHex(text string, n int) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == n
}
