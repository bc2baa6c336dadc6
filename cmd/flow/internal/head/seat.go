package head

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"flow/executor/store"
)

// A Document is what the seat's object says.
type Document struct {
	Owner *Owner `json:"owner,omitempty"` // nil: nobody has it
	Term  int64  `json:"term"`            // how many owners there have been
	Beat  int64  `json:"beat"`            // how often it was written: no two have the same ETag
	State *Copy  `json:"state,omitempty"` // nil: there is none yet
}

// An Owner is a process that has the seat.
type Owner struct {
	Token string    `json:"token"` // of no other process
	Job   string    `json:"job,omitempty"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

// A Copy is a state file as it was at one moment.
type Copy struct {
	URI    string    `json:"uri"`
	SHA256 string    `json:"sha256"`
	Size   int64     `json:"size_bytes"`
	Time   time.Time `json:"time"`
}

// ErrLost says that another process has the seat. What is published is from that one on.
var ErrLost = errors.New("another process has taken the seat over")

// Timing says how long things take. The clocks of two processes need not agree: each takes
// times by its own.
type Timing struct {
	Beat time.Duration // how often the owner says that it lives
	// Dead is how long an owner may say nothing before another process takes the seat. An owner
	// whose last word is half of that ago stops.
	Dead time.Duration
	Poll time.Duration // how often who waits looks
	Now  func() time.Time
	// Sleep waits until that time has passed, or ctx is done.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Usual is what heads on AWS Batch have.
var Usual = Timing{Beat: 10 * time.Second, Dead: time.Minute, Poll: 3 * time.Second, Now: time.Now, Sleep: sleep}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// A Seat is had by one process at a time. It is safe for concurrent use.
type Seat struct {
	place  *Place
	timing Timing
	me     Owner

	turn  chan struct{} // full while somebody has to do with what follows, which may last
	is    *Document
	etag  string
	said  time.Time // when the last word was begun that arrived
	files int       // copies that were published
}

// Take takes the seat, and waits for it while another process that lives has it. Meanwhile it
// asks whether that one has done what this process is here for: then it returns nil. S3 may be
// away for as long as an owner may.
func (p *Place) Take(ctx context.Context, me Owner, t Timing, done func(context.Context) (bool, error)) (*Seat, error) {
	w := &waiter{seat: &Seat{place: p, timing: t, me: me, turn: make(chan struct{}, 1)}, done: done, heard: t.Now()}
	answered := t.Now()
	for {
		over, took, err := w.try(ctx)
		switch {
		case err == nil && took:
			return w.seat, nil
		case err == nil && over:
			return nil, nil
		case err == nil:
			answered = t.Now()
		case t.Now().Sub(answered) >= t.Dead:
			return nil, err
		}
		if err := t.Sleep(ctx, t.Poll); err != nil {
			return nil, err
		}
	}
}

// A waiter is a process that wants the seat.
type waiter struct {
	seat  *Seat
	done  func(context.Context) (bool, error)
	last  string    // ETag of the last word
	heard time.Time // when it was seen first
}

// try takes the seat if nobody who lives has it.
func (w *waiter) try(ctx context.Context) (over, took bool, err error) {
	t := &w.seat.timing
	began := t.Now()
	d, etag, err := w.seat.place.look(ctx)
	if err != nil {
		return false, false, err
	}
	if etag != w.last {
		w.heard, w.last = t.Now(), etag
	}
	if d != nil && d.Owner != nil && d.Owner.Token != w.seat.me.Token && t.Now().Sub(w.heard) < t.Dead {
		over, err = w.done(ctx)
		return over, false, err
	}
	err = w.seat.begin(ctx, d, etag, began)
	if errors.Is(err, ErrLost) { // somebody was faster
		return false, false, nil
	}
	return false, err == nil, err
}

// begin writes the first word of an owner over what is there.
func (s *Seat) begin(ctx context.Context, d *Document, etag string, began time.Time) error {
	next := Document{}
	if d != nil {
		next = *d
	}
	next.Owner = &s.me
	next.Term++
	next.Beat++
	return s.write(ctx, &next, etag, began)
}

// write replaces the object that has the ETag, or makes it if that is "". ErrLost says that it
// is not that one any more, and none that this process has written.
func (s *Seat) write(ctx context.Context, next *Document, etag string, began time.Time) error {
	text, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	var o store.Object
	if etag == "" {
		o, err = s.place.Store.PutNew(ctx, s.place.seat(), text)
	} else {
		o, err = s.place.Store.PutMatch(ctx, s.place.seat(), text, etag)
	}
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrChanged) {
		// It may be this very word, whose answer was lost.
		var there []byte
		there, o, err = s.place.Store.Get(ctx, s.place.seat())
		if err == nil && !bytes.Equal(there, text) || errors.Is(err, fs.ErrNotExist) {
			return ErrLost
		}
	}
	if err != nil {
		return err
	}
	s.is, s.etag, s.said = next, o.ETag, began
	return nil
}

// change replaces what the object says. An earlier word whose fate was unknown is found.
func (s *Seat) change(ctx context.Context, with func(*Document)) error {
	for range 2 {
		next := *s.is
		next.Beat++
		with(&next)
		err := s.write(ctx, &next, s.etag, s.timing.Now())
		if !errors.Is(err, ErrLost) {
			return err
		}
		d, etag, err := s.place.look(ctx)
		if err != nil {
			return err
		}
		if d == nil || d.Owner == nil || d.Owner.Token != s.me.Token {
			return ErrLost
		}
		s.is, s.etag = d, etag
	}
	return ErrLost
}

// Keep says every while that the owner lives, until ctx is done. It returns ErrLost when
// another process has the seat, or may have it soon.
func (s *Seat) Keep(ctx context.Context) error {
	for {
		if err := s.timing.Sleep(ctx, s.timing.Beat); err != nil {
			return nil
		}
		s.turn <- struct{}{}
		limit := s.said.Add(s.timing.Dead / 2)
		c, cancel := context.WithTimeout(ctx, max(limit.Sub(s.timing.Now()), time.Millisecond))
		err := s.change(c, func(*Document) {})
		cancel()
		late := s.timing.Now().After(limit)
		<-s.turn
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrLost):
			return err
		case err != nil && late:
			return fmt.Errorf("%w, or may do so: S3 was not reached for %s: %w", ErrLost, s.timing.Dead/2, err)
		}
	}
}

// Restore writes the published state to a new file, and reports whether there is one.
func (s *Seat) Restore(ctx context.Context, path string) (bool, error) {
	s.turn <- struct{}{}
	c := s.is.State
	<-s.turn
	if c == nil {
		return false, nil
	}
	return true, s.place.Fetch(ctx, c, path)
}

// Fetch writes a copy of the state to a new file that only this user can read.
func (p *Place) Fetch(ctx context.Context, c *Copy, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, sum, err := p.Store.Download(ctx, c.URI, f, "")
	if err == nil && hex.EncodeToString(sum[:]) != c.SHA256 {
		err = fmt.Errorf("%s is not what was published: its sha256 is another one", c.URI)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// Publish makes a file the state that the next owner has. It is not if the seat is lost.
func (s *Seat) Publish(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.turn <- struct{}{}
	s.files++
	uri := fmt.Sprintf("%s%06d-%s-%06d.db", s.place.states(), s.is.Term, s.me.Token, s.files)
	<-s.turn
	o, sum, err := s.place.Store.Upload(ctx, uri, f, info.Size())
	if err != nil {
		return err
	}
	next := &Copy{URI: uri, SHA256: hex.EncodeToString(sum[:]), Size: o.Size, Time: s.timing.Now().UTC()}
	s.turn <- struct{}{}
	before := s.is.State
	err = s.change(ctx, func(d *Document) { d.State = next })
	<-s.turn
	if errors.Is(err, ErrLost) {
		return errors.Join(err, s.place.Store.Remove(ctx, uri))
	}
	if err != nil || before == nil {
		return err
	}
	return s.place.Store.Remove(ctx, before.URI)
}

// Release gives the seat back.
func (s *Seat) Release(ctx context.Context) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	err := s.change(ctx, func(d *Document) { d.Owner = nil })
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}
