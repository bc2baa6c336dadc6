package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"

	"flow/cmd/flow/internal/view"
)

// An app is one invocation of the command: its streams, its environment, and the flags
// that every command has.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	now    func() time.Time
	hurry  atomic.Pointer[func()] // see atSecondSignal
	unseen bool                   // what it prints is for no terminal; see hushed

	// Flags of every command.
	dir     string // -C
	state   string // --state
	output  string // -o
	json    bool   // -json
	quiet   bool
	noColor bool
}

// newApp returns an app on the process's own streams.
func newApp() *app {
	return &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, now: time.Now}
}

// execute runs the command that args name and returns the exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := newRoot(a)
	root.SetArgs(twoDashes(args, longFlags(root)))
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE):
		return exitOK // whoever read our output has seen enough
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	code, quiet := asExit(err)
	if !quiet {
		a.complain(err)
	}
	return code
}

// complain prints err for a person.
func (a *app) complain(err error) {
	style := a.errTerm().Style
	fmt.Fprintf(a.stderr, "%s %s\n", style.Red(style.Bold("Error:")), view.CleanLines(err.Error()))
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(a.stderr, "Run '%s -help' for usage.\n", usage.cmd)
	}
}

// say prints a line of talk, unless -q was given.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// asJSON reports whether data is wanted as JSON.
func (a *app) asJSON() bool { return a.json || a.output == "json" }

// printJSON writes v to stdout, indented.
func (a *app) printJSON(v any) error { return writeJSON(a.stdout, v) }

// outTerm describes stdout, errTerm stderr.
func (a *app) outTerm() view.Term { return a.term(a.stdout) }
func (a *app) errTerm() view.Term { return a.term(a.stderr) }

func (a *app) term(w io.Writer) view.Term {
	t := view.Term{}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		t.TTY = true
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			t.Width, t.Height = width, height
		}
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		t.Width = n
	}
	t.Live = t.TTY && !a.quiet && os.Getenv("CI") == ""
	t.Style.Color = t.TTY || os.Getenv("CLICOLOR_FORCE") != ""
	if a.noColor || os.Getenv("NO_COLOR") != "" {
		t.Style.Color = false
	}
	return t
}

// lastWait is how long a second Ctrl-C waits for what it asked to be dropped.
const lastWait = 3 * time.Second

// signals returns a context that ends with the first SIGINT, SIGTERM or SIGHUP. With the
// second one the process ends at once, or as soon as what atSecondSignal named is done:
// nothing is lost by it, since a run's state is durable at every moment.
func (a *app) signals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	// A handler, not SIG_IGN, which children would inherit: writing to a closed pipe is
	// an error here, and ends `yes | head` in a task as it should.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	got := make(chan os.Signal, 2)
	signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		cancel(errSignal{<-got})
		<-got
		if hurry := a.hurry.Load(); hurry != nil {
			(*hurry)()
			select {
			case <-got:
			case <-time.After(lastWait):
			}
		}
		os.Exit(exitInterrupted)
	}()
	return ctx, func() {
		signal.Stop(got)
		cancel(context.Canceled)
	}
}

// atSecondSignal has fn called with the second signal, after which the process has a
// moment left.
func (a *app) atSecondSignal(fn func()) { a.hurry.Store(&fn) }

// errSignal is the cause of a context that a signal ended.
type errSignal struct{ os.Signal }

func (e errSignal) Error() string { return "stopped by " + strings.ToLower(e.Signal.String()) }

func (e errSignal) Unwrap() error { return context.Canceled }

// writeJSON writes v to w, indented.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
