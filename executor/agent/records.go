package agent

import (
	"context"
	"fmt"

	"flow/engine"
	"flow/executor/store"
)

// records is what is kept of the attempts of one task beside their files: in its directory
// ([directory]) or below its URI ([objects]). An error that is neither fs.ErrNotExist nor
// engine.ErrNotFound says that nobody knows.
type records interface {
	// claim makes an attempt that of a job, so that a job which was submitted twice does not
	// run the command twice: of all jobs that claim an attempt one succeeds, as often as it
	// asks, and the others get a *ClaimedError. first: surely nobody had claimed it before.
	claim(ctx context.Context, attempt int, id engine.JobID) (first bool, err error)
	// claimedBy returns the job that has claimed an attempt; fs.ErrNotExist if none has.
	claimedBy(ctx context.Context, attempt int) (engine.JobID, error)

	// manifest returns the manifest of an attempt; engine.ErrNotFound if there is none or it
	// is not whole. Its files are not looked at.
	manifest(ctx context.Context, attempt int) (*engine.Manifest, error)
	// commit makes an attempt's result: its manifest, where there was none, and that it is the
	// one that has succeeded; durably, and all of it or nothing.
	commit(ctx context.Context, m *engine.Manifest) error
	// replaceManifest puts another manifest in the place of one, durably and at once.
	replaceManifest(ctx context.Context, m *engine.Manifest) error
	// clear removes what a dead process has left of an attempt, but its claim: the manifest,
	// and files that are not in the directory where the command runs.
	clear(ctx context.Context, attempt int) error
	// verify checks that the files of a manifest are there as they were; engine.ErrNotFound
	// if not.
	verify(ctx context.Context, m *engine.Manifest) error

	// removeFiles removes files of an attempt, those of them that are there.
	removeFiles(ctx context.Context, attempt int, files []string) error

	// result returns the attempt that has succeeded; engine.ErrNotFound if none has.
	result(ctx context.Context) (int, error)
	// setResult makes an attempt that has a manifest the one that has succeeded, durably.
	setResult(ctx context.Context, attempt int) error
	// index makes the result of a task known by its cache key. Where it is not, only time is
	// lost.
	index(ctx context.Context, t *Task)

	// failure returns why an attempt has failed around its command; false: nothing is known.
	failure(ctx context.Context, attempt int) (string, bool)
	putFailure(ctx context.Context, attempt int, e *Error) error
	dropFailure(ctx context.Context, attempt int) error
}

var (
	_ records = directory{}
	_ records = objects{}
)

// A directory is the records of a task on a local file system.
type directory struct {
	files *Files
	path  string
}

// objects is the records of a task on S3.
type objects struct {
	store store.Store
	uri   string
}

// records returns what is kept of a task.
func (f *Files) records(ctx context.Context, taskDir string) (records, error) {
	if !store.Is(taskDir) {
		if scheme := uriScheme(taskDir); scheme != "" {
			return nil, errScheme(taskDir, scheme)
		}
		return directory{f, taskDir}, nil
	}
	s, err := f.open(ctx, taskDir)
	if err != nil {
		return nil, err
	}
	return objects{s, taskDir}, nil
}

// ReadClaim returns the id of the job that has claimed an attempt of a task. The error is
// fs.ErrNotExist, wrapped, if none has.
func (f *Files) ReadClaim(ctx context.Context, taskDir string, attempt int) (engine.JobID, error) {
	r, err := f.records(ctx, taskDir)
	if err != nil {
		return "", err
	}
	return r.claimedBy(ctx, attempt)
}

// ReadManifest returns the manifest of an attempt of a task, whose files are not looked at.
// The error is engine.ErrNotFound, wrapped, if there is none or it is not whole.
func (f *Files) ReadManifest(ctx context.Context, taskDir string, attempt int) (*engine.Manifest, error) {
	r, err := f.records(ctx, taskDir)
	if err != nil {
		return nil, err
	}
	return r.manifest(ctx, attempt)
}

// newestOf returns the records of a task, and the manifest of its successful attempt, whose
// files are not looked at. The error is engine.ErrNotFound, wrapped, if there is none.
func (f *Files) newestOf(ctx context.Context, taskDir string) (records, *engine.Manifest, error) {
	r, err := f.records(ctx, taskDir)
	if err != nil {
		return nil, nil, err
	}
	attempt, err := r.result(ctx)
	if err != nil {
		return nil, nil, err
	}
	m, err := r.manifest(ctx, attempt)
	return r, m, err
}

// newest is newestOf without the records.
func (f *Files) newest(ctx context.Context, taskDir string) (*engine.Manifest, error) {
	_, m, err := f.newestOf(ctx, taskDir)
	return m, err
}

// Manifest returns the manifest of a task's successful attempt. The error is
// engine.ErrNotFound, wrapped, with the reason, if there is none, or if a file that it
// names is gone, has another size, or has been changed and has other content.
func (f *Files) Manifest(ctx context.Context, taskDir string) (*engine.Manifest, error) {
	r, m, err := f.newestOf(ctx, taskDir)
	if err == nil {
		err = r.verify(ctx, m)
	}
	if err != nil {
		return nil, later(err)
	}
	return m, nil
}

// Failure implements engine.Files.
func (f *Files) Failure(ctx context.Context, taskDir string, attempt int) string {
	r, err := f.records(ctx, taskDir)
	if err != nil {
		return ""
	}
	why, _ := r.failure(ctx, attempt)
	return why
}

// notFound is engine.ErrNotFound, for a reason.
func notFound(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), engine.ErrNotFound)
}
