package batch

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"flow/executor/whole"
)

// A dyingConn is a connection that takes no more than some bytes once it is dead.
type dyingConn struct {
	net.Conn
	dead *atomic.Bool
	some int
}

func (c dyingConn) Write(p []byte) (int, error) {
	if !c.dead.Load() {
		return c.Conn.Write(p)
	}
	n, _ := c.Conn.Write(p[:min(c.some, len(p))])
	return n, &net.OpError{Op: "write", Err: syscall.EPIPE}
}

// A connection that had gone while it was idle took nothing of a job, which goes by another
// one then, once; if it took something, nobody knows.
func TestSubmitOnDeadConnection(t *testing.T) {
	for _, test := range []struct {
		name  string
		some  int
		want  string
		calls int
	}{
		{"nothing written", 0, "submitted", 2},
		{"some of it written", 9, wantUnknown, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, x := newFake(t, func(w http.ResponseWriter, _ string, _ map[string]any) {
				give(w, map[string]string{"jobId": "1", "jobName": "job"})
			})
			conns, dead := 0, &atomic.Bool{}
			x.http.Transport = traced{whole.Transport{Next: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, address)
				if conns++; conns > 1 {
					return c, err
				}
				return dyingConn{c, dead, test.some}, err
			}}}}
			for i, want := range []string{"submitted", test.want} {
				if _, err := x.Submit(t.Context(), ownJob("job")); outcome(err) != want {
					t.Errorf("job %d is %s, want %s: %v", i, outcome(err), want, err)
				}
				dead.Store(true)
			}
			if n := len(f.called()); n != test.calls {
				t.Errorf("%d calls came in, want %d", n, test.calls)
			}
		})
	}
}

func TestHTTP1Only(t *testing.T) {
	var proto atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { proto.Store(r.Proto) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	trust := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	own := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.TLSClientConfig.RootCAs = trust })
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := httpClient(own).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got := proto.Load(); got != "HTTP/1.1" {
		t.Errorf("it speaks %v", got)
	}
}

// What the environment says of retries is not for jobs.
func TestSubmitIsNotRetriedBySDK(t *testing.T) {
	f, _ := newFake(t, func(w http.ResponseWriter, _ string, _ map[string]any) { drop(w) })
	for _, mode := range []string{"standard", "adaptive"} {
		t.Setenv("AWS_RETRY_MODE", mode)
		t.Setenv("AWS_MAX_ATTEMPTS", "7")
		x, err := Open(t.Context(), Options{Endpoint: f.url})
		if err != nil {
			t.Fatal(err)
		}
		before := len(f.called())
		if _, err := x.Submit(t.Context(), ownJob("job")); outcome(err) != wantUnknown {
			t.Errorf("%s: %s: %v", mode, outcome(err), err)
		}
		if n := len(f.called()) - before; n != 1 {
			t.Errorf("%s: %d calls", mode, n)
		}
	}
}

// silent is a transport that had a connection, and never an answer.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Context().Value(trailKey{}).(*trail).connected.Store(true)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A server that never answers is waited for in bounded time.
func TestSubmitToSilence(t *testing.T) {
	_, x := newFake(t, nil)
	x.http.Transport = traced{silent{}}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := x.Submit(t.Context(), ownJob("job"))
		if took := time.Since(began); outcome(err) != wantUnknown || took != callTimeout || !strings.Contains(err.Error(), "no answer within 20s") {
			t.Errorf("after %v it is %s: %v", took, outcome(err), err)
		}
	})
}
