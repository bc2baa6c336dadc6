package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"flow/cmd/flow/internal/browsertest"
	"flow/executor/executortest/fetched"
)

// A ui is flow ui over the state below a directory, until the test has ended.
type ui struct {
	t    testing.TB
	link string // of the page of all runs, with the token
	base string // without it: http://127.0.0.1:PORT
}

// startUI starts flow ui in the directory of a bench.
func startUI(b *killBench) *ui {
	b.t.Helper()
	return startPages(b, "ui", "-no-open")
}

// startPages starts a command that serves pages, and says their link first.
func startPages(b *killBench, args ...string) *ui {
	b.t.Helper()
	cmd := b.command(append(args, "-q")...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			b.t.Errorf("flow %s: %v\n%s", args[0], err, &said)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.t.Fatalf("flow %s says no link: %v\n%s", args[0], err, &said)
	}
	u, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		b.t.Fatal(err)
	}
	return &ui{t: b.t, link: u.String(), base: u.Scheme + "://" + u.Host}
}

// token is what programs send.
func (u *ui) token() string {
	u.t.Helper()
	_, query, _ := strings.Cut(u.link, "?")
	q, err := url.ParseQuery(query)
	if err != nil || q.Get("token") == "" {
		u.t.Fatalf("the link %s has no token: %v", u.link, err)
	}
	return q.Get("token")
}

// open opens a tab that may see the pages, at the page of all runs.
func (u *ui) open() *browsertest.Tab {
	u.t.Helper()
	tab := browsertest.Open(u.t)
	tab.Go(u.link)
	if got := browsertest.Eval[string](tab, "location.href"); got != u.base+"/" {
		u.t.Fatalf("the link leads to %s", got)
	}
	return tab
}

// newBench returns a bench with a state of its own, and with workflow files: name and text.
func newBench(t *testing.T, files ...string) *killBench {
	t.Helper()
	b := &killBench{t: t, dir: t.TempDir()}
	if err := makeStateDir(filepath.Join(b.dir, stateDir)); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(b.dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// begin starts a command, and kills it at the end of the test if it has not ended by then.
func (b *killBench) begin(args ...string) *exec.Cmd {
	b.t.Helper()
	cmd := b.command(args...)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// exits runs a command that must end with an exit code.
func (b *killBench) exits(code int, args ...string) {
	b.t.Helper()
	b.ends(b.begin(args...), code)
}

// ends waits for a command, which must end with an exit code.
func (b *killBench) ends(cmd *exec.Cmd, code int) {
	b.t.Helper()
	if err := cmd.Wait(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		b.t.Errorf("%v: %v, want exit code %d", cmd.Args, err, code)
	}
}

// A barrier holds tasks until the test lets them go: each reads a line from a pipe.
type barrier struct {
	t    testing.TB
	pipe *os.File
}

// newBarrier makes a gate, a file in the directory of a bench that a task reads a line of:
// read _ < FILE.
func newBarrier(b *killBench, name string) *barrier {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		b.t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // so that nobody waits for its other end
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = pipe.Close() })
	return &barrier{b.t, pipe}
}

// pass lets n tasks go, of those that are held or of those that come.
func (g *barrier) pass(n int) {
	g.t.Helper()
	if _, err := g.pipe.WriteString(strings.Repeat("\n", n)); err != nil {
		g.t.Fatal(err)
	}
}

// copyWorkflow copies an example workflow into the directory of a bench; its data is linked.
func copyWorkflow(b *killBench, name string) {
	b.t.Helper()
	from, err := filepath.Abs(filepath.Join("..", "..", "workflows", name))
	if err != nil {
		b.t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(from, name+".hcl"))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, name+".hcl"), text, 0o644); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Symlink(fetched.Need(b.t, filepath.Join(from, "data")), filepath.Join(b.dir, "data")); err != nil {
		b.t.Fatal(err)
	}
}

// heldTool puts a program before that of the same name: it waits at the barrier "gate", says
// something, and fails.
func heldTool(b *killBench, name string) (env string, g *barrier) {
	b.t.Helper()
	g = newBarrier(b, "gate")
	dir := b.t.TempDir()
	script := "#!/bin/sh\nread _ < '" + g.pipe.Name() + "'\necho 'reading'\nprintf '\\033[31mno index\\033[0m for <b>all.bam</b>\\n' >&2\nexit 7\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		b.t.Fatal(err)
	}
	return "PATH=" + dir + ":" + os.Getenv("PATH"), g
}

// says is true in a page that has a word, in whatever case: the style has its say in that.
func says(word string) string {
	return "/\\b" + word + "\\b/i.test(document.querySelector('main').innerText)"
}

// at is true in a page whose path begins so.
func at(path string) string { return fmt.Sprintf("location.pathname.startsWith(%q)", path) }

// focus gives the focus to the first element that a CSS selector finds.
func focus(tab *browsertest.Tab, selector string) {
	browsertest.Eval[bool](tab, fmt.Sprintf("document.querySelector(%q).focus() ?? true", selector))
}

// tabTo presses the tab key until the focus is on an element that a CSS selector finds, as
// somebody without a mouse does. All that has the focus on the way there must look like it.
func (u *ui) tabTo(tab *browsertest.Tab, selector string) {
	u.t.Helper()
	const look = `(() => {
		const e = document.activeElement, box = e.querySelector(":scope .box");
		const seen = e.matches(":focus-visible") && (getComputedStyle(e).outlineStyle !== "none" || box && getComputedStyle(box).strokeWidth === "3px");
		return e === document.body ? "" : e.matches(%q) ? "there" : seen ? "" : e.outerHTML.slice(0, 200);
	})()`
	for range 100 {
		tab.Key(kb.Tab)
		switch got := browsertest.Eval[string](tab, fmt.Sprintf(look, selector)); got {
		case "there":
			return
		case "":
		default:
			u.t.Errorf("the focus cannot be seen: %s", got)
		}
	}
	u.t.Fatalf("the tab key does not lead to %s", selector)
}
