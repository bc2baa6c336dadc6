// Package head lets one process at a time have a state file that is kept on S3: who has the
// seat restores the state, works with it, and publishes it; others hand their slots over. All of
// it hangs on one object, which is only ever replaced by whoever has read it last.
package head

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"flow/executor/store"
)

// A Place is where a deployment is kept: below a prefix, s3://bucket/prefix without a slash at
// its end,
//
//	<place>/head.json             who has the seat, and where the state is
//	<place>/state/<name>.db       the state, a file of SQLite
//	<place>/slots/<name>          slots that wait for whoever has the seat
//	<place>/bundles/<sha256>      the workflow's files
//	<place>/published/<path>      what runs publish as a relative path
type Place struct {
	Store store.Store
	URI   string
}

func (p *Place) seat() string             { return p.URI + "/head.json" }
func (p *Place) states() string           { return p.URI + "/state/" }
func (p *Place) slots() string            { return p.URI + "/slots/" }
func (p *Place) Bundle(sum string) string { return p.URI + "/bundles/" + sum }

// Published returns what the URIs begin with of what is published as a relative path: a head has
// no directory that stays.
func (p *Place) Published() string { return p.URI + "/published" }

// A Slot is a time for which a run was asked for.
type Slot struct {
	Schedule string    `json:"schedule"` // its name in the workflow
	Time     time.Time `json:"time"`
	Bundle   string    `json:"bundle"` // sha256 of the workflow's files
	Job      string    `json:"job,omitempty"`
}

const slotTime = "20060102T150405Z"

func (p *Place) slot(s *Slot) string {
	return p.slots() + s.Time.UTC().Format(slotTime) + "-" + s.Schedule
}

// Ask records that a run is asked for. To ask twice is to ask once.
func (p *Place) Ask(ctx context.Context, s *Slot) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = p.Store.Put(ctx, p.slot(s), text)
	return err
}

// Asked returns the slots that wait, the oldest first.
func (p *Place) Asked(ctx context.Context) (out []Slot, err error) {
	for o, err := range p.Store.List(ctx, p.slots()) {
		if err != nil {
			return nil, err
		}
		text, _, err := p.Store.Get(ctx, o.URI)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var s Slot
		if err := json.Unmarshal(text, &s); err != nil || p.slot(&s) != o.URI {
			return nil, fmt.Errorf("%s is no slot that flow has written: remove it", o.URI)
		}
		out = append(out, s)
	}
	return out, nil
}

// Waits reports whether a slot waits.
func (p *Place) Waits(ctx context.Context, s *Slot) (bool, error) {
	_, err := p.Store.Head(ctx, p.slot(s))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Answered removes slots of which the published state knows.
func (p *Place) Answered(ctx context.Context, slots ...Slot) error {
	var uris []string
	for i := range slots {
		uris = append(uris, p.slot(&slots[i]))
	}
	if len(uris) == 0 {
		return nil
	}
	return p.Store.Remove(ctx, uris...)
}

// Look returns who has the seat, and where the state is; nil: there has been no head yet.
func (p *Place) Look(ctx context.Context) (*Document, error) {
	d, _, err := p.look(ctx)
	return d, err
}

func (p *Place) look(ctx context.Context) (*Document, string, error) {
	text, o, err := p.Store.Get(ctx, p.seat())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	d := &Document{}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, "", fmt.Errorf("%s is not what flow has written: %w", p.seat(), err)
	}
	return d, o.ETag, nil
}
