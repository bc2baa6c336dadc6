package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/agent"
)

// A logCommand is one invocation of flow logs.
type logCommand struct {
	*app
	failed  bool
	follow  bool
	attempt int
	tail    int

	out    *bufio.Writer
	term   view.Term
	prefix bool // say which task a line is of
	files  map[string]*logFile
}

// followEvery is how often flow logs -f looks for more.
const followEvery = 250 * time.Millisecond

func newLogs(a *app) *cobra.Command {
	l := &logCommand{app: a, files: map[string]*logFile{}}
	cmd := &cobra.Command{
		Use:   "logs [RUN[/STEP[[\"KEY\"]]]]",
		Short: "Print or follow what tasks wrote",
		Long: `Print what the tasks of a run, of a step or one task wrote: stdout and stderr, in order.
Without RUN the newest run is taken. With more than one task, each line begins with the
task's name. On a terminal, escape sequences are taken out or written out; in a pipe
the bytes are left as they are.`,
		Args:              args(0, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			t, err := targetOf(argv)
			if err != nil {
				return err
			}
			if l.attempt < 0 || l.tail < 0 {
				return errUsage(cmd.CommandPath(), "-attempt and -tail take numbers from 1 on")
			}
			return l.run(cmd.Context(), t)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&l.failed, "failed", false, "only of tasks that failed")
	flags.BoolVarP(&l.follow, "follow", "f", false, "go on until the tasks have ended")
	flags.IntVar(&l.attempt, "attempt", 0, "the log of attempt `N`, counted from 1 (default: the last one)")
	flags.IntVar(&l.tail, "tail", 0, "at most `N` last lines of each log")
	return cmd
}

func (l *logCommand) run(ctx context.Context, t target) error {
	past, err := l.openRun(ctx, t.run)
	if err != nil {
		return err
	}
	defer past.close()
	task, err := t.check(past.run)
	if err != nil {
		return err
	}
	l.out, l.term, l.prefix = bufio.NewWriterSize(l.stdout, longestLine), l.outTerm(), task < 0
	for {
		ended := true
		printed := 0
		for status := range l.tasks(past.run, t, task) {
			n, err := l.print(&status, status.Status.Ended() || !l.follow)
			if err != nil {
				return err
			}
			printed += n
			ended = ended && status.Status.Ended()
		}
		if err := l.out.Flush(); err != nil {
			return err
		}
		if !l.follow {
			if printed == 0 && !l.asJSON() {
				l.say("%s", l.nothing(past.run, t, task))
			}
			return nil
		}
		if (ended && !past.grows(t)) || past.run.Ended() {
			return nil
		}
		select {
		case <-ctx.Done():
			return exit(exitInterrupted)
		case <-time.After(followEvery):
		}
		if err := past.refresh(ctx); err != nil {
			return err
		}
	}
}

// tasks yields the tasks of the target that may have written something.
func (l *logCommand) tasks(run *engine.Run, t target, task int) func(func(engine.TaskStatus) bool) {
	return func(yield func(engine.TaskStatus) bool) {
		if task >= 0 {
			yield(run.Task(t.step, task))
			return
		}
		for _, v := range run.Steps() {
			if t.step != "" && v.Step.Name != t.step {
				continue
			}
			for i := range v.Size {
				status := run.Task(v.Step.Name, i)
				if l.failed && status.Status != engine.Failed {
					continue
				}
				if l.prefix && (status.Status == engine.Cached || status.Status == engine.Skipped) {
					continue // of a whole run: what it wrote itself
				}
				if !yield(status) {
					return
				}
			}
		}
	}
}

// print writes what is new in the log of a task, and returns how many lines that were.
func (l *logCommand) print(t *engine.TaskStatus, whole bool) (lines int, err error) {
	file := l.files[t.Name]
	if file == nil {
		attempt := l.attempt
		if attempt == 0 {
			attempt = lastAttempt(t.Dir)
		}
		if attempt == 0 {
			return 0, nil
		}
		file = &logFile{path: agent.LogPath(t.Dir, attempt)}
		l.files[t.Name] = file
	}
	err = file.read(l.tail, whole, func(line []byte) error {
		lines++
		return l.line(t, line)
	})
	if err == nil && l.follow && l.attempt == 0 && !t.Status.Ended() {
		if next := agent.LogPath(t.Dir, lastAttempt(t.Dir)); next != file.path {
			l.files[t.Name] = &logFile{path: next}
		}
	}
	return lines, err
}

func (l *logCommand) line(t *engine.TaskStatus, line []byte) error {
	if l.asJSON() {
		record, err := json.Marshal(struct {
			Task string `json:"task"`
			Text string `json:"text"`
		}{t.Name, string(line)})
		if err != nil {
			return err
		}
		line = record
	} else {
		if l.term.TTY {
			line = []byte(view.CleanLog(string(line)))
		}
		if l.prefix {
			if _, err := l.out.WriteString(l.term.Style.Dim(view.Clean(t.Name)+" |") + " "); err != nil {
				return err
			}
		}
	}
	_, err := l.out.Write(line)
	return errors.Join(err, l.out.WriteByte('\n'))
}

// nothing says why there is nothing to print.
func (l *logCommand) nothing(run *engine.Run, t target, task int) string {
	switch {
	case task >= 0:
		status := run.Task(t.step, task)
		switch status.Status {
		case engine.Pending:
			return fmt.Sprintf("%s has not started", status.Name)
		case engine.Skipped, engine.Cancelled:
			return fmt.Sprintf("%s did not run: %s", status.Name, whyText(nil, status.Reason, status.Cause))
		}
		return fmt.Sprintf("%s wrote nothing", status.Name)
	case l.failed:
		return "no task failed"
	case t.step != "" && run.StepStatus(t.step).Size < 0:
		return fmt.Sprintf("the tasks of step %s are not known yet", t.step)
	}
	return "nothing was written"
}
