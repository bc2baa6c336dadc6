package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"flow/executor/executortest/apimodel"
	"flow/executor/executortest/fetched"
)

// The values that nobody but tasks is to see, by where they come from. They have characters
// in them that URLs, JSON and base64 write differently.
func canary(from string) string { return "c4n4ry-" + from + `&/+%=<"` }

// forms returns how a value may look where somebody has written it.
func forms(value string) (all [][]byte) {
	text, _ := json.Marshal(value) // a string
	sum := sha256.Sum256([]byte(value))
	plain, _, _ := strings.Cut(value, "&") // what no encoding but base64 and hex changes
	for _, s := range []string{
		value, plain, url.QueryEscape(value), url.PathEscape(value), strings.Trim(string(text), `"`),
		hex.EncodeToString([]byte(value)), hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:]),
	} {
		all = append(all, []byte(s))
	}
	for before := range 3 { // it may stand behind something else, of any length
		coded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", before) + value))
		coded = coded[(before*8+5)/6 : len(coded)/4*4-4]
		all = append(all, []byte(coded), []byte(strings.NewReplacer("+", "-", "/", "_").Replace(coded)))
	}
	return all
}

// A canaryHunt looks for secret values everywhere.
type canaryHunt struct {
	t     *testing.T
	forms map[string][][]byte
}

func newCanaryHunt(t *testing.T, values ...string) *canaryHunt {
	h := &canaryHunt{t: t, forms: map[string][][]byte{}}
	for _, v := range values {
		h.forms[v] = forms(v)
	}
	return h
}

// look looks at a text; where is for the error.
func (h *canaryHunt) look(where string, text []byte) {
	h.t.Helper()
	if value, at := h.find(text); value != "" {
		h.t.Errorf("%s has %q in it: ...%q...", where, value, text[max(0, at-100):min(len(text), at+100)])
	}
}

// find returns a value that is in a text in one of its forms, and where.
func (h *canaryHunt) find(text []byte) (value string, at int) {
	for value, all := range h.forms {
		for _, form := range all {
			if at := bytes.Index(text, form); at >= 0 {
				return value, at
			}
		}
	}
	return "", -1
}

// TestCanaryHunt finds a value however it is written.
func TestCanaryHunt(t *testing.T) {
	value := canary("x")
	h := newCanaryHunt(t, value)
	text, err := json.Marshal(map[string]string{"TOKEN": value})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(value))
	all := []string{value, string(text), url.Values{"a": {value}}.Encode(), (&url.URL{Path: "/" + value}).String(), fmt.Sprintf("%x", sum), fmt.Sprintf("%q", value), fmt.Sprintf("%x", value)}
	for _, coding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
		for n := range 6 {
			all = append(all, coding.EncodeToString([]byte("TOKEN="[n:]+value+"\nUSER=me")), coding.EncodeToString([]byte("TOKEN="[n:]+value)))
		}
	}
	for _, text := range all {
		if got, _ := h.find([]byte(text)); got != value {
			t.Errorf("it is not found in %q", text)
		}
	}
	if got, _ := h.find([]byte("AKIDEXAMPLE c4n4ry")); got != "" {
		t.Errorf("%q is found where it is not", got)
	}
}

// files looks at all that is below directories, and at what it is called.
func (h *canaryHunt) files(dirs ...string) {
	h.t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			h.look(path, text)
			h.look("the name of "+path, []byte(path))
			return err
		})
		if err != nil {
			h.t.Error(err)
		}
	}
}

// commandLines looks at those of all processes of the machine.
func (h *canaryHunt) commandLines() {
	h.t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		h.t.Error(err)
	}
	for _, path := range paths {
		if text, err := os.ReadFile(path); err == nil { // else it has ended
			h.look(path, text)
		}
	}
}

// exchanges looks at all that was asked and answered.
func (h *canaryHunt) exchanges(r *apimodel.Recorder) {
	h.t.Helper()
	for _, x := range r.Exchanges() {
		where := x.Method + " " + x.Path
		h.look(where, fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%s\n", where, x.Query.Encode(), x.Query, x.RequestHeader, x.ResponseHeader))
		h.look("the request of "+where, x.RequestBody)
		h.look("the answer to "+where, x.ResponseBody)
	}
}

// commands looks at what commands print that show something of a run with steps "use" and
// "fails", and at that of others that are given.
func (h *canaryHunt) commands(b *killBench, flags []string, more ...[]string) {
	h.t.Helper()
	all := append(more,
		append([]string{"plan", "w.hcl"}, flags...), append([]string{"plan", "w.hcl", "-json"}, flags...), append([]string{"plan", "w.hcl", "-no-cache"}, flags...),
		append([]string{"doctor", "w.hcl"}, flags...), append([]string{"doctor", "w.hcl", "-json"}, flags...),
		[]string{"status"}, []string{"status", "-json"}, []string{"status", "@last/use"}, []string{"status", "@last/use", "-json"},
		[]string{"explain", "@last/use"}, []string{"explain", "@last/use", "-json"}, []string{"explain", "@last/fails"}, []string{"explain", "@last/fails", "-json"},
		[]string{"logs"}, []string{"logs", "-json"}, []string{"files", "@last/use"}, []string{"files", "@last/use", "-json", "-get", "got"},
		[]string{"outputs"}, []string{"outputs", "-json"}, []string{"list", "-json"}, []string{"cost", "-json"}, []string{"graph", "-run", "@last", "-o", "json"},
		[]string{"report", "-o", "-"}, []string{"events"}, []string{"notices", "list", "-json"}, []string{"export", "-format", "trace"}, []string{"export", "-format", "events"},
		[]string{"export", "-format", "otlp", "-o", "-"}, []string{"export", "-format", "ro-crate", "-o", "crate"},
		[]string{"validate", "-json"}, []string{"clean", "-keep", "0d", "-dry-run", "-unfinished", "-json"},
	)
	for _, args := range all {
		out, _ := b.command(args...).CombinedOutput() // some end with a code that says something
		if len(out) == 0 {
			h.t.Errorf("flow %s says nothing", strings.Join(args, " "))
		}
		h.look("flow "+strings.Join(args, " "), out)
	}
}

// pages looks at all that is served about the newest run of canaryWorkflow.
func (h *canaryHunt) pages(b *killBench) { h.pagesOf(b, "w", "use", "other", "fails") }

// pagesOf looks at all that is served about the newest run of a workflow with those steps, to
// browsers and to programs.
func (h *canaryHunt) pagesOf(b *killBench, workflow string, steps ...string) {
	h.t.Helper()
	s, run, u := serveSite(h.t, b), b.newest(), startUI(b) // which has the environment
	token := u.token()
	tokens := newCanaryHunt(h.t, token)
	tokens.commandLines()
	tokens.files(filepath.Join(b.dir, stateDir))
	for _, pattern := range s.server.Patterns() {
		pattern, ok := strings.CutPrefix(pattern, "GET ")
		if !ok {
			continue
		}
		for _, path := range filledIn(h.t, s, pattern, run, workflow, steps...) {
			res, body := fetchFrom(h.t, u.base, token, path)
			tokens.look("GET "+path, []byte(body))
			h.look("GET "+path, fmt.Appendf([]byte(body), "\n%s", res.Header))
			if res.StatusCode >= 500 {
				h.t.Errorf("GET %s: %s\n%s", path, res.Status, body)
			}
		}
	}
}

// echo is a server that tells whoever comes what they sent, and that it wants no more of that.
func echo(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusGone)
		_ = json.NewEncoder(w).Encode(r.Header)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// canaryWorkflow says of secrets how long they are, and waits in between, since that is when
// others could see them. Steps without secrets have none in their environment.
const canaryWorkflow = `
workflow "w" {
  on_failure = "finish"
  defaults { shell = ["sh", "-euc"] }
}
variable "token" {
  type      = string
  sensitive = true
  default   = "none"
}
variable "pipe" { type = string }
variable "hook" { type = string }
notify "hook" {
  on = ["succeeded"]
  webhook {
    url     = var.hook
    headers = { Authorization = var.token }
    secret  = var.token
  }
  command { argv = ["sh", "-c", "cat; echo \"$FLOW_NOTICE_ID\" > told"] }
}
step "use" {
  inputs  = { in = "in.txt" }
  env     = { PIPE = var.pipe }
  secrets = { %s }
  %s
  script  = "echo using; read go < $PIPE; echo $${#A} $${#B} $${#C} > out.txt"
  output "out" { text = "out.txt" }
}
step "other" {
  depends_on = [step.use]
  script     = "! env | grep 'c4n4[r]y-secret'; echo > $out"
  output "out" { file = "out.txt" }
}
step "fails" {
  depends_on = [step.use]
  secrets = { %[1]s }
  %[2]s
  script  = "test -n \"$A\"; exit 3"
  tolerate { failed = 1 }
}
output "lengths" { value = step.use.outputs.out }
output "token" {
  value     = var.token
  sensitive = true
}
`

// cage has flow keep all that it writes in the directory of b.
func cage(t *testing.T, b *killBench, dirs ...string) {
	t.Helper()
	for _, name := range append(dirs, "tmp", "cache") {
		if err := os.MkdirAll(filepath.Join(b.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.env = append(b.env, "HOME="+b.dir, "TMPDIR="+filepath.Join(b.dir, "tmp"), "XDG_CACHE_HOME="+filepath.Join(b.dir, "cache"), "GORACE=atexit_sleep_ms=10")
	write(t, filepath.Join(b.dir, "in.txt"), "in\n")
}

// makePipe makes a pipe that a task waits for, and returns it, with a function that waits for
// the task, looks at what runs then, and lets the task go on.
func makePipe(t *testing.T, h *canaryHunt, look ...func()) (string, func()) {
	t.Helper()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	return pipe, func() {
		f, err := os.OpenFile(pipe, os.O_WRONLY, 0) // opened when somebody reads
		if err != nil {
			t.Fatal(err)
		}
		h.commandLines()
		for _, l := range look {
			l()
		}
		fmt.Fprintln(f, "go")
		f.Close()
	}
}

// inBackground starts a run with a driver in the background, and returns what flow says.
func inBackground(t *testing.T, b *killBench, flags []string) []byte {
	t.Helper()
	cmd := b.command(append([]string{"run", "w.hcl", "-detach", "-driver"}, flags...)...)
	flow, err := exec.LookPath("flow") // which starts itself again, by that name
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = flow
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// Secrets of a run on this machine, with its files on S3 and a driver in the background,
// reach its tasks and nothing else: neither state, nor objects, command lines, requests, or
// what any command prints.
func TestCanaryLocal(t *testing.T) {
	t.Parallel()
	env, file, variable, key := canary("secret-env"), canary("secret-file"), canary("secret-var"), canary("s3-key")
	h := newCanaryHunt(t, env, file, variable, key)
	server := fetched.S3Of(t, "key", key)
	server.MakeBucket("lab")
	s3 := apimodel.Record(t, server.URL)
	server.URL = s3.URL
	b := &killBench{t: t, dir: t.TempDir(), env: append(server.Env(), "A_SECRET="+env, "FLOW_VAR_token="+variable)}
	cage(t, b, stateDir)
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, file+"\n")
	write(t, filepath.Join(b.dir, "w.hcl"), fmt.Sprintf(canaryWorkflow, fmt.Sprintf(`A = "env:A_SECRET", B = "file:%s", C = var.token`, secret), ""))
	pipe, release := makePipe(t, h, func() { h.pages(b) })
	hook, asked := echo(t)
	flags := []string{"-work-dir", "s3://lab/flow", "-var", "pipe=" + pipe, "-var", "hook=" + hook}

	h.look("flow run", inBackground(t, b, flags))
	release()
	h.commands(b, flags, []string{"wait", "@last"})
	want := fmt.Sprintf("%d %d %d", len(env), len(file), len(variable))
	if got := strings.TrimSpace(string(b.output("outputs", "-raw", "lengths", "@last"))); got != want {
		t.Errorf("the lengths of the secrets are %q, want %q", got, want)
	}
	h.pages(b)
	h.files(b.dir, server.Dir)
	h.exchanges(s3)
	if len(s3.Exchanges()) == 0 || asked.Load() != 1 {
		t.Error("nothing went by")
	}
}

// The same of a run on AWS Batch, whose secrets are where AWS keeps them, and whose
// containers have credentials as from a role.
func TestCanaryBatch(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:s-AbCdEf"
	value, key, token := canary("secret-aws"), canary("s3-key"), canary("secret-var")
	h := newCanaryHunt(t, value, key, token)
	server := fetched.S3Of(t, "key", key)
	server.MakeBucket("lab")
	s3 := apimodel.Record(t, server.URL)
	server.URL = s3.URL
	vault := filepath.Join(t.TempDir(), "secrets.json")
	text, err := json.Marshal(map[string]string{arn: value, "ssm-parameter": value, "/ssm/parameter": value})
	if err != nil {
		t.Fatal(err)
	}
	write(t, vault, string(text))
	b := &killBench{t: t, dir: t.TempDir(), env: append(server.Env(), "FLOW_VAR_token="+token)}
	cage(t, b, stateDir, "emulator")
	var said bytes.Buffer
	e := startEmulationWith(t, b.env, &said, "--queue", "q", "--state", filepath.Join(b.dir, "emulator"), "--secrets", vault, "--trace", "--task-env", "AWS_ACCESS_KEY_ID", "--task-env", "AWS_SECRET_ACCESS_KEY")
	api := apimodel.Record(t, e.url)
	secrets := fmt.Sprintf(`A = %q, B = "ssm:ssm-parameter", C = "ssm:/ssm/parameter"`, arn)
	write(t, filepath.Join(b.dir, "w.hcl"), fmt.Sprintf(canaryWorkflow, secrets, `container { execution_role = "arn:aws:iam::123456789012:role/r" }`))
	pipe, release := makePipe(t, h, func() { h.pages(b) })
	hook, asked := echo(t)
	flags := []string{"-executor", "batch", "-endpoint", api.URL, "-queue", "q", "-image", "busybox", "-poll", "100ms", "-work-dir", "s3://lab/flow", "-var", "pipe=" + pipe, "-var", "hook=" + hook}

	h.look("flow run", inBackground(t, b, flags))
	release()
	h.commands(b, flags, []string{"wait", "@last"})
	want := fmt.Sprintf("%d %[1]d %[1]d", len(value))
	if got := strings.TrimSpace(string(b.output("outputs", "-raw", "lengths", "@last"))); got != want {
		t.Errorf("the lengths of the secrets are %q, want %q", got, want)
	}
	h.pages(b)
	if err := e.end(syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, &said)
	}
	h.look("flow emulate", said.Bytes())
	h.files(b.dir, server.Dir)
	h.exchanges(s3)
	h.exchanges(api)
	if asked.Load() != 1 {
		t.Error("the notice went nowhere")
	}
	if !strings.Contains(said.String(), "SubmitJob") || len(s3.Exchanges()) == 0 {
		t.Errorf("nothing went by: %s", &said)
	}
}
