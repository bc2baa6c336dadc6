package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/report"
	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

func newReport(a *app) *cobra.Command {
	to := ""
	cmd := &cobra.Command{
		Use:   "report [RUN]",
		Short: "Write one HTML file that says all about a run",
		Long: `Write a report of a run (default: the newest): one HTML file with what happened, what failed and
why, the graph, the timeline, the tasks, time and memory against what was asked for, cost, and
where everything came from. It opens from a disk and asks for nothing; see docs/report.md.`,
		Args:              args(0, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			if a.json {
				return errUsage(cmd.CommandPath(), "a report is HTML; for JSON see flow status -json, flow events and flow export")
			}
			return a.writeReport(cmd.Context(), slices.Concat(argv, []string{lastRun})[0], to)
		},
	}
	cmd.Flags().StringVarP(&to, "output", "o", "report.html", "the `FILE` to write; -: stdout")
	return cmd
}

// writeReport writes the report of a run.
func (a *app) writeReport(ctx context.Context, ref, to string) error {
	p, err := a.openRun(ctx, ref)
	if err != nil {
		return err
	}
	defer p.close()
	note := ""
	if err := a.look(ctx, p); err != nil {
		note = asOf(ctx, p, err)
	}
	r, err := a.reportOf(ctx, p, note)
	if err != nil {
		return err
	}
	return a.writeTo(to, func(w io.Writer) error { return report.Write(w, r, version(), a.now()) })
}

// reportFile answers with the report of a run.
func (s *site) reportFile(w http.ResponseWriter, req *http.Request, r web.Request) error {
	var text bytes.Buffer
	err := s.src.run(req.Context(), r.Path["run"], func(p *past) error {
		m, err := s.reportOf(req.Context(), p, "")
		if err != nil {
			return err
		}
		return report.Write(&text, m, version(), s.src.now())
	})
	if err != nil {
		return err
	}
	// What the policy of pages forbids is in the file: its own allows that by hash, and no more.
	allowed, err := report.Policy()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Security-Policy", allowed+"; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = text.WriteTo(w)
	return err
}

const (
	mostMapped   = 200_000 // tasks in the heat maps of a report: 16 bytes each, and their keys
	mostFailed   = 200     // tasks that are listed
	mostInputs   = 200     // files from outside of the run that are listed
	mostOfSource = 1 << 18 // bytes of the workflow's files that are shown
)

// reportOf gathers what a report says. note is why it may not be the newest.
func (a *app) reportOf(ctx context.Context, p *past, note string) (*page.Report, error) {
	now := a.now()
	log, err := p.told(ctx)
	if err != nil {
		return nil, err
	}
	held := p.holder(ctx)
	r := &page.Report{
		Run: runHead(p, held, now), Timeline: timelineOf(p.run, log, now, nil), Graph: webGraph(p.run), Data: dataOf(p), Bill: reportBill(p.run),
	}
	r.Run.Acts = nil
	if note != "" {
		r.Run.Notes = append(r.Run.Notes, page.Note{Kind: "info", Text: view.Clean(note)})
	}
	r.Failures = reportFailures(p)
	mapped := 0
	for _, v := range p.run.Steps() {
		s := page.ReportStep{Status: v, Used: runstat.Of(p.run, v.Step.Name)}
		if v.Size > 1 && mapped+v.Size <= mostMapped {
			mapped += v.Size
			s.Heat = page.HeatOf(p.run, v.Step.Name, "", now)
		}
		r.Steps = append(r.Steps, s)
		for i := range p.run.Select(v.Step.Name, engine.Failed).All() {
			if len(r.Failed) == mostFailed {
				r.Unlisted++
				continue
			}
			r.Failed = append(r.Failed, taskRow(p.run, v.Step.Name, i))
		}
	}
	r.Origin, err = originOf(ctx, p)
	return r, err
}

// reportFailures returns the causes of failures, with the last lines that the first task of
// each wrote, if they are on this machine.
func reportFailures(p *past) (out []page.ReportFailure) {
	for _, f := range failuresOf(p.run) {
		r := page.ReportFailure{RunFailure: f}
		if f.Tasks > 0 && len(out) < page.MostCauses && p.run.Info().Executor == localExecutor {
			r.Last = strings.Join(lastLinesOf(p, engine.StepName(f.Step), []runstat.FailureGroup{f.FailureGroup}), "\n")
		}
		out = append(out, r)
	}
	return out
}

// reportBill returns what a run on AWS Batch has cost; nil: it cost nothing there.
func reportBill(run *engine.Run) *page.ReportBill {
	if run.Info().Executor != batchExecutor {
		return nil
	}
	b := billOf(run)
	out := &page.ReportBill{Notes: b.lines(run)}
	for _, s := range b.Steps {
		row := page.ReportCost{Step: s.Step, Tasks: s.Tasks, Hours: hoursText(s.Hours), Rate: s.hourText(), Cost: s.cost.String(), Retried: s.retried.String(), Lost: s.lost.String()}
		if s.unpriced {
			row.Cost = "?"
		}
		out.Rows = append(out.Rows, row)
		out.Total.Tasks += s.Tasks
	}
	out.Total.Step, out.Total.Hours, out.Total.Cost = "In all", hoursText(b.Hours), b.total.String()
	out.Total.Retried, out.Total.Lost = b.retried.String(), b.lost.String()
	return out
}
