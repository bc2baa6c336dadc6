package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/agent"
)

// A filesCommand is one invocation of flow files.
type filesCommand struct {
	*app
	get string // the directory to fetch into; "": nothing is fetched

	files *agent.Files
	past  *past
}

func newFiles(a *app) *cobra.Command {
	c := &filesCommand{app: a}
	cmd := &cobra.Command{
		Use:   "files RUN/STEP[[\"KEY\"]]",
		Short: "List or fetch the files that a task left",
		Long: `List the files of a task's result with their sizes and sha256, from S3 or this machine; without
KEY those of all tasks of the step. Of a task that FAILED it is what its last attempt left.

With -get they are copied into DIR, those of several tasks into DIR/KEY, and checked against
what the task recorded. A file that is there already stays as it is; if it has other content,
that is an error.`,
		Args:              args(1, 1),
		ValidArgsFunction: a.completeTargets,
		RunE: func(cmd *cobra.Command, argv []string) error {
			t, err := parseTarget(argv[0])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("get") && c.get == "" {
				return errUsage(cmd.CommandPath(), "-get takes a directory")
			}
			return c.run(cmd.Context(), t)
		},
	}
	cmd.Flags().StringVar(&c.get, "get", "", "copy the files into the directory `DIR`, which is made")
	return cmd
}

// A leftFile is a file that a task left. Fields are only ever added to its JSON.
type leftFile struct {
	Path   string `json:"path"` // relative to the attempt's directory
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"`
	Gone   bool   `json:"gone,omitempty"` // it was temporary, and has been removed
}

// A leftTask is what a task left.
type leftTask struct {
	Task    string        `json:"task"`
	Status  engine.Status `json:"status"`
	Dir     string        `json:"dir,omitempty"`
	Attempt int           `json:"attempt,omitempty"`
	Result  bool          `json:"result"` // it is the result of a task that has succeeded
	Files   []leftFile    `json:"files"`
	Fetched string        `json:"fetched,omitempty"` // the directory they were copied into
	Note    string        `json:"note,omitempty"`    // why there is nothing, or no result

	task     engine.TaskStatus
	bare     bool             // it declares no output
	manifest *engine.Manifest // of the result
	remains  *remains         // of a task without one
}

// filesAtOnce is how many tasks are looked at side by side, since on S3 each takes its time.
const filesAtOnce = 64

func (c *filesCommand) run(ctx context.Context, t target) (err error) {
	if c.past, err = c.openRun(ctx, t.run); err != nil {
		return err
	}
	defer c.past.close()
	tasks, err := c.tasks(t)
	if err != nil {
		return err
	}
	if c.files, err = c.past.files(c.app); err != nil {
		return err
	}
	if err := c.collect(ctx, tasks); err != nil {
		return err
	}
	if len(tasks) == 1 && tasks[0].Dir == "" {
		return errors.New(tasks[0].Note)
	}
	if c.get != "" {
		if err := c.fetch(ctx, tasks); err != nil {
			return err
		}
	}
	return c.print(tasks)
}

// tasks returns the tasks of a target, with nothing known but their status.
func (c *filesCommand) tasks(t target) ([]*leftTask, error) {
	run := c.past.run
	if t.step == "" {
		return nil, fmt.Errorf("the files of which step? Write %s/STEP: %s", t.run, nearby("", stepNames(run)))
	}
	i, err := t.check(run)
	if err != nil {
		return nil, err
	}
	if i >= 0 {
		return []*leftTask{newLeft(run, t.step, i)}, nil
	}
	size := run.StepStatus(t.step).Size
	if size < 0 {
		return nil, fmt.Errorf("the tasks of step %s are not known yet", t.step)
	}
	out := make([]*leftTask, size)
	for i := range out {
		out[i] = newLeft(run, t.step, i)
	}
	return out, nil
}

func newLeft(run *engine.Run, step engine.StepName, i int) *leftTask {
	t, spec := run.Task(step, i), run.Spec(step, i)
	return &leftTask{Task: t.Name, Status: t.Status, Files: []leftFile{}, task: t, bare: spec != nil && len(spec.Outputs) == 0}
}

func stepNames(run *engine.Run) (names []string) {
	for _, s := range run.Workflow().Steps {
		names = append(names, string(s.Name))
	}
	return names
}

// collect finds out what tasks left.
func (c *filesCommand) collect(ctx context.Context, tasks []*leftTask) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(filesAtOnce)
	for _, l := range tasks {
		g.Go(func() error { return c.look(ctx, l) })
	}
	return g.Wait()
}

// look finds out what one task left.
func (c *filesCommand) look(ctx context.Context, l *leftTask) error {
	switch l.Status {
	case engine.Pending:
		l.Note = l.Task + " has not run yet"
		return nil
	case engine.Running:
		l.Note = l.Task + " is still running: what it leaves is known when it has ended"
		return nil
	case engine.Skipped:
		l.Note = fmt.Sprintf("%s did not run: %s", l.Task, whyText(nil, l.task.Reason, l.task.Cause))
		return nil
	}
	if l.Status.OK() {
		m, err := c.files.Left(ctx, l.task.Dir)
		if err == nil {
			l.result(m)
			return nil
		}
		if !errors.Is(err, engine.ErrNotFound) {
			return fmt.Errorf("%s: %w", l.Task, err)
		}
	}
	return c.lookForRemains(ctx, l)
}

// result takes in the manifest of a task.
func (l *leftTask) result(m *engine.Manifest) {
	l.Dir, l.Attempt, l.Result, l.manifest = l.task.Dir, m.Attempt, true, m
	present := agent.Present(m)
	for i := range m.Files {
		f := &m.Files[i]
		gone := len(present) == 0 || present[0].Path != f.Path // it has the same order
		if !gone {
			present = present[1:]
		}
		l.Files = append(l.Files, leftFile{f.Path, f.Size, f.SHA256, gone})
	}
}

// lookForRemains finds out what the last attempt of a task left that has no result.
func (c *filesCommand) lookForRemains(ctx context.Context, l *leftTask) error {
	r, err := findRemains(ctx, c.files, c.past.home(), l.task.Dir)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", l.Task, err)
	case r == nil && l.Status.OK():
		l.Note = fmt.Sprintf("%s is %s, and nothing of its files is left", l.Task, l.Status)
		if l.bare {
			l.Note = l.Task + " declares no output, and nothing else of it is kept"
		}
	case r == nil:
		l.Note = fmt.Sprintf("%s is %s and left nothing", l.Task, l.Status)
	default:
		l.Dir, l.Attempt, l.Files, l.remains = r.dir, r.attempt, r.files, r
		if !l.Status.OK() {
			l.Note = fmt.Sprintf("%s is %s: this is what attempt %d left, and no result", l.Task, l.Status, r.attempt)
		}
	}
	return nil
}

// fetch copies what tasks left.
func (c *filesCommand) fetch(ctx context.Context, tasks []*leftTask) error {
	n, bytes := 0, int64(0)
	for _, l := range tasks {
		if l.Dir == "" {
			continue
		}
		dir := c.get
		if len(tasks) > 1 {
			dir = filepath.Join(dir, engine.KeyDir(true, l.task.Key))
		}
		if err := c.fetchTask(ctx, l, dir); err != nil {
			return fmt.Errorf("%s: %w", l.Task, err)
		}
		l.Fetched = dir
		for _, f := range l.Files {
			if !f.Gone {
				n, bytes = n+1, bytes+f.Size
			}
		}
	}
	c.say("%s (%s) in %s", view.Plural(n, "file"), view.Bytes(bytes), view.Clean(c.get))
	return nil
}

func (c *filesCommand) fetchTask(ctx context.Context, l *leftTask, dir string) error {
	if l.manifest == nil {
		return l.remains.fetch(ctx, dir)
	}
	return c.files.Fetch(ctx, l.task.Dir, l.manifest, nil, dir, nil)
}

// shownDigits is how much of a sha256 a person is shown.
const shownDigits = 12

// print lists the files: for programs in a pipe path, size and sha256, behind the name of the
// task if there are several.
func (c *filesCommand) print(tasks []*leftTask) error {
	if c.asJSON() {
		return c.printJSON(tasks)
	}
	term := c.outTerm()
	table := &view.Table{Header: []string{"FILE", "SIZE", "SHA256"}, Right: []bool{false, true, false}}
	many := len(tasks) > 1
	if many {
		table.Header, table.Right = append([]string{"TASK"}, table.Header...), append([]bool{false}, table.Right...)
	}
	for _, l := range tasks {
		for _, f := range l.Files {
			size, sum := strconv.FormatInt(f.Size, 10), f.SHA256
			if term.TTY {
				size, sum = view.Bytes(f.Size), sum[:min(len(sum), shownDigits)]
			}
			if f.Gone {
				sum += " (removed: it was temporary)"
			}
			row := []string{view.Clean(f.Path), size, sum}
			if many {
				row = append([]string{view.Clean(l.Task)}, row...)
			}
			table.Add(row...)
		}
		if l.Note != "" {
			c.say("%s", view.Clean(l.Note))
		}
	}
	if len(table.Rows) == 0 {
		c.say("there are no files")
		return nil
	}
	return table.Write(c.stdout, term)
}
