package notice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

var epoch = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func message() *Message {
	return &Message{
		ID: "01k-17-1", Type: "run.failed", At: epoch, Notice: "oncall", Workflow: "genome", Run: "01k", Status: "FAILED",
		Reason: "step align failed", Created: epoch.Add(-754 * time.Second), Seconds: 754,
		Tasks: Tasks{Total: 400, Succeeded: 380, Failed: 20},
		Failures: []Failure{
			{Step: "align", Tasks: 19, Text: "out of memory: <16 GiB> & more\x1b[31m", Example: `align["chr1"]`, Help: "ask for more"},
			{Step: "merge", Tasks: 1, Text: "exit code 1", Example: "merge"},
		},
		MoreFailures: 2, Spent: "$1.20", Link: "https://flow.example.org/runs/01k", Command: "flow resume 01k --failed", Host: "node1", State: "/lab/.flow/flow.db",
	}
}

// secretsHere are what secrets are in tests.
var secretsHere = map[string]string{
	"env:KEY": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "env:BAD": "whsec_not base64", "var:token": "t0ken", "env:URL": "", "env:PASSWORD": "p4ss",
}

func sender() *Sender {
	return &Sender{Version: "1", Now: func() time.Time { return epoch }, Secret: func(ref string) (string, error) {
		if s, ok := secretsHere[ref]; ok {
			return s, nil
		}
		return "", fmt.Errorf("no secret %s", ref)
	}}
}

func TestText(t *testing.T) {
	want := `genome failed: step align failed
run 01k, after 12m34s, 20 of 400 tasks failed, $1.20

align, 19 tasks such as align["chr1"]: out of memory: <16 GiB> & more [31m
  ask for more

merge: exit code 1

... and for 2 more reasons

Look:  https://flow.example.org/runs/01k
Next:  flow resume 01k --failed
On:    node1, with /lab/.flow/flow.db
`
	if diff := cmp.Diff(want, message().Text()); diff != "" {
		t.Error(diff)
	}
	slack := "*genome failed: step align failed* <https://flow.example.org/runs/01k|look>\n" +
		"run 01k, after 12m34s, 20 of 400 tasks failed, $1.20\n" +
		"• align, 19 tasks such as align[\"chr1\"]: out of memory: &lt;16 GiB&gt; &amp; more [31m\n" +
		"• merge: exit code 1\n• and for 2 more reasons\n`flow resume 01k --failed`"
	if diff := cmp.Diff(slack, slackText(message())); diff != "" {
		t.Error(diff)
	}
	m := message()
	m.Reason, m.Type, m.Failures, m.Tasks.Failed, m.Spent = strings.Repeat("x\n", 200), "run.timed_out", nil, 0, ""
	if s := m.Subject(); !strings.HasPrefix(s, "flow: genome timed out: x x") || len([]rune(s)) != 200 {
		t.Errorf("subject %q", s)
	}
	if s := m.facts(); !strings.HasSuffix(s, "380 of 400 tasks done") {
		t.Errorf("facts %q", s)
	}
}

// TestTextOfSchedules: what was missed has no run, and a run says for when it was due.
func TestTextOfSchedules(t *testing.T) {
	at := time.Date(2026, 11, 23, 2, 0, 0, 0, time.FixedZone("", 3600))
	m := &Message{
		ID: "n", Type: "schedule.missed", At: epoch, Notice: "oncall", Workflow: "nightly", Schedule: "nightly/daily", Slot: at, Status: "MISSED",
		Reason: "nobody was there to start it", Command: "flow schedule history nightly/daily", Host: "node1", State: "/lab/.flow/flow.db",
	}
	want := `nightly/daily missed 2026-11-23 02:00 +01:00: nobody was there to start it
there is no run for 2026-11-23 02:00 +01:00

Next:  flow schedule history nightly/daily
On:    node1, with /lab/.flow/flow.db
`
	if diff := cmp.Diff(want, m.Text()); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want = `{"id":"n","type":"schedule.missed","timestamp":"2026-11-23T08:00:00Z","notice":"oncall","workflow":"nightly",` +
		`"schedule":"nightly/daily","slot":"2026-11-23T02:00:00+01:00","status":"MISSED","reason":"nobody was there to start it",` +
		`"seconds":0,"tasks":{"total":0,"succeeded":0,"failed":0,"skipped":0,"cancelled":0},` +
		`"command":"flow schedule history nightly/daily","host":"node1","state":"/lab/.flow/flow.db"}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
	m = message()
	m.Type, m.Reason, m.Schedule, m.Slot = "run.late", "should be over by 06:00 (Europe/Berlin)", "nightly/daily", at
	want = "genome late: should be over by 06:00 (Europe/Berlin)\nrun 01k of 2026-11-23 02:00 +01:00, after 12m34s, 20 of 400 tasks failed, $1.20\n"
	if got := m.Text(); !strings.HasPrefix(got, want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestSign checks a signature that the libraries of Standard Webhooks have in their tests.
func TestSign(t *testing.T) {
	got, err := sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	for _, secret := range []string{"whsec_?", "", "whsec_"} {
		if _, err := sign(secret, "a", "1", nil); err == nil || secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("secret %q: %v", secret, err)
		}
	}
	if _, err := sign("plain", "a", "1", nil); err != nil {
		t.Error(err)
	}
}

// A request is what a server was sent.
type request struct {
	Header http.Header
	Body   string
}

// serve answers requests, and keeps what they were.
func serve(t *testing.T, answer http.HandlerFunc) (*httptest.Server, *[]request) {
	t.Helper()
	var got []request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&body) != nil {
			t.Errorf("%s %s is no message", r.Method, r.URL)
		}
		got = append(got, request{r.Header, string(body)})
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s, &got
}

func ok(http.ResponseWriter, *http.Request) {}

func TestWebhook(t *testing.T) {
	server, got := serve(t, ok)
	way := &engine.NoticeWay{
		Kind: engine.WayWebhook, URL: engine.Told{Text: server.URL}, Key: "env:KEY",
		Headers: map[string]engine.Told{"Authorization": {Secret: "var:token"}, "X-Team": {Text: "lab"}},
	}
	if err := sender().Send(t.Context(), way, message()); err != nil {
		t.Fatal(err)
	}
	if len(*got) != 1 {
		t.Fatalf("%d requests", len(*got))
	}
	r := (*got)[0]
	at := strconv.FormatInt(epoch.Unix(), 10)
	signature, _ := sign(secretsHere["env:KEY"], "01k-17-1", at, []byte(r.Body))
	for name, want := range map[string]string{
		"Webhook-Id": "01k-17-1", "Webhook-Timestamp": at, "Webhook-Signature": signature, "Authorization": "t0ken", "X-Team": "lab",
		"Content-Type": "application/json", "User-Agent": "flow/1",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	var m Message
	if err := json.Unmarshal([]byte(r.Body), &m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(message(), &m); diff != "" {
		t.Error(diff)
	}
}

// TestAnswers looks at what becomes of a message by what is answered.
func TestAnswers(t *testing.T) {
	status := func(code int, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			fmt.Fprint(w, "no\x1b such thing\n")
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string // of the error; "": it was taken
		wait   time.Duration
	}{
		{"taken", status(204), "", 0},
		{"refused", status(403), "127.0.0.1 answered 403 Forbidden: no such thing", 5 * time.Second},
		{"broken", status(500), "127.0.0.1 answered 500 Internal Server Error: no such thing", 5 * time.Second},
		{"later", status(429, "Retry-After", "90"), "429", 90 * time.Second},
		{"at a time", status(503, "Retry-After", epoch.Add(time.Hour).Format(http.TimeFormat)), "503", time.Hour},
		{"much later", status(503, "Retry-After", "99999999"), "503", 24 * time.Hour},
		{"not wanted", status(410), "not wanted there any more: 127.0.0.1 answered 410", -1},
		{"elsewhere", status(302, "Location", "http://127.0.0.1:1/x"), "302 Found", 5 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server, got := serve(t, test.answer)
			err := sender().Send(t.Context(), &engine.NoticeWay{Kind: engine.WaySlack, URL: engine.Told{Text: server.URL}}, message())
			if len(*got) != 1 {
				t.Errorf("%d requests", len(*got))
			}
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %s", err, test.want)
			}
			wait, again := Again(1, err)
			if again != (test.wait >= 0) || again && wait != test.wait {
				t.Errorf("again %v after %s, want %s", again, wait, test.wait)
			}
		})
	}
}

// TestAgain adds up how long a message is tried.
func TestAgain(t *testing.T) {
	total, tries := time.Duration(0), 1
	for ; ; tries++ {
		wait, ok := Again(tries, errors.New("no"))
		if !ok {
			break
		}
		total += wait
	}
	if tries != 10 || total < 72*time.Hour || total > 96*time.Hour {
		t.Errorf("%d tries in %s", tries, total)
	}
}

// TestSecretsStayOut has every error without what a secret is.
func TestSecretsStayOut(t *testing.T) {
	const secret = "T0PSECRET"
	closed := httptest.NewServer(nil)
	closed.Close()
	slow, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, address := range map[string]string{
		"nobody there": closed.URL + "/" + secret, "no URL": secret, "bad URL": "https://\x7f" + secret, "no name": "http://" + secret + ".invalid:x/", "slow": slow.URL + "/" + secret,
	} {
		t.Run(name, func(t *testing.T) {
			s := sender()
			s.Secret = func(string) (string, error) { return address, nil }
			for _, way := range []engine.NoticeWay{
				{Kind: engine.WaySlack, URL: engine.Told{Secret: "env:URL"}},
				{Kind: engine.WayWebhook, URL: engine.Told{Secret: "env:URL"}, Key: "env:KEY"},
			} {
				way.Timeout = 50 * time.Millisecond
				err := s.Send(t.Context(), &way, message())
				if err == nil || strings.Contains(err.Error(), secret) || name == "nobody there" && !strings.Contains(err.Error(), "connection refused") {
					t.Errorf("%s: %v", way.Kind, err)
				}
				if name == "nobody there" && (err == nil || !strings.Contains(err.Error(), "connection refused")) {
					t.Errorf("%s: it does not say why: %v", way.Kind, err)
				}
			}
		})
	}
	way := &engine.NoticeWay{Kind: engine.WayWebhook, URL: engine.Told{Text: closed.URL}, Key: "env:BAD"}
	if err := sender().Send(t.Context(), way, message()); err == nil || strings.Contains(err.Error(), "not base64\"") || !strings.Contains(err.Error(), "env:BAD") {
		t.Errorf("bad key: %v", err)
	}
	way = &engine.NoticeWay{Kind: engine.WaySlack, URL: engine.Told{Secret: "env:NONE"}}
	if err := sender().Send(t.Context(), way, message()); err == nil || !strings.Contains(err.Error(), "no secret env:NONE") {
		t.Errorf("no secret: %v", err)
	}
}

// TestAnswersThatDoNotEnd takes the status for the answer.
func TestAnswersThatDoNotEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status  int
		timeout time.Duration
		want    string
	}{
		{200, time.Minute, ""},
		{500, 300 * time.Millisecond, "127.0.0.1 answered 500 Internal Server Error: wait"},
	} {
		server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(test.status)
			fmt.Fprint(w, "wait")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		began := time.Now()
		err := sender().Send(t.Context(), &engine.NoticeWay{Kind: engine.WaySlack, URL: engine.Told{Text: server.URL}, Timeout: test.timeout}, message())
		if err == nil != (test.want == "") || err != nil && err.Error() != test.want {
			t.Errorf("%d: %v", test.status, err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%d: it waited %s for an answer that was there", test.status, took)
		}
	}
}

// TestEchoIsHidden has servers that send back what they were sent: what is stored of it has no
// secret.
func TestEchoIsHidden(t *testing.T) {
	const secret = "T0P-SECRET-T0KEN&<\""
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"text":  func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "who is ", r.Header.Get("Authorization")) },
		"JSON":  func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(r.Header) },
		"part":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, secret[:15]) },
		"URL":   func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "no ", r.URL) },
		"whole": func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "no http://%s%s", r.Host, r.URL) },
	} {
		for _, code := range []int{400, 410, 429} {
			server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "90")
				w.WriteHeader(code)
				answer(w, r)
			})
			s := sender()
			s.Secret = func(ref string) (string, error) {
				return map[string]string{"env:URL": server.URL + "/services/T0P-SECRET-PATH", "env:AUTH": secret}[ref], nil
			}
			way := &engine.NoticeWay{Kind: engine.WayWebhook, URL: engine.Told{Secret: "env:URL"}, Headers: map[string]engine.Told{"Authorization": {Secret: "env:AUTH"}}}
			err := s.Send(t.Context(), way, message())
			if err == nil || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "T0P") {
				t.Errorf("%s, %d: %v", name, code, err)
			}
			wait, again := Again(1, err)
			if again != (code != 410) || again && wait != 90*time.Second {
				t.Errorf("%s, %d: again %v after %s", name, code, again, wait)
			}
		}
	}
}

// TestHostileText has texts that would be more than text where they are told.
func TestHostileText(t *testing.T) {
	m := message()
	const harm = "x\r\nBcc: all@example.org\u2028\u202eevil\u2066 <!channel> <http://evil.test|ok> `rm` \x00\x1b]0;t\a\x9b31m \xff"
	m.Reason, m.Spent, m.Link, m.Command, m.Host, m.State = harm, "$1", "https://flow.example.org/runs/1|"+harm, harm, harm, harm
	m.Failures = []Failure{{Step: "s", Tasks: 2, Text: harm, Example: harm, Help: harm}}
	bad := func(r rune) bool {
		return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x202e || r == 0x2066
	}
	for name, text := range map[string]string{"subject": m.Subject(), "text": m.Text(), "slack": slackText(m)} {
		if at := strings.IndexFunc(text, bad); at >= 0 {
			t.Errorf("%s: %q has %q", name, text, text[at:at+3])
		}
		if name == "slack" && (strings.Contains(text, "<!") || strings.Contains(text, "<http://evil") || strings.Count(text, "<") != 1) {
			t.Errorf("slack: %q", text)
		}
		if strings.Contains(text, "\nBcc") {
			t.Errorf("%s: a line was made: %q", name, text)
		}
	}
	letter, err := sender().letter(&engine.NoticeWay{From: "flow@example.org", To: []string{"a@example.org"}}, m)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := letter.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(b.String(), "\r\n\r\n")
	if strings.Contains(head, "\nBcc") || strings.Count(head, "\nTo:") != 1 {
		t.Errorf("the head of the mail:\n%s", head)
	}
	for _, from := range []string{"a@example.org\r\nBcc: b@example.org", "a@example.org, b@example.org"} {
		if _, err := sender().letter(&engine.NoticeWay{From: from, To: []string{"a@example.org"}}, m); err == nil {
			t.Errorf("a mail from %q was made", from)
		}
		if _, err := sender().letter(&engine.NoticeWay{From: "a@example.org", To: []string{from}}, m); err == nil {
			t.Errorf("a mail to %q was made", from)
		}
	}
}

// TestOddAddresses says that a webhook goes to servers by HTTP and nowhere else.
func TestOddAddresses(t *testing.T) {
	for _, address := range []string{"file:///etc/passwd", "gopher://127.0.0.1:25/x", "unix:///run/x.sock", "ftp://a.test/", "javascript:alert(1)", "//a.test/", "/x", "http://", "http:///x", "http://a b/", "http://[::1", ""} {
		for _, kind := range []engine.WayKind{engine.WaySlack, engine.WayWebhook} {
			err := sender().Send(t.Context(), &engine.NoticeWay{Kind: kind, URL: engine.Told{Text: address}, Timeout: time.Second}, message())
			if err == nil || !strings.Contains(err.Error(), "is no URL such as") {
				t.Errorf("%s to %q: %v", kind, address, err)
			}
		}
	}
}

// TestBadHeaders says that no header can be made of the value of another one.
func TestBadHeaders(t *testing.T) {
	server, got := serve(t, ok)
	for _, value := range []string{"a\r\nX-More: b", "a\nb", "a\x00b"} {
		s := sender()
		s.Secret = func(string) (string, error) { return value, nil }
		err := s.Send(t.Context(), &engine.NoticeWay{Kind: engine.WayWebhook, URL: engine.Told{Text: server.URL}, Headers: map[string]engine.Told{"X-A": {Secret: "env:A"}}}, message())
		if err == nil || len(*got) != 0 {
			t.Errorf("%q: %v, %v", value, err, *got)
		}
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\ncat > body; echo \"$FLOW_NOTICE_ID $FLOW_NOTICE_TYPE $FLOW_RUN_ID $*\" > args\n"
	if err := os.WriteFile(filepath.Join(dir, "tell.sh"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	way := &engine.NoticeWay{Kind: engine.WayCommand, Argv: []string{"./tell.sh", "a b", "$x"}, Dir: dir}
	if err := sender().Send(t.Context(), way, message()); err != nil {
		t.Fatal(err)
	}
	body, _ := os.ReadFile(filepath.Join(dir, "body"))
	args, _ := os.ReadFile(filepath.Join(dir, "args"))
	var m Message
	if err := json.Unmarshal(body, &m); err != nil || string(args) != "01k-17-1 run.failed 01k a b $x\n" {
		t.Errorf("%v, %q", err, args)
	}
	if diff := cmp.Diff(message(), &m); diff != "" {
		t.Error(diff)
	}

	for _, test := range []struct{ script, want string }{
		{"echo some words >&2; exit 3", "sh: exit status 3: some words"},
		{"yes no | head -c 1000000; exit 1", "no no no"},
	} {
		way := &engine.NoticeWay{Kind: engine.WayCommand, Argv: []string{"sh", "-c", test.script}, Dir: dir}
		err := sender().Send(t.Context(), way, message())
		if err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 300 {
			t.Errorf("%s: %v", test.script, err)
		}
	}
	if err := sender().Send(t.Context(), &engine.NoticeWay{Kind: engine.WayCommand, Argv: []string{"./nosuch"}, Dir: dir}, message()); err == nil {
		t.Error("a command that is not there ran")
	}
	if err := sender().Send(t.Context(), &engine.NoticeWay{Kind: "pigeon"}, message()); err == nil || !strings.Contains(err.Error(), "newer flow") {
		t.Errorf("unknown way: %v", err)
	}
}

// TestCommandTooLong has a command that does not end, and what it has started, killed.
func TestCommandTooLong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "alive"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(filepath.Join(dir, "alive")) // returns when nobody has it open any more
		gone <- err
	}()
	way := &engine.NoticeWay{Kind: engine.WayCommand, Argv: []string{"sh", "-c", "exec 3>alive; sleep 100 & sleep 100"}, Dir: dir, Timeout: 300 * time.Millisecond}
	err := sender().Send(t.Context(), way, message())
	if err == nil || !strings.Contains(err.Error(), "no answer within 300ms") {
		t.Errorf("error %v", err)
	}
	select {
	case err := <-gone:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("what the command has started goes on")
	}
}

// TestPublish hands a message to SNS.
func TestPublish(t *testing.T) {
	s := sender()
	var got []string
	s.Publish = func(_ context.Context, topic, id, subject, text string) error {
		got = append(got, topic, id, subject, text)
		return nil
	}
	m := message()
	if err := s.Send(t.Context(), &engine.NoticeWay{Kind: engine.WaySNS, Topic: "arn:x"}, m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"arn:x", "01k-17-1", "flow: genome failed: step align failed", m.Text()}, got); diff != "" {
		t.Error(diff)
	}
}
