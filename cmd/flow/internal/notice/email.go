package notice

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/wneessen/go-mail"

	"flow/engine"
)

// email sends the message as a mail. Its Message-ID is the same for every try.
func (s *Sender) email(ctx context.Context, way *engine.NoticeWay, m *Message) error {
	host, portText, err := net.SplitHostPort(way.Server)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return fmt.Errorf("the port of the mail server %s: %w", way.Server, err)
	}
	config := s.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	config.ServerName, config.MinVersion = host, tls.VersionTLS12
	line := &line{}
	defer line.close()
	defer context.AfterFunc(ctx, line.close)()
	options := []mail.Option{mail.WithPort(port), mail.WithTLSConfig(config), mail.WithTLSPolicy(mail.TLSMandatory), mail.WithoutNoop(), mail.WithDialContextFunc(line.dial)}
	switch way.TLS {
	case engine.TLSImplicit:
		line.tls = config
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic)) // it is encrypted already
	case engine.TLSNone:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if way.Password != "" {
		user, err := s.told(way.User)
		if err != nil {
			return err
		}
		password, err := s.Secret(way.Password)
		if err != nil {
			return err
		}
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(user), mail.WithPassword(password))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return err
	}
	letter, err := s.letter(way, m)
	if err != nil {
		return err
	}
	return client.DialAndSendWithContext(ctx, letter)
}

func (s *Sender) letter(way *engine.NoticeWay, m *Message) (*mail.Msg, error) {
	letter := mail.NewMsg()
	if err := letter.From(way.From); err != nil {
		return nil, err
	}
	if err := letter.To(way.To...); err != nil {
		return nil, err
	}
	letter.Subject(m.Subject())
	letter.SetMessageIDWithValue(m.ID + "@flow.invalid")
	letter.SetDateWithValue(m.At)
	letter.SetUserAgent("flow " + s.Version)
	letter.SetBodyString(mail.TypeTextPlain, m.Text())
	return letter, nil
}

// A line is a connection that is closed whatever becomes of it: the client leaves it open after
// some errors, and reads on when its context is done.
type line struct {
	tls *tls.Config // of one that is encrypted from the first byte; nil: it is not

	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.conn = conn
	closed := l.closed
	l.mu.Unlock()
	if closed {
		l.close()
	}
	if l.tls == nil {
		return conn, nil
	}
	secure := tls.Client(conn, l.tls)
	return secure, secure.HandshakeContext(ctx)
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed = true; l.conn != nil {
		_ = l.conn.Close()
	}
}
