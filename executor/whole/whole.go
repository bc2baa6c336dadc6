// Package whole reads the answers of an HTTP server to their end before anybody sees them.
//
// The AWS SDK closes the body of a request as soon as the answer begins. When a server is
// that fast, as one on loopback is, net/http may still look for the end of that body, and
// cut the connection: 2 to 6 calls of 100 lose an answer that was there.
package whole

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
)

// MaxAnswer is the most of an answer that is read, in bytes. The largest of AWS Batch are
// descriptions of 100 jobs, of some tens of KiB each.
const MaxAnswer = 64 << 20

// A Transport is an http.RoundTripper whose answers have their bodies in memory. An answer
// that is cut off or longer than [MaxAnswer] is an error.
type Transport struct {
	Next http.RoundTripper // nil: http.DefaultTransport

	most int64 // of an answer, in bytes; 0: MaxAnswer
}

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.Next
	if next == nil {
		next = http.DefaultTransport
	}
	answer, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	most := cmp.Or(t.most, MaxAnswer)
	body, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	if err == nil && int64(len(body)) > most {
		err = fmt.Errorf("the answer has more than %d bytes", most)
	}
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}
