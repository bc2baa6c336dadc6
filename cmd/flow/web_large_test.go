package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"flow/dsl"
	"flow/engine"
	"flow/executor/agent"
	"flow/state"
)

// largeState makes a state file with a run of that many tasks and many small runs, and
// returns the id of the large one.
func largeState(tb testing.TB, path string, tasks, runs int) engine.RunID {
	tb.Helper()
	text := fmt.Sprintf("workflow \"wide\" {}\nstep \"first\" {\n  script = \"true\"\n}\nstep \"all\" {\n  for_each = range(%d)\n  script   = \"echo $FLOW_KEY\"\n}\nstep \"last\" {\n  depends_on = [step.all]\n  script     = \"true\"\n}\n", tasks)
	program, diags := dsl.Load(filepath.Dir(path), []dsl.Source{{Name: "w.hcl", Bytes: []byte(text)}})
	if diags.HasErrors() {
		tb.Fatal(diags)
	}
	db, err := state.Open(path, state.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	ctx := tb.Context()
	c := &clock{time.Now().UTC().Truncate(time.Second)}
	create := func(i int) engine.RunID {
		id := engine.RunID(fmt.Sprintf("01k%023d", i))
		run := state.NewRun{
			Info: engine.RunInfo{Run: id, Workflow: "wide", WorkDir: "/work", Executor: "batch"}, Dir: filepath.Dir(path),
			Sources: []state.Source{{Name: "w.hcl", Bytes: []byte(text)}}, Created: c.now.Add(time.Duration(i-runs) * time.Second),
		}
		for _, s := range program.Workflow.Steps {
			run.Steps = append(run.Steps, state.StepInfo{Name: s.Name, FanOut: s.FanOut})
		}
		if err := db.CreateRun(ctx, run); err != nil {
			tb.Fatal(err)
		}
		return id
	}
	for i := range runs - 1 {
		id := create(i)
		if err := db.Append(ctx, id, 1, engine.Event{At: c.now, Kind: engine.RunEnded, Status: engine.Succeeded}); err != nil {
			tb.Fatal(err)
		}
	}
	id := create(runs)
	template, diags := program.Bind(dsl.VarInput{}, dsl.RunContext{ID: id, Time: c.now})
	if diags.HasErrors() {
		tb.Fatal(diags)
	}
	x := &blank{jobs: map[engine.JobID]*blankJob{}, at: c.now, die: -1}
	driver := &engine.Driver{Workflow: template.Workflow(), Template: template, Executor: x, Log: db, Cache: db, Files: &agent.Files{}, Clock: c, Poll: time.Second}
	if _, err := driver.Drive(ctx, id); err != nil {
		tb.Fatal(err)
	}
	return id
}

// inMemory returns a directory where writing something durably takes no time, if there is one.
func inMemory(tb testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "flow-test-") //nolint:usetesting // tb.TempDir is on a disk
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A servedState is flow ui in a process of its own.
type servedState struct {
	tb     testing.TB
	cmd    *exec.Cmd
	base   string
	client *http.Client
	token  string
}

func serveState(tb testing.TB, path string) *servedState {
	tb.Helper()
	s := &servedState{tb: tb, client: &http.Client{}, cmd: exec.Command("flow", "ui", "-q", "--no-open", "--state", path)}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	link, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		tb.Fatal(err)
	}
	s.base, s.token = "http://"+link.Host, link.Query().Get("token")
	return s
}

func (s *servedState) ask(ctx context.Context, path string) *http.Response {
	s.tb.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	res, err := s.client.Do(r)
	if err != nil {
		s.tb.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		s.tb.Errorf("%s: %s", path, res.Status)
	}
	return res
}

// get returns a page, and how long it took.
func (s *servedState) get(path string) (string, time.Duration) {
	s.tb.Helper()
	begun := time.Now()
	res := s.ask(s.tb.Context(), path)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.tb.Fatal(err)
	}
	return string(body), time.Since(begun)
}

// peak returns the most memory that the process has had, in MB.
func (s *servedState) peak() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]), " kB"), 64)
	if err != nil {
		s.tb.Fatal(err)
	}
	return kb / 1024
}

// follow opens the stream of a page, and returns what waits for an event of it. At first all
// of the page comes, its title last.
func (s *servedState) follow(path string) (wait func(event string)) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), time.Minute)
	s.tb.Cleanup(cancel)
	res := s.ask(ctx, "/live?"+url.Values{"page": {path}}.Encode())
	s.tb.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 4<<20)
	return func(event string) {
		for lines.Scan() {
			if lines.Text() == "event: "+event {
				return
			}
		}
		s.tb.Errorf("%s has ended: %v", path, lines.Err())
	}
}

// TestLargeStateServed says how fast pages are with 1,000 runs and a run of 100,000 tasks,
// what the server takes of memory, and that 200 open pages follow.
func TestLargeStateServed(t *testing.T) {
	t.Parallel()
	runs, tasks, pages := 1000, 100_000, 200
	if testing.Short() || raceEnabled {
		runs, tasks, pages = 50, 2000, 20
	}
	path := filepath.Join(inMemory(t), "flow.db")
	begun := time.Now()
	id := largeState(t, path, tasks, runs)
	t.Logf("made in %v", time.Since(begun).Round(time.Millisecond))
	s := serveState(t, path)
	large := "/runs/" + string(id)
	for _, p := range []struct {
		path string
		most time.Duration
	}{
		{"/", 200 * time.Millisecond}, {"/", 200 * time.Millisecond},
		{large, 500 * time.Millisecond}, {large, 500 * time.Millisecond},
		{large + "/steps/all", 500 * time.Millisecond}, {large + "/steps/all/tasks/99", 500 * time.Millisecond},
		{"/workflows/wide", 500 * time.Millisecond}, {"/metrics", 200 * time.Millisecond},
	} {
		body, took := s.get(p.path)
		t.Logf("%-60s %8v %7d bytes, %.0f MB", p.path, took.Round(time.Millisecond), len(body), s.peak())
		if took > slack*p.most {
			t.Errorf("%s took %v, want at most %v", p.path, took, p.most)
		}
	}
	var waits []func(string)
	for i := range pages {
		waits = append(waits, s.follow(fmt.Sprintf("/?n=%d", i%40))) // many look at the same
	}
	for i := range pages / 10 {
		s.follow(fmt.Sprintf("%s?n=%d", large, i))
	}
	all := func(event string) {
		var told sync.WaitGroup
		for _, wait := range waits {
			told.Go(func() { wait(event) })
		}
		told.Wait()
	}
	all("title")
	changed := time.Now()
	db, err := state.Open(path, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.CreateRun(t.Context(), state.NewRun{Info: engine.RunInfo{Run: "01kzzzzzzzzzzzzzzzzzzzzzzz", Workflow: "new", WorkDir: "/w", Executor: "local"}}); err != nil {
		t.Fatal(err)
	}
	all("region")
	t.Logf("%d pages were told after %v; %.0f MB", pages, time.Since(changed).Round(time.Millisecond), s.peak())
	if mb := s.peak(); mb > 150 && !raceEnabled {
		t.Errorf("the server took %.0f MB, want at most 150", mb)
	}
}

// slack is how much longer pages may take on a machine that does other things as well.
const slack = 5
