package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/term"

	"flow/cmd/flow/internal/view"
	"flow/executor/batch/infra"
)

// infraPlanJSON is a plan for programs.
type infraPlanJSON struct {
	*infra.Plan
	Summary infraSummary `json:"summary"`
}

type infraSummary struct {
	Create  int `json:"create"`
	Change  int `json:"change"`
	Replace int `json:"replace"`
	Delete  int `json:"delete"`
}

func summaryOf(p *infra.Plan) infraSummary {
	return infraSummary{Create: p.Count(infra.Create), Change: p.Count(infra.Update), Replace: p.Count(infra.Replace), Delete: p.Count(infra.Delete)}
}

func (s infraSummary) String() string {
	return fmt.Sprintf("%d to create, %d to change, %d to replace, %d to delete", s.Create, s.Change, s.Replace, s.Delete)
}

// doneText says what was done.
func doneText(p *infra.Plan) string {
	s := summaryOf(p)
	return fmt.Sprintf("Done: %d created, %d changed, %d replaced, %d deleted.", s.Create, s.Change, s.Replace, s.Delete)
}

// printPlan prints a plan, and warnings for a person.
func (a *app) printPlan(p *infra.Plan) error {
	if a.asJSON() {
		return a.printJSON(infraPlanJSON{p, summaryOf(p)})
	}
	err := writeInfraPlan(a.stdout, p, a.outTerm().Style)
	for _, warning := range p.Warnings {
		a.say("%s %s", a.errTerm().Style.Yellow("Warning:"), view.Clean(warning))
	}
	return err
}

func writeInfraPlan(w io.Writer, p *infra.Plan, s view.Style) error {
	var b strings.Builder
	if p.Empty() {
		fmt.Fprintf(&b, "No changes. What workflow %s has in %s is as it should be.\n", view.Clean(p.Workflow), p.Region)
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "%s\n\n", s.Bold(fmt.Sprintf("Workflow %s in %s:", view.Clean(p.Workflow), p.Region)))
	for _, c := range p.Changes {
		writeChange(&b, c, s)
	}
	fmt.Fprintf(&b, "\nPlan: %s.\n", summaryOf(p))
	_, err := io.WriteString(w, b.String())
	return err
}

// signs are what stands before a change of each kind, as terraform has them.
var signs = map[infra.Action]string{infra.Create: "+", infra.Update: "~", infra.Replace: "-/+", infra.Delete: "-"}

func signOf(a infra.Action, s view.Style) string {
	sign := fmt.Sprintf("%3s", signs[a])
	switch a {
	case infra.Create:
		return s.Green(sign)
	case infra.Delete, infra.Replace:
		return s.Red(sign)
	}
	return s.Yellow(sign)
}

func writeChange(b *strings.Builder, c *infra.Change, s view.Style) {
	head := fmt.Sprintf("%s %s %s", signOf(c.Action, s), c.Kind, s.Bold(view.Clean(c.Name)))
	var notes []string
	if c.Kind == infra.KindDefinition && c.Action == infra.Update {
		notes = append(notes, "a new revision")
	}
	notes = append(notes, c.Notes...)
	if c.Jobs > 0 {
		notes = append(notes, jobsEnd(c))
	}
	if c.Where != "" {
		head += s.Dim("  " + view.Clean(c.Where))
	}
	b.WriteString(head + "\n")
	for _, n := range notes {
		fmt.Fprintf(b, "      %s\n", s.Dim("# "+view.Clean(n)))
	}
	for _, d := range c.Arguments {
		writeDifference(b, c, &d, s)
	}
}

func writeDifference(b *strings.Builder, c *infra.Change, d *infra.Difference, s view.Style) {
	if c.Action == infra.Create {
		fmt.Fprintf(b, "      %s = %s\n", d.Name, view.Clean(d.New))
		return
	}
	old, now := view.Clean(d.Old), view.Clean(d.New)
	if old == "" {
		old = "(not given)"
	}
	if now == "" {
		now = "(not given)"
	}
	line := fmt.Sprintf("%s = %s -> %s", d.Name, old, now)
	if d.Forces != "" {
		line += s.Red("  # forces replacement: " + d.Forces)
	}
	fmt.Fprintf(b, "      %s\n", line)
}

// jobsEnd says how many jobs end with a queue.
func jobsEnd(c *infra.Change) string {
	n := view.Plural(c.Jobs, "job")
	if c.MoreJobs {
		n = "more than " + n
	}
	if c.Jobs == 1 && !c.MoreJobs {
		return n + " in it has not ended, and is terminated"
	}
	return n + " in it have not ended, and are terminated"
}

// approve asks on the terminal whether a plan is to be carried out. command is the one that
// was given.
func (a *app) approve(ctx context.Context, plan *infra.Plan, command string) error {
	in, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return fmt.Errorf("there is no terminal to ask on: look at the plan, and say %s -auto-approve", command)
	}
	verb := "do"
	if all := summaryOf(plan); all == (infraSummary{Delete: all.Delete}) {
		verb = "delete"
	}
	fmt.Fprintf(a.stderr, "\nType yes to %s it: ", verb)
	answers := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // nothing is no yes
		answers <- line
	}()
	answer := ""
	select {
	case <-ctx.Done():
	case answer = <-answers:
	}
	if !strings.HasSuffix(answer, "\n") { // after Ctrl-C or Ctrl-D we are still on the line of the question
		fmt.Fprintln(a.stderr)
	}
	switch {
	case ctx.Err() != nil:
		a.say("nothing was done")
		return ctx.Err()
	case strings.TrimSpace(answer) != "yes":
		return errors.New("nothing was done, since the answer was not yes")
	}
	return nil
}

func (a *app) infraStatus(ctx context.Context, path string, f *infraFlags) error {
	w, err := a.openInfra(ctx, path, f, true, false)
	if err != nil {
		return err
	}
	defer w.close()
	s, err := w.manager.Status(ctx, w.wanted)
	if err != nil {
		return err
	}
	if a.asJSON() {
		return a.printJSON(s)
	}
	table := &view.Table{Header: []string{"KIND", "NAME", "MANAGED", "STATE", "STATUS", "VCPUS", "JOBS", "REASON"}}
	for i := range s.Rows {
		r := &s.Rows[i]
		table.Add(string(r.Kind), view.Clean(r.Name), managedText(r), orDash(r.State), statusText(r), vcpusText(r), jobsIn(r), reasonText(r))
	}
	if len(s.Rows) == 0 {
		a.say("workflow %s has nothing of AWS Batch itself in %s", view.Clean(s.Workflow), s.Region)
	}
	return table.Write(a.stdout, a.outTerm())
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return view.Clean(s)
}

func managedText(r *infra.Row) string {
	switch {
	case r.Missing:
		return "-"
	case !r.Managed:
		return "existing"
	case r.Unnamed:
		return "flow, not in the file"
	}
	return "flow"
}

func statusText(r *infra.Row) string {
	switch {
	case r.Missing:
		return "missing"
	case r.Revision != "":
		return r.Status + ":" + r.Revision
	}
	return orDash(r.Status)
}

func vcpusText(r *infra.Row) string {
	if r.MaxVCPUs == nil {
		return "-"
	}
	part := func(p *int32) string {
		if p == nil {
			return "-"
		}
		return strconv.Itoa(int(*p))
	}
	return part(r.MinVCPUs) + "/" + part(r.DesiredVCPUs) + "/" + part(r.MaxVCPUs)
}

// jobsIn writes the jobs of a queue: "2 RUNNABLE, 1 RUNNING".
func jobsIn(r *infra.Row) string {
	if r.Kind == infra.KindConsumable && r.Total != nil && r.InUse != nil {
		return fmt.Sprintf("%d of %d in use", *r.InUse, *r.Total)
	}
	if r.Kind != infra.KindQueue || r.Missing {
		return "-"
	}
	var parts []string
	for _, status := range []string{"SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"} {
		if n := r.Jobs[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", view.Count(n), status))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	if r.MoreJobs {
		parts = append(parts, "more")
	}
	return strings.Join(parts, ", ")
}

func reasonText(r *infra.Row) string {
	parts := slices.DeleteFunc([]string{view.Clean(r.Reason), r.Fix}, func(s string) bool { return s == "" })
	return orDash(strings.Join(parts, ": "))
}
