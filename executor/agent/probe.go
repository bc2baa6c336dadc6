package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/bmatcuk/doublestar/v4"

	"flow/engine"
)

// errEnough ends a search that has found what it was for.
var errEnough = errors.New("enough")

// Probe implements engine.Prober. Of many objects or files it looks at as few as it needs
// to: a listing ends with the page that has enough of them. Below a prefix, the empty objects
// by which consoles show directories do not count.
func (f *Files) Probe(ctx context.Context, s *engine.Sensor) (met bool, seen string, err error) {
	switch {
	case s.Kind == engine.SensorFile:
		return probeFiles(ctx, s)
	case s.Kind != engine.SensorS3:
		return false, "", fmt.Errorf("this version of flow cannot wait for %q", s.Kind)
	case s.Prefix:
		return f.probePrefix(ctx, s)
	}
	st, err := f.open(ctx, s.Target)
	if err != nil {
		return false, "", err
	}
	o, err := st.Head(ctx, s.Target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, "it is not there", nil
	case errors.Is(err, fs.ErrPermission):
		return false, "", fmt.Errorf("%w (S3 tells who may not list the bucket that an object is forbidden, too, when it is not there: allow s3:ListBucket)", err)
	case err != nil:
		return false, "", later(err)
	}
	return true, fmt.Sprintf("%s, %d bytes of %s", show(s.Target), o.Size, o.Modified.UTC().Format("2006-01-02T15:04:05Z")), nil
}

// probePrefix looks for objects below a prefix.
func (f *Files) probePrefix(ctx context.Context, s *engine.Sensor) (bool, string, error) {
	st, err := f.open(ctx, s.Target)
	if err != nil {
		return false, "", err
	}
	n := 0
	for o, err := range st.List(ctx, s.Target) {
		if err != nil {
			return false, "", later(err)
		}
		if strings.HasSuffix(o.URI, "/") {
			continue
		}
		if n++; n >= s.Count {
			return true, s.What(), nil
		}
	}
	return false, fmt.Sprintf("%d of %d are there", n, s.Count), nil
}

// probeFiles looks for files of this machine.
func probeFiles(ctx context.Context, s *engine.Sensor) (bool, string, error) {
	if !s.Pattern {
		info, err := os.Stat(s.Target)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return false, "it is not there", nil
		case err != nil: // a file system may come back, and a permission
			return false, "", &laterError{errors.New(Explain(err))}
		case info.IsDir():
			return true, show(s.Target), nil
		}
		return true, fmt.Sprintf("%s, %d bytes of %s", show(s.Target), info.Size(), info.ModTime().UTC().Format("2006-01-02T15:04:05Z")), nil
	}
	base, pattern := doublestar.SplitPattern(s.Target)
	n := 0
	err := doublestar.GlobWalk(os.DirFS(base), pattern, func(string, fs.DirEntry) error {
		if n++; n >= s.Count {
			return errEnough
		}
		return ctx.Err()
	})
	switch {
	case errors.Is(err, errEnough):
		return true, s.What(), nil
	case ctx.Err() != nil:
		return false, "", ctx.Err()
	case errors.Is(err, doublestar.ErrBadPattern):
		return false, "", fmt.Errorf("%s is no pattern: a [ or a { is not closed", show(s.Target))
	case err != nil:
		return false, "", &laterError{errors.New(Explain(err))}
	}
	return false, fmt.Sprintf("%d of %d are there", n, s.Count), nil
}
