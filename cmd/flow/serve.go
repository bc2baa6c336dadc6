package main

import (
	"log/slog"

	"github.com/spf13/cobra"
)

func newServe(a *app) *cobra.Command {
	f := webFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve pages about runs, for long",
		Long: `Serve the pages of flow ui without a browser, on a port that stays the same, with a log of
what was asked for on stderr (as JSON with -json). With -token-file the link stays the same as
well, and others can be let in: see docs/ui.md, also for a proxy in front of it. SIGTERM ends
it once what is under way is done.

What runs have left to be told (see flow notices) is sent from here as well, as long as it is there.

Programs find the runs at /api/v1, numbers for Prometheus at /metrics, and at /healthz whether
it is there: see docs/api.md.`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd, &f) },
	}
	f.register(cmd.Flags(), servedPort)
	return cmd
}

func (a *app) serve(cmd *cobra.Command, f *webFlags) error {
	log := a.serveLog()
	s, err := a.openSite(cmd, f, log)
	if err != nil {
		return err
	}
	defer s.close()
	if f.tokenFile == "" {
		if err := a.tellLink(s.link("/")); err != nil {
			return err
		}
	}
	log.Info("serving", "url", s.base, "state", s.src.db().Path())
	err = s.serve(cmd.Context())
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
	return slog.New(slog.NewTextHandler(a.stderr, o))
}
