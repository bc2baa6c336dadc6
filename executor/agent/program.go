package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"flow/engine"
	"flow/executor/store"
)

// A Program is an agent that is the program of a container, on AWS Batch: it finds its
// task in a job file, claims it, and runs the task's command as a child.
type Program struct {
	Agent   Agent
	Scratch string           // where the container's own files may be, for a work_dir on S3: an absolute path
	Environ []string         // of the process: what the job and Batch have set
	Stderr  io.Writer        // for the agent's own lines; the command has the process's
	Signals <-chan os.Signal // to be passed on to the command, which is then not to succeed
}

// Run does what a job file says for this child of the job, and returns the exit code of
// the container: the command's own, 128 and the number of a signal that ended it, 126 or
// 127 if it could not be started, or one of those of the agent. It reaps whatever child
// of this process ends, as the first process of a container must.
func (p *Program) Run(ctx context.Context, path string) int {
	runtime.LockOSThread() // the command ends with this thread (Pdeathsig)
	defer runtime.UnlockOSThread()
	parent := ctx
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	c := &child{}
	done := make(chan struct{})
	defer close(done)
	go c.passOn(parent, p.Signals, done, cancel)
	code, err := p.run(ctx, c, path)
	if err != nil && ctx.Err() != nil { // as the command, had it been there
		return 128 + int(cmp.Or(c.stoppedBy(), syscall.SIGTERM))
	}
	if err != nil {
		fmt.Fprintf(p.Stderr, "flow: %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return code
}

// run does the work. With an error, which is to be told, the code says which kind it is.
func (p *Program) run(ctx context.Context, c *child, path string) (int, error) {
	job, try, err := p.job(ctx, path)
	if err != nil {
		return ExitStageIn, err
	}
	t := p.task(job, try)
	r, err := p.Agent.Files.records(ctx, t.Dir)
	if err != nil {
		return ExitStageIn, stageInError(err, "%v", err)
	}
	switch claimed, err := claimAll(ctx, r, job, t); {
	case claimed != nil:
		return ExitClaimed, claimed
	case err != nil:
		return ExitStageIn, stageInError(err, "cannot claim the attempt: %v", Explain(err))
	}
	code, err := p.claimed(ctx, c, r, job, t)
	var own *Error
	if errors.As(err, &own) && ctx.Err() == nil {
		if werr := r.putFailure(ctx, t.Attempt, own); werr != nil {
			err = fmt.Errorf("%w (and this could not be written down: %s)", err, Explain(werr))
		}
	}
	return code, err
}

// claimed runs the command of an attempt that is this job's, unless that has been done.
func (p *Program) claimed(ctx context.Context, c *child, r records, job *Job, t *Task) (int, error) {
	switch n, err := p.finished(ctx, job, t); {
	case err != nil:
		return ExitStageIn, stageInError(err, "cannot tell whether attempt %d has succeeded already: %v", n, Explain(err))
	case n > 0:
		fmt.Fprintf(p.Stderr, "flow: attempt %d has succeeded already, though its end was not seen\n", n)
		return 0, nil
	}
	if !t.fresh { // of a dead process of this very attempt
		_ = r.dropFailure(ctx, t.Attempt)
	}
	return p.around(ctx, c, job, t)
}

// task returns the attempt of a job that a try is. Directories of attempts whose results
// are elsewhere have a path of their own each: outside of a container others are beside them.
func (p *Program) task(job *Job, try try) *Task {
	t := job.Task(try.number)
	t.Job = try.id
	if p.Scratch != "" {
		t.Scratch = engine.TaskDir(p.Scratch, job.Run, job.Step, path.Base(job.Dir))
	}
	return t
}

// around runs the command between staging in and out.
func (p *Program) around(ctx context.Context, c *child, job *Job, t *Task) (int, error) {
	at, err := p.Agent.Begin(ctx, t)
	if err != nil {
		return ExitStageIn, err
	}
	argv, err := CommandLine(t.Spec, at.Dir+ScriptSuffix)
	if err != nil {
		return exitNoProgram, &Error{NotStarted, err.Error(), err}
	}
	env := job.environ(p.Environ, at)
	code, err := c.run(argv, env, at.Dir)
	if err != nil {
		return startCode(err), &Error{NotStarted, StartError(argv, env, err).Error(), err}
	}
	if code != 0 {
		return code, nil
	}
	at.Usage = c.used
	at.Usage.inContainer(containerPeak())
	_, err = at.Finish(ctx)
	var own *Error
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &own):
		return own.ExitCode(), err
	}
	return ExitStageOut, err
}

// Exit codes of a command that was not started (POSIX, sh: exit status for commands).
const (
	exitNotExecutable = 126
	exitNoProgram     = 127
)

func startCode(err error) int {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotInPath) {
		return exitNoProgram
	}
	return exitNotExecutable
}

// A try is which attempt of which job this is, as Batch says in the environment.
type try struct {
	id     engine.JobID
	child  int // in the array; 0 of a plain job
	number int // of the attempt, from 1
}

// tryOf reads the variables that Batch sets (Batch User Guide, job_env_vars).
func tryOf(environ []string) (try, error) {
	t := try{number: 1}
	id, _ := LookEnv(environ, "AWS_BATCH_JOB_ID")
	if id == "" {
		return t, errors.New("AWS_BATCH_JOB_ID is not set: this is for jobs of AWS Batch to run")
	}
	t.id = engine.JobID(id)
	var err error
	if text, ok := LookEnv(environ, "AWS_BATCH_JOB_ARRAY_INDEX"); ok {
		if t.child, err = strconv.Atoi(text); err != nil || t.child < 0 {
			return t, fmt.Errorf("AWS_BATCH_JOB_ARRAY_INDEX is %q, and no index", text)
		}
	}
	if text, ok := LookEnv(environ, "AWS_BATCH_JOB_ATTEMPT"); ok {
		if t.number, err = strconv.Atoi(text); err != nil || t.number < 1 {
			return t, fmt.Errorf("AWS_BATCH_JOB_ATTEMPT is %q, and no number of an attempt", text)
		}
	}
	return t, nil
}

// job finds out what is to be done. An error is an *Error.
func (p *Program) job(ctx context.Context, path string) (*Job, try, error) {
	t, err := tryOf(p.Environ)
	if err != nil {
		return nil, t, stageInError(err, "%v", err)
	}
	job, err := p.Agent.Files.ReadJob(ctx, path, t.child)
	switch {
	case err == nil:
		return job, t, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, t, stageInError(err, "%s", missingJob(path))
	}
	return nil, t, stageInError(err, "%v", Explain(err))
}

// missingJob says why a job file is not there.
func missingJob(path string) string {
	if store.Is(path) {
		return show(path) + " is not there: the objects of the run have been removed"
	}
	run := filepath.Dir(filepath.Dir(path))
	workDir := filepath.Dir(run)
	if _, err := os.Stat(workDir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("work_dir %s is not there in this container: mount a shared file system at that path (container { volume ... })", show(workDir))
	}
	if _, err := os.Stat(run); errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("work_dir %s has no %s in this container: what is mounted there is not where flow keeps the run", show(workDir), show(filepath.Base(run)))
	}
	return show(path) + " is not there: the files of the run have been removed"
}

// claimAll claims the attempt, and the first one of the job before it: a twin that lost
// that one is not to have a later one because Batch retries it.
func claimAll(ctx context.Context, r records, job *Job, t *Task) (*ClaimedError, error) {
	for _, n := range slices.Compact([]int{job.Attempt, t.Attempt}) {
		first, err := r.claim(ctx, n, t.Job)
		var claimed *ClaimedError
		if errors.As(err, &claimed) {
			return claimed, nil
		}
		if err != nil {
			return nil, err
		}
		t.fresh = first
	}
	return nil, nil
}

// finished returns the attempt of this job, up to the present one, whose result is
// complete; 0: none is. Batch tries again what has lost its host, even behind its end.
// With an error nobody knows it of the attempt returned.
func (p *Program) finished(ctx context.Context, job *Job, t *Task) (int, error) {
	for n := job.Attempt; n <= t.Attempt; n++ {
		if n == t.Attempt && t.fresh {
			break
		}
		earlier := *t
		earlier.Attempt = n
		_, err := p.Agent.Recover(ctx, &earlier)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, engine.ErrNotFound) {
			return n, err
		}
	}
	return 0, nil
}

// environ returns the environment of the command: what the container has, with the
// secrets that Batch has put there, env of the task, inputs and outputs, FLOW_ and
// AWS_BATCH_ variables, of which the later ones win, as everywhere.
func (j *Job) environ(own []string, at *Attempt) []string {
	t := at.Task
	env := make([]string, 0, len(own)+len(t.Spec.Env)+len(at.Env)+8)
	env = append(env, own...)
	for _, name := range slices.Sorted(maps.Keys(t.Spec.Env)) {
		if _, secret := t.Spec.Secrets[name]; !secret {
			env = append(env, name+"="+t.Spec.Env[name])
		}
	}
	env = append(env, at.Env...)
	env = append(env, t.Environ(j.Index, j.Resources)...)
	for _, kv := range own {
		if strings.HasPrefix(kv, "AWS_BATCH_") {
			env = append(env, kv)
		}
	}
	if _, ok := LookEnv(env, "PATH"); !ok {
		env = append(env, "PATH="+DefaultPath)
	}
	return Unique(env)
}
