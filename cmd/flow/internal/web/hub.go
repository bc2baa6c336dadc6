package web

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"flow/engine"
)

// A hub brings pages that are open up to date: each distinct URL is made once, however many
// browsers show it, and only when something has changed.
type hub struct {
	find    func(url string) func(context.Context) (*View, error)
	version func(context.Context) (int64, error)
	every   time.Duration
	most    int // streams
	log     *slog.Logger

	ctx  context.Context
	stop context.CancelFunc
	wake chan struct{} // a topic waits for its first view

	mu      sync.Mutex
	topics  map[string]*topic
	viewers []*viewer // oldest first
	shown   []shown   // pages that were sent last, oldest first
	busy    bool      // run is running
	done    sync.WaitGroup
}

const (
	// Pages say how long ago things were and how long they have taken: they are made anew that
	// often though nothing has happened.
	renewEvery  = 15 * time.Second
	pageTimeout = 30 * time.Second
	keptDeltas  = 64 // of a datum; who has missed more gets all of it anew
)

func newHub(find func(string) func(context.Context) (*View, error), version func(context.Context) (int64, error), every time.Duration, most int, log *slog.Logger) *hub {
	h := &hub{find: find, version: version, every: every, most: most, log: log, wake: make(chan struct{}, 1), topics: map[string]*topic{}}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// A topic is a page that somebody has open.
type topic struct {
	url     string
	page    func(context.Context) (*View, error)
	viewers int // of the hub

	seen    int64 // version that it was made of
	made    time.Time
	pending bool // it has not been made, or could not be

	mu       sync.Mutex
	gen      int64 // counts changes, from 1
	title    string
	titleGen int64
	regions  []topicRegion
	data     []topicDatum
}

type topicRegion struct {
	part
	gen int64 // when it changed last
}

type topicDatum struct {
	id     string
	value  Value
	gen    int64
	deltas []topicDelta
}

type topicDelta struct {
	gen  int64
	json string
}

// A viewer is a browser that has a page open.
type viewer struct {
	topic  *topic
	have   *shown        // what it had when it came; nil: not known
	gen    int64         // what it has been sent; 0: nothing
	notify chan struct{} // there may be something new
	gone   chan struct{} // closed: it is to end
}

// shown is what a page showed when it was sent: what comes later is compared with that.
type shown struct {
	id    string
	title string
	parts []part
	data  []Datum
}

// keptShown is how many pages that were sent are kept until they are followed, which is when
// they have been loaded.
const keptShown = 64

// remember keeps what a page shows, and returns how it is asked for.
func (h *hub) remember(v *View, parts []part) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := rand.Text() // of no other server, either
	h.shown = append(h.shown, shown{id, v.Title, parts, v.Data})
	if more := len(h.shown) - keptShown; more > 0 {
		h.shown = slices.Delete(h.shown, 0, more)
	}
	return id
}

// recall returns what was kept, and keeps it no more. The caller has the lock.
func (h *hub) recall(id string) *shown {
	for i := range h.shown {
		if x := h.shown[i]; x.id == id {
			h.shown = slices.Delete(h.shown, i, i+1)
			return &x
		}
	}
	return nil
}

// join adds a viewer of the page at url; nil: there is no such page, or the hub is closed.
func (h *hub) join(url, have string) *viewer {
	page := h.find(url)
	h.mu.Lock()
	defer h.mu.Unlock()
	if page == nil || h.ctx.Err() != nil {
		return nil
	}
	t := h.topics[url]
	if t == nil {
		t = &topic{url: url, page: page, pending: true}
		h.topics[url] = t
	}
	t.viewers++
	v := &viewer{topic: t, have: h.recall(have), notify: make(chan struct{}, 1), gone: make(chan struct{})}
	v.notify <- struct{}{}
	h.viewers = append(h.viewers, v)
	if len(h.viewers) > h.most {
		close(h.viewers[0].gone) // it comes back if somebody looks at it
		h.drop(0)
	}
	if !h.busy {
		h.busy = true
		h.done.Go(h.run)
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
	return v
}

// leave takes a viewer out.
func (h *hub) leave(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.viewers {
		if h.viewers[i] == v {
			h.drop(i)
			return
		}
	}
}

func (h *hub) drop(i int) {
	t := h.viewers[i].topic
	h.viewers = append(h.viewers[:i:i], h.viewers[i+1:]...)
	if t.viewers--; t.viewers == 0 {
		delete(h.topics, t.url)
	}
}

// close ends all streams, and waits until nothing is made any more.
func (h *hub) close() {
	h.mu.Lock()
	h.stop()
	for _, v := range h.viewers {
		close(v.gone)
	}
	h.viewers = nil
	clear(h.topics)
	h.mu.Unlock()
	h.done.Wait()
}

// run makes pages, one at a time, as long as some are open. It rests as long as it has
// worked, so that many pages slow themselves down and not the machine.
func (h *hub) run() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		all := true
		select {
		case <-h.ctx.Done():
			return
		case <-h.wake:
			all = false
		case <-pause.C:
		}
		begun := time.Now()
		version, err := h.version(h.ctx)
		if err != nil && h.ctx.Err() == nil {
			h.log.Warn("state", "error", err)
		}
		topics, open := h.stale(version, err == nil && all, begun)
		if !open {
			return
		}
		for _, t := range topics {
			switch err := h.make(t); {
			case err == nil:
				t.seen, t.made, t.pending = version, begun, false
				h.tell(t)
			case errors.Is(err, engine.ErrNotFound):
				h.end(t)
			}
		}
		if all {
			pause.Reset(max(h.every, time.Since(begun)))
		}
	}
}

// stale returns the topics that have to be made anew: all that are behind, or only those
// that have not been made. Without any topic, run is over.
func (h *hub) stale(version int64, all bool, now time.Time) (out []*topic, open bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.topics) == 0 {
		h.busy = false
		return nil, false
	}
	for _, t := range h.topics {
		if t.pending || all && (t.seen != version || now.Sub(t.made) >= renewEvery) {
			out = append(out, t)
		}
	}
	return out, true
}

// make makes a topic's page anew.
func (h *hub) make(t *topic) error {
	ctx, cancel := context.WithTimeout(h.ctx, pageTimeout)
	defer cancel()
	v, err := t.page(ctx)
	if err == nil {
		err = t.take(v)
	}
	if err != nil && h.ctx.Err() == nil {
		h.log.Debug("page", "url", t.url, "error", err)
	}
	return err
}

// tell wakes the viewers of a topic.
func (h *hub) tell(t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.viewers {
		if v.topic == t {
			select {
			case v.notify <- struct{}{}:
			default:
			}
		}
	}
}

// end ends the streams of a page that is not there any more.
func (h *hub) end(t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.viewers) - 1; i >= 0; i-- {
		if v := h.viewers[i]; v.topic == t {
			close(v.gone)
			h.drop(i)
		}
	}
}

// take compares a view with the last one, and keeps what has changed.
func (t *topic) take(v *View) (err error) {
	defer recovered(&err)
	p, err := partsOf(v)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	gen := t.gen + 1
	changed := t.gen == 0 || t.title != v.Title
	if changed {
		t.title, t.titleGen = v.Title, gen
	}
	regions := make([]topicRegion, len(p))
	for i, r := range p {
		regions[i] = topicRegion{part: r, gen: gen}
		if i < len(t.regions) && t.regions[i].part == r {
			regions[i].gen = t.regions[i].gen
		} else {
			changed = true
		}
	}
	t.regions = regions
	for i, d := range v.Data {
		if i == len(t.data) {
			t.data = append(t.data, topicDatum{id: d.ID, value: d.Value, gen: gen})
			changed = true
			continue
		}
		news, err := t.data[i].take(d.Value, gen)
		if err != nil {
			return err
		}
		changed = changed || news
	}
	if changed {
		t.gen = gen
	}
	return nil
}

// take keeps the newest value of a datum, and what is new in it.
func (d *topicDatum) take(v Value, gen int64) (changed bool, err error) {
	delta := v.Since(d.value)
	if delta == nil {
		return false, nil
	}
	text, err := json.Marshal(delta)
	if err != nil {
		return false, err
	}
	d.value, d.gen = v, gen
	d.deltas = append(d.deltas, topicDelta{gen, string(text)})
	if len(d.deltas) > keptDeltas {
		d.deltas = append([]topicDelta(nil), d.deltas[len(d.deltas)-keptDeltas:]...)
	}
	return true, nil
}

// A message is an event for a browser.
type message struct {
	event string // region, data, title
	ID    string `json:"id,omitempty"`
	HTML  string `json:"html,omitempty"`
	Title string `json:"title,omitempty"`

	Delta json.RawMessage `json:"delta,omitempty"`
}

// news returns what a viewer has not been sent, and takes it for sent.
func (v *viewer) news() (out []message, err error) {
	t := v.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gen == v.gen {
		return nil, nil
	}
	for i, r := range t.regions {
		if v.gen == 0 && v.have != nil && i < len(v.have.parts) && v.have.parts[i] == r.part {
			continue
		}
		if r.gen > v.gen {
			out = append(out, message{event: "region", ID: r.id, HTML: r.html})
		}
	}
	for i := range t.data {
		d := &t.data[i]
		if v.gen == 0 {
			out, err = d.first(v.have, i, out)
		} else {
			out, err = d.news(v.gen, out)
		}
		if err != nil {
			return nil, err
		}
	}
	if t.titleGen > v.gen && (v.have == nil || v.have.title != t.title) {
		out = append(out, message{event: "title", Title: t.title})
	}
	v.gen, v.have = t.gen, nil
	return out, nil
}

// first adds what a viewer that comes has not got of datum number i.
func (d *topicDatum) first(have *shown, i int, out []message) ([]message, error) {
	var before Value
	if have != nil && i < len(have.data) {
		before = have.data[i].Value
	}
	delta := d.value.Since(before)
	if delta == nil {
		return out, nil
	}
	text, err := json.Marshal(delta)
	return append(out, message{event: "data", ID: d.id, Delta: text}), err
}

// news adds what is new in a datum since a change: the deltas, or all of it.
func (d *topicDatum) news(since int64, out []message) ([]message, error) {
	if d.gen <= since {
		return out, nil
	}
	if len(d.deltas) == keptDeltas && d.deltas[0].gen > since+1 {
		return d.first(nil, 0, out)
	}
	for _, x := range d.deltas {
		if x.gen > since {
			out = append(out, message{event: "data", ID: d.id, Delta: json.RawMessage(x.json)})
		}
	}
	return out, nil
}
