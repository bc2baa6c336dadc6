package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/state"
)

// A refusal is a request that must not be answered.
type refusal struct {
	name, method, path, body string
	headers                  []string
	want                     []int // statuses, any of them
}

// formKind is what forms are sent as.
const formKind = "application/x-www-form-urlencoded"

// A stranger asks a site in ways that are refused.
type stranger struct {
	t       *testing.T
	s       *served
	client  *http.Client
	cookie  string // that is right
	form    string // token of forms
	secrets []string
	asked   int
}

func newStranger(t *testing.T, s *served) *stranger {
	t.Helper()
	x := &stranger{t: t, s: s, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	res, err := x.client.Get(s.link("/"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	for _, c := range res.Cookies() {
		x.cookie = c.Name + "=" + c.Value
		x.secrets = append(x.secrets, c.Value)
	}
	_, page := fetch(t, s, "/workflows/hostile/launch")
	m := regexp.MustCompile(`name="token" value="([^"]*)"`).FindStringSubmatch(page)
	if m == nil || x.cookie == "" {
		t.Fatalf("there is no form, or no cookie:\n%s", page)
	}
	x.form = "token=" + m[1]
	x.secrets = append(x.secrets, m[1])
	return x
}

// ask sends a request; where it is answered, the test fails.
func (x *stranger) ask(r refusal) {
	x.t.Helper()
	x.asked++
	ctx, cancel := context.WithTimeout(x.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, x.s.base+r.path, strings.NewReader(r.body))
	if err != nil {
		x.t.Fatal(err)
	}
	for i := 0; i < len(r.headers); i += 2 {
		if r.headers[i] == "Host" {
			req.Host = r.headers[i+1]
		} else {
			req.Header.Add(r.headers[i], r.headers[i+1])
		}
	}
	res, err := x.client.Do(req)
	if err != nil {
		x.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	if !slices.Contains(r.want, res.StatusCode) {
		x.t.Errorf("%s: %s %.100s: %d, want %v", r.name, r.method, r.path, res.StatusCode, r.want)
	}
	told := string(body) + fmt.Sprint(res.Header)
	for _, secret := range append(x.secrets, siteToken, "root:x:0:0") {
		if res.StatusCode == http.StatusOK && strings.HasSuffix(x.form, secret) {
			continue // the form of a page
		}
		if strings.Contains(told, secret) {
			x.t.Errorf("%s: %s %.100s: the answer has a secret", r.name, r.method, r.path)
		}
	}
	for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options", "Cross-Origin-Opener-Policy"} {
		if res.Header.Get(name) == "" {
			x.t.Errorf("%s: %s %.100s: no %s", r.name, r.method, r.path, name)
		}
	}
	if res.Header.Get("Set-Cookie") != "" {
		x.t.Errorf("%s: %s %.100s: a cookie is set", r.name, r.method, r.path)
	}
}

// outside are requests to a route of those who may not ask. open says that it answers anybody's GET.
func (x *stranger) outside(method, path string, open bool) {
	name, value, _ := strings.Cut(x.cookie, "=")
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	with := []string{"Cookie", x.cookie, "Content-Type", formKind}
	and := func(more ...string) []string { return append(slices.Clone(with), more...) }
	for _, host := range []string{"evil.test", "127.0.0.1:1", "127.0.0.1", "localhost", "evil.test:" + x.port(), "127.0.0.1:" + x.port() + ".evil.test", "0.0.0.0:" + x.port()} {
		x.ask(refusal{"host " + host, method, path, x.form, and("Host", host), []int{421}})
		x.ask(refusal{"host " + host, http.MethodHead, path, "", and("Host", host), []int{421}})
	}
	for _, other := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"} {
		x.ask(refusal{"method", other, path, "", with, []int{405}})
	}
	if open {
		return
	}
	unknown := map[string][]string{
		"no token": nil, "wrong bearer": {"Authorization", "Bearer x"}, "wrong bearer, right cookie": {"Authorization", "Bearer x", "Cookie", x.cookie},
		"basic": {"Authorization", "Basic " + siteToken}, "the token as a cookie": {"Cookie", name + "=" + siteToken}, "the cookie as bearer": {"Authorization", "Bearer " + value},
		"the cookie of another port": {"Cookie", "flow-1=" + value}, "the token of forms as a cookie": {"Cookie", name + "=" + strings.TrimPrefix(x.form, "token=")},
		"another site": {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, "token in a header": {"X-Token", siteToken},
	}
	for what, headers := range unknown {
		want := []int{401}
		if method == http.MethodPost {
			want = []int{401, 403}
			headers = append(slices.Clone(headers), "Content-Type", formKind)
		}
		x.ask(refusal{what, method, path, x.form, headers, want})
		x.ask(refusal{what, http.MethodHead, path, "", headers, []int{401}})
	}
	for _, wrong := range []string{"token=x", "token=", x.form, "token=" + siteToken + "&token=" + siteToken, "Token=" + siteToken, "token=" + strings.ToUpper(siteToken), "token=" + siteToken + "x", "token=" + siteToken[1:]} {
		x.ask(refusal{"token in the URL: " + wrong, http.MethodGet, path + sep + wrong, "", nil, []int{401}})
	}
	x.ask(refusal{"token in the URL of a POST", http.MethodPost, path + sep + "token=" + siteToken, x.form, []string{"Content-Type", formKind}, []int{401}})
	x.ask(refusal{"a long URL", method, path + sep + strings.Repeat("x", 5000), x.form, with, []int{414}})
	x.posts(path, sep, with, and)
}

func (x *stranger) port() string {
	u, err := url.Parse(x.s.base)
	if err != nil {
		x.t.Fatal(err)
	}
	return u.Port()
}

// posts are forms that are none of ours, sent with a cookie that is right.
func (x *stranger) posts(path, sep string, with []string, and func(...string) []string) {
	post := func(what, path, body string, headers []string, want ...int) {
		x.ask(refusal{what, http.MethodPost, path, body, headers, want})
	}
	for _, origin := range []string{"http://evil.test", "null", "http://127.0.0.1:1", "file://", x.s.base + ".evil.test"} {
		post("origin "+origin, path, x.form, and("Origin", origin), 403)
	}
	for _, site := range []string{"cross-site", "same-site", "nonsense"} {
		post("fetched from "+site, path, x.form, and("Sec-Fetch-Site", site), 403)
		post("fetched from "+site, path, x.form, and("Sec-Fetch-Site", site, "Origin", x.s.base), 403)
	}
	post("no token of the form", path, "a=b", with, 403)
	post("an empty token of the form", path, "token=", with, 403)
	post("another token of the form", path, x.form+"x", with, 403)
	post("the token itself", path, "token="+siteToken, with, 403)
	post("the token of the form in the URL", path+sep+x.form, "a=b", with, 403)
	for _, kind := range []string{"text/plain", "application/json", "multipart/form-data; boundary=x", "", "application/x-www-form-urlencoded, text/plain"} {
		post("kind "+kind, path, x.form, []string{"Cookie", x.cookie, "Content-Type", kind}, 415)
	}
	post("a huge form", path, x.form+"&x="+strings.Repeat("x", 1<<20), with, 413)
	post("a broken form", path, x.form+"&%zz=%", with, 400)
}

// elsewhere are parts of URLs that lead to what is not there.
var elsewhere = []string{
	"..", "%2e%2e", "%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%2f..%2f..%2fetc%2fpasswd", "%2E%2e%5cetc", "%2fetc%2fpasswd", "%00", "x%00", "a%0ab", "%0d%0aX:%20y", "%ff", "%c0%ae%c0%ae",
	"%252e%252e", "..;", "~", "*", "%25", "file:%2f%2f%2fetc%2fpasswd", "-1", "00", "1e9", "9999999999999999999", "%F0%9F%92%A9", "%3Cscript%3E", "%27%20OR%201=1--", "x" + strings.Repeat("y", 2000),
}

// TestRoutesRefuse walks all that is served, and is refused everywhere: by another name of the
// host, from other origins, without the token, by other methods, and with what leads elsewhere in
// each place of each URL. What is served anew is walked as well.
func TestRoutesRefuse(t *testing.T) {
	t.Parallel()
	b := hostileRun(t)
	s, run := serveSite(t, b), b.newest()
	x := newStranger(t, s)
	before := everything(t, s, b)
	patterns := s.server.Patterns()
	if len(patterns) < 25 {
		t.Errorf("there are only %d routes: %q", len(patterns), patterns)
	}
	wildcard := regexp.MustCompile(`\{[a-z]+\}`)
	routes := s.routes()
	for _, pattern := range patterns {
		method, route, _ := strings.Cut(pattern, " ")
		path := filledIn(t, s, route, run, "hostile", "each", "json", "lacks")[0]
		if pattern == "POST /login" {
			x.login()
			continue
		}
		x.outside(method, path, route == "/healthz")
		for _, place := range wildcard.FindAllStringIndex(route, -1) {
			for _, evil := range elsewhere {
				broken := strings.NewReplacer("{run}", run, "{workflow}", "hostile", "{step}", "each", "{index}", "0", "{hash}", "0", "{name}", "live.js", "{schedule}", "daily", "{backfill}", "1")
				at := broken.Replace(route[:place[0]]) + evil + broken.Replace(route[place[1]:])
				with := []string{"Cookie", x.cookie, "Content-Type", formKind}
				x.ask(refusal{"elsewhere", method, at, x.form, with, []int{400, 404}})
			}
		}
		if method == http.MethodPost && routes.Pages[route] == nil {
			x.ask(refusal{"GET with effect", http.MethodGet, path + "?" + x.form, "", []string{"Cookie", x.cookie}, []int{404, 405}})
		} else if method == http.MethodGet && routes.Actions[route] == nil {
			x.ask(refusal{"POST to what does nothing", http.MethodPost, path, x.form, []string{"Cookie", x.cookie, "Content-Type", formKind}, []int{405}})
		}
		x.queries(method, path)
	}
	if diff := cmp.Diff(before, everything(t, s, b)); diff != "" {
		t.Errorf("something was done:\n%s", diff)
	}
	t.Logf("%d requests to %d routes", x.asked, len(patterns))
}

// login tries tokens that are wrong.
func (x *stranger) login() {
	post := func(what, body string, want int, headers ...string) {
		x.ask(refusal{what, http.MethodPost, "/login", body, append([]string{"Content-Type", formKind}, headers...), []int{want}})
	}
	for _, wrong := range []string{"", "x", "token=x", x.form, "token=" + url.QueryEscape(strings.SplitN(x.cookie, "=", 2)[1]), "to=/&token=", "token=x&token=" + siteToken} {
		post("wrong token", wrong, 401)
	}
	post("other host", "token="+siteToken, 421, "Host", "evil.test")
	post("other origin", "token="+siteToken, 403, "Origin", "http://evil.test")
	post("other site", "token="+siteToken, 403, "Sec-Fetch-Site", "cross-site")
	x.ask(refusal{"in the URL", http.MethodPost, "/login?token=" + siteToken, "", []string{"Content-Type", formKind}, []int{401}})
}

// queries sends all that queries may have with what leads elsewhere, to pages: they may be
// answered, but with nothing that was not asked for, and no mistake of ours.
func (x *stranger) queries(method, path string) {
	if method != http.MethodGet {
		return
	}
	for _, evil := range []string{"../../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "\x00", "' OR 1=1 --", "<script>window.harmed=1</script>", "-1", "99999999999999999999", "\xff"} {
		q := url.Values{}
		for _, name := range []string{"page", "have", "view", "from", "to", "attempt", "piece", "at", "download", "workflow", "status", "text", "since", "limit", "offset", "after", "step", "sort", "q", "kind", "before", "reason", "max-parallel"} {
			q.Set(name, evil)
		}
		x.ask(refusal{"query", method, strings.SplitN(path, "?", 2)[0] + "?" + q.Encode(), "", []string{"Cookie", x.cookie}, []int{200, 400, 404}})
		if x.t.Failed() {
			return
		}
	}
}

// everything is what a request could have changed: runs and what became of them, and files.
func everything(t *testing.T, s *served, b *killBench) map[string]string {
	t.Helper()
	all := map[string]string{}
	runs, err := s.src.db().Runs(t.Context(), state.RunFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		all[string(r.ID)] = fmt.Sprint(r.Status, r.Seq)
	}
	schedules, err := s.src.db().Schedules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range schedules {
		all[schedules[i].Full()] = fmt.Sprint(schedules[i])
	}
	slots, err := s.src.db().Slots(t.Context(), state.SlotFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range slots {
		all[fmt.Sprint("slot ", i)] = fmt.Sprint(slots[i])
	}
	if len(runs) != 1 || runs[0].Status != engine.Failed {
		t.Errorf("the runs are %v", runs)
	}
	err = filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !strings.Contains(path, "flow.db") {
			all[path] = d.Type().String()
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return maps.Clone(all)
}
