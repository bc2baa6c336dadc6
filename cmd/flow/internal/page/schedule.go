package page

import (
	"net/url"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// Schedule is the page of a schedule: its slots, the newest first.
type Schedule struct {
	ScheduleRow
	Now       time.Time
	Service   Service
	Troubles  []FileTrouble
	Facts     []Fact // beside those of cron and zone
	Coming    []time.Time
	Backfills []Backfill
	Query     url.Values // status, before
	Slots     []Slot     // those of the page
	Older     string     // value of before for those that follow; "": there are none
}

// A Backfill is runs that are made up for slots of long ago.
type Backfill struct {
	ID       int64
	From, To time.Time // To is exclusive
	Parallel int       // runs of it at once, at most
	Created  time.Time
	State    string      // "Open", "Done", "Cancelled"
	Counts   view.Counts // of its slots, by what became of their runs
	Missed   int         // slots that get no run
	Removed  int         // whose runs are not in the state any more
	Acts     []Act
}

// ScheduleView is the page of a schedule.
func ScheduleView(m *Schedule) *web.View {
	return &web.View{
		Title: m.Full(), Live: true, Crumbs: append(scheduleCrumbs(), web.Crumb{Text: m.Full(), URL: ScheduleURL(m.Workflow, m.Name)}),
		Regions: []web.Region{
			{ID: "head", Body: Head(g.Text(m.Full()), h.Span(m.state()), m.Acts...)},
			{ID: "service", Body: m.Service.node(!m.State.Gone)},
			{ID: "troubles", Body: g.Group{troubles(m.Troubles), m.hindered()}},
			{ID: "facts", Body: m.facts()},
			{ID: "coming", Body: m.coming()},
			{ID: "backfills", Body: m.backfills()},
			{ID: "slots", Body: m.history()},
		},
	}
}

// state is how the schedule is; what is said in full below is not said here.
func (m *Schedule) state() g.Node {
	s := m.State
	if m.hindered() != nil {
		s.Problem = "its run cannot be created"
	}
	return s.node(m.Waiting, m.Active)
}

// hindered shows all that is said of what keeps a run from being created.
func (m *Schedule) hindered() g.Node {
	if m.State.Off() || !strings.Contains(m.State.Problem, "\n") {
		return nil
	}
	return Notice("bad", h.P(g.Text("A slot waits, and its run cannot be created. That is tried again every minute.")), h.Pre(h.Class("code"), g.Text(m.State.Problem)))
}

func (m *Schedule) facts() g.Node {
	facts := []Fact{
		{"Workflow", h.A(h.Href(WorkflowURL(m.Workflow)), g.Text(m.Workflow))},
		{"Cron", h.Code(g.Text(strings.Join(m.Cron, ", ")))}, TextFact("Time zone", m.Zone.String()),
	}
	return Facts(append(facts, m.Facts...)...)
}

// coming lists the next slots.
func (m *Schedule) coming() g.Node {
	if len(m.Coming) == 0 {
		return nil
	}
	title := "Next slots"
	if m.State.Off() {
		title = "Slots that would be next"
	}
	return Section("coming-title", title, g.Text("in "+m.Zone.String()), h.Ol(h.Class("coming"), g.Map(m.Coming, func(t time.Time) g.Node {
		return h.Li(ZoneTime(t, m.Zone), untilHere(t, m.Zone, m.Now))
	})))
}

func (m *Schedule) backfills() g.Node {
	if len(m.Backfills) == 0 {
		return nil
	}
	cols := []Col{{Text: "State"}, {Text: "Slots", Class: "nowrap full"}, {Text: "Runs", Class: "wide full"}, {Text: "Asked for", Class: "nowrap"}, {Text: "Do", Class: "nowrap"}}
	return Section("backfills-title", "Backfills", nil, stacked("Backfills and how far they are", cols, g.Map(m.Backfills, func(b Backfill) g.Node {
		return Row(cols, b.badge(), g.Group{ZoneTime(b.From, m.Zone), h.Div(h.Class("about"), g.Text("until before "), ZoneTime(b.To, m.Zone))},
			b.progress(),
			Moment(b.Created), h.Div(h.Class("acts"), g.Map(b.Acts, ActLink)))
	})))
}

func (b *Backfill) progress() g.Node {
	more := []string{"at most " + view.Count(b.Parallel) + " at a time"}
	if b.Missed > 0 {
		more = append(more, view.Plural(b.Missed, "slot")+" without a run")
	}
	if b.Removed > 0 {
		more = append(more, view.Plural(b.Removed, "run")+" removed")
	}
	return g.Group{Progress(b.Counts), h.Div(h.Class("about"), g.Text(strings.Join(more, ", ")))}
}

func (b *Backfill) badge() g.Node {
	switch b.State {
	case BackfillOpen:
		return BadgeAs(engine.Running, b.State)
	case BackfillCancelled:
		return BadgeAs(engine.Cancelled, b.State)
	}
	return BadgeAs(engine.Succeeded, b.State)
}

// States of backfills.
const (
	BackfillOpen      = "Open"
	BackfillDone      = "Done"
	BackfillCancelled = "Cancelled"
)

var slotChoices = []Choice{{"", "Any slot"}, {"waiting", "Waiting"}, {"started", "Started"}, {"skipped", "Skipped"}, {"missed", "Missed"}}

func (m *Schedule) history() g.Node {
	path := ScheduleURL(m.Workflow, m.Name)
	filter := g.Node(h.Form(h.Class("filter"), h.Role("search"), h.Action(path), h.Method("get"), h.Data("auto", ""),
		Choose("status", "What became of it", m.Query.Get("status"), slotChoices), h.Button(h.Type("submit"), g.Text("Filter"))))
	body := slotTable(m.Slots, m.Zone, m.Now)
	switch {
	case len(m.Slots) > 0:
	case m.Query.Get("status") != "" || m.Query.Get("before") != "":
		body = Empty("No slot matches", h.A(h.Href(path), g.Text("Show the newest")))
	default:
		filter, body = nil, Empty("No slots yet", g.Text("Each time at which a run is due is listed here, with what became of it."))
	}
	return Section("slots-title", "Slots", g.Text("the newest first"), filter, h.Div(body), m.paging(path))
}

func (m *Schedule) paging(path string) g.Node {
	if m.Older == "" && m.Query.Get("before") == "" {
		return nil
	}
	var links g.Group
	if m.Query.Get("before") != "" {
		links = append(links, h.A(h.Href(WithQuery(path, m.Query, "before", "")), g.Text("Newest")))
	}
	if m.Older != "" {
		links = append(links, h.A(h.Href(WithQuery(path, m.Query, "before", m.Older)), h.Rel("next"), g.Text("Older")))
	}
	return h.Nav(h.Class("paging"), h.Aria("label", "Pages"), links)
}
