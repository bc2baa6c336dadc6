package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
	"flow/state"
)

// The patterns of what can be done with a schedule. Each is a page that asks, and an action.
const (
	pausePath          = schedulePath + "/pause"
	unpausePath        = schedulePath + "/resume"
	triggerPath        = schedulePath + "/trigger"
	backfillPath       = schedulePath + "/backfill"
	backfillCancelPath = schedulePath + "/backfills/{backfill}/cancel"
)

// scheduleActs are what can be done with a schedule.
func scheduleActs(sch *state.Schedule) []page.Act {
	if sch.Gone {
		return nil
	}
	at := page.ScheduleURL(sch.Workflow, sch.Spec.Name)
	acts := []page.Act{{Text: "Pause", URL: at + "/pause"}}
	if !sch.Paused.IsZero() {
		acts[0] = page.Act{Text: "Resume", URL: at + "/resume", Primary: true}
	}
	return append(acts, page.Act{Text: "Trigger", URL: at + "/trigger"})
}

func backfillCancelURL(sch *state.Schedule, id int64) string {
	return page.ScheduleURL(sch.Workflow, sch.Spec.Name) + "/backfills/" + strconv.FormatInt(id, 10) + "/cancel"
}

// An askedSchedule is a schedule that something is to be done with.
type askedSchedule struct {
	state.Schedule
	path map[string]string // of the request
	form url.Values        // what was sent; nil: it is only asked
	now  time.Time
	zone *time.Location
	// ready does it; set by ask if nothing is in the way.
	ready func(ctx context.Context, db *state.DB) error
}

// A scheduleDeed fills in what is asked, and what is to be done once the form was sent. why is
// not "" if it cannot be done now.
type scheduleDeed func(ctx context.Context, c *page.Confirm, a *askedSchedule) (why string, err error)

func (s *site) scheduleDeeds() map[string]scheduleDeed {
	return map[string]scheduleDeed{
		pausePath: s.askPause, unpausePath: s.askUnpause, triggerPath: s.askTrigger, backfillPath: s.askBackfill, backfillCancelPath: s.askBackfillCancel,
	}
}

// addScheduleDeeds puts what can be done with schedules into the table of all that is served.
func (s *site) addScheduleDeeds(r *web.Routes) {
	for pattern, deed := range s.scheduleDeeds() {
		r.Pages[pattern] = func(ctx context.Context, q web.Request) (*web.View, error) {
			c, _, err := s.confirmSchedule(ctx, pattern, deed, q, nil)
			if err != nil {
				return nil, err
			}
			return page.ConfirmView(c), nil
		}
		r.Actions[pattern] = func(ctx context.Context, q web.Request, form url.Values) (string, error) {
			c, a, err := s.confirmSchedule(ctx, pattern, deed, q, form)
			if err != nil {
				return "", err
			}
			if a.ready == nil {
				return "", &web.InvalidError{View: page.ConfirmView(c)}
			}
			if err := s.write(ctx, a.ready); err != nil {
				c.Bad = view.CleanLines(err.Error())
				return "", &web.InvalidError{View: page.ConfirmView(c)}
			}
			return c.Back, nil
		}
	}
}

// write calls f with the state to be written.
func (s *site) write(ctx context.Context, f func(context.Context, *state.DB) error) error {
	if db := s.looks.state; db != nil {
		return f(ctx, db)
	}
	db, err := s.openState(false)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, db), db.Close())
}

// confirmSchedule makes the question of a deed. form is what was sent; nil: nothing yet.
func (s *site) confirmSchedule(ctx context.Context, pattern string, deed scheduleDeed, q web.Request, form url.Values) (*page.Confirm, *askedSchedule, error) {
	sch, err := s.findSchedule(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	a := &askedSchedule{Schedule: sch, path: q.Path, form: form, now: s.now(), zone: zoneOf(&sch.Spec)}
	back := page.ScheduleURL(sch.Workflow, sch.Spec.Name)
	c := &page.Confirm{
		Action: filled(pattern, q.Path), Token: q.Token, Back: back,
		Crumbs: []web.Crumb{{Text: "Runs", URL: "/"}, {Text: "Schedules", URL: page.SchedulesURL}, {Text: sch.Full(), URL: back}},
		Facts:  []page.Fact{page.TextFact("Schedule", sch.Full())},
	}
	if sch.Gone {
		c.Title, c.Blocked = "Schedule "+sch.Full(), "The files of the workflow do not have this schedule any more."
		return c, a, nil
	}
	c.Blocked, err = deed(ctx, c, a)
	return c, a, err
}

// needService says that what is asked for waits for a service; "": there is one.
func (s *site) needService(ctx context.Context, command string) string {
	if s.service(ctx).Who != "" {
		return ""
	}
	return "No service is there that would start it. Start one with flow serve, or in a terminal: " + command
}

func (s *site) askPause(_ context.Context, c *page.Confirm, a *askedSchedule) (string, error) {
	c.Title, c.Button = "Pause this schedule?", "Pause"
	if !a.Paused.IsZero() {
		return "The schedule is paused already.", nil
	}
	c.Text = []string{"It starts no runs until it is resumed, and the slots that pass meanwhile are not made up for. Runs that have begun go on."}
	c.Inputs = []page.Input{{Name: "reason", Label: "Why", Kind: "text", Value: a.form.Get("reason"), Hint: []string{"Shown to others. It may be left out."}}}
	if a.form != nil {
		a.ready = func(ctx context.Context, db *state.DB) error {
			return db.PauseSchedule(ctx, a.ID, strings.TrimSpace(a.form.Get("reason")))
		}
	}
	return "", nil
}

func (s *site) askUnpause(_ context.Context, c *page.Confirm, a *askedSchedule) (string, error) {
	c.Title, c.Button = "Resume this schedule?", "Resume"
	if a.Paused.IsZero() {
		return "The schedule is not paused.", nil
	}
	c.Text = []string{"It starts runs again, from the next slot on."}
	if at := nextOf(&a.Spec, a.now); !at.IsZero() {
		c.Facts = append(c.Facts, page.Fact{Name: "Next", Value: page.ZoneTime(at, a.zone)})
	}
	if a.form != nil {
		a.ready = func(ctx context.Context, db *state.DB) error { return db.ResumeSchedule(ctx, a.ID) }
	}
	return "", nil
}

func (s *site) askTrigger(ctx context.Context, c *page.Confirm, a *askedSchedule) (string, error) {
	c.Title, c.Button = "Start a run of this schedule?", "Trigger"
	if why := s.needService(ctx, "flow schedule trigger "+a.Full()); why != "" {
		return why, nil
	}
	c.Text = []string{"It is as if a slot were due now, also while the schedule is paused or disabled. The next slots stay as they are."}
	in := page.Input{Name: "at", Label: "As of", Kind: "text", Value: a.form.Get("at"), Hint: []string{"schedule.time of the run; now if nothing is said.", timeHint(a.zone)}}
	at := a.now.Truncate(time.Second)
	if in.Value != "" {
		var err error
		if at, err = pastTime(in.Value, a.zone, a.now); err != nil {
			in.Bad = err.Error()
		}
	}
	c.Inputs = []page.Input{in}
	if a.form != nil && in.Bad == "" {
		a.ready = func(ctx context.Context, db *state.DB) error {
			err := db.AddSlot(ctx, state.Slot{Schedule: a.ID, Time: at, Due: a.now, Kind: state.SlotManual})
			if errors.Is(err, engine.ErrConflict) {
				return fmt.Errorf("the slot %s has a run already, or waits for it", at.In(a.zone).Format("2006-01-02 15:04:05 MST"))
			}
			return err
		}
	}
	return "", nil
}

func (s *site) askBackfill(ctx context.Context, c *page.Confirm, a *askedSchedule) (string, error) {
	c.Title, c.Button = "Start runs for slots of the past?", "Backfill"
	if why := s.needService(ctx, "flow schedule backfill "+a.Full()+" --from DATE --to DATE"); why != "" {
		return why, nil
	}
	c.Text = []string{"Each slot from one time until before another that has no run gets one, in order, with its own schedule.time."}
	hint := timeHint(a.zone)
	b, ins := a.backfill(hint)
	var times []time.Time
	if a.form != nil && !anyBad(ins) {
		var bad string
		if times, bad = slotsBetween(&a.Spec, b.From, b.To, a.now); bad != "" {
			ins[1].Bad = bad
		}
	}
	c.Inputs = ins
	if a.form != nil && !anyBad(ins) {
		a.ready = func(ctx context.Context, db *state.DB) error {
			_, added, err := db.AddBackfill(ctx, b, times)
			if err == nil && added == 0 {
				err = errors.New("each of these slots has a run already")
			}
			return err
		}
	}
	return "", nil
}

// backfill reads what was asked for, and returns the inputs with what is wrong with it.
func (a *askedSchedule) backfill(hint string) (state.Backfill, []page.Input) {
	b := state.Backfill{Schedule: a.ID, MaxParallel: 1}
	ins := []page.Input{
		{Name: "from", Label: "From", Kind: "text", Need: true, Hint: []string{hint}},
		{Name: "to", Label: "Until before", Kind: "text", Need: true},
		{Name: "max-parallel", Label: "Runs at once", Kind: "number", Value: "1"},
	}
	if a.form == nil {
		return b, ins
	}
	for i, at := range []*time.Time{&b.From, &b.To} {
		in := &ins[i]
		in.Value = a.form.Get(in.Name)
		var err error
		if *at, err = slotTime(in.Value, a.zone); err != nil {
			in.Bad = err.Error()
		}
	}
	ins[2].Value = a.form.Get("max-parallel")
	n, err := strconv.Atoi(ins[2].Value)
	if err != nil || n < 1 || n > mostParallel {
		ins[2].Bad = fmt.Sprintf("Write a number from 1 to %d.", mostParallel)
	}
	b.MaxParallel = n
	if !anyBad(ins) && !b.From.Before(b.To) {
		ins[1].Bad = "It is not after the first one."
	}
	return b, ins
}

func anyBad(ins []page.Input) bool {
	for i := range ins {
		if ins[i].Bad != "" {
			return true
		}
	}
	return false
}

func (s *site) askBackfillCancel(ctx context.Context, c *page.Confirm, a *askedSchedule) (string, error) {
	c.Title, c.Button, c.Danger = "Cancel this backfill?", "Cancel backfill", true
	all, err := s.src.db().Backfills(ctx, false)
	if err != nil {
		return "", err
	}
	for i := range all {
		b := &all[i]
		if b.Schedule != a.ID || strconv.FormatInt(b.ID, 10) != a.path["backfill"] {
			continue
		}
		if !b.Open() {
			return "The backfill is over.", nil
		}
		c.Facts = append(c.Facts, page.Fact{Name: "From", Value: page.ZoneTime(b.From, a.zone)}, page.Fact{Name: "Until before", Value: page.ZoneTime(b.To, a.zone)})
		c.Text = []string{"Slots that have no run yet get none: " + view.Count(b.Slots.Waiting) + ". Runs that have begun go on."}
		if a.form != nil {
			a.ready = func(ctx context.Context, db *state.DB) error { return db.CancelBackfill(ctx, b.ID) }
		}
		return "", nil
	}
	return "", fmt.Errorf("schedule %s has no backfill %q: %w", a.Full(), a.path["backfill"], engine.ErrNotFound)
}
