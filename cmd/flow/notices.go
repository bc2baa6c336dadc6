package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/state"
)

func newNotices(a *app) *cobra.Command {
	var filter state.NoticeFilter
	var waiting bool
	cmd := &cobra.Command{
		Use:   "notices [RUN]",
		Short: "List what was told of runs, and what is still to be",
		Long: `List the notices that runs have left, of one run or of all: the newest first. What is PENDING
is tried again by any flow run, resume, wait, ui or serve with this state file, for three days, and then
GIVEN_UP.

  flow notices retry               try now what is pending
  flow notices retry @last         try again what was not sent of a run, also what was given up
  flow notices drop NOTICE         have one not sent any more`,
		Args:              args(0, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			if waiting {
				filter.Status = []state.NoticeStatus{state.NoticePending}
			}
			return a.listNotices(cmd.Context(), argv, filter)
		},
	}
	cmd.Flags().BoolVar(&waiting, "pending", false, "only those that are not sent yet")
	cmd.Flags().IntVarP(&filter.Limit, "limit", "n", 20, "at most `N` notices; 0: all")
	cmd.AddCommand(&cobra.Command{
		Use:     "list [RUN]",
		Aliases: []string{"ls"},
		Short:   "List notices, as flow notices does",
		Args:    args(0, 1),
		RunE: func(cmd *cobra.Command, argv []string) error {
			return a.listNotices(cmd.Context(), argv, state.NoticeFilter{Limit: 20})
		},
	}, &cobra.Command{
		Use:   "retry [RUN | NOTICE]...",
		Short: "Try now to send what was not sent",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, argv []string) error {
			return a.retryNotices(cmd.Context(), argv)
		},
	}, &cobra.Command{
		Use:   "drop RUN | NOTICE...",
		Short: "Have notices not sent any more",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, argv []string) error {
			return a.dropNotices(cmd.Context(), argv)
		},
	})
	return cmd
}

// A noticeJSON is a notice in a list.
type noticeJSON struct {
	ID       string             `json:"id"`
	Run      engine.RunID       `json:"run,omitempty"`
	Schedule string             `json:"schedule,omitempty"` // it tells of a slot that was missed
	Slot     time.Time          `json:"slot,omitzero"`
	Notice   string             `json:"notice"`
	Event    engine.Occasion    `json:"event"`
	Way      engine.WayKind     `json:"way"`
	Status   state.NoticeStatus `json:"status"`
	Tries    int                `json:"tries"`
	Made     time.Time          `json:"made"`
	Due      time.Time          `json:"due,omitzero"` // of a pending one: when it is tried
	Ended    time.Time          `json:"ended,omitzero"`
	Error    string             `json:"error,omitempty"` // of the last try
}

func (a *app) listNotices(ctx context.Context, argv []string, f state.NoticeFilter) error {
	db, err := a.openState(true)
	if errors.Is(err, engine.ErrNotFound) && len(argv) == 0 {
		return a.printNotices(nil)
	}
	if err != nil {
		return err
	}
	defer db.Close()
	if len(argv) > 0 {
		row, err := db.FindRun(ctx, argv[0])
		if err != nil {
			return err
		}
		f.Run = row.ID
	}
	all, err := db.Notices(ctx, f)
	if err != nil {
		return err
	}
	return a.printNotices(all)
}

func (a *app) printNotices(all []state.Notice) error {
	if a.asJSON() {
		list := []noticeJSON{}
		for i := range all {
			n := &all[i]
			j := noticeJSON{ID: n.ID, Run: n.Run, Schedule: n.Schedule, Slot: n.Slot, Notice: n.Name, Event: n.Occasion, Way: n.Way.Kind, Status: n.Status, Tries: n.Tries, Made: n.Made, Ended: n.Ended, Error: n.Error}
			if n.Status == state.NoticePending {
				j.Due = n.Due
			}
			list = append(list, j)
		}
		return a.printJSON(list)
	}
	if len(all) == 0 {
		a.say("no notices")
		return nil
	}
	term, now := a.outTerm(), a.now()
	table := &view.Table{Header: []string{"ID", "NOTICE", "EVENT", "WAY", "STATUS", "MADE", "TRIES", "ERROR"}}
	for i := range all {
		n := &all[i]
		made := n.Made.Format(time.RFC3339)
		if term.TTY {
			made = ago(n.Made, now)
		}
		table.Add(n.ID, view.Clean(n.Name), string(n.Occasion), string(n.Way.Kind), noticeStatus(term.Style, n.Status), made, fmt.Sprint(n.Tries), view.Clean(n.Error))
	}
	return table.Write(a.stdout, term)
}

func noticeStatus(s view.Style, status state.NoticeStatus) string {
	switch status {
	case state.NoticeSent:
		return s.Green(string(status))
	case state.NoticeGivenUp:
		return s.Red(string(status))
	}
	return string(status)
}

// chosen returns the notices that arguments name, by their own ids or by their run: those of
// a run that have not gone out, those that are pending without arguments.
func (a *app) chosen(ctx context.Context, db *state.DB, argv []string, statuses ...state.NoticeStatus) (all []state.Notice, err error) {
	if len(argv) == 0 {
		return db.Notices(ctx, state.NoticeFilter{Status: []state.NoticeStatus{state.NoticePending}})
	}
	for _, arg := range argv {
		found, err := db.Notices(ctx, state.NoticeFilter{ID: arg})
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			row, err := db.FindRun(ctx, arg)
			if errors.Is(err, engine.ErrNotFound) {
				return nil, fmt.Errorf("there is neither a notice nor a run %s; see flow notices", arg)
			}
			if err != nil {
				return nil, err
			}
			if found, err = db.Notices(ctx, state.NoticeFilter{Run: row.ID, Status: statuses}); err != nil {
				return nil, err
			}
		}
		all = append(all, found...)
	}
	return all, nil
}

// retryNotices tries to send notices now. The error says that some were not sent.
func (a *app) retryNotices(ctx context.Context, argv []string) error {
	db, err := a.openState(false)
	if err != nil {
		return err
	}
	defer db.Close()
	all, err := a.chosen(ctx, db, argv, state.NoticePending, state.NoticeGivenUp, state.NoticeDropped)
	if err != nil {
		return err
	}
	for i := range all {
		if _, err := db.RetryNotice(ctx, all[i].ID); err != nil {
			return err
		}
	}
	c := a.newCourier(db, func(string) {})
	if err := c.deliver(ctx, ctx, ""); err != nil {
		return err
	}
	left := 0
	for i := range all {
		now, err := db.Notices(ctx, state.NoticeFilter{ID: all[i].ID})
		if err != nil {
			return err
		}
		for _, n := range now {
			text := string(n.Status)
			if n.Status != state.NoticeSent {
				left++
				text += ": " + view.Clean(n.Error)
			}
			if n.Held.After(a.now()) {
				text = fmt.Sprintf("%s: a process may be sending it; from %s on it can be tried here", n.Status, n.Held.Format(time.TimeOnly))
			}
			a.say("%s %s (%s): %s", n.ID, view.Clean(n.Name), n.Way.Kind, text)
		}
	}
	switch {
	case left > 0:
		return exit(exitProblem)
	case len(all) == 0:
		a.say("nothing is to be sent")
	}
	return nil
}

func (a *app) dropNotices(ctx context.Context, argv []string) error {
	db, err := a.openState(false)
	if err != nil {
		return err
	}
	defer db.Close()
	all, err := a.chosen(ctx, db, argv, state.NoticePending)
	if err != nil {
		return err
	}
	dropped := 0
	for i := range all {
		was, err := db.DropNotice(ctx, all[i].ID)
		if err != nil {
			return err
		}
		if was {
			dropped++
		}
	}
	a.say("%s dropped", view.Plural(dropped, "notice"))
	return nil
}
