package main

import (
	"bufio"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// browserKey finds what a script looks at pages with.
const browserKey = "browser"

// A scriptBrowser knows a server, and keeps its cookie. It has no scripts.
type scriptBrowser struct {
	client *http.Client
	base   string
}

// scriptUI starts flow ui for the script, which then can get and post: ui [FLAG...].
func scriptUI(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: ui [FLAG...]")
	}
	cmd := exec.Command("flow", append([]string{"ui", "-q", "--no-open"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "TMPDIR="+ts.Getenv("WORK"))
	for _, name := range []string{
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
	} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	link, err := bufio.NewReader(out).ReadString('\n')
	ts.Check(err)
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	u, err := url.Parse(strings.TrimSpace(link))
	ts.Check(err)
	b := &scriptBrowser{client: &http.Client{Jar: jar}, base: "http://" + u.Host}
	answer, err := b.client.Get(u.String()) // its cookie stays
	ts.Check(err)
	answer.Body.Close()
	*ts.Value(browserKey).(*scriptBrowser) = *b
}

// get asks for a page, whose text is then in the file page.html: get STATUS PATH.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: get STATUS PATH")
	}
	b := ts.Value(browserKey).(*scriptBrowser)
	answer, err := b.client.Get(b.base + args[1])
	ts.Check(err)
	keepPage(ts, answer, args[0])
}

// await asks for a page again and again, until its text, which is then in the file page.html,
// matches: await PATH REGEXP.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await PATH REGEXP")
	}
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		get(ts, false, []string{"200", args[0]})
		page := ts.ReadFile("page.html")
		if want.MatchString(page) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s has no %q after a minute:\n%s", args[0], args[1], page)
		}
	}
}

var (
	formAction = regexp.MustCompile(`<form[^>]* method="post" action="([^"]*)"`)
	hiddenPart = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// post asks for a page, fills in the form on it and sends that: post STATUS PATH [NAME=VALUE...].
// A redirect is not followed: where it leads is in the variable LOCATION.
func post(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: post STATUS PATH [NAME=VALUE...]")
	}
	b := ts.Value(browserKey).(*scriptBrowser)
	answer, err := b.client.Get(b.base + args[1])
	ts.Check(err)
	keepPage(ts, answer, "200")
	page := ts.ReadFile("page.html")
	action := formAction.FindStringSubmatch(page)
	if action == nil {
		ts.Fatalf("%s has no form:\n%s", args[1], page)
	}
	form := url.Values{}
	for _, m := range hiddenPart.FindAllStringSubmatch(page, -1) {
		form.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	for _, arg := range args[2:] {
		name, value, _ := strings.Cut(arg, "=")
		form.Set(name, value)
	}
	once := *b.client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err = once.PostForm(b.base+html.UnescapeString(action[1]), form)
	ts.Check(err)
	keepPage(ts, answer, args[0])
	ts.Setenv("LOCATION", answer.Header.Get("Location"))
}

func keepPage(ts *testscript.TestScript, answer *http.Response, status string) {
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("page.html"), body, 0o600))
	if strconv.Itoa(answer.StatusCode) != status {
		ts.Fatalf("%s %s: status %s, want %s\n%s", answer.Request.Method, answer.Request.URL.Path, answer.Status, status, body)
	}
}
