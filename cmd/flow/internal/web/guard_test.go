package web

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ask sends a request with exactly these headers, and returns the answer with its body read.
func ask(t *testing.T, c *http.Client, method, target, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil && !strings.Contains(target, "/broken") {
		t.Fatal(err)
	}
	return res, string(text)
}

// TestRefused is the table of those who are not answered, on every kind of route.
func TestRefused(t *testing.T) {
	t.Parallel()
	b, server, s := serveBoard(t, nil)
	cookie := s.guard.cookie + "=" + s.guard.cookieVal
	form := "token=" + s.guard.formToken + "&n=1"
	const kind = "application/x-www-form-urlencoded"
	asset := s.assets.url("flow.css")
	type request struct {
		name, method, path, body string
		headers                  []string
		want                     int
	}
	var table []request
	for _, path := range []string{"/", "/runs/known", "/live?page=%2F", asset, "/api/v1/runs/known", "/nothing", "/login"} {
		table = append(table,
			request{"other host", "GET", path, "", []string{"Host", "evil.test", "Cookie", cookie}, 421},
			request{"other port", "GET", path, "", []string{"Host", "127.0.0.1:1", "Cookie", cookie}, 421},
			request{"no host", "GET", path, "", []string{"Host", "", "Cookie", cookie}, 0},
			request{"no token", "GET", path, "", nil, 401},
			request{"wrong bearer", "GET", path, "", []string{"Authorization", "Bearer x", "Cookie", cookie}, 401},
			request{"token as cookie", "GET", path, "", []string{"Cookie", s.guard.cookie + "=" + testToken}, 401},
			request{"cookie of another port", "GET", path, "", []string{"Cookie", "flow-81=" + s.guard.cookieVal}, 401},
			request{"wrong token in the URL", "GET", path + "?token=x", "", nil, 401},
			request{"method", "DELETE", path, "", []string{"Cookie", cookie}, 405},
			request{"method", "OPTIONS", path, "", []string{"Cookie", cookie}, 405},
		)
	}
	for _, path := range []string{"/api/v1/runs/known", asset, "/live"} {
		table = append(table, request{"token in the wrong place", "GET", path + "?token=" + testToken, "", nil, 401})
	}
	const act = "/runs/known/cancel"
	good := []string{"Cookie", cookie, "Content-Type", kind}
	with := func(more ...string) []string { return append(append([]string(nil), good...), more...) }
	table = append(table,
		request{"GET with effect", "GET", act, "", []string{"Cookie", cookie}, 404},
		request{"GET with the form", "GET", act + "?" + form, "", []string{"Cookie", cookie}, 404},
		request{"HEAD with effect", "HEAD", act, "", []string{"Cookie", cookie}, 404},
		request{"POST to a page", "POST", "/", form, good, 405},
		request{"POST without a token", "POST", act, form, []string{"Content-Type", kind}, 401},
		request{"POST with the token in the URL", "POST", act + "?token=" + testToken, form, []string{"Content-Type", kind}, 401},
		request{"POST without the token of the form", "POST", act, "n=1", good, 403},
		request{"POST with the token of the form in the URL", "POST", act + "?" + form, "n=1", good, 403},
		request{"POST with the token itself in the form", "POST", act, "token=" + testToken, good, 403},
		request{"POST from another origin", "POST", act, form, with("Origin", "http://evil.test"), 403},
		request{"POST from nowhere", "POST", act, form, with("Origin", "null"), 403},
		request{"POST from another site", "POST", act, form, with("Sec-Fetch-Site", "cross-site"), 403},
		request{"POST from another port", "POST", act, form, with("Sec-Fetch-Site", "same-site"), 403},
		request{"JSON", "POST", act, "{}", []string{"Cookie", cookie, "Content-Type", "application/json"}, 415},
		request{"text", "POST", act, form, []string{"Cookie", cookie, "Content-Type", "text/plain"}, 415},
		request{"a huge form", "POST", act, form + "&x=" + strings.Repeat("x", maxForm), good, 413},
		request{"login with another token", "POST", "/login", "token=x", []string{"Content-Type", kind}, 401},
		request{"login from another site", "POST", "/login", "token=" + testToken, []string{"Content-Type", kind, "Sec-Fetch-Site", "cross-site"}, 403},
	)
	for _, evil := range []string{"..", "%2e%2e", "%2e%2e%2f", "..%2f..%2fetc%2fpasswd", "%2E.%5c..", "%00", "known%00", "a%0ab", "%ff", "%2e", "..;x/%2e%2e"} {
		for _, path := range []string{"/runs/" + evil, "/runs/" + evil + "/cancel", "/assets/" + evil + "/live.js", s.assets.base + evil, "/api/v1/runs/" + evil, "/live?page=" + url.QueryEscape("/runs/"+evil)} {
			for _, method := range []string{"GET", "POST"} {
				table = append(table, request{"path", method, path, form, good, -1})
			}
		}
	}
	table = append(table,
		request{"huge path", "GET", "/runs/" + strings.Repeat("x", maxURL), "", good, 414},
		request{"huge page of a stream", "GET", "/live?page=/runs/" + strings.Repeat("x", maxURL), "", good, 414},
	)
	for _, r := range table {
		if r.want == 0 {
			continue
		}
		res, body := ask(t, server.Client(), r.method, server.URL+r.path, r.body, r.headers...)
		refused := res.StatusCode >= 400 && res.StatusCode < 500
		if r.want > 0 && res.StatusCode != r.want || !refused {
			t.Errorf("%s: %s %.80s: %d, want %d", r.name, r.method, r.path, res.StatusCode, r.want)
		}
		for _, secret := range []string{testToken, s.guard.formToken, s.guard.cookieVal} {
			if strings.Contains(body, secret) || strings.Contains(fmt.Sprint(res.Header), secret) {
				t.Errorf("%s: %s %s: the answer has a secret", r.name, r.method, r.path)
			}
		}
		if res.Header.Get("Content-Security-Policy") != policy {
			t.Errorf("%s: %s %s: no content security policy", r.name, r.method, r.path)
		}
	}
	if b.posted != nil {
		t.Errorf("something was done: %q", b.posted)
	}
	t.Logf("%d requests", len(table))
}

// TestAllowed has those who may ask.
func TestAllowed(t *testing.T) {
	t.Parallel()
	b, server, s := serveBoard(t, nil)
	const kind = "application/x-www-form-urlencoded"
	cookie := s.guard.cookie + "=" + s.guard.cookieVal
	host := strings.TrimPrefix(server.URL, "http://")
	form := "token=" + s.guard.formToken
	for _, r := range []struct {
		name, method, path, body string
		headers                  []string
		want                     int
		location                 string
	}{
		{"cookie", "GET", "/", "", []string{"Cookie", cookie}, 200, ""},
		{"head", "HEAD", "/", "", []string{"Cookie", cookie}, 200, ""},
		{"bearer", "GET", "/api/v1/runs/known", "", []string{"Authorization", "Bearer " + testToken}, 200, ""},
		{"not there", "GET", "/runs/other", "", []string{"Cookie", cookie}, 404, ""},
		{"not there, for programs", "GET", "/api/v1/runs/other", "", []string{"Cookie", cookie}, 404, ""},
		{"asset", "GET", s.assets.url("live.js"), "", []string{"Cookie", cookie}, 200, ""},
		{"old asset", "GET", "/assets/0/live.js", "", []string{"Cookie", cookie}, 404, ""},
		{"health", "GET", "/healthz", "", nil, 200, ""},
		{"moved", "GET", "/moved", "", []string{"Cookie", cookie}, 303, "/runs/known"},
		{"our mistake", "GET", "/panic", "", []string{"Cookie", cookie}, 500, ""},
		{"the link", "GET", "/runs/known?token=" + testToken + "&x=1", "", nil, 303, "/runs/known?x=1"},
		{"the link again", "GET", "/?token=" + testToken, "", []string{"Cookie", cookie}, 303, "/"},
		{"the link, if it would lead elsewhere", "GET", "//evil.test?token=" + testToken, "", nil, 303, "/evil.test"},
		{"login", "POST", "/login", "to=/runs/known&token=" + testToken, []string{"Content-Type", kind}, 303, "/runs/known"},
		{"login to elsewhere", "POST", "/login", "to=//evil.test/&token=" + testToken, []string{"Content-Type", kind}, 303, "/"},
		{"a link on another site", "GET", "/runs/known", "", []string{"Sec-Fetch-Site", "cross-site"}, 401, ""},
		{"form", "POST", "/runs/known/cancel", form + "&n=1&to=/runs/known", []string{"Cookie", cookie, "Content-Type", kind, "Origin", "http://" + host, "Sec-Fetch-Site", "same-origin"}, 303, "/runs/known"},
		{"form that leads elsewhere", "POST", "/runs/known/cancel", form + "&n=2&to=//evil.test", []string{"Cookie", cookie, "Content-Type", kind}, 303, "/"},
		{"form with mistakes", "POST", "/runs/known/cancel", form + "&n=bad", []string{"Cookie", cookie, "Content-Type", kind}, 422, ""},
	} {
		res, body := ask(t, server.Client(), r.method, server.URL+r.path, r.body, r.headers...)
		if res.StatusCode != r.want || res.Header.Get("Location") != r.location {
			t.Errorf("%s: %d %q, want %d %q\n%s", r.name, res.StatusCode, res.Header.Get("Location"), r.want, r.location, body)
		}
		if r.name == "a link on another site" && !strings.Contains(body, `http-equiv="refresh"`) {
			t.Errorf("%s: %s", r.name, body)
		}
		set := res.Header.Get("Set-Cookie")
		if entered := strings.HasPrefix(r.name, "the link") || strings.HasPrefix(r.name, "login"); entered != (set != "") {
			t.Errorf("%s: Set-Cookie: %q", r.name, set)
		}
		if set != "" && (!strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Strict") || !strings.Contains(set, cookie)) {
			t.Errorf("%s: Set-Cookie: %q", r.name, set)
		}
		immutable := strings.Contains(res.Header.Get("Cache-Control"), "immutable")
		if immutable != (r.name == "asset") {
			t.Errorf("%s: Cache-Control: %q", r.name, res.Header.Get("Cache-Control"))
		}
		if strings.Contains(body, "<script>alert") {
			t.Errorf("%s: a name became an element: %s", r.name, body)
		}
	}
	if diff := cmp.Diff([]string{"known 1", "known 2"}, b.posted); diff != "" {
		t.Error(diff)
	}
}

// TestBrokenFile says that an answer that breaks off does not look whole.
func TestBrokenFile(t *testing.T) {
	t.Parallel()
	_, server, s := serveBoard(t, nil)
	r, _ := http.NewRequest("GET", server.URL+"/broken", nil)
	r.Header.Set("Authorization", "Bearer "+testToken)
	res, err := server.Client().Do(r)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	if err == nil {
		t.Error("the answer looks whole")
	}
	_ = s
}

// TestHosts has the names that a server may have.
func TestHosts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		hosts []string
		host  string
		want  bool
	}{
		{[]string{"127.0.0.1:80", "localhost:80"}, "LOCALHOST:80", true},
		{[]string{"127.0.0.1:80"}, "localhost:80", false},
		{[]string{"127.0.0.1:80"}, "127.0.0.1", false},
		{[]string{""}, "10.0.0.7:80", true},
		{[]string{""}, "[fe80::1]:80", true},
		{[]string{""}, "10.0.0.7:81", false},
		{[]string{""}, "10.0.0.7", false},
		{[]string{""}, "evil.test:80", false},
		{[]string{""}, "10.0.0.7.evil.test:80", false},
		{[]string{"", "flow.example.org"}, "flow.example.org", true},
	} {
		g, err := newGuard(&Options{Token: testToken, Port: 80, Hosts: tt.hosts})
		if err != nil {
			t.Fatal(err)
		}
		if got := g.ours(tt.host); got != tt.want {
			t.Errorf("%q by %q: %v, want %v", tt.hosts, tt.host, got, tt.want)
		}
	}
}

// TestLimited says that connections beyond the most that are open wait, and that they come
// when others have ended.
func TestLimited(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	l := limited(inner, 1)
	accepted := make(chan net.Conn)
	go func() {
		for range 2 {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	for range 2 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	select {
	case <-accepted:
		t.Fatal("both connections are open")
	case <-time.After(20 * time.Millisecond):
	}
	first.Close()
	first.Close() // twice gives the place back once
	(<-accepted).Close()
}
