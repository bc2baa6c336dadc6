package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"flow/cmd/flow/internal/notice"
	"flow/engine"
	awsnotice "flow/executor/notice"
	"flow/state"
)

const (
	// noticeSpare is how much longer than a try takes whoever makes it has a notice.
	noticeSpare = 5 * time.Second
	// noticeGrace is how long a driver stays for the notices of its run: trouble on a network
	// often passes soon, and on a machine of a CI no later process has the state file.
	noticeGrace = 15 * time.Second
	noticePoll  = time.Minute // how often to look for what another process has left
	couriers    = 4           // tries at a time
)

// A courier sends notices of a state file that are due, whoever left them. Any number of
// processes may have one.
type courier struct {
	a      *app
	db     *state.DB
	id     engine.RunID                     // the run that this process drives; "": none
	secret func(ref string) (string, error) // knows that run's sensitive variables; nil: nobody does
	tell   func(string)                     // tells a person what could not be sent
	// secretOf returns what knows the sensitive variables of a run that this process drives as
	// well, or nil; may be nil.
	secretOf func(engine.RunID) func(ref string) (string, error)
	poke     chan struct{} // something may be due

	mu  sync.Mutex  // held while run is used
	run *engine.Run // as it was at its last event; nil: none is known

	takenMu sync.Mutex
	taken   []*state.Notice // that went out, which could not be recorded
}

func (a *app) newCourier(db *state.DB, tell func(string)) *courier {
	return &courier{a: a, db: db, tell: tell, poke: make(chan struct{}, 1)}
}

// newCourier returns a courier that knows the sensitive variables of the session's run.
func (s *session) newCourier(tell func(string)) *courier {
	c := s.a.newCourier(s.db, tell)
	c.id, c.secret = s.id, s.secret
	return c
}

// foresee tells a person at the beginning of a run which of its notices cannot be sent as things
// are, since a secret is not there.
func (c *courier) foresee(wf *engine.Workflow) {
	if c.secret == nil {
		return
	}
	for _, n := range wf.Notices {
		for i := range n.Ways {
			for _, ref := range n.Ways[i].Secrets() {
				if _, err := c.secret(ref); err != nil && len(n.On) > 0 {
					c.tell(fmt.Sprintf("notice %s cannot be sent (%s) unless this changes: %s", n.Name, n.Ways[i].Kind, firstLineOf(err)))
				}
			}
		}
	}
}

// listen makes loop look at once when the run of a driver is paused or late. What its end leaves is
// for finish, which has the run already.
func (c *courier) listen(d *engine.Driver) {
	told := d.OnEvents
	d.OnEvents = func(run *engine.Run, events []engine.Event) {
		if told != nil {
			told(run, events)
		}
		if slices.ContainsFunc(events, func(e engine.Event) bool { return e.Kind == engine.RunPaused || e.Kind == engine.RunLate }) {
			c.hurry()
		}
	}
}

// hurry makes loop look at once.
func (c *courier) hurry() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// loop sends what is due, until enough is done: a try that was begun goes on then, unless ctx
// is done as well. What goes wrong with the state file is left to whoever needs it more; what
// it is about is still there later.
func (c *courier) loop(ctx, enough context.Context) {
	for enough.Err() == nil {
		wait := noticePoll
		err := c.deliver(ctx, enough, "")
		c.mu.Lock()
		c.run = nil // it may be large, and is seldom needed again
		c.mu.Unlock()
		if err == nil {
			if next, err := c.db.NextNotice(ctx, ""); err == nil && !next.IsZero() {
				wait = min(max(next.Sub(c.a.now()), time.Second), noticePoll)
			}
		}
		select {
		case <-enough.Done():
		case <-c.poke:
		case <-time.After(wait):
		}
	}
}

// finish sends the notices of the run that was driven, which has ended or rests. It tries for
// a while, unless impatient is done, and leaves what is left to later processes. With ctx it ends at once.
func (c *courier) finish(ctx, impatient context.Context, run *engine.Run) error {
	c.mu.Lock()
	c.run = run
	c.mu.Unlock()
	left, err := c.try(ctx, impatient, run.ID())
	if left {
		c.tell(fmt.Sprintf("what could not be sent is tried again by any later flow run, resume, wait, ui or serve with this state file; or now: flow notices retry %s", run.ID()))
	}
	return err
}

// try sends the notices of a run, or, with "", of all, for a while, unless impatient is done, and
// reports whether some are left after that.
func (c *courier) try(ctx, impatient context.Context, of engine.RunID) (left bool, err error) {
	until := c.a.now().Add(noticeGrace)
	for {
		if err := c.deliver(ctx, ctx, of); err != nil {
			return false, err
		}
		next, err := c.db.NextNotice(ctx, of)
		if err != nil || next.IsZero() {
			return false, err
		}
		if next.After(until) {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-impatient.Done():
			return false, nil
		case <-time.After(next.Sub(c.a.now())):
		}
	}
}

// deliver tries once to send each notice that is due: those of a run, or, with "", of all. It
// begins none when enough is done. It returns what went wrong with the state file.
func (c *courier) deliver(ctx, enough context.Context, of engine.RunID) error {
	if err := c.recordTaken(ctx); err != nil {
		return err
	}
	if next, err := c.db.NextNotice(ctx, of); err != nil || next.IsZero() || next.After(c.a.now()) {
		return err
	}
	var group errgroup.Group
	for range couriers {
		group.Go(func() error {
			for enough.Err() == nil {
				n, err := c.db.ClaimNotice(ctx, of, noticeHold)
				if err != nil || n == nil {
					return err
				}
				if err := c.send(ctx, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// noticeHold is how long whoever tries to send a notice has it.
func noticeHold(w *engine.NoticeWay) time.Duration { return notice.Timeout(w) + noticeSpare }

// send tries to send a claimed notice, and records what came of it.
func (c *courier) send(ctx context.Context, n *state.Notice) error {
	failed := c.attempt(ctx, n)
	record := context.WithoutCancel(ctx)
	switch {
	case failed == nil:
		return c.tookNotice(record, n)
	case errors.Is(failed, errNotOurs):
		return nil
	case ctx.Err() != nil: // it was stopped, which is no failure
		return c.db.NoticeFailed(record, n, "", c.a.now())
	}
	what := fmt.Sprintf("notice %s was not sent (%s)", n.Name, n.Way.Kind)
	wait, again := notice.Again(n.Tries, failed)
	if !again {
		c.tell(fmt.Sprintf("%s, and is given up: %s", what, firstLineOf(failed)))
		return c.db.NoticeFailed(record, n, failed.Error(), time.Time{})
	}
	if n.Tries == 1 {
		c.tell(fmt.Sprintf("%s: %s", what, firstLineOf(failed)))
	}
	return c.db.NoticeFailed(record, n, failed.Error(), c.a.now().Add(wait))
}

// tookNotice records that a notice was taken: now or, as long as this process lives, later, so
// that it does not go out again meanwhile.
func (c *courier) tookNotice(ctx context.Context, n *state.Notice) error {
	err := c.db.NoticeTaken(ctx, n)
	if err != nil {
		c.takenMu.Lock()
		c.taken = append(c.taken, n)
		c.takenMu.Unlock()
	}
	return err
}

// recordTaken records what could not be recorded when it was taken.
func (c *courier) recordTaken(ctx context.Context) error {
	c.takenMu.Lock()
	defer c.takenMu.Unlock()
	for len(c.taken) > 0 {
		if err := c.db.NoticeTaken(ctx, c.taken[0]); err != nil {
			return err
		}
		c.taken = c.taken[1:]
	}
	return nil
}

// errNotOurs says that somebody else tries to send a notice now, or that it is not wanted any more.
var errNotOurs = errors.New("somebody else has the notice")

// attempt tries once to send a notice.
func (c *courier) attempt(ctx context.Context, n *state.Notice) error {
	var row state.Run // of a slot there is none
	var err error
	if n.Run != "" {
		if row, err = c.db.Run(ctx, n.Run); err != nil {
			return err
		}
	}
	m, err := c.message(ctx, row, n)
	if err != nil {
		return err
	}
	s := &notice.Sender{Version: version(), Now: c.a.now, Secret: noticeSecret}
	if secret := c.secretFor(n.Run); secret != nil {
		s.Secret = secret
	}
	s.Publish = func(ctx context.Context, topic, id, subject, text string) error {
		profile := ""
		if kept, err := paramsOf(row); err == nil {
			profile = kept.Batch.overSite(kept.Site).Profile
		}
		return awsnotice.Publish(ctx, profile, topic, id, subject, text)
	}
	return s.Send(ctx, &n.Way, m)
}

// secretFor returns what knows the sensitive variables of a run; nil: nobody here does.
func (c *courier) secretFor(id engine.RunID) func(ref string) (string, error) {
	if id == c.id {
		return c.secret
	}
	if c.secretOf != nil {
		return c.secretOf(id)
	}
	return nil
}

// message returns what a notice tells. It is put together once, so that every try says the same.
func (c *courier) message(ctx context.Context, row state.Run, n *state.Notice) (*notice.Message, error) {
	m := &notice.Message{}
	if n.Message != nil {
		return m, json.Unmarshal(n.Message, m)
	}
	m, err := c.compose(ctx, row, n)
	if err != nil {
		return nil, err
	}
	if n.Message, err = json.Marshal(m); err != nil {
		return nil, err
	}
	ours, err := c.db.KeepMessage(ctx, n, noticeHold(&n.Way))
	if err == nil && !ours {
		err = errNotOurs
	}
	return m, err
}

// compose puts together what a notice tells.
func (c *courier) compose(ctx context.Context, row state.Run, n *state.Notice) (*notice.Message, error) {
	if n.Run == "" {
		s, err := c.db.Schedule(ctx, n.Schedule)
		if err != nil {
			return nil, err
		}
		return missedMessage(n, s.Spec.TimeZone, c.db.Path()), nil
	}
	e, err := c.db.Event(ctx, n.Run, n.Seq)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil || c.run.ID() != n.Run || c.run.Seq() != n.Seq {
		if c.run, err = c.a.runAt(ctx, c.db, row, n.Seq); err != nil {
			return nil, err
		}
	}
	return messageOf(c.run, row, &e, n, c.db.Path()), nil
}

// noticeSecret reads a secret of a notice whose run this process does not drive.
func noticeSecret(ref string) (string, error) {
	if name, ok := strings.CutPrefix(ref, "var:"); ok {
		value, ok := os.LookupEnv("FLOW_VAR_" + name)
		if !ok {
			return "", fmt.Errorf("the secret is the value of the sensitive variable %s, which is not kept: set FLOW_VAR_%[1]s", name)
		}
		return value, nil
	}
	return secrets(nil)(ref)
}
