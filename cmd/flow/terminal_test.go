package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/executortest/fetched"
	"flow/state"
)

// A pane is a real terminal, of tmux, in which a command runs.
type pane struct {
	t      *testing.T
	tmux   string
	socket string
	raw    string // file with all that was written to the terminal
}

// newPane runs a command, with more variables in its environment, in dir and in a terminal
// of so many columns and lines. When it has ended, "[exit CODE]" is shown, and the terminal
// stays.
func newPane(t *testing.T, dir string, width, height int, env []string, command string) *pane {
	t.Helper()
	home, err := os.MkdirTemp("", "pane") //nolint:usetesting // the path of a socket is short, whatever the test's name
	if err != nil {
		t.Fatal(err)
	}
	p := &pane{t: t, tmux: fetched.Need(t, "tmux"), socket: filepath.Join(home, "s"), raw: filepath.Join(home, "raw")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the terminal:\n%s", p.screen())
		}
		_ = p.command("kill-server").Run() // it may have ended
		os.RemoveAll(home)
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(home, "flow")); err != nil { // see testscript.Main
		t.Fatal(err)
	}
	env = append([]string{"PATH=" + home + ":$PATH"}, env...)
	start := filepath.Join(home, "start")
	// What is written is kept from the very beginning.
	if err := p.command("-f", os.DevNull, "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "-c", dir,
		"env", "-u", "CI", "-u", "GITHUB_ACTIONS", "-u", "COLUMNS", "-u", "NO_COLOR", "sh", "-c",
		`until [ -e "$0" ]; do sleep 0.02; done; `+strings.Join(append(env, command), " ")+`; echo "[exit $?]"; exec sleep 600`, start).Run(); err != nil {
		t.Fatal(err)
	}
	p.do("pipe-pane", "-o", "cat >>"+p.raw)
	if err := os.WriteFile(start, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pane) command(args ...string) *exec.Cmd {
	return exec.Command(p.tmux, append([]string{"-S", p.socket}, args...)...)
}

func (p *pane) do(args ...string) {
	p.t.Helper()
	if out, err := p.command(args...).CombinedOutput(); err != nil {
		p.t.Fatalf("tmux %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// screen returns what a person sees, and with more arguments of capture-pane also else.
func (p *pane) screen(more ...string) string {
	p.t.Helper()
	out, err := p.command(append([]string{"capture-pane", "-p"}, more...)...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return string(out)
}

// shows waits until the screen has what a pattern says, and returns it.
func (p *pane) shows(pattern string) string {
	p.t.Helper()
	want := regexp.MustCompile("(?m)" + pattern)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if screen := p.screen(); want.MatchString(screen) {
			return screen
		}
	}
	p.t.Fatalf("the terminal never shows %q", pattern)
	return ""
}

func (p *pane) resize(width, height int) {
	p.t.Helper()
	p.do("resize-window", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height))
}

// once fails the test if a screen does not have a text just once.
func once(t *testing.T, screen, text string) {
	t.Helper()
	if got := strings.Count(screen, text); got != 1 {
		t.Errorf("%q is on the screen %d times:\n%s", text, got, screen)
	}
}

const watched = `
step "align" {
  for_each = range(0, 10000)
  script   = "true"
}
step "merge" {
  depends_on = [step.align]
  script     = "true"
}
`

// A watchedRun is a run of 10,000 tasks whose events a test writes, as a driver does.
type watchedRun struct {
	t   *testing.T
	dir string
	db  *state.DB
	id  engine.RunID
	seq int64
}

func newWatchedRun(t *testing.T) *watchedRun {
	t.Helper()
	r := &watchedRun{t: t, dir: t.TempDir(), id: newApp().newRunID()}
	if err := makeStateDir(filepath.Join(r.dir, stateDir)); err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(filepath.Join(r.dir, stateDir, "flow.db"), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r.db = db
	if err := db.CreateRun(t.Context(), state.NewRun{
		Info: engine.RunInfo{Run: r.id, Workflow: "genome", WorkDir: r.dir, Executor: localExecutor}, Dir: r.dir,
		Sources: []state.Source{{Name: "genome.hcl", Bytes: []byte(watched)}},
		Steps:   []state.StepInfo{{Name: "align", FanOut: true}, {Name: "merge"}},
	}); err != nil {
		t.Fatal(err)
	}
	r.seq = 1
	return r
}

func (r *watchedRun) happens(events ...engine.Event) {
	r.t.Helper()
	for i := range events {
		events[i].Seq, events[i].At = r.seq+1+int64(i), time.Now()
	}
	if err := r.db.Append(r.t.Context(), r.id, r.seq, events...); err != nil {
		r.t.Fatal(err)
	}
	r.seq += int64(len(events))
}

// ended is the event that tasks from begin up to end ended with a code.
func ended(begin, end, code int) engine.Event {
	e := engine.Event{Kind: engine.TasksEnded, Step: "align", Job: 1, Outcome: engine.TaskSucceeded}
	var tasks []int
	for i := begin; i < end; i++ {
		tasks = append(tasks, i)
		e.Attempts = append(e.Attempts, 1)
	}
	e.Tasks, e.ExitCode = engine.RangesOf(tasks...), &code
	if code != 0 {
		e.Outcome = engine.TaskFailed
	}
	return e
}

// TestTerminalWatch follows a run of 10,000 tasks in a real terminal: each number is exact,
// also when the window changes its size, and all of it is on the screen.
func TestTerminalWatch(t *testing.T) {
	t.Parallel()
	r := newWatchedRun(t)
	const size = 10_000
	r.happens(
		engine.Event{Kind: engine.StepExpanded, Step: "align", Expanded: &engine.Expanded{Size: size, Groups: []*engine.TaskSpec{{Command: []string{"true"}}}}},
		engine.Event{Kind: engine.JobPlanned, Step: "align", Job: 1, Tasks: engine.Upto(size), Plan: &engine.JobPlan{Name: "j", Attempt: 1}},
		engine.Event{Kind: engine.JobAccepted, Job: 1, JobID: "id"},
		engine.Event{Kind: engine.TasksRunning, Step: "align", Job: 1, Tasks: engine.Upto(4_400)},
	)
	p := newPane(t, r.dir, 100, 20, nil, "flow status -watch @last")
	p.shows(`^  RUNNING +align  ─+·+ +0/10,000 +4,400 running`)
	r.happens(ended(0, 4_321, 0))
	p.shows(`^  RUNNING +align  ━+─·+ +4,321/10,000 +79 running`)
	r.happens(ended(4_321, 4_328, 3))
	screen := p.shows(`^  RUNNING +align .* 4,328/10,000 +7 failed  72 running`)
	once(t, screen, "total")
	p.shows(`^  FAILED  7 tasks of align: exit code 3 \(such as align\["4321"\]\)$`)

	p.resize(44, 20)
	screen = p.shows(`^  RUNNING +align  4,328/10,000.*7 failed`)
	once(t, screen, "total")
	p.resize(44, 6)
	screen = p.shows(`^  RUNNING +align  4,328/10,000.*7 failed`)
	for _, text := range []string{"genome  ", "align  ", "total", "FAILED  7 tasks"} {
		once(t, screen, text)
	}
	p.resize(120, 30)
	screen = p.shows(`^  RUNNING +align  ━+─·+ +4,328/10,000 +7 failed  72 running`)
	once(t, screen, "total")

	r.happens(engine.Event{Kind: engine.TasksRunning, Step: "align", Job: 1, Tasks: engine.RangesOf(upTo(4_400, size)...)}, ended(4_328, size, 0))
	r.happens(
		engine.Event{Kind: engine.StepEnded, Step: "align", Status: engine.Failed, Reason: "7 of 10,000 tasks failed"},
		engine.Event{Kind: engine.StepEnded, Step: "merge", Status: engine.Skipped, Reason: "needs align"},
	)
	p.shows(`^  FAILED +align .* 10,000/10,000 +7 failed`)
	r.happens(engine.Event{Kind: engine.RunEnded, Status: engine.Failed, Reason: "step align failed"})
	screen = p.shows(`\[exit 0\]`) // the page about the run is in the place of the steps
	for _, text := range []string{"9,993 succeeded, 7 failed", "again: flow resume"} {
		if !strings.Contains(screen, text) {
			t.Errorf("%q is missing at the end:\n%s", text, screen)
		}
	}
	if strings.Contains(screen, "total") {
		t.Errorf("the steps are still there:\n%s", screen)
	}
}

func upTo(begin, end int) (list []int) {
	for i := begin; i < end; i++ {
		list = append(list, i)
	}
	return list
}

const terminalFlow = `
step "align" {
  for_each = ["a", "b", "c"]
  script   = <<-SH
    if [ ${each.key} = b ]; then echo "no such file"; exit 3; fi
    until [ -e ${path.workflow}/go ]; do sleep 0.02; done
  SH
}
step "merge" {
  depends_on = [step.align]
  script = "true"
}
`

// TestTerminalRun runs a workflow in a real terminal. While it runs, nothing moves off the
// screen; what the failed task wrote comes at the end. Without colour there is none.
func TestTerminalRun(t *testing.T) {
	for _, tt := range []struct {
		name   string
		env    []string
		colour bool
	}{
		{"colour", nil, true},
		{"no colour", []string{"NO_COLOR=1"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := makeStateDir(filepath.Join(dir, stateDir)); err != nil {
				t.Fatal(err)
			}
			write := func(name, text string) {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			write("w.hcl", terminalFlow)
			begun := time.Now()
			p := newPane(t, dir, 90, 20, tt.env, "flow run -vcpus 8 w.hcl")
			screen := p.shows(`^  RUNNING +align .* 1/3 +1 failed  2 running`)
			p.shows(`^          │ no such file$`)
			once(t, screen, `FAILED  align["b"]: exit code 3`)
			if got := strings.Contains(p.screen("-e"), "\x1b["); got != tt.colour {
				t.Errorf("coloured: %v, want %v:\n%q", got, tt.colour, p.screen("-e"))
			}
			p.resize(50, 20)
			screen = p.shows(`^  RUNNING +align +.*1/3 +1 failed`)
			once(t, screen, "total")
			write("go", "")
			screen = p.shows(`\[exit 4\]`)
			for _, text := range []string{"whole log: flow logs", "total", "│ no such file", "again: flow resume"} {
				once(t, screen, text)
			}
			p.fewFrames(time.Since(begun))
		})
	}
}

// fewFrames checks that no more than five frames were drawn in a second, and each with one
// write that begins where the last frame did.
func (p *pane) fewFrames(took time.Duration) {
	p.t.Helper()
	raw, err := os.ReadFile(p.raw)
	if err != nil {
		p.t.Fatal(err)
	}
	frames := len(regexp.MustCompile(`\x1b\[\d+A\r`).FindAll(raw, -1))
	if most := int(took/(200*time.Millisecond)) + 2; frames < 2 || frames > most {
		p.t.Errorf("%d frames were drawn in %s, want at most %d", frames, view.Duration(took), most)
	}
}
