package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flow/cmd/flow/internal/browsertest"
	"flow/state"
)

// hostile is text that would do something in a page, a terminal, a table, a line of JSON, or
// GitHub's Markdown if it were taken for more than text.
const hostile = harm + "</script></pre>--><b onclick='x'>[a](javascript:alert(1))|{{7*7}}\x1b]0;t\x07\x1b[31m\u202eevil\u2066\u2028\n=1+1\r::error::x"

// hostileWorkflow has such text wherever a workflow may have text.
const hostileWorkflow = `
workflow "hostile" { description = "<script>window.harmed=1</script> \u202edescription" }
variable "text" {
  description = "<script>window.harmed=1</script> \u202evariable"
  default     = "<img src=x onerror=window.harmed=1>"
  validation {
    condition     = var.text != "bad"
    error_message = "<script>window.harmed=1</script> \u202emessage."
  }
}
variable "choice" {
  type    = string
  default = "</select><script>window.harmed=1</script>"
  validation {
    condition     = contains(["</select><script>window.harmed=1</script>", "b"], var.choice)
    error_message = "One of them."
  }
}
variable "list" {
  type    = list(string)
  default = ["</textarea><script>window.harmed=1</script>"]
}
locals { harm = file("harm.txt") }
step "each" {
  description = local.harm
  for_each    = { (local.harm) = 1, plain = 2, "=1+1|" = 3 }
  env         = { TEXT = local.harm }
  inputs      = { in = "<script>.txt" }
  script      = "printf '%s\\n' \"$TEXT\"; cp \"$in\" \"$out\"; exit ${each.value == 1 ? 3 : 0} # </script><script>window.harmed=1</script>"
  output "out" { file = "<img src=x onerror=window.harmed=1>.txt" }
  tolerate { failed = 2 }
}
step "json" {
  env    = { TEXT = jsonencode({ (local.harm) = local.harm }) }
  script = "printf '%s' \"$TEXT\" > said.json"
  output "said" { json = "said.json" }
}
step "lacks" {
  script = "true"
  output "none" { file = "<script>window.harmed=1<_script>.txt" }
}
output "said" { value = step.json.outputs.said }
`

// hostileRun is a run of that workflow, which has ended.
func hostileRun(t *testing.T) *killBench {
	t.Helper()
	b := newBench(t)
	for name, text := range map[string]string{"hostile.hcl": hostileWorkflow, "harm.txt": hostile, "<script>.txt": "x"} {
		write(t, filepath.Join(b.dir, name), text)
	}
	_ = b.command("run", "-q", "hostile.hcl").Run() // it fails
	if out := b.output("status"); !strings.Contains(string(out), "FAILED") {
		t.Fatalf("the run has not failed:\n%s", out)
	}
	hostileSchedule(t, b)
	return b
}

// hostileSchedule puts a schedule of that workflow into the state, with all that there can be of
// it, and has this process be the service.
func hostileSchedule(t *testing.T, b *killBench) {
	t.Helper()
	db := putSchedules(t, b, "hostile", daily("daily"))
	sch, err := db.Schedule(t.Context(), "hostile/daily")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)
	for _, err := range []error{
		db.PauseSchedule(t.Context(), sch.ID, hostile),
		db.SetProblem(t.Context(), nil, b.dir, hostile),
		db.SetProblem(t.Context(), nil, hostile, hostile),
		db.DecideSlots(t.Context(), nil, sch.ID, at, []state.Slot{{Time: at, Status: state.SlotMissed, Reason: hostile}, {Time: at.Add(time.Hour), Status: state.SlotWaiting, Reason: hostile}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := db.AddBackfill(t.Context(), state.Backfill{Schedule: sch.ID, From: at.AddDate(0, 0, -1), To: at}, []time.Time{at.AddDate(0, 0, -1)}); err != nil {
		t.Fatal(err)
	}
	beService(t, db)
}

// siteToken is the token of sites of tests.
const siteToken = "a-token-that-nobody-knows"

// serveSite serves the pages of a bench's state in this process.
func serveSite(t *testing.T, b *killBench) *served {
	t.Helper()
	a := newApp()
	a.state = filepath.Join(b.dir, stateDir, "flow.db")
	src, err := a.openSource()
	if err != nil {
		t.Fatal(err)
	}
	s := &served{site: &site{app: a, src: src}, token: siteToken}
	log := slog.New(slog.DiscardHandler)
	s.openWritten(log)
	if err := s.listen(nil, &webFlags{}, "127.0.0.1:0", log); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = s.close()
	})
	return s
}

// fetch asks a site as one who has the token, and returns the answer. Of a stream it is the first line.
func fetch(t *testing.T, s *served, path string) (*http.Response, string) {
	t.Helper()
	return fetchFrom(t, s.base, siteToken, path)
}

// fetchFrom is fetch for a site somewhere.
func fetchFrom(t *testing.T, base, token, path string) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body io.Reader = res.Body
	if res.Header.Get("Content-Type") == "text/event-stream" {
		body = io.LimitReader(body, 6)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// filledIn are the paths that a pattern stands for in a state with a run of a workflow that has
// those steps.
func filledIn(t *testing.T, s *served, pattern, run, workflow string, steps ...string) []string {
	t.Helper()
	if pattern == "/assets/{hash}/{name}" {
		_, home := fetch(t, s, "/")
		found := regexp.MustCompile(`"(/assets/[^"]*)"`).FindStringSubmatch(home)
		return found[1:]
	}
	paths := []string{strings.NewReplacer("{run}", run, "{workflow}", workflow, "{index}", "0", "{$}", "", "{schedule}", "daily", "{backfill}", "1").Replace(pattern)}
	if strings.Contains(pattern, "{step}") {
		one := paths[0]
		paths = nil
		for _, step := range steps {
			paths = append(paths, strings.Replace(one, "{step}", step, 1))
		}
	}
	switch pattern {
	case runPath:
		for _, view := range []string{"events", "data", "source", "changes"} {
			paths = append(paths, paths[0]+"?view="+view)
		}
	case launchPath:
		paths = append(paths, paths[0]+"?from="+run)
	case "/live":
		paths = []string{"/live?page=%2Fruns%2F" + run}
	case logPath:
		for _, p := range paths[:len(paths):len(paths)] {
			paths = append(paths, p+"?piece=tail", p+"?download=1")
		}
	}
	if strings.ContainsAny(strings.Join(paths, ""), "{}") {
		t.Fatalf("the pattern %s has a wildcard that this test does not know", pattern)
	}
	return paths
}

// ownScripts are all scripts that a page may have: assets, and data; and attributes that have text as it is.
var ownScripts = regexp.MustCompile(`<script type="module" src="/assets/[0-9a-f]+/[a-z-]+\.js"></script>|<script type="application/json" id="[a-z-]+">[^<]*</script>| (?:data-[a-z]+|value)="[^"]*"`)

// more finds in a page what text must not become, once ownScripts is taken out.
var more = regexp.MustCompile(`(?i)<script|<img|<b[ >]|<iframe|<style|<base|<svg[^>]* on| on[a-z]+="[^"]*"|style="|href="(javascript|data|https?):|` + "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")

// TestHostileText looks at everything that is served about a run with hostile text all over:
// text stays text in pages, and nothing else is taken for a page.
func TestHostileText(t *testing.T) {
	t.Parallel()
	b := hostileRun(t)
	s, run := serveSite(t, b), b.newest()
	for _, pattern := range s.server.Patterns() {
		pattern, ok := strings.CutPrefix(pattern, "GET ")
		if !ok {
			continue
		}
		for _, path := range filledIn(t, s, pattern, run, "hostile", "each", "json", "lacks") {
			res, body := fetch(t, s, path)
			kind := res.Header.Get("Content-Type")
			switch {
			case res.StatusCode != 200 && !strings.HasSuffix(path, "/cost") && !(strings.Contains(path, "/log") && strings.Contains(path, "json")):
				t.Errorf("%s: %s\n%s", path, res.Status, body)
			case strings.HasSuffix(path, "/report.html"):
				// Its own scripts are in it; see TestHostileBrowser.
			case strings.HasPrefix(kind, "text/html"):
				rest := ownScripts.ReplaceAllString(body, "")
				if at := more.FindStringIndex(rest); at != nil {
					t.Errorf("%s has %q", path, rest[max(0, at[0]-60):min(len(rest), at[1]+60)])
				}
			case kind == "application/json":
				if !json.Valid([]byte(body)) {
					t.Errorf("%s is no JSON: %s", path, body)
				}
			case kind == "application/x-ndjson":
				for line := range strings.Lines(body) {
					if !json.Valid([]byte(line)) {
						t.Errorf("%s: a line is no JSON: %s", path, line)
					}
				}
			case !strings.HasPrefix(kind, "text/plain") && !strings.HasPrefix(kind, "text/event-stream") && pattern != "/assets/{hash}/{name}":
				t.Errorf("%s is %s", path, kind)
			}
			if res.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s may be taken for something else", path)
			}
			for name, values := range res.Header {
				if strings.ContainsAny(fmt.Sprint(values), "<\r\n\x1b") {
					t.Errorf("%s: %s is %q", path, name, values)
				}
			}
		}
	}
	hostileExports(t, b)
}

// hostileExports looks at what is exported of the run.
func hostileExports(t *testing.T, b *killBench) {
	for _, format := range []string{"trace", "events", "otlp"} {
		out := string(b.output("export", "--format", format, "-o", "-"))
		columns := 0
		for line := range strings.Lines(out) {
			if format != "trace" {
				if !json.Valid([]byte(line)) {
					t.Errorf("%s: a line is no JSON: %s", format, line)
				}
				continue
			}
			cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if columns == 0 {
				columns = len(cells)
			}
			if len(cells) != columns || strings.ContainsAny(line, "\r\x1b\x07\u202e\u2028") {
				t.Errorf("trace: %d cells in %q", len(cells), line)
			}
			for _, cell := range cells {
				if cell != none && cell != "" && strings.ContainsRune("=+@-", rune(cell[0])) {
					t.Errorf("trace: the cell %q is a formula", cell)
				}
			}
		}
		if !strings.Contains(out, "1+1|") {
			t.Errorf("%s has no task of that key", format)
		}
	}
	b.output("export", "--format", "ro-crate", "-o", "crate")
	text, err := os.ReadFile(filepath.Join(b.dir, "crate", "ro-crate-metadata.json"))
	if err != nil || !json.Valid(text) {
		t.Errorf("the crate: %v", err)
	}
}

// none is what a trace has for what is not known.
const none = "-"

// TestHostileBrowser opens every page about such a run, and its report, in a browser: nothing
// happens but that they are shown, and what is text is read as text.
func TestHostileBrowser(t *testing.T) {
	t.Parallel()
	b := hostileRun(t)
	s, run := serveSite(t, b), b.newest()
	tab := browsertest.Open(t)
	tab.Go(s.link("/runs/" + run))
	if got := browsertest.Eval[string](tab, "location.href + document.referrer + document.cookie"); got != s.base+"/runs/"+run {
		t.Errorf("the link leads to %q", got)
	}
	harmless := func(path string) {
		t.Helper()
		if got := browsertest.Eval[string](tab, `String(window.harmed) + document.querySelectorAll("[onerror], [onclick], script:not([src^='/assets/']):not([type='application/json']):not([type='module']), main img, base, iframe").length`); got != "undefined0" {
			t.Errorf("%s: text became more than text: %s", path, got)
		}
	}
	seen := 0
	for _, pattern := range s.server.Patterns() {
		pattern, ok := strings.CutPrefix(pattern, "GET ")
		if !ok || strings.HasPrefix(pattern, "/api/") || pattern == "/live" || pattern == "/metrics" || pattern == "/healthz" || strings.HasPrefix(pattern, "/assets/") || pattern == logPath {
			continue
		}
		for _, path := range filledIn(t, s, pattern, run, "hostile", "each", "json", "lacks") {
			tab.Go(s.base + path)
			harmless(path)
			seen += strings.Count(browsertest.Eval[string](tab, "document.documentElement.innerText"), "<script>window.harmed=1</script>")
		}
	}
	if seen < 30 {
		t.Errorf("the text is seen %d times", seen)
	}
	report := filepath.Join(t.TempDir(), "report.html")
	b.output("report", "-o", report)
	tab.Go("file://" + report)
	harmless("the report")
}
