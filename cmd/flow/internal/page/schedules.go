package page

import (
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// Schedules is the page of all schedules.
type Schedules struct {
	Now      time.Time
	Service  Service
	Troubles []FileTrouble
	Rows     []ScheduleRow
}

// A Service is who starts runs by schedules.
type Service struct {
	Who  string // "process 12 on host"; "": nobody
	Here bool   // it is this process that serves the page
}

// A FileTrouble is workflow files that cannot be taken as they are.
type FileTrouble struct {
	Path  string
	Text  string // what is wrong, as flow validate writes it
	Since time.Time
	Keep  []string // full names of the schedules that go on as the last good version says
}

// A ScheduleRow is a schedule in a list.
type ScheduleRow struct {
	Workflow, Name string
	Cron           []string
	Zone           *time.Location
	State          ScheduleState
	Next           time.Time // when the next slot is; zero: none
	Waiting        int       // slots that wait for their run
	Active         int       // runs that are not over
	Last           []Slot    // the newest first
	Acts           []Act
}

// A ScheduleState says what keeps a schedule from starting runs.
type ScheduleState struct {
	Paused    time.Time // zero: it is not
	PausedFor string
	Disabled  bool   // enabled = false
	Gone      bool   // its files do not have it any more
	Problem   string // what keeps it from starting its run, of several lines maybe; "": nothing
}

// Off reports whether a schedule starts no runs.
func (s *ScheduleState) Off() bool { return !s.Paused.IsZero() || s.Disabled || s.Gone }

// Full is the name of the schedule with that of its workflow.
func (r *ScheduleRow) Full() string { return r.Workflow + "/" + r.Name }

// SchedulesView is the page of all schedules.
func SchedulesView(m *Schedules) *web.View {
	return &web.View{
		Title: "Schedules", Live: true, Crumbs: scheduleCrumbs(),
		Regions: []web.Region{
			{ID: "head", Body: Head(g.Text("Schedules"), m.summary())},
			{ID: "service", Body: m.Service.node(len(m.Rows) > 0)},
			{ID: "troubles", Body: troubles(m.Troubles)},
			{ID: "schedules", Body: m.list()},
		},
	}
}

func scheduleCrumbs() []web.Crumb {
	return []web.Crumb{{Text: "Runs", URL: "/"}, {Text: "Schedules", URL: SchedulesURL}}
}

func (m *Schedules) summary() g.Node {
	off, waiting, active := 0, 0, 0
	for i := range m.Rows {
		if m.Rows[i].State.Off() {
			off++
		}
		waiting += m.Rows[i].Waiting
		active += m.Rows[i].Active
	}
	list := g.Group{h.Li(g.Text(view.Plural(len(m.Rows), "schedule")))}
	for _, part := range []struct {
		n    int
		s    engine.Status
		text string
	}{{off, engine.Skipped, "start no runs"}, {waiting, engine.Pending, "due, without a run yet"}, {active, engine.Running, "active"}} {
		if part.n > 0 {
			list = append(list, h.Li(h.Span(h.Class("n "+part.s.String()), g.Text(view.Count(part.n))), g.Text(" "+part.text)))
		}
	}
	return h.Ul(h.Class("counts"), list)
}

// node says who starts runs. some says that there are schedules.
func (s *Service) node(some bool) g.Node {
	switch {
	case s.Who == "" && some:
		return Notice("warn", h.P(g.Text("No service is there: nothing starts runs by these schedules.")),
			h.P(g.Text("In the directory of the workflows: "), h.Code(g.Text("flow serve"))))
	case s.Who == "":
		return nil
	case s.Here:
		return h.P(h.Class("dim"), g.Text("The service is "+s.Who+", which serves this page."))
	}
	return h.P(h.Class("dim"), g.Text("The service is "+s.Who+"."))
}

// troubles shows the files that cannot be taken as they are.
func troubles(list []FileTrouble) g.Node {
	if len(list) == 0 {
		return nil
	}
	return g.Map(list, func(f FileTrouble) g.Node {
		keeps := "None of its schedules starts runs."
		if len(f.Keep) > 0 {
			keeps = "The last good version holds until they are mended: " + strings.Join(f.Keep, ", ") + "."
		}
		return Notice("bad", h.P(g.Text("The files of "), h.Strong(g.Text(f.Path)), g.Text(" cannot be used since "), Moment(f.Since), g.Text(". "+keeps)), h.Pre(h.Class("code"), g.Text(f.Text)))
	})
}

func (m *Schedules) list() g.Node {
	if len(m.Rows) == 0 {
		return Empty("No schedules yet", g.Text("A workflow with a "), h.Code(g.Text("schedule")), g.Text(" block has one, once a service has read it: "), h.Code(g.Text("flow serve")))
	}
	return scheduleTable(m.Rows, m.Now)
}

// scheduleTable lists schedules.
func scheduleTable(rows []ScheduleRow, now time.Time) g.Node {
	cols := []Col{{Text: "Schedule", Class: "named full"}, {Text: "State", Class: "wide full"}, {Text: "Next", Class: "nowrap full"}, {Text: "Newest slots", Class: "full"}, {Text: "Do", Class: "nowrap"}}
	return stacked("Schedules, their state and their slots", cols, g.Map(rows, func(r ScheduleRow) g.Node {
		return Row(cols, r.name(), r.State.node(r.Waiting, r.Active), nextSlot(r.Next, r.Zone, now), slotStrip(r.Workflow, r.Name, r.Zone, r.Last), h.Div(h.Class("acts"), g.Map(r.Acts, ActLink)))
	}))
}

func (r *ScheduleRow) name() g.Node {
	return g.Group{
		h.A(h.Class("title"), h.Href(ScheduleURL(r.Workflow, r.Name)), g.Text(r.Full())),
		h.Div(h.Class("about"), h.Code(g.Text(strings.Join(r.Cron, ", "))), g.Text(" "+r.Zone.String())),
	}
}

// node says what keeps a schedule, or what it does.
func (s *ScheduleState) node(waiting, active int) g.Node {
	why := ""
	var badge g.Node
	switch {
	case s.Gone:
		badge, why = h.Span(h.Class("badge MISSED"), g.Text("Gone")), "its files do not have it any more"
	case !s.Paused.IsZero():
		badge, why = h.Span(h.Class("badge PAUSED"), g.Text("Paused")), s.PausedFor
	case s.Disabled:
		badge, why = h.Span(h.Class("badge PAUSED"), g.Text("Disabled")), "enabled = false"
	case s.Problem != "":
		badge, why = BadgeAs(engine.Failed, "Hindered"), view.Brief(s.Problem)
	case active > 0:
		badge = BadgeAs(engine.Running, view.Plural(active, "run")+" active")
	case waiting > 0:
		badge = BadgeAs(engine.Pending, "Due")
	default:
		badge = BadgeAs(engine.Succeeded, "On")
	}
	if waiting > 0 && why == "" && active > 0 {
		why = view.Plural(waiting, "slot") + " waiting"
	}
	return g.Group{badge, g.If(why != "", h.Div(h.Class("about kept"), g.Text(why)))}
}

// nextSlot shows when the next slot is: in the zone of its schedule, in the time of whoever
// looks, and how long it is until then.
func nextSlot(t time.Time, zone *time.Location, now time.Time) g.Node {
	if t.IsZero() {
		return h.Span(h.Class("none dim"), g.Text("none"))
	}
	return g.Group{ZoneTime(t, zone), untilHere(t, zone, now)}
}

// untilHere says how long it is until a time and, where scripts find that clocks of whoever
// looks show another one than those of the zone, which.
func untilHere(t time.Time, zone *time.Location, now time.Time) g.Node {
	return h.Div(h.Class("about"), Until(t, now), h.Span(h.Class("here"), g.Attr("hidden"),
		g.Text(" · "), g.El("time", h.DateTime(t.UTC().Format(time.RFC3339)), h.Data("zoned", t.In(zone).Format("2006-01-02 15:04:05")), g.Text(t.UTC().Format("2006-01-02 15:04:05"))), g.Text(" here")))
}

// ZoneTime shows a time as clocks in a zone do.
func ZoneTime(t time.Time, zone *time.Location) g.Node {
	at := t.In(zone)
	layout := "Mon 2006-01-02 15:04"
	if at.Second() != 0 {
		layout += ":05"
	}
	return h.Span(h.Class("nowrap"), h.Title(at.Format(time.RFC3339)), g.Text(at.Format(layout+" MST")))
}

// Until shows how long it is until a time; the script lets it go on.
func Until(t, now time.Time) g.Node {
	text := "now"
	if d := t.Sub(now); d > 0 {
		text = "in " + view.Duration(d)
	}
	return h.Span(h.Class("ticks"), h.Data("until", t.UTC().Format(time.RFC3339Nano)), g.Text(text))
}
