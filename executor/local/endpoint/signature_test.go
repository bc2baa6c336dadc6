package endpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signed returns a request as it arrives, signed with a secret at a time.
func signed(t *testing.T, path, body, secret string, at time.Time) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:8642"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256([]byte(body))
	creds := aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: secret, SessionToken: "token"}
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), "batch", "us-east-1", at); err != nil {
		t.Fatal(err)
	}
	in := httptest.NewRequest(http.MethodPost, r.URL.RequestURI(), bytes.NewReader([]byte(body)))
	in.Host, in.Header, in.ContentLength = r.URL.Host, r.Header, int64(len(body))
	in.Header.Set("User-Agent", "not signed")
	return in
}

func TestSignature(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := &Credentials{AccessKeyID: "AKID", SecretAccessKey: "right"}
	const path, body = "/v1/tags/arn%3Aaws%3Abatch%3Ax%2Fy?tagKeys=a&tagKeys=b", `{"jobs":["a"]}`
	for _, test := range []struct {
		name   string
		change func(*http.Request)
		secret string
		at     time.Time
		want   string // code; "": let in
	}{
		{name: "right"},
		{name: "wrong secret", secret: "wrong", want: "InvalidSignatureException"},
		{name: "old", at: now.Add(-6 * time.Minute), want: "InvalidSignatureException"},
		{name: "another path", change: func(r *http.Request) { r.URL.Path = "/v1/other" }, want: "InvalidSignatureException"},
		{name: "another header", change: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, want: "InvalidSignatureException"},
		{name: "another key", change: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "AKID", "OTHER", 1))
		}, want: "UnrecognizedClientException"},
		{name: "none", change: func(r *http.Request) { r.Header.Del("Authorization") }, want: "MissingAuthenticationTokenException"},
		{name: "half", change: func(r *http.Request) { r.Header.Set("Authorization", signatureScheme+"Credential=AKID") }, want: "IncompleteSignatureException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.secret == "" {
				test.secret = "right"
			}
			if test.at.IsZero() {
				test.at = now.Add(time.Minute)
			}
			r := signed(t, path, body, test.secret, test.at)
			if test.change != nil {
				test.change(r)
			}
			got := ""
			b, _ := io.ReadAll(r.Body)
			if err := c.verify(r, b, now); err != nil {
				got = asAPIError(err, "").code
			}
			if got != test.want {
				t.Errorf("verify = %q, want %q", got, test.want)
			}
		})
	}
	r := signed(t, path, body, "right", now)
	if err := c.verify(r, []byte(`{"jobs":["b"]}`), now); err == nil {
		t.Error("another body is let in")
	}
}

func TestGuard(t *testing.T) {
	for _, test := range []struct {
		host, origin, site string
		ok                 bool
	}{
		{"127.0.0.1:8642", "", "", true},
		{"localhost:8642", "", "", true},
		{"[::1]:8642", "", "", true},
		{"batch.localhost", "", "", true},
		{"evil.example:8642", "", "", false},
		{"10.0.0.1:8642", "", "", false},
		{"127.0.0.1:8642", "http://evil.example", "", false},
		{"127.0.0.1:8642", "", "cross-site", false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/describejobs", nil)
		r.Host = test.host
		for k, v := range map[string]string{"Origin": test.origin, "Sec-Fetch-Site": test.site} {
			if v != "" {
				r.Header.Set(k, v)
			}
		}
		if err := new(Server).guard(r, nil); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
