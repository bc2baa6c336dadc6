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
	noLook  bool

	out    *bufio.Writer
	term   view.Term
	home   string   // directory of the state file
	prefix bool     // say which task a line is of
	jobs   executor // keeps the logs; nil: they are files
	logs   map[string]attemptLog
	looked time.Time // when AWS Batch was last looked at
	told   bool      // that logs cannot be read now
}

// An attemptLog is the log of one attempt of a task, read piece by piece while it grows.
type attemptLog interface {
	// read calls line with each line, without its newline, from where the last read
	// stopped. tail > 0 skips all but that many last lines, the first time. whole says that
	// no more is written: a last line without an end is a line then.
	read(ctx context.Context, tail int, whole bool, line func([]byte) error) error
}

// How often flow logs -f looks for more: into files, and at AWS Batch and CloudWatch Logs.
const (
	followEvery  = 250 * time.Millisecond
	followRemote = 2 * time.Second
)

func newLogs(a *app) *cobra.Command {
	l := &logCommand{app: a, logs: map[string]attemptLog{}}
	cmd := &cobra.Command{
		Use:   "logs [RUN[/STEP[[\"KEY\"]]]]",
		Short: "Print or follow what tasks wrote",
		Long: `Print what the tasks of a run, of a step or one task wrote: stdout and stderr, in order.
Without RUN the newest run is taken. With more than one task, each line begins with the
task's name. On a terminal, escape sequences are taken out or written out; in a pipe
the bytes are left as they are.

Of a run on AWS Batch the logs are read from CloudWatch Logs, where lines arrive some
seconds after they are written.`,
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
	flags.BoolVar(&l.noLook, "no-look", false, "of a run on AWS Batch that nobody drives: go by what is recorded, and do not look which tasks have run")
	return cmd
}

func (l *logCommand) run(ctx context.Context, t target) error {
	past, err := l.openRun(ctx, t.run)
	if err != nil {
		return err
	}
	defer past.close()
	if !l.noLook {
		l.looked = l.now()
		if err := l.look(ctx, past); err != nil {
			l.say("%s", asOf(ctx, past, err))
		}
	}
	task, err := t.check(past.run)
	if err != nil {
		return err
	}
	l.home = past.home()
	l.out, l.term, l.prefix = bufio.NewWriterSize(l.stdout, longestLine), l.outTerm(), task < 0
	every := followEvery
	if past.run.Info().Executor == batchExecutor {
		if l.jobs, err = l.reach(ctx, past); err != nil {
			return err
		}
		defer l.jobs.Close(ctx)
		every = l.pollEvery()
	}
	for {
		ended, missed := true, false // tasks have ended; a log could not be read
		printed := 0
		for status := range l.tasks(past.run, t, task) {
			n, err := l.print(ctx, past.run, &status, status.Status.Ended() || !l.follow)
			if err != nil && !l.later(ctx, err) {
				return err
			}
			printed += n
			ended, missed = ended && status.Status.Ended(), missed || err != nil
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
		if !missed && (ended && !past.grows(t) || past.run.Ended()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return exit(exitInterrupted)
		case <-time.After(every):
		}
		if err := l.again(ctx, past); err != nil {
			return err
		}
	}
}

// again takes in what has happened to the run since.
func (l *logCommand) again(ctx context.Context, past *past) error {
	if l.jobs != nil && !l.noLook {
		return l.lookAgain(ctx, past)
	}
	return past.refresh(ctx)
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
func (l *logCommand) print(ctx context.Context, run *engine.Run, t *engine.TaskStatus, whole bool) (lines int, err error) {
	log := l.logs[t.Name]
	if log == nil {
		if log = l.open(run, t, l.attempt); log == nil {
			return 0, nil
		}
		l.logs[t.Name] = log
	}
	err = log.read(ctx, l.tail, whole, func(line []byte) error {
		lines++
		return l.line(t, line)
	})
	if err == nil && l.follow && l.attempt == 0 && !t.Status.Ended() {
		if next := l.open(run, t, 0); next != nil && !sameLog(next, log) {
			l.logs[t.Name] = next
		}
	}
	return lines, err
}

// open returns the log of an attempt of a task, 0: of the newest one; nil if there is none.
func (l *logCommand) open(run *engine.Run, t *engine.TaskStatus, attempt int) attemptLog {
	if l.jobs != nil {
		return l.openRemote(run, t, attempt)
	}
	dir := hereDir(l.home, t.Dir)
	if attempt == 0 {
		attempt = lastAttempt(dir)
	}
	if attempt == 0 {
		return nil
	}
	return &logFile{path: agent.LogPath(dir, attempt)}
}

// sameLog reports whether two are logs of the same attempt.
func sameLog(a, b attemptLog) bool {
	switch a := a.(type) {
	case *logFile:
		b, ok := b.(*logFile)
		return ok && a.path == b.path
	case *remoteLog:
		b, ok := b.(*remoteLog)
		return ok && a.job == b.job && a.attempt == b.attempt
	}
	return false
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
		case engine.Cached:
			return fmt.Sprintf("%s did not run, its result is known: flow logs %s", status.Name, shellWord(string(status.Hit.Run)+"/"+
				engine.TaskName(status.Hit.Step, run.Workflow().Step(t.step).FanOut, status.Hit.Task)))
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
