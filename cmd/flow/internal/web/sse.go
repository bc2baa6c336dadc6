package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

const (
	livePath  = "/live"
	beatEvery = 20 * time.Second // proxies end connections on which nothing happens
	sendTime  = 10 * time.Second // who does not take an event in that time is dropped, and comes back
	maxPiece  = 32 << 10         // bytes that have that time
)

// serveLive sends a page that is open what has changed of it, as server-sent events.
func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := s.hub.join(q.Get("page"), q.Get("have"))
	if v == nil {
		s.fail(w, r, errNoPage)
		return
	}
	defer s.hub.leave(v)
	out := &stream{w: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx sends it at once then
	_ = out.control.SetReadDeadline(time.Time{})
	if out.send([]byte(": flow\n\n")) != nil {
		return
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-v.gone:
			_ = out.send([]byte("event: end\ndata: {}\n\n"))
			return
		case <-beat.C:
			err = out.send([]byte(":\n\n"))
		case <-v.notify:
			err = out.sendNews(v)
		}
		if err != nil {
			s.log.Debug("live", "page", q.Get("page"), "error", err)
			return
		}
	}
}

// A stream writes events; each has its own time.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (o *stream) sendNews(v *viewer) error {
	list, err := v.news()
	if err != nil || len(list) == 0 {
		return err
	}
	var b bytes.Buffer
	for _, m := range list {
		b.WriteString("event: " + m.event + "\ndata: ")
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(m); err != nil {
			return err
		}
		b.WriteByte('\n')
	}
	return o.send(b.Bytes())
}

func (o *stream) send(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), maxPiece)
		if err := o.control.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
			return err
		}
		if _, err := o.w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return o.control.Flush()
}
