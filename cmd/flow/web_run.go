package main

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"flow/cmd/flow/internal/draw"
	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
	"flow/state"
)

// runPage is the page of a run: what its query's "view" says of it.
func (s *site) runPage(ctx context.Context, r web.Request) (v *web.View, err error) {
	id := r.Path["run"]
	held := s.src.holder(ctx, engine.RunID(id))
	err = s.src.run(ctx, id, func(p *past) error {
		head := runHead(p, held, s.src.now())
		head.Fresh = s.fresh(ctx, p, r)
		if _, paused := p.run.Paused(); p.row.Entrusted && held == nil && !paused && !p.run.Ended() {
			s.entrustedHead(ctx, head)
		}
		if pools := poolTexts(ctx, p); pools != "" {
			head.Notes = append(head.Notes, page.Note{Kind: "info", Text: "Tasks wait for " + pools + "."})
		}
		head.View = r.Query.Get("view")
		regions, err := s.runView(ctx, p, head, r.Query)
		if err != nil {
			return err
		}
		v = &web.View{
			Title:   head.Workflow + " " + page.ShortID(head.ID),
			Crumbs:  []web.Crumb{{Text: "Runs", URL: "/"}, {Text: head.Workflow, URL: page.WorkflowURL(head.Workflow)}, {Text: page.ShortID(head.ID), URL: page.RunURL(head.ID)}},
			Regions: head.Regions(regions...),
			Live:    !p.run.Ended(),
		}
		if head.View == page.RunOverview {
			v.Scripts = []string{"timeline.js"}
		}
		return nil
	})
	return v, err
}

// runView makes what is below the head. A view that there is not is the overview.
func (s *site) runView(ctx context.Context, p *past, head *page.Run, q url.Values) ([]web.Region, error) {
	switch head.View {
	case page.RunEvents:
		events, err := eventsOf(ctx, p, q)
		if err != nil {
			return nil, err
		}
		return events.Regions(head), nil
	case page.RunData:
		return dataOf(p).Regions(), nil
	case page.RunSource:
		source, err := sourceOf(ctx, p)
		if err != nil {
			return nil, err
		}
		return source.Regions(head), nil
	case page.RunChanges:
		changes, err := s.changesOf(ctx, p)
		if err != nil {
			return nil, err
		}
		return changes.Regions(head), nil
	}
	head.View = page.RunOverview
	log, err := p.told(ctx)
	if err != nil {
		return nil, err
	}
	return overviewOf(p, log, head.Now, q).Regions(head), nil
}

// told returns what the events of the run say beside the run itself.
func (p *past) told(ctx context.Context) (*runstat.Log, error) {
	if p.log == nil || p.log.Seq() > p.run.Seq() {
		p.log = &runstat.Log{}
	}
	if p.log.Seq() == p.run.Seq() {
		return p.log, nil
	}
	for e, err := range p.db.Events(ctx, p.row.ID, p.log.Seq()) {
		if err != nil {
			return nil, err
		}
		if e.Seq > p.run.Seq() {
			break // the run has not seen it yet
		}
		p.log.Add(&e)
	}
	return p.log, nil
}

// runHead is what stands above every view of a run. held is who drives it; nil: nobody.
func runHead(p *past, held *state.HeldError, now time.Time) *page.Run {
	run := p.run
	created, ended := run.Times()
	wf := run.Workflow()
	r := &page.Run{
		ID: string(run.ID()), Workflow: wf.Name, Description: view.Clean(wf.Description), Status: run.Status(),
		Created: created, Ended: ended, Now: now, Events: int(run.Seq()),
	}
	for _, v := range run.Steps() {
		for st, n := range v.Counts {
			r.Counts[st] += n
		}
	}
	r.Facts = append(slotFacts(run.Info(), wf.Name), runFacts(run, held)...)
	if r.Late = p.row.Late; !r.Late.IsZero() {
		r.Notes = append(r.Notes, lateNote(run, r.Late))
	}
	_, paused := run.Paused()
	switch {
	case run.Ended():
		endedHead(r, run)
	case paused:
		pausedHead(r, run)
	case held == nil:
		undrivenHead(r, run, now)
	default:
		r.Acts = []page.Act{{Text: "Cancel", URL: page.RunURL(r.ID) + "/cancel", Danger: true}}
		if reason, ok := run.Cancelling(); ok {
			r.Acts = nil
			r.Notes = append(r.Notes, page.Note{Kind: "warn", Text: "Being cancelled: " + view.Clean(reason)})
		}
	}
	return r
}

// entrustedHead says how things are with a run that the service is to drive, and does not yet.
func (s *site) entrustedHead(ctx context.Context, r *page.Run) {
	there := s.service(ctx).Who != ""
	trouble := ""
	all, err := s.src.db().Entrusted(ctx)
	for i := range all {
		if err == nil && string(all[i].Row.ID) == r.ID {
			trouble = view.Clean(all[i].Trouble)
		}
	}
	switch {
	case trouble != "":
		r.Notes = []page.Note{{Kind: "warn", Text: "The service could not drive this run, and tries again: " + trouble}}
	case there:
		r.Rests, r.Next = "", ""
		r.Acts = []page.Act{{Text: "Cancel", URL: page.RunURL(r.ID) + "/cancel", Danger: true}}
		r.Notes = []page.Note{{Kind: "info", Text: "The service is to drive this run, and takes it up as soon as it can."}}
	default:
		r.Notes = append(r.Notes, page.Note{Kind: "info", Text: "The run goes on by itself once a service is there: flow serve."})
	}
}

// lateNote says that a run is late, or was.
func lateNote(run *engine.Run, since time.Time) page.Note {
	why := "it " + view.Clean(run.Info().LateFor)
	if run.Ended() {
		return page.Note{Kind: "warn", Text: "It was late: " + why}
	}
	return page.Note{Kind: "warn", Late: since, Text: why}
}

// slotFacts say which slot a run was started for, if it was.
func slotFacts(info engine.RunInfo, workflow string) []page.Fact {
	if info.Slot == nil {
		return nil
	}
	slot := &page.SlotOf{Schedule: info.Slot.Schedule, Time: info.Slot.Time, Zone: zoneOf(&engine.Schedule{TimeZone: info.Slot.TimeZone})}
	switch {
	case info.Slot.Backfill:
		slot.Kind = "backfill"
	case info.Slot.Manual:
		slot.Kind = "triggered"
	}
	return []page.Fact{{Name: "Schedule", Value: slot.Link(workflow)}}
}

func runFacts(run *engine.Run, held *state.HeldError) (facts []page.Fact) {
	add := func(name, text string) { facts = append(facts, page.TextFact(name, text)) }
	where := "this machine"
	if run.Info().Executor == batchExecutor {
		where = "AWS Batch"
	}
	add("Where", where)
	switch {
	case held != nil:
		add("Driver", view.Clean(held.Driver()))
	case !run.Ended():
		add("Driver", "none")
	}
	if costLine(run) != "" {
		cost := "about " + run.Spent().String()
		if a := run.Allowance(); a > 0 {
			cost += " of " + a.String()
		}
		add("Cost", cost)
	}
	return facts
}

// endedHead says how a run ended, and what can be done about it.
func endedHead(r *page.Run, run *engine.Run) {
	u := page.RunURL(r.ID)
	report := page.Act{Text: "Report", URL: u + "/report.html", Page: true}
	again := page.Act{Text: "Launch again", URL: page.WorkflowURL(r.Workflow) + "/launch", Page: true}
	if run.Status().OK() {
		r.Acts = []page.Act{report, again}
		return
	}
	retry, kind := "Retry what failed", "bad"
	if run.Status() == engine.Cancelled {
		kind = "warn"
		if r.Counts[engine.Failed] == 0 {
			retry = "Run what was cancelled"
		}
	}
	r.Acts = []page.Act{{Text: retry, URL: u + "/retry", Primary: true}, {Text: "Retry from a step", URL: u + "/retry-from"}, report}
	r.Next = "flow resume " + r.ID + " --failed"
	if reason := run.Reason(); reason != "" {
		r.Notes = append(r.Notes, page.Note{Kind: kind, Text: view.Clean(reason)})
	}
}

// pausedHead says why a run is paused.
func pausedHead(r *page.Run, run *engine.Run) {
	pause, _ := run.Paused()
	r.Rests = "Paused"
	n := page.Note{Kind: "warn", Text: "Paused: " + view.Clean(pause.Reason)}
	if jobs, tasks := run.Alive(); jobs > 0 {
		n.More = append(n.More, goOn(jobs, tasks)+"; nothing more is submitted")
	}
	r.Notes = append(r.Notes, n)
	r.Acts = []page.Act{{Text: "Resume", URL: page.RunURL(r.ID) + "/resume", Primary: true}, {Text: "Cancel", URL: page.RunURL(r.ID) + "/cancel", Danger: true}}
	r.Next = "flow resume " + r.ID
}

// undrivenHead says how things are with a run that has not ended, and that nobody drives.
func undrivenHead(r *page.Run, run *engine.Run, now time.Time) {
	u := page.RunURL(r.ID)
	r.Acts = []page.Act{{Text: "Resume", URL: u + "/resume", Primary: true}, {Text: "Cancel", URL: u + "/cancel", Danger: true}}
	r.Next = "flow resume " + r.ID
	if run.Info().Executor != batchExecutor {
		r.Rests = "Interrupted"
		r.Notes = append(r.Notes, page.Note{Kind: "warn", Text: "Interrupted: no flow process drives this run any more. Resume it to go on; what is done is kept."})
		return
	}
	n := page.Note{Kind: "info", Text: "No flow process drives this run."}
	jobs, tasks := run.Alive()
	if jobs > 0 {
		n.Text += " " + goOn(jobs, tasks) + " by themselves."
	}
	held := run.Holds(now)
	for _, h := range held[:min(len(held), shownInSummary)] {
		n.More = append(n.More, view.Clean(string(h.Step)+": "+h.Hold.Reason))
	}
	if len(held) > 0 {
		n.Kind = "warn"
		n.Text += " What is held needs a driver:"
	}
	r.Notes = append(r.Notes, n)
}

// concurrencyParts is into how many parts the plot of running tasks is cut.
const concurrencyParts = 160

func overviewOf(p *past, log *runstat.Log, now time.Time, q url.Values) *page.Overview {
	run := p.run
	o := &page.Overview{Timeline: timelineOf(run, log, now, q), Graph: webGraph(run), Failures: failuresOf(run)}
	if run.Info().Executor == localExecutor {
		for i := range o.Failures[:min(len(o.Failures), page.MostCauses)] {
			f := &o.Failures[i]
			if f.Tasks > 0 {
				f.Last = lastLineOf(p, engine.StepName(f.Step), f.Indices.At(0))
			}
		}
	}
	if p.arranged == nil {
		p.arranged = draw.Arrange(o.Graph)
	}
	o.Arrangement = p.arranged
	return o
}

// failuresOf returns what failed, by cause: first of steps that failed, then of those that
// tolerate it or go on.
func failuresOf(run *engine.Run) (out []page.RunFailure) {
	var less []page.RunFailure
	for _, v := range run.Steps() {
		name := string(v.Step.Name)
		if v.Counts[engine.Failed] == 0 {
			if v.Status == engine.Failed {
				f := page.RunFailure{Step: name}
				f.Text = whyText(nil, v.Reason, v.Cause)
				out = append(out, f)
			}
			continue
		}
		for _, g := range runstat.Failures(run, v.Step.Name) {
			f := page.RunFailure{Step: name, Tolerated: v.Status.OK(), FailureGroup: g}
			if v.Status == engine.Failed {
				out = append(out, f)
			} else {
				less = append(less, f)
			}
		}
	}
	return append(out, less...)
}

func timelineOf(run *engine.Run, log *runstat.Log, now time.Time, q url.Values) *page.Timeline {
	t := &page.Timeline{Live: !run.Ended()}
	t.Began, t.Until = runstat.Range(run, now)
	t.From, t.To = stretch(t.Began, t.Until, q)
	t.Running = runstat.Concurrency(run, t.From, t.To, concurrencyParts)
	waits := map[engine.StepName]string{}
	if t.Live {
		for _, h := range run.Holds(now) {
			waits[h.Step] = h.Hold.Reason
		}
	}
	for _, lane := range log.Lanes(run) {
		v := run.StepStatus(lane.Step)
		row := page.TimelineRow{Lane: lane, Note: view.Clean(waits[lane.Step]), Started: v.Started, Ended: v.Ended}
		if v.Status == engine.Skipped || v.Status == engine.Cancelled || v.Status == engine.Failed && v.Counts[engine.Failed] == 0 {
			row.Note = whyText(nil, v.Reason, v.Cause)
		}
		if v.Started.IsZero() {
			row.Ended = time.Time{}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// stretch returns what of a run's time a query asks for: from and to are milliseconds since
// its beginning. What makes no sense is the whole.
func stretch(began, until time.Time, q url.Values) (from, to time.Time) {
	a, errA := strconv.ParseInt(q.Get("from"), 10, 64)
	b, errB := strconv.ParseInt(q.Get("to"), 10, 64)
	whole := until.Sub(began).Milliseconds()
	if errA != nil || errB != nil || a < 0 || b <= a || a >= whole {
		return began, until
	}
	return began.Add(time.Duration(a) * time.Millisecond), began.Add(time.Duration(min(b, whole)) * time.Millisecond)
}

// graphRoom is for how many characters a node has room: "10,000/10,000, 12 failed".
const graphRoom = 23

// graphWidth is how wide a graph is at most that runs from left to right on a page.
const graphWidth = 1320

// webGraph is the graph of a run for a page.
func webGraph(run *engine.Run) *draw.Graph {
	graph := drawing(run.Workflow(), run)
	graph.Title = "Steps of " + run.Workflow().Name
	graph.Width = graphWidth
	for i, v := range run.Steps() {
		n := &graph.Nodes[i]
		n.URL = page.StepURL(string(run.ID()), n.ID)
		n.Room = len("SUCCEEDED")
		if !v.Step.FanOut {
			continue
		}
		n.Bar, n.Room = true, graphRoom
		if parts := strings.SplitN(n.Detail, ", ", 3); len(parts) == 3 {
			n.Detail = parts[0] + ", " + parts[1] // the bar shows the rest
		}
		for _, st := range page.Order() {
			if v.Counts[st] > 0 {
				n.Segments = append(n.Segments, draw.Segment{Status: st.String(), N: v.Counts[st]})
			}
		}
	}
	return graph
}
