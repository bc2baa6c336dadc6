package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"flow/cmd/flow/internal/browsertest"
)

// launchedWorkflow waits at a pipe with a secret.
const launchedWorkflow = `
workflow "launched" {}
variable "pipe" { default = "/dev/null" }
variable "words" {
  type    = list(string)
  default = []
}
variable "token" {
  type      = string
  default   = ""
  sensitive = true
}
variable "pin" {
  type      = number
  default   = 1
  sensitive = true
}
step "use" {
  secrets = { TOKEN = var.token }
  script  = "read go < '${var.pipe}' || true; echo $${#TOKEN}"
}
`

// A launcher posts the launch form of that workflow, as a browser without scripts.
type launcher struct {
	t      *testing.T
	u      *ui
	client *http.Client
}

func newLauncher(t *testing.T, b *killBench) *launcher {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &launcher{t, startUI(b), &http.Client{Jar: jar}}
	res, err := l.client.Get(l.u.link)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	l.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return l
}

// post sends the form with values, names and values in turn.
func (l *launcher) post(values ...string) (status int, body string) {
	l.t.Helper()
	const path = "/workflows/launched/launch"
	res, err := l.client.Get(l.u.base + path)
	if err != nil {
		l.t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	m := hiddenPart.FindStringSubmatch(string(text))
	if err != nil || m == nil {
		l.t.Fatalf("no form: %v\n%s", err, text)
	}
	form := url.Values{m[1]: {m[2]}}
	for i := 0; i < len(values); i += 2 {
		form.Set(values[i], values[i+1])
	}
	if res, err = l.client.PostForm(l.u.base+path, form); err != nil {
		l.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err = io.ReadAll(res.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return res.StatusCode, string(text) + fmt.Sprint(res.Header)
}

// Values of sensitive variables that are typed into a form reach the task and nothing else; and
// a form sets variables alone.
func TestCanaryLaunch(t *testing.T) {
	t.Parallel()
	token, pin := canary("form-token"), canary("form-pin")
	h := newCanaryHunt(t, token, pin)
	b := newBench(t)
	cage(t, b)
	write(t, filepath.Join(b.dir, "launched.hcl"), launchedWorkflow)
	b.output("run", "-q", "launched.hcl")
	first := b.newest()
	l := newLauncher(t, b)
	pipe, release := makePipe(t, h, func() { h.pagesOf(b, "launched", "use") })

	status, body := l.post("var.token", token, "var.pin", pin)
	h.look("the form with mistakes", []byte(body))
	if status != http.StatusUnprocessableEntity || b.newest() != first {
		t.Errorf("a number that is none: %d", status)
	}
	for _, reads := range []string{`[file("/etc/hostname")]`, `[var.token]`, `fileset("/", "*")`, `["${path.workflow}"]`, `[for x in range(1e9) : x]`} {
		if status, _ := l.post("var.words", reads); status != http.StatusUnprocessableEntity {
			t.Errorf("the value %s is answered with %d", reads, status)
		}
	}
	status, body = l.post("var.pipe", pipe, "var.token", token, "var.nosuch", "x", "nosuch", "x", "executor", "batch", "var.--work-dir", "/tmp", "from", "../../"+first, "path", "/etc", "state", "/tmp/other.db")
	if status != http.StatusSeeOther {
		t.Fatalf("%d\n%s", status, body)
	}
	h.look("the answer", []byte(body))
	release()
	for _, args := range [][]string{{"wait", "@last"}, {"status", "-json"}, {"list", "-json"}, {"events"}, {"export", "-format", "trace"}, {"report", "-o", "-"}} {
		out, _ := b.command(args...).CombinedOutput()
		h.look("flow "+args[0], out)
		if args[0] == "status" && (!strings.Contains(string(out), `"local"`) || strings.Contains(string(out), "nosuch")) {
			t.Errorf("the run is not as it was asked for:\n%s", out)
		}
	}
	if out := b.output("logs", "@last/use"); !strings.HasSuffix(strings.TrimSpace(string(out)), fmt.Sprint(len(token))) {
		t.Errorf("the task was told another secret: %s", out)
	}
	h.files(b.dir)
	h.commandLines()
}

// TestOpenBrowser says that the link reaches a browser, and no argument that others could read.
func TestOpenBrowser(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cage(t, b, "bin")
	write(t, filepath.Join(b.dir, "bin", "xdg-open"), "#!/bin/sh\nprintf '%s ' \"$#\" \"$@\" > args; ls -ld \"$1\" \"${1%/*}\" | cut -c1-10 > modes; cp \"$1\" page.html; echo > opened\n")
	if err := os.Chmod(filepath.Join(b.dir, "bin", "xdg-open"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(b.dir, "opened"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := b.command("ui", "-q")
	cmd.Env = append(cmd.Env, "DISPLAY=:99", "SSH_CONNECTION=", "PATH="+filepath.Join(b.dir, "bin")+":"+os.Getenv("PATH"))
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(filepath.Join(b.dir, "opened")); err != nil { // waits for it
		t.Error(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	link := strings.TrimSpace(out.String())
	_, token, _ := strings.Cut(link, "token=")
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(b.dir, name))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	if args := read("args"); strings.Contains(args, token) || token == "" || !strings.HasPrefix(args, "1 ") {
		t.Errorf("the arguments are %q, of the link %q", args, link)
	}
	if modes := read("modes"); modes != "drwx------\n-rw-------\n" {
		t.Errorf("the file can be read by others: %s", modes)
	}
	if page := read("page.html"); !strings.Contains(page, `content="0;url=`+link+`"`) {
		t.Errorf("the page does not lead to %s:\n%s", link, page)
	}
	if left, _ := filepath.Glob(filepath.Join(b.dir, "tmp", "*")); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}

// askedByAnother asks for each path with bash, which needs no program, prints the statuses, and
// then what it can read of files.
const askedByAnother = `
for path in $PATHS; do
  for method in GET POST; do
    exec 3<>/dev/tcp/127.0.0.1/$PORT || exit 9
    printf '%s %s HTTP/1.0\r\nHost: 127.0.0.1:%s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\ntoken=x' $method "$path" $PORT >&3
    read -r _ status _ <&3
    echo "$method $path $status"
    exec 3>&-
  done
done
cat "$DB" "$TOKEN" "/proc/$PID/environ" 2>/dev/null
tr '\0' ' ' < "/proc/$PID/cmdline"
`

// Another user of the machine is answered nowhere but at /healthz, and finds the token nowhere.
func TestAnotherUser(t *testing.T) {
	t.Parallel()
	b := hostileRun(t)
	token := filepath.Join(b.dir, "token")
	cmd := b.command("serve", "-port", "0", "-token-file", token, "-json")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	line := make([]byte, 4096)
	n, err := log.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(string(line[:n]), "http://127.0.0.1:")
	port, _, _ = strings.Cut(port, `"`)
	secret, err := os.ReadFile(token)
	if err != nil || len(secret) < shortestToken {
		t.Fatalf("the token: %v", err)
	}
	s, run := serveSite(t, b), b.newest()
	var paths []string
	for _, pattern := range s.server.Patterns() {
		_, route, _ := strings.Cut(pattern, " ")
		paths = append(paths, filledIn(t, s, route, run, "hostile", "each")[0])
	}
	other := exec.Command("/bin/bash", "-c", askedByAnother)
	other.Dir = "/"
	other.Env = []string{"PATHS=" + strings.Join(paths, " "), "PORT=" + port, "DB=" + filepath.Join(b.dir, stateDir, "flow.db"), "TOKEN=" + token, fmt.Sprint("PID=", cmd.Process.Pid)}
	if os.Geteuid() == 0 { // else it is asked without the token, but by the same user
		other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	} else {
		other.Env = append(other.Env, "DB=", "TOKEN=", "PID=none")
	}
	out, err := other.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	answers := 0
	for line := range strings.Lines(string(out)) {
		method, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if method != "GET" && method != "POST" {
			continue
		}
		answers++
		path, status, _ := strings.Cut(rest, " ")
		if want := map[string]string{"GET /healthz": "200", "POST /healthz": "405"}[method+" "+path]; status != want && (want != "" || status != "401") {
			t.Errorf("%s %s is answered with %s", method, path, status)
		}
	}
	if answers != 2*len(paths) {
		t.Errorf("%d answers to %d paths:\n%s", answers, len(paths), out)
	}
	if strings.Contains(string(out), strings.TrimSpace(string(secret))) || strings.Contains(string(out), "SQLite format") {
		t.Error("the token or the state can be read")
	}
	if logged := string(line[:n]); strings.Contains(logged, strings.TrimSpace(string(secret))) {
		t.Errorf("the log has the token: %s", logged)
	}
}

// TestTokenInBrowser says that a browser keeps the token in a cookie that no script sees, and
// neither in its history nor in what it tells others; and that two servers do not disturb one another.
func TestTokenInBrowser(t *testing.T) {
	t.Parallel()
	one, two := startUI(newBench(t)), startUI(newBench(t))
	tab := one.open()
	tab.Forgive("another origin") // what a page asks for late comes when the tab is elsewhere
	tab.Go(two.link)
	for _, u := range []*ui{one, two, one} {
		tab.Go(u.base + "/")
		if got := browsertest.Eval[string](tab, "location.href + document.cookie + document.referrer"); got != u.base+"/" {
			t.Errorf("the page is at %q", got)
		}
	}
	for _, entry := range browsertest.Get(tab, chromedp.NavigationEntries()).Entries {
		if strings.Contains(entry.URL, "token") {
			t.Errorf("the history has %s", entry.URL)
		}
	}
}
