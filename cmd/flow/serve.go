package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
)

// serveFlags are the flags of flow serve.
type serveFlags struct {
	web  webFlags
	run  runFlags
	most int
}

func newServe(a *app) *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve [DIR...]",
		Short: "Run workflows by their schedules, drive runs, and serve pages, for long",
		Long: `Be the service of a state file: begin the runs of the schedules of the workflows in DIR, drive
them and those of flow run --detach, do open backfills, send notices, and serve the pages of flow ui.

DIR is a workflow, or a directory with workflows in it. Without DIR it is the one we are in, if
there is a workflow; else those whose schedules the state has. Files are read again when they
change; while one has mistakes, its last version without goes on, and /schedules shows them. A
schedule whose files are not among these ends, until they are again.

It can be killed at any moment: the next one goes on where it was. Of several services of a
state file one drives, and the others serve pages until it is gone. SIGTERM ends it: what runs
on this machine is stopped and goes on with the next service, jobs on AWS Batch go on.

The pages are on a port that stays the same, with a log of what happens on stderr (as JSON with
-json). With -token-file the link stays the same as well, and others can be let in: see
docs/ui.md, also for a proxy in front of it. Programs find the runs at /api/v1, numbers for
Prometheus at /metrics, and at /healthz whether it is there: see docs/api.md.

-var and -var-file are for the runs that begin here, of workflows that have such a variable.`,
		RunE: func(cmd *cobra.Command, dirs []string) error {
			if err := f.run.check(cmd.CommandPath()); err != nil {
				return err
			}
			if f.most < 1 {
				return errUsage(cmd.CommandPath(), "-max-runs takes a number from 1 on")
			}
			return a.serve(cmd, f, dirs)
		},
	}
	f.web.register(cmd.Flags(), servedPort)
	f.run.register(cmd.Flags())
	cmd.Flags().IntVar(&f.most, "max-runs", mostDriven, "drive at most `N` runs at a time; the others wait, in order")
	return cmd
}

func (a *app) serve(cmd *cobra.Command, f *serveFlags, dirs []string) (err error) {
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	log, notify := a.serveLog(), serviceManager()
	s, err := a.openSite(cmd, &f.web, log)
	if err != nil {
		return err
	}
	defer s.close()
	drive := func() error { return nil }
	if s.written != nil {
		d, err := a.newDuty(ctx, s.written, f, dirs, log)
		if err != nil {
			return err
		}
		drive = d.begin(ctx, notify)
	} else if len(dirs) > 0 {
		return fmt.Errorf("the state file %s cannot be written all the time, so schedules cannot be run by it: keep it on a disk of this machine (--state)", s.src.db().Path())
	}
	if f.web.tokenFile == "" {
		if err := a.tellLink(s.link("/"), "the link is good until this ends (with -token-file, longer); Ctrl-C ends it, and stops what runs on this machine until the next one"); err != nil {
			return err
		}
	}
	log.Info("serving", "url", s.base, "state", s.src.db().Path())
	notify.tell("READY=1")
	err = s.serve(ctx)
	notify.tell("STOPPING=1")
	stop()
	err = errors.Join(err, drive())
	log.Info("stopped")
	return err
}

// serveLog writes a line for each thing that happens, to stderr.
func (a *app) serveLog() *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if a.quiet {
		o.Level = slog.LevelWarn
	}
	if a.asJSON() {
		return slog.New(slog.NewJSONHandler(a.stderr, o))
	}
	// Diagnostics are of several lines: flow validate, the pages and JSON show all of them.
	o.ReplaceAttr = func(_ []string, attr slog.Attr) slog.Attr {
		switch v := attr.Value.Any().(type) {
		case string:
			attr.Value = slog.StringValue(view.Brief(v))
		case error:
			attr.Value = slog.StringValue(view.Brief(v.Error()))
		}
		return attr
	}
	return slog.New(slog.NewTextHandler(a.stderr, o))
}
