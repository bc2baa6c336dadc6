package notice

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// A postOffice is a mail server (RFC 5321) with a certificate for 127.0.0.1.
type postOffice struct {
	addr     string
	tls      *tls.Config
	refuse   string // what is answered to RCPT; "": it is taken
	noTLS    bool   // it cannot
	silent   bool   // it says nothing
	implicit bool   // encrypted from the first byte
	letters  chan letter
}

// A letter is what it was given.
type letter struct {
	From      string
	To        []string
	Login     string // user and password, with a NUL before each
	Encrypted bool
	Data      string
}

// openPostOffice opens p, whose first fields say how it behaves.
func openPostOffice(t *testing.T, p *postOffice) *postOffice {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	t.Cleanup(certified.Close)
	p.tls, p.letters = certified.TLS, make(chan letter, 10)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if p.implicit {
				conn = tls.Server(conn, p.tls)
			}
			p.talk(conn, p.implicit)
		}
	}()
	return p
}

// trusting returns the configuration of who trusts the certificate of a post office.
func trusting(t *testing.T) *tls.Config {
	t.Helper()
	s := httptest.NewTLSServer(nil) // has the same
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{RootCAs: pool}
}

func (p *postOffice) talk(conn net.Conn, encrypted bool) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	say := func(text string) { fmt.Fprint(conn, text+"\r\n") }
	if !p.silent {
		say("220 office")
	}
	l := letter{Encrypted: encrypted}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		switch verb, rest, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "EHLO":
			say("250-office")
			if !p.noTLS && !l.Encrypted {
				say("250-STARTTLS")
			}
			say("250 AUTH PLAIN")
		case "STARTTLS":
			say("220 go on")
			secure := tls.Server(conn, p.tls)
			conn, in, l.Encrypted = secure, bufio.NewReader(secure), true
		case "AUTH":
			_, word, _ := strings.Cut(rest, " ")
			login, _ := base64.StdEncoding.DecodeString(word)
			l.Login = string(login)
			say("235 welcome")
		case "MAIL":
			l.From = rest
			say("250 ok")
		case "RCPT":
			if p.refuse != "" {
				say(p.refuse)
				continue
			}
			l.To = append(l.To, rest)
			say("250 ok")
		case "DATA":
			say("354 go on")
			var data strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				data.WriteString(strings.TrimPrefix(line, ".")) // of a line with two
			}
			l.Data = data.String()
			p.letters <- l
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func TestEmail(t *testing.T) {
	for _, test := range []struct {
		tls       engine.MailTLS
		user      string
		encrypted bool
	}{
		{engine.TLSStart, "flow", true},
		{engine.TLSImplicit, "flow", true},
		{engine.TLSNone, "", false},
	} {
		t.Run(string(test.tls), func(t *testing.T) {
			t.Parallel()
			office := openPostOffice(t, &postOffice{implicit: test.tls == engine.TLSImplicit})
			s := sender()
			s.TLS = trusting(t)
			way := &engine.NoticeWay{
				Kind: engine.WayEmail, Server: office.addr, TLS: test.tls, From: "flow <flow@example.org>", To: []string{"a@example.org", "Night Watch <b@example.org>"},
			}
			login := ""
			if test.user != "" {
				way.User, way.Password = engine.Told{Text: test.user}, "env:PASSWORD"
				login = "\x00flow\x00p4ss"
			}
			m := message()
			m.Reason = "step ünder failed\r\nBcc: x@example.org"
			if err := s.Send(t.Context(), way, m); err != nil {
				t.Fatal(err)
			}
			got := <-office.letters
			data := got.Data
			got.Data = ""
			want := letter{From: "FROM:<flow@example.org>", To: []string{"TO:<a@example.org>", "TO:<b@example.org>"}, Login: login, Encrypted: test.encrypted}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			checkLetter(t, data, m)
		})
	}
}

// checkLetter reads a mail.
func checkLetter(t *testing.T, data string, m *Message) {
	t.Helper()
	read, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(read.Header.Get("Subject"))
	if err != nil || subject != "flow: genome failed: step ünder failed Bcc: x@example.org" {
		t.Errorf("subject %q, %v", subject, err)
	}
	if id := read.Header.Get("Message-ID"); id != "<01k-17-1@flow.invalid>" {
		t.Errorf("id %q", id)
	}
	if read.Header.Get("Bcc") != "" {
		t.Error("a reason became a header")
	}
	body, err := io.ReadAll(quotedprintable.NewReader(read.Body))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(m.Text()), strings.TrimSpace(strings.ReplaceAll(string(body), "\r\n", "\n"))); diff != "" {
		t.Error(diff)
	}
}

// TestEmailFails looks at what is no success.
func TestEmailFails(t *testing.T) {
	way := func(p *postOffice) *engine.NoticeWay {
		return &engine.NoticeWay{
			Kind: engine.WayEmail, Server: p.addr, TLS: engine.TLSStart, From: "flow@example.org", To: []string{"a@example.org"}, User: engine.Told{Text: "u"}, Password: "env:PASSWORD",
		}
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		p := openPostOffice(t, &postOffice{refuse: "550 no such user"})
		s := sender()
		s.TLS = trusting(t)
		if err := s.Send(t.Context(), way(p), message()); err == nil || !strings.Contains(err.Error(), "no such user") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("in the clear", func(t *testing.T) {
		t.Parallel()
		p := openPostOffice(t, &postOffice{noTLS: true})
		if err := sender().Send(t.Context(), way(p), message()); err == nil || len(p.letters) > 0 {
			t.Errorf("error %v, %d letters: the password went out in the clear", err, len(p.letters))
		}
	})
	t.Run("in the clear, without a login", func(t *testing.T) {
		t.Parallel()
		p := openPostOffice(t, &postOffice{noTLS: true})
		w := way(p)
		w.User, w.Password = engine.Told{}, ""
		if err := sender().Send(t.Context(), w, message()); err == nil || len(p.letters) > 0 {
			t.Errorf("error %v, %d letters: the message went out in the clear", err, len(p.letters))
		}
	})
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		p := openPostOffice(t, &postOffice{silent: true})
		w := way(p)
		w.Timeout = 100 * time.Millisecond
		if err := sender().Send(t.Context(), w, message()); err == nil || err.Error() != "no answer within 100ms" {
			t.Errorf("error %v", err)
		}
	})
	t.Run("somebody else", func(t *testing.T) {
		t.Parallel()
		p := openPostOffice(t, &postOffice{})
		if err := sender().Send(t.Context(), way(p), message()); err == nil || !strings.Contains(err.Error(), "certificate") || len(p.letters) > 0 {
			t.Errorf("error %v", err)
		}
	})
}
