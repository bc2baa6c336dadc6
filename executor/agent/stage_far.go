package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"flow/engine"
	"flow/executor/store"
)

// A farInput is an input that has to come to this machine.
type farInput struct {
	input string // its name
	uri   string
	id    string // what it was when the run looked at it; "": not known
	name  string // below inputs/
}

// A source is where the content of a farInput comes from.
type source interface {
	// identity returns what the content is, see Files.Identify.
	identity() string
	// expect checks that it is what it was when it was identified, now or when it comes.
	expect(id string) error
	// place makes the file or directory name of root, and returns its files, with paths
	// below root.
	place(ctx context.Context, m *mover, root *os.Root, name string) ([]engine.ManifestFile, error)
}

// A stager brings inputs of an attempt to this machine.
type stager struct {
	at       *Attempt
	files    *Files
	resolver *resolver
	mover    *mover
	root     *os.Root // inputs/
	shared   string   // where they are shared between tasks; "": nowhere
	bytes    atomic.Int64
}

// stageFar brings inputs from elsewhere, many at the same time. On a work_dir on this
// machine they are links to what all tasks share.
func (at *Attempt) stageFar(ctx context.Context, far []farInput) error {
	if len(far) == 0 {
		return nil
	}
	s := &stager{at: at, files: &at.agent.Files}
	s.resolver, s.mover = &resolver{files: s.files}, &mover{}
	for i := range far {
		if store.Is(far[i].uri) {
			st, err := s.files.open(ctx, far[i].uri)
			if err != nil {
				return stageInError(err, "input %q: %v", far[i].input, err)
			}
			s.mover.store = st
			break
		}
	}
	var err error
	if s.root, err = os.OpenRoot(at.Dir + "/" + InputsDir); err != nil {
		return stageInError(err, "%s", Explain(err))
	}
	defer s.root.Close()
	if !store.Is(at.Task.Dir) {
		s.shared = path.Dir(path.Dir(path.Dir(at.Task.Dir))) + "/" + inputsDir
	}
	real := make([]string, len(far))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(transfersAtOnce)
	for i := range far {
		g.Go(func() (err error) {
			real[i], err = s.stage(gctx, &far[i])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	at.bytesIn += s.bytes.Load()
	for _, path := range real {
		if s.shared != "" {
			at.Mounts = append(at.Mounts, path)
		} else {
			at.staged = append(at.staged, path)
		}
	}
	return nil
}

// stage brings one input, and returns its real path.
func (s *stager) stage(ctx context.Context, in *farInput) (string, error) {
	src, err := s.source(ctx, in.uri)
	if err == nil {
		err = src.expect(in.id)
	}
	var real string
	if err == nil {
		real, err = s.put(ctx, src, in)
	}
	if err != nil {
		return "", stageInError(err, "input %q: %s%s", in.input, explainFar(err), makeAgain(in.uri, err))
	}
	return real, nil
}

// makeAgain says what helps if the result of a task is gone or damaged.
func makeAgain(uri string, err error) string {
	taskDir, _, ok := strings.Cut(uri, "/"+engine.ResultDir+"/")
	if !ok || !errors.Is(err, engine.ErrNotFound) && !errors.Is(err, store.ErrChanged) {
		return ""
	}
	step := path.Base(path.Dir(taskDir))
	return fmt.Sprintf("; flow resume RUN -from %s makes it again, or flow run with -replace %s", step, step)
}

// explainFar words why something from elsewhere is not to be had.
func explainFar(err error) string {
	text := Explain(err)
	return strings.TrimSuffix(strings.TrimSuffix(text, ": "+engine.ErrNotFound.Error()), ": "+store.ErrChanged.Error())
}

// source finds out what a URI stands for.
func (s *stager) source(ctx context.Context, uri string) (source, error) {
	switch scheme := uriScheme(uri); scheme {
	case "s3":
		return s.resolver.resolve(ctx, uri)
	case "https":
		return s.files.look(ctx, uri)
	default:
		return nil, errScheme(uri, scheme)
	}
}

// put places an input, or a link to where it is shared.
func (s *stager) put(ctx context.Context, src source, in *farInput) (string, error) {
	if s.shared == "" {
		placed, err := src.place(ctx, s.mover, s.root, in.name)
		s.count(placed)
		if err != nil {
			return "", err
		}
		return filepath.EvalSymlinks(s.at.Dir + "/" + InputsDir + "/" + in.name)
	}
	real, placed, err := s.files.share(ctx, s.shared, shareKey(src, in.uri, s.at.Dir), path.Base(in.name), func(ctx context.Context, root *os.Root, name string) ([]engine.ManifestFile, error) {
		return src.place(ctx, s.mover, root, name)
	})
	if err != nil {
		return "", err
	}
	s.count(placed)
	return real, s.root.Symlink(real, in.name)
}

func (s *stager) count(files []engine.ManifestFile) {
	for i := range files {
		s.bytes.Add(files[i].Size)
	}
}

// encodeList returns the content of a list of files that are shared.
func encodeList(files []engine.ManifestFile) ([]byte, error) {
	return encodeManifest(&engine.Manifest{Version: manifestVersion, Attempt: 1, Files: files})
}

// decodeList reads a list of files that are shared; path is for the error.
func decodeList(path string, data []byte) ([]engine.ManifestFile, error) {
	m, err := decodeManifest(path, data, 1, true)
	if err != nil {
		return nil, err
	}
	return m.Files, nil
}
