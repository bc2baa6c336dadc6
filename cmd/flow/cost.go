package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/instances"
)

func newCost(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "cost [RUN]",
		Short: "Show what a run on AWS Batch has cost",
		Long: `Show what a run on AWS Batch has cost so far (default: the newest run), by step: the hours that its
tasks ran, what these cost by the list prices that flow has, and what of it went into tries
that failed and were repeated, and into those that were lost with their instance.

AWS's bill has more: instances that wait for jobs, disks, logs, and what is transferred. See docs/cost.md.`,
		Args:              args(0, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			return a.cost(cmd.Context(), slices.Concat(argv, []string{lastRun})[0])
		},
	}
}

func (a *app) cost(ctx context.Context, ref string) error {
	p, err := a.openRun(ctx, ref)
	if err != nil {
		return err
	}
	defer p.close()
	if p.row.Executor != batchExecutor {
		return fmt.Errorf("run %s ran on this machine: it cost nothing on AWS", p.row.ID)
	}
	note := ""
	if err := a.look(ctx, p); err != nil {
		note = asOf(ctx, p, err)
	}
	bill := billOf(p.run)
	bill.Note = note
	if a.asJSON() {
		return a.printJSON(bill)
	}
	return bill.write(a.stdout, a.outTerm(), p.run)
}

// A bill is what a run has cost so far.
type bill struct {
	Run      string        `json:"run"`
	Status   engine.Status `json:"status"`
	USD      float64       `json:"usd"`         // all of it
	Retried  float64       `json:"retried_usd"` // of it
	Lost     float64       `json:"lost_usd"`    // of it
	Hours    float64       `json:"task_hours"`
	Steps    []*billStep   `json:"steps"`
	Unpriced float64       `json:"unpriced_task_hours,omitempty"` // of which no price is known
	Unknown  int           `json:"unknown_tries,omitempty"`       // that nobody knows the time of
	Allowed  float64       `json:"allowed_usd,omitempty"`         // its budget
	Paused   *pausedJSON   `json:"paused,omitempty"`
	Prices   string        `json:"prices"` // date of them
	Note     string        `json:"note,omitempty"`

	total, retried, lost engine.Money
}

type billStep struct {
	Step    string     `json:"step"`
	Tasks   int        `json:"tasks"`
	Hours   float64    `json:"task_hours"` // all of them
	Running float64    `json:"running_task_hours,omitempty"`
	Rates   []billRate `json:"rates"` // of an hour of one
	USD     float64    `json:"usd"`
	Retried float64    `json:"retried_usd"`
	Lost    float64    `json:"lost_usd"`

	cost, retried, lost engine.Money
	unpriced            bool
}

// A billRate is what an hour of a task is reckoned at.
type billRate struct {
	Of  string  `json:"of"` // what it is a share of
	USD float64 `json:"hour_usd"`

	hour engine.Money
}

// billOf returns what a run has cost.
func billOf(run *engine.Run) *bill {
	b := &bill{Run: string(run.ID()), Status: run.Status(), Steps: []*billStep{}, Allowed: usd(run.Allowance()), Paused: pausedData(run), Prices: instances.Date}
	for _, u := range run.Usage() {
		b.Unknown += u.Unknown
		b.Unpriced += hours(u.Unpriced)
		took := hours(u.Usage.Time().Milliseconds() + u.Running)
		if u.Tasks == 0 && took == 0 { // else it was reset since
			continue
		}
		s := &billStep{
			Step: string(u.Step), Tasks: u.Tasks, Hours: took, Running: hours(u.Running), USD: usd(u.Cost), Retried: usd(u.Retried), Lost: usd(u.Lost),
			cost: u.Cost, retried: u.Retried, lost: u.Lost, unpriced: u.Unpriced > 0 && u.Cost == 0, Rates: []billRate{},
		}
		for _, r := range u.Rates {
			s.Rates = append(s.Rates, billRate{r.Of, usd(r.Hour), r.Hour})
			b.Prices = cmp.Or(r.Date, b.Prices)
		}
		b.Steps = append(b.Steps, s)
		b.Hours += took
		b.total, b.retried, b.lost = b.total+u.Cost, b.retried+u.Retried, b.lost+u.Lost
	}
	b.USD, b.Retried, b.Lost = usd(b.total), usd(b.retried), usd(b.lost)
	return b
}

// hourText says what an hour of a task of the step is reckoned at.
func (s *billStep) hourText() string {
	if len(s.Rates) == 0 {
		return "-"
	}
	low, high := s.Rates[0].hour, s.Rates[0].hour
	for _, r := range s.Rates {
		low, high = min(low, r.hour), max(high, r.hour)
	}
	return money(low, high)
}

func hours(ms int64) float64 { return float64(ms) / float64(time.Hour.Milliseconds()) }

func hoursText(h float64) string {
	if h > 0 && h < 0.1 {
		return strconv.FormatFloat(h, 'f', 4, 64)
	}
	return strconv.FormatFloat(h, 'f', 2, 64)
}

func (b *bill) write(w io.Writer, term view.Term, run *engine.Run) error {
	table := &view.Table{Header: []string{"STEP", "TASKS", "TASK-HOURS", "AN HOUR", "COST", "OF IT RETRIES", "LOST"}, Right: []bool{false, true, true, true, true, true, true}}
	tasks := 0
	for _, s := range b.Steps {
		price := s.cost.String()
		if s.unpriced {
			price = "?"
		}
		table.Add(s.Step, view.Count(s.Tasks), hoursText(s.Hours), s.hourText(), price, s.retried.String(), s.lost.String())
		tasks += s.Tasks
	}
	table.Add("in all", view.Count(tasks), hoursText(b.Hours), "", b.total.String(), b.retried.String(), b.lost.String())
	if err := table.WriteAligned(w, term, ""); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, line := range b.lines(run) {
		fmt.Fprintf(w, "%s.\n", view.Clean(line))
	}
	return nil
}

// lines say what the figures mean.
func (b *bill) lines(run *engine.Run) (out []string) {
	if b.Note != "" {
		out = append(out, b.Note)
	}
	if p, paused := run.Paused(); paused {
		out = append(out, "The run is paused: "+p.Reason)
	} else if a := run.Allowance(); a > 0 {
		out = append(out, fmt.Sprintf("The run may cost %s", a))
	}
	if !run.Ended() {
		out = append(out, "The run has not ended; what runs now is counted as far as it was seen to run")
	}
	if of := b.reckonedWith(); len(of) > 0 {
		out = append(out, "An hour of a task is reckoned with "+strings.Join(of, "; "))
	}
	if b.Unpriced > 0 {
		out = append(out, fmt.Sprintf("No price is known of %s task-hours, and they are not in it", hoursText(b.Unpriced)))
	}
	if b.Unknown > 0 {
		out = append(out, fmt.Sprintf("Nobody knows how long %s took, and they are not in it", tries(b.Unknown)))
	}
	return append(out, fmt.Sprintf("Prices are list prices on demand, Linux, %s, of %s; idle instances, disks, logs and transfer are not in it", instances.Region, b.Prices))
}

// reckonedWith names what the rates are shares of.
func (b *bill) reckonedWith() (of []string) {
	for _, s := range b.Steps {
		for _, r := range s.Rates {
			if !slices.Contains(of, r.Of) {
				of = append(of, r.Of)
			}
		}
	}
	return of
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return view.Count(n) + " tries"
}
