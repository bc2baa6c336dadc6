package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Patience is how long a page may take for anything a test waits for.
const Patience = 30 * time.Second

// A Tab is a tab of the browser with cookies of its own. It is of one goroutine. When the
// test has ended, what went wrong in its pages fails the test: a message of console.error or
// console.warn, an exception, something the page's policy forbids, a request that failed or
// was answered with 4xx or 5xx, a request to another origin.
type Tab struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	origin   string            // of the page last gone to; "": none
	urls     map[string]string // of requests that go on, by ID
	problems []string
	forgiven []string
}

// Open opens a tab, 1280 pixels wide, which is closed when the test has ended.
func Open(t testing.TB) *Tab {
	t.Helper()
	parent := start(t)
	tab := &Tab{t: t, urls: map[string]string{}}
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext(), chromedp.WithListener(tab.listen))
	tab.ctx = ctx
	t.Cleanup(func() {
		if t.Failed() {
			tab.shotOfFailure()
		}
		cancel()
		for _, problem := range tab.Problems() {
			t.Errorf("in the browser: %s", problem)
		}
	})
	tab.Do(chromedp.EmulateViewport(Wide, height))
	return tab
}

// Forgive has what goes wrong with text in it be no problem: a test that asks for a page
// that is missing, on purpose. It is told before.
func (tab *Tab) Forgive(text string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.forgiven = append(tab.forgiven, text)
}

// Problems returns what has gone wrong in the pages of the tab since it was asked last.
func (tab *Tab) Problems() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	problems := tab.problems
	tab.problems = nil
	return problems
}

// Go goes to a URL and returns when the page is loaded.
func (tab *Tab) Go(address string) {
	tab.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tab.t.Fatal(err)
	}
	tab.mu.Lock()
	tab.origin = u.Scheme + "://" + u.Host
	tab.mu.Unlock()
	tab.Do(chromedp.Navigate(address))
}

// Do runs actions of chromedp, and fails the test if they fail or take too long.
func (tab *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	if err := chromedp.Do(tab.ctx); err != nil { // the tab lives longer than the time-out below
		tab.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tab.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		tab.t.Fatalf("in the browser: %v", err)
	}
}

// Get runs an action of chromedp for its value, and fails the test if it fails or takes too
// long.
func Get[T any](tab *Tab, action chromedp.Action[T]) T {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		tab.t.Fatalf("in the browser: %v", err)
	}
	return v
}

// Eval returns the value of a JavaScript expression in the page; of a promise, what it
// comes to.
func Eval[T any](tab *Tab, expression string) T {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		tab.t.Fatalf("in the browser: %s: %v", expression, err)
	}
	return v
}

// Wait waits until a JavaScript expression is true in the page; it is asked again at each
// frame, and again when the page was replaced by another.
func (tab *Tab) Wait(expression string) {
	tab.t.Helper()
	for end := time.Now().Add(Patience); ; {
		ctx, cancel := context.WithDeadline(tab.ctx, end)
		_, err := chromedp.Run(ctx, chromedp.Poll[bool]("!!("+expression+")"))
		cancel()
		switch {
		case err == nil:
			return
		case !time.Now().Before(end) || !betweenPages(err):
			tab.t.Fatalf("in the browser: never true: %s: %v\nthe page says:\n%s", expression, err, tab.text())
		}
	}
}

// betweenPages reports whether an error means that a page went away while it was asked.
func betweenPages(err error) bool {
	for _, text := range []string{"context was destroyed", "Cannot find context", "navigated or closed", "context with specified id"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// Click clicks on the first element that a CSS selector finds and that can be seen.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	tab.Do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Key presses keys, as chromedp/kb names them: kb.Tab, kb.ArrowRight, kb.Enter.
func (tab *Tab) Key(keys string, options ...chromedp.KeyOption) {
	tab.t.Helper()
	tab.Do(chromedp.KeyEvent(keys, options...))
}

// Text returns what a person reads in the first element that a CSS selector finds.
func (tab *Tab) Text(selector string) string {
	tab.t.Helper()
	return Eval[string](tab, fmt.Sprintf("document.querySelector(%q)?.innerText ?? %q", selector, "(no "+selector+")"))
}

// text is the text of the page, for the message of a test that fails.
func (tab *Tab) text() string {
	ctx, cancel := context.WithTimeout(tab.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body?.innerText ?? ''"))
	if err != nil {
		return err.Error()
	}
	return text[:min(len(text), 2000)]
}

// listen is told of everything that happens in the tab.
func (tab *Tab) listen(event any) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			tab.problem("console.%s: %s", e.Type, arguments(e.Args))
		}
	case *runtime.EventExceptionThrown:
		tab.problem("exception: %s", exception(e.ExceptionDetails))
	case *log.EventEntryAdded:
		// A request that failed is reported below, with the status.
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork || e.Entry.Level == log.EntryLevelWarning {
			tab.problem("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *page.EventJavascriptDialogOpening:
		tab.problem("a dialog: %s", e.Message)
	case *network.EventRequestWillBeSent:
		tab.urls[string(e.RequestID)] = e.Request.URL
		if elsewhere(e.Request.URL, tab.origin) {
			tab.problem("a request to another origin: %s", e.Request.URL)
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			tab.problem("%d for %s", e.Response.Status, e.Response.URL)
		}
	case *network.EventLoadingFailed:
		// A page that is left drops its stream; that is no failure.
		if !e.Canceled && e.ErrorText != "net::ERR_ABORTED" {
			tab.problem("%s %s: %s", e.ErrorText, e.BlockedReason, tab.urls[string(e.RequestID)])
		}
		delete(tab.urls, string(e.RequestID))
	case *network.EventLoadingFinished:
		delete(tab.urls, string(e.RequestID))
	}
}

// problem notes what went wrong. The caller holds the lock.
func (tab *Tab) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, part := range tab.forgiven {
		if strings.Contains(text, part) {
			return
		}
	}
	tab.problems = append(tab.problems, text)
}

// elsewhere reports whether a URL leads away from an origin.
func elsewhere(address, origin string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return true
	}
	return (u.Scheme == "http" || u.Scheme == "https") && u.Scheme+"://"+u.Host != origin
}

func arguments(args []*runtime.RemoteObject) string {
	var words []string
	for _, a := range args {
		if a.Description != "" {
			words = append(words, a.Description)
		} else {
			words = append(words, string(a.Value))
		}
	}
	return strings.Join(words, " ")
}

func exception(e *runtime.ExceptionDetails) string {
	text := e.Text
	if e.Exception != nil && e.Exception.Description != "" {
		text = e.Exception.Description
	}
	return fmt.Sprintf("%s (%s:%d)", text, e.URL, e.LineNumber+1)
}
