package page

import (
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// What became of a slot.
const (
	SlotWaiting = "WAITING"
	SlotStarted = "STARTED"
	SlotSkipped = "SKIPPED"
	SlotMissed  = "MISSED"
)

// A Slot is a time at which a run of a schedule was due.
type Slot struct {
	Time    time.Time
	Kind    string // "triggered", "backfill"; "": by the clock
	Status  string // one of the constants above
	Reason  string // for people
	Late    bool   // decided when nobody had been there in time
	Started time.Time

	Run       string // id; "": none
	Removed   bool   // the run is not in the state any more
	RunStatus engine.Status
	Ended     time.Time // of the run
}

// word is what became of a slot, and the class of its sign.
func (s *Slot) word() (text, class string) {
	switch {
	case s.Status == SlotStarted && s.Removed:
		return "Run removed", engine.Pending.String()
	case s.Status == SlotStarted:
		return Word(s.RunStatus), s.RunStatus.String()
	case s.Status == SlotWaiting:
		return "Waiting", engine.Pending.String()
	case s.Status == SlotSkipped:
		return "Skipped", engine.Skipped.String()
	}
	return "Missed", "MISSED"
}

func (s *Slot) badge() g.Node {
	text, class := s.word()
	return h.Span(h.Class("badge "+class), g.Text(text))
}

// slotStrip shows the newest slots as cells, the newest on the right. A cell leads to the run.
func slotStrip(workflow, schedule string, zone *time.Location, last []Slot) g.Node {
	if len(last) == 0 {
		return h.Span(h.Class("none dim"), g.Text("none yet"))
	}
	cells := make(g.Group, len(last))
	for i := range last {
		cells[len(last)-1-i] = h.Li(last[i].cell(workflow, schedule, zone))
	}
	return h.Ul(h.Class("slot-strip"), cells)
}

func (s *Slot) cell(workflow, schedule string, zone *time.Location) g.Node {
	text, class := s.word()
	parts := []string{s.Time.In(zone).Format("2006-01-02 15:04 MST"), text}
	if s.Kind != "" {
		parts = append(parts, s.Kind)
	}
	if s.Reason != "" {
		parts = append(parts, view.Brief(s.Reason))
	}
	label := strings.Join(parts, ", ")
	to := ScheduleURL(workflow, schedule)
	if s.Run != "" && !s.Removed {
		to = RunURL(s.Run)
	}
	return h.A(h.Class("cell "+class), h.Href(to), h.Aria("label", label), h.Title(label), h.Span())
}

// slotTable lists slots, the newest first.
func slotTable(list []Slot, zone *time.Location, now time.Time) g.Node {
	cols := []Col{{Text: "Slot", Class: "nowrap"}, {Text: "What became of it"}, {Text: "Run", Class: "nowrap"}, {Text: "Started", Class: "nowrap"}, {Text: "Duration", Right: true}, {Text: "Why", Class: "wide full anywhere"}}
	return stacked("What became of slots", cols, g.Map(list, func(s Slot) g.Node {
		run, started, took := none(), none(), none()
		switch {
		case s.Run != "" && s.Removed:
			run = h.Code(h.Class("dim"), g.Text(ShortID(s.Run)))
		case s.Run != "":
			run = h.A(h.Href(RunURL(s.Run)), h.Code(g.Text(ShortID(s.Run))))
			started, took = Moment(s.Started), Took(s.Started, s.Ended, now)
		}
		return Row(cols, g.Group{ZoneTime(s.Time, zone), g.If(s.Kind != "", h.Span(h.Class("kind dim"), g.Text(s.Kind)))}, s.badge(), run, started, took, g.Text(view.Brief(s.Reason)))
	}))
}
