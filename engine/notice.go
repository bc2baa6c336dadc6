package engine

import (
	"maps"
	"slices"
	"time"
)

// A Notice is a `notify` block: whom to tell of what happens to runs.
type Notice struct {
	Name string      `json:"name"`
	On   []Occasion  `json:"on"`
	Ways []NoticeWay `json:"ways"` // each gets a message of its own
}

// An Occasion is what somebody may want to be told of.
type Occasion string

// Occasions, the more special one of two that are the same event last.
const (
	OnSucceeded Occasion = "succeeded"
	OnFailed    Occasion = "failed"
	OnCancelled Occasion = "cancelled"
	OnPaused    Occasion = "paused"    // over its budget: it goes no further until somebody lets it
	OnTimedOut  Occasion = "timed_out" // it failed, since it took longer than its timeout
	OnRecovered Occasion = "recovered" // it succeeded, and what ended before it had failed
	OnLate      Occasion = "late"      // it is not over by when it should be, and goes on
	OnMissed    Occasion = "missed"    // a slot of a schedule gets no run, since nobody was there or it could not start in time
)

// Occasions are all there are, in the order of their declaration.
var Occasions = []Occasion{OnSucceeded, OnFailed, OnCancelled, OnPaused, OnTimedOut, OnRecovered, OnLate, OnMissed}

// Occasions returns of what an event is an occasion, the most special last; none: of nothing.
// failed says whether what ended before in the same workflow had failed.
func (e *Event) Occasions(failed func() (bool, error)) ([]Occasion, error) {
	switch {
	case e.Kind == RunPaused:
		return []Occasion{OnPaused}, nil
	case e.Kind == RunLate:
		return []Occasion{OnLate}, nil
	case e.Kind != RunEnded:
		return nil, nil
	case e.Status == Cancelled:
		return []Occasion{OnCancelled}, nil
	case e.Status == Failed && e.Cause == CauseTimeout:
		return []Occasion{OnFailed, OnTimedOut}, nil
	case e.Status == Failed:
		return []Occasion{OnFailed}, nil
	case e.Status != Succeeded:
		return nil, nil
	}
	before, err := failed()
	if err != nil || !before {
		return []Occasion{OnSucceeded}, err
	}
	return []Occasion{OnSucceeded, OnRecovered}, nil
}

// Wants returns as which of the occasions the notice takes them: the most special one that it
// names, or "" if it names none.
func (n *Notice) Wants(occasions []Occasion) Occasion {
	for _, o := range slices.Backward(occasions) {
		if slices.Contains(n.On, o) {
			return o
		}
	}
	return ""
}

// WayKind is how a message goes out.
type WayKind string

const (
	WayCommand WayKind = "command" // a program of this machine is started
	WayWebhook WayKind = "webhook" // a signed POST
	WaySlack   WayKind = "slack"   // a POST to an incoming webhook of Slack
	WaySNS     WayKind = "sns"     // a message to a topic of Amazon SNS
	WayEmail   WayKind = "email"   // a mail by SMTP
)

// A NoticeWay is where a message goes, and how. Which fields are set depends on Kind. It is
// stored with the run, so it has the names of secrets, never what they are.
type NoticeWay struct {
	Kind    WayKind       `json:"kind"`
	Timeout time.Duration `json:"timeout,omitempty"` // of one try

	Argv []string `json:"argv,omitempty"` // command
	Dir  string   `json:"dir,omitempty"`  // command: an absolute path

	URL     Told            `json:"url,omitzero"`      // webhook, slack
	Headers map[string]Told `json:"headers,omitempty"` // webhook
	Key     string          `json:"key,omitempty"`     // webhook: the secret that signs; "": it is not signed

	Topic string `json:"topic,omitempty"` // sns: its ARN

	Server   string   `json:"server,omitempty"` // email: host:port
	TLS      MailTLS  `json:"tls,omitempty"`    // email
	From     string   `json:"from,omitempty"`   // email
	To       []string `json:"to,omitempty"`     // email
	User     Told     `json:"user,omitzero"`    // email; zero: no login
	Password string   `json:"password,omitempty"`
}

// MailTLS is how a connection to a mail server is encrypted.
type MailTLS string

const (
	TLSStart    MailTLS = "starttls" // after a greeting in the clear; a server that cannot is refused
	TLSImplicit MailTLS = "implicit" // from the first byte
	TLSNone     MailTLS = "none"     // not at all: to a server of the own machine
)

// Secrets returns the names of the secrets that a way needs.
func (w *NoticeWay) Secrets() (all []string) {
	add := func(ref string) {
		if ref != "" && !slices.Contains(all, ref) {
			all = append(all, ref)
		}
	}
	add(w.URL.Secret)
	for _, name := range slices.Sorted(maps.Keys(w.Headers)) {
		add(w.Headers[name].Secret)
	}
	add(w.Key)
	add(w.User.Secret)
	add(w.Password)
	return all
}

// Told is a text, or the name of a secret that has it: "env:NAME", "file:/path", "var:name".
type Told struct {
	Text   string `json:"text,omitempty"`
	Secret string `json:"secret,omitempty"`
}
