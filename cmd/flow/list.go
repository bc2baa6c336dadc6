package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/state"
)

func newList(a *app) *cobra.Command {
	var filter state.RunFilter
	var status, since string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List runs, the newest first",
		Args:    args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if status != "" {
				var st engine.Status
				if err := st.UnmarshalText([]byte(strings.ToUpper(status))); err != nil {
					return errUsage(cmd.CommandPath(), "-status: %w", err)
				}
				filter.Status = []engine.Status{st}
			}
			if since != "" {
				age, err := parseAge(since)
				if err != nil {
					return errUsage(cmd.CommandPath(), "-since: %w", err)
				}
				filter.Since = a.now().Add(-age)
			}
			db, err := a.openState(true)
			if errors.Is(err, engine.ErrNotFound) {
				return a.printRuns(nil)
			}
			if err != nil {
				return err
			}
			defer db.Close()
			if filter.Schedule != "" { // the name alone, or the whole; it may be gone
				if sch, err := db.Schedule(cmd.Context(), filter.Schedule); err == nil {
					filter.Schedule = sch.Full()
				} else if !strings.Contains(filter.Schedule, "/") {
					return err
				}
			}
			runs, err := db.Runs(cmd.Context(), filter)
			if err != nil {
				return err
			}
			return a.printRuns(runs)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&status, "status", "", "only runs with that `STATUS`, such as FAILED")
	flags.StringVar(&filter.Workflow, "workflow", "", "only runs of the workflow `NAME`")
	flags.StringVar(&filter.Schedule, "schedule", "", "only runs that the schedule `NAME` has begun")
	flags.StringVar(&since, "since", "", "only runs of the last `TIME`, such as 12h or 7d")
	flags.IntVarP(&filter.Limit, "limit", "n", 20, "at most `N` runs; 0: all")
	return cmd
}

// A listedJSON is a run in a list.
type listedJSON struct {
	Run      string         `json:"run"`
	Workflow string         `json:"workflow"`
	Status   engine.Status  `json:"status"`
	Reason   string         `json:"reason,omitempty"`
	Created  time.Time      `json:"created"`
	Ended    time.Time      `json:"ended,omitzero"`
	Tasks    map[string]int `json:"tasks"`
	Late     time.Time      `json:"late,omitzero"`      // since when it is late, or was when it ended
	Schedule string         `json:"schedule,omitempty"` // that has begun it
	Slot     time.Time      `json:"slot,omitzero"`      // for which time
}

func listedData(runs []state.Run) []listedJSON {
	list := []listedJSON{}
	for _, r := range runs {
		list = append(list, listedJSON{string(r.ID), r.Workflow, r.Status, r.Reason, r.Created, r.Ended, countsData(r.Tasks), r.Late, r.Schedule, r.Slot})
	}
	return list
}

func (a *app) printRuns(runs []state.Run) error {
	if a.asJSON() {
		return a.printJSON(listedData(runs))
	}
	term := a.outTerm()
	now := a.now()
	table := &view.Table{Header: []string{"RUN", "WORKFLOW", "STATUS", "CREATED", "TIME", "TASKS"}}
	scheduled := slices.ContainsFunc(runs, func(r state.Run) bool { return r.Schedule != "" })
	if scheduled {
		table.Header = append(table.Header, "SCHEDULE")
	}
	for _, r := range runs {
		created := r.Created.UTC().Format(time.RFC3339)
		if term.TTY {
			created = ago(r.Created, now)
		}
		status := term.Style.Status(r.Status)
		if strings.HasPrefix(r.Reason, "paused: ") && r.Ended.IsZero() {
			status += " (paused)"
		}
		if !r.Late.IsZero() && r.Ended.IsZero() {
			status += " (late)"
		}
		row := []string{string(r.ID), view.Clean(r.Workflow), status, created,
			view.Duration(span(r.Created, r.Ended, now)), view.Counts(r.Tasks).Words(term.Style)}
		if scheduled {
			row = append(row, view.Clean(r.Schedule))
		}
		table.Add(row...)
	}
	if len(runs) == 0 {
		a.say("no runs")
		return nil
	}
	return table.Write(a.stdout, term)
}
