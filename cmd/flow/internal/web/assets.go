package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"time"
)

//go:embed assets
var ownAssets embed.FS

// liveScript has a page follow what it shows.
const liveScript = "live.js"

// assets are the files that pages need, by name. All of them are below one path that has a
// hash over them, so that modules import one another by relative names, and browsers keep
// them for ever.
type assets struct {
	files map[string]asset
	names []string // sorted
	base  string   // "/assets/<hash>/"
}

type asset struct {
	data []byte
	mime string
}

// kinds are the types of files by their extensions, whatever the machine thinks of them.
var kinds = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon",
}

// loadAssets takes in the files of the file systems; none may be there twice.
func loadAssets(from ...fs.FS) (*assets, error) {
	a := &assets{files: map[string]asset{}}
	for _, f := range from {
		err := fs.WalkDir(f, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(f, name)
			if err != nil {
				return err
			}
			base := path.Base(name)
			if _, twice := a.files[base]; twice {
				return fmt.Errorf("there are two assets %s", base)
			}
			kind := kinds[path.Ext(base)]
			if kind == "" {
				kind = mime.TypeByExtension(path.Ext(base))
			}
			a.files[base] = asset{data, kind}
			a.names = append(a.names, base)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(a.names)
	all := sha256.New()
	for _, name := range a.names {
		fmt.Fprintf(all, "%s %d\n", name, len(a.files[name].data))
		all.Write(a.files[name].data)
	}
	a.base = "/assets/" + hex.EncodeToString(all.Sum(nil)[:8]) + "/"
	return a, nil
}

func (a *assets) url(name string) string {
	if _, ok := a.files[name]; !ok {
		return ""
	}
	return a.base + name
}

// serve answers with an asset. Names are looked up, and no file is opened.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	f, ok := a.files[r.PathValue("name")]
	if !ok || r.URL.Path != a.base+r.PathValue("name") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.mime)
	w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
}

// sumOf is a short hash of data.
func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:9])
}
