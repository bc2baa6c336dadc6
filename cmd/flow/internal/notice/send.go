package notice

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"flow/engine"
)

// A Sender sends messages. Its errors never have what a secret is, so they may be stored.
type Sender struct {
	Version string // of flow
	// Secret returns what a secret is: "env:NAME", "file:/path", "var:name".
	Secret func(ref string) (string, error)
	// Publish sends to a topic of Amazon SNS.
	Publish func(ctx context.Context, topic, id, subject, text string) error
	TLS     *tls.Config // of mail servers and webhooks; nil: the system's
	Now     func() time.Time
}

// The time that a try may take, unless its way says so.
const (
	defaultTimeout        = 10 * time.Second
	defaultCommandTimeout = 30 * time.Second
)

// ErrGone says that a message is not wanted any more, so there is no use in trying again.
var ErrGone = errors.New("it is not wanted there any more")

// A LaterError says when to try again.
type LaterError struct {
	After time.Duration
	Err   error
}

func (e *LaterError) Error() string { return e.Err.Error() }
func (e *LaterError) Unwrap() error { return e.Err }

// waits are the times between tries, as the specification of Standard Webhooks proposes: three
// days in all.
var waits = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Again returns how long to wait after a number of tries, the last of which failed with err.
// It is not ok if the message is to be given up.
func Again(tries int, err error) (time.Duration, bool) {
	if errors.Is(err, ErrGone) || tries > len(waits) {
		return 0, false
	}
	wait := waits[max(tries, 1)-1]
	var later *LaterError
	if errors.As(err, &later) {
		wait = max(wait, min(later.After, waits[len(waits)-1]))
	}
	return wait, true
}

// Timeout returns how long a try may take.
func Timeout(way *engine.NoticeWay) time.Duration {
	switch {
	case way.Timeout > 0:
		return way.Timeout
	case way.Kind == engine.WayCommand:
		return defaultCommandTimeout
	}
	return defaultTimeout
}

// Send tries once to send a message. Without an error it was taken.
func (s *Sender) Send(ctx context.Context, way *engine.NoticeWay, m *Message) error {
	timeout := Timeout(way)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	v := &vault{read: s.Secret}
	own := *s
	own.Secret = v.secret
	err := v.hide(own.send(ctx, way, m))
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && !answered(err) {
		return fmt.Errorf("no answer within %s", timeout)
	}
	return err
}

// answered reports whether an error is what somebody answered.
func answered(err error) bool {
	var later *LaterError
	return errors.Is(err, ErrGone) || errors.As(err, &later)
}

func (s *Sender) send(ctx context.Context, way *engine.NoticeWay, m *Message) error {
	switch way.Kind {
	case engine.WayCommand:
		return command(ctx, way, m)
	case engine.WayWebhook:
		return s.webhook(ctx, way, m)
	case engine.WaySlack:
		return s.slack(ctx, way, m)
	case engine.WaySNS:
		return s.Publish(ctx, way.Topic, m.ID, m.Subject(), m.Text())
	case engine.WayEmail:
		return s.email(ctx, way, m)
	}
	return fmt.Errorf("a newer flow wrote this notice: its messages go out by %q, which this one does not know", way.Kind)
}

// told returns a text, or what a secret is.
func (s *Sender) told(t engine.Told) (string, error) {
	if t.Secret == "" {
		return t.Text, nil
	}
	return s.Secret(t.Secret)
}

// client returns what requests are sent with. It follows no redirect: what was meant for one
// address is not for another.
func (s *Sender) client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig, transport.DisableKeepAlives = s.TLS.Clone(), true
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
