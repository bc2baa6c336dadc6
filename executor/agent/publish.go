package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"flow/executor/store"
)

// Publish copies a file or a directory to target, an absolute path or the URI of an object,
// or into it if it ends in a slash. What is there is replaced at once: whoever looks sees the
// old or the new, never a part. A file that is there already, of the same size and time of
// modification, is left alone. On file systems that can, a copy shares its blocks with the
// original (copy_file_range). Within S3 it is made there.
//
// On S3 each file of a directory is replaced at once, and not all of them together; what is
// there under other names stays.
func (f *Files) Publish(ctx context.Context, source, target string) error {
	switch scheme := uriScheme(target); {
	case scheme != "" && scheme != "s3":
		return fmt.Errorf("cannot publish to %s: it is neither a path nor the URI of an object on S3", show(target))
	case scheme == "" && !filepath.IsAbs(target):
		return fmt.Errorf("cannot publish to %s: it is not an absolute path", show(target))
	}
	if scheme := uriScheme(source); scheme != "" && scheme != "s3" {
		return errScheme(source, scheme)
	}
	target = targetOf(source, target)
	var err error
	switch {
	case store.Is(target):
		err = f.publishToStore(ctx, source, target)
	case store.Is(source):
		err = f.publishFromStore(ctx, source, target)
	default:
		real, rerr := filepath.EvalSymlinks(source)
		if rerr != nil {
			return fmt.Errorf("cannot publish %s: %s", show(source), Explain(rerr))
		}
		err = publish(ctx, real, target)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return later(fmt.Errorf("cannot publish to %s: %w", show(target), explained(err)))
	}
	return nil
}

// explained is an error in the words of Explain.
func explained(err error) error {
	if text := Explain(err); text != err.Error() {
		return &rewordedError{text, err}
	}
	return err
}

// A rewordedError is an error in other words.
type rewordedError struct {
	text string
	err  error
}

func (e *rewordedError) Error() string { return e.text }
func (e *rewordedError) Unwrap() error { return e.err }

// publish copies real, which is no link, to target.
func publish(ctx context.Context, real, target string) error {
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	old, err := os.Lstat(target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if done, err := mayReplace(real, target, info, old); done || err != nil {
			return err
		}
	}
	parent := filepath.Dir(target)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	if where, err := filepath.EvalSymlinks(parent); err != nil {
		return err
	} else if _, inside := below(real, where); inside {
		return errors.New("it is inside what is to be published")
	}
	if !info.IsDir() {
		return replaceFile(ctx, real, target, info)
	}
	tmp, err := tempName(parent, func(name string) error { return os.Mkdir(name, 0o777) })
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := copyTree(ctx, real, tmp, nil); err != nil {
		return err
	}
	if err := replaceDir(tmp, target); err != nil {
		return err
	}
	return syncDir(parent)
}

// mayReplace reports whether target is what it should be already, and an error if what
// is there must not be replaced.
func mayReplace(real, target string, info, old fs.FileInfo) (done bool, err error) {
	switch {
	case os.SameFile(info, old):
		return true, nil
	case !info.IsDir() && old.IsDir():
		return false, errors.New("a directory is there; end the path in / to publish into it")
	case info.IsDir() && old.IsDir():
		where, err := filepath.EvalSymlinks(target)
		if err != nil {
			return false, err
		}
		return false, guard(where, real)
	}
	return same(info, old), nil
}

// same reports whether a file is surely a copy of another.
func same(info, old fs.FileInfo) bool {
	return old.Mode().IsRegular() && old.Size() == info.Size() && old.ModTime().Equal(info.ModTime()) && old.Mode() == info.Mode()
}

// guard refuses to replace a directory that holds more than a published result: one
// that the source, unless it is "", the user's home or the working directory is in.
func guard(target, source string) error {
	keep := map[string]string{}
	if source != "" {
		keep[source] = "the files to publish"
	}
	if home, err := os.UserHomeDir(); err == nil {
		keep[home] = "your home directory"
	}
	if wd, err := os.Getwd(); err == nil {
		keep[wd] = "the working directory"
	}
	for path, what := range keep {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			if _, ok := below(target, real); ok {
				return fmt.Errorf("that would replace %s; end the path in / to publish into it", what)
			}
		}
	}
	return nil
}

// replaceFile copies a file to target by way of a temporary file beside it.
func replaceFile(ctx context.Context, real, target string, info fs.FileInfo) error {
	parent := filepath.Dir(target)
	tmp, err := tempName(parent, func(name string) error { return copyFile(ctx, real, name, info) })
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, target); err != nil {
		os.Remove(tmp)
		return err
	}
	return syncDir(parent)
}

// replaceDir puts the directory tmp in target's place.
func replaceDir(tmp, target string) error {
	err := os.Rename(tmp, target)
	if err == nil {
		return nil
	}
	if _, lerr := os.Lstat(target); lerr != nil {
		return err
	}
	if exchange(tmp, target) == nil {
		return nil // what was there is tmp now, and is removed by the caller
	}
	aside := tmp + ".old"
	if err := os.Rename(target, aside); err != nil {
		return err
	}
	if err := os.Rename(tmp, target); err != nil {
		return errors.Join(err, os.Rename(aside, target))
	}
	return os.RemoveAll(aside)
}

// tempName calls create with names in dir until one is free, and returns that.
func tempName(dir string, create func(name string) error) (string, error) {
	stamp := strconv.FormatInt(time.Now().UnixNano(), 36)
	for i := 0; ; i++ {
		name := dir + "/.flow-publish-" + stamp + "-" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(i)
		err := create(name)
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrExist) || i >= 100 {
			return "", err
		}
	}
}

// copyTree copies what is in a directory, with links replaced by what they lead to.
func copyTree(ctx context.Context, real, to string, way []string) error {
	if slices.Contains(way, real) {
		return fmt.Errorf("%s is linked to from inside itself", show(real))
	}
	way = append(way[:len(way):len(way)], real)
	entries, err := os.ReadDir(real)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if len(way) == 1 && e.Name() == InputsDir && isAttempt(real) {
			continue
		}
		src, err := filepath.EvalSymlinks(real + "/" + e.Name())
		if err != nil {
			return err
		}
		info, err := os.Stat(src)
		if err != nil {
			return err
		}
		dst := to + "/" + e.Name()
		switch {
		case info.IsDir():
			if err = os.Mkdir(dst, 0o777); err == nil {
				err = copyTree(ctx, src, dst, way)
			}
		case info.Mode().IsRegular():
			err = copyFile(ctx, src, dst, info)
		default:
			err = fmt.Errorf("%s is neither a file nor a directory (%s)", show(src), info.Mode().Type())
		}
		if err != nil {
			return err
		}
	}
	return syncDir(to)
}

// isAttempt reports whether dir is the directory of an attempt.
func isAttempt(dir string) bool {
	n, err := strconv.Atoi(filepath.Base(dir))
	if err != nil {
		return false
	}
	_, err = os.Lstat(LogPath(filepath.Dir(dir), n))
	return err == nil
}

// copyChunk is how much is copied between two looks at the context.
const copyChunk = 64 << 20

// copyFile copies a file to a new one, with its mode and time of modification, durably.
func copyFile(ctx context.Context, from, to string, info fs.FileInfo) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := dst.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			err = os.Chtimes(to, time.Time{}, info.ModTime())
		}
		if err != nil {
			os.Remove(to)
		}
	}()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		// CopyN on two files is copy_file_range on Linux.
		n, err := io.CopyN(dst, src, copyChunk)
		if errors.Is(err, io.EOF) || n == 0 && err == nil {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := dst.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	return dst.Sync()
}
