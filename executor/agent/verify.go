package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"flow/engine"
	"flow/executor/store"
)

// fewFiles is up to how many objects are asked for one by one: a request that lists costs
// more than ten times as much as one for an object (S3 pricing).
const fewFiles = 8

// verifyObjects checks that the files of a result on S3 are there as they were: size and
// ETag of each. The error is engine.ErrNotFound, wrapped, if one is not.
func verifyObjects(ctx context.Context, st store.Store, taskDir string, m *engine.Manifest) error {
	dir := attemptDir(taskDir, m.Attempt) + "/"
	files := present(m)
	if len(files) <= fewFiles {
		for i := range files {
			uri := dir + objectName(files[i].Path)
			got, err := st.Head(ctx, uri)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err := checkObject(&files[i], uri, got, err == nil); err != nil {
				return err
			}
		}
		return nil
	}
	there := make(map[string]store.Object, len(files))
	for o, err := range st.List(ctx, dir) {
		if err != nil {
			return err
		}
		there[o.URI] = o
	}
	for i := range files {
		uri := dir + objectName(files[i].Path)
		got, ok := there[uri]
		if err := checkObject(&files[i], uri, got, ok); err != nil {
			return err
		}
	}
	return nil
}

// checkObject checks an object, if it is there, against a manifest.
func checkObject(want *engine.ManifestFile, uri string, got store.Object, ok bool) error {
	switch {
	case !ok:
		return fmt.Errorf("%s is gone: %w", show(uri), engine.ErrNotFound)
	case got.Size != want.Size:
		return fmt.Errorf("%s has %d bytes, it had %d: %w", show(uri), got.Size, want.Size, engine.ErrNotFound)
	case want.ETag != "" && got.ETag != want.ETag, got.SHA256 != "" && want.SHA256 != "" && got.SHA256 != want.SHA256:
		return fmt.Errorf("%s has been changed: %w", show(uri), engine.ErrNotFound)
	}
	return nil
}

// verifyFiles checks that files are in a directory as they were. A file is read only if its
// time of modification is another. The error is engine.ErrNotFound, wrapped, if one is not.
func (f *Files) verifyFiles(ctx context.Context, dir string, files []engine.ManifestFile) error {
	for i := range files {
		want := &files[i]
		path := dir + "/" + want.Path
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s is gone: %w", show(path), engine.ErrNotFound)
		case err != nil:
			return err
		case info.IsDir() && strings.HasSuffix(want.Path, "/"):
			continue
		case info.Size() != want.Size || !info.Mode().IsRegular():
			return fmt.Errorf("%s has %d bytes, it had %d: %w", show(path), info.Size(), want.Size, engine.ErrNotFound)
		case info.ModTime().UnixNano() == want.ModTime:
			continue
		}
		sum, err := f.sum(ctx, path)
		if err != nil {
			return err
		}
		if hex.EncodeToString(sum[:]) != want.SHA256 {
			return fmt.Errorf("%s has been changed: %w", show(path), engine.ErrNotFound)
		}
	}
	return nil
}

// objectName returns what a file of a directory is called in the key of its object: its
// path, but where that is not UTF-8, as a key has to be.
func objectName(rel string) string {
	if utf8.ValidString(rel) {
		return rel
	}
	return "%-" + hex.EncodeToString([]byte(rel))
}
