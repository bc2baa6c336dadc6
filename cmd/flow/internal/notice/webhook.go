package notice

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"flow/engine"
)

// webhook posts the message as JSON, signed as Standard Webhooks has it
// (https://github.com/standard-webhooks/standard-webhooks).
func (s *Sender) webhook(ctx context.Context, way *engine.NoticeWay, m *Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	req, err := s.post(ctx, way.URL, body)
	if err != nil {
		return err
	}
	for name, t := range way.Headers {
		value, err := s.told(t)
		if err != nil {
			return err
		}
		req.Header.Set(name, value)
	}
	at := strconv.FormatInt(s.Now().Unix(), 10)
	req.Header.Set("Webhook-Id", m.ID)
	req.Header.Set("Webhook-Timestamp", at)
	if way.Key != "" {
		secret, err := s.Secret(way.Key)
		if err != nil {
			return err
		}
		signature, err := sign(secret, m.ID, at, body)
		if err != nil {
			return fmt.Errorf("the secret %s: %w", way.Key, err)
		}
		req.Header.Set("Webhook-Signature", signature)
	}
	return s.do(req)
}

// sign returns the signature of a message: HMAC-SHA256 of "id.timestamp.body", in base64. A
// secret that begins with whsec_ is base64; any other is a key as it is.
func sign(secret, id, at string, body []byte) (string, error) {
	key := []byte(secret)
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(text); err != nil {
			return "", errors.New("what follows whsec_ is not base64") // the error would show it
		}
	}
	if len(key) == 0 {
		return "", errors.New("it is empty")
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// slack posts the message to an incoming webhook of Slack
// (https://api.slack.com/messaging/webhooks).
func (s *Sender) slack(ctx context.Context, way *engine.NoticeWay, m *Message) error {
	body, err := json.Marshal(map[string]string{"text": slackText(m)})
	if err != nil {
		return err
	}
	req, err := s.post(ctx, way.URL, body)
	if err != nil {
		return err
	}
	return s.do(req)
}

// slackEscape is what must be escaped in a text for Slack.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackText is the message in Slack's own markup.
func slackText(m *Message) string {
	esc := slackEscape.Replace
	title := "*" + esc(strings.ReplaceAll(m.Title(), "*", "·")) + "*"
	if m.Link != "" {
		title += " <" + esc(strings.ReplaceAll(oneLine(m.Link), "|", "%7C")) + "|look>"
	}
	lines := []string{title, esc(m.facts())}
	for i := range m.Failures {
		f := &m.Failures[i]
		lines = append(lines, "• "+esc(f.head()+": "+cut(oneLine(f.Text), 300)))
	}
	if m.MoreFailures > 0 {
		lines = append(lines, "• and for "+plural(m.MoreFailures, "more reason"))
	}
	return strings.Join(append(lines, "`"+esc(strings.ReplaceAll(oneLine(m.Command), "`", "'"))+"`"), "\n")
}

// post makes a request. Its errors do not have the address, which may be a secret.
func (s *Sender) post(ctx context.Context, to engine.Told, body []byte) (*http.Request, error) {
	address, err := s.told(to)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSpace(address), bytes.NewReader(body))
	if err != nil || req.URL.Host == "" || req.URL.Scheme != "https" && req.URL.Scheme != "http" {
		what := "the address"
		if to.Secret != "" {
			what = "what " + to.Secret + " has"
		}
		return nil, fmt.Errorf("%s is no URL such as https://hooks.example.org/flow", what)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "flow/"+s.Version)
	return req, nil
}

// shownBody is how much of an answer that is no success is shown.
const shownBody = 200

// do sends a request, and judges the answer.
func (s *Sender) do(req *http.Request) error {
	answer, err := s.client().Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err // without the address
		}
		return fmt.Errorf("%s: %w", req.URL.Hostname(), err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 == 2 {
		return nil // whatever else it says
	}
	body, _ := io.ReadAll(io.LimitReader(answer.Body, shownBody))
	text := fmt.Sprintf("%s answered %s", req.URL.Hostname(), answer.Status)
	if said := oneLine(string(body)); said != "" {
		text += ": " + said
	}
	if answer.StatusCode == http.StatusGone {
		return fmt.Errorf("%w: %s", ErrGone, text)
	}
	return &LaterError{After: retryAfter(answer.Header.Get("Retry-After"), s.Now()), Err: errors.New(text)}
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n < 1<<30 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
