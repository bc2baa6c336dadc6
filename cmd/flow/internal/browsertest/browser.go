// Package browsertest lets tests look at pages in a real browser, Chromium: what they say
// and do, that nothing goes wrong in them that nobody sees, how they look, and that they can
// be used without eyes or mouse. The browser is started once for the tests of a package.
package browsertest

import (
	"context"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"flow/executor/executortest/fetched"
)

// A browser is the Chromium that the tests of a package share.
type browser struct {
	once sync.Once
	ctx  context.Context
	stop context.CancelFunc // ends it, and removes its files
	err  error              // why it does not run
}

var shared browser

// Main returns the tests of a package, after which the browser ends, for TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(browsertest.Main(m).Run()) }
//
// Without it the browser ends with the process, and leaves its files behind.
func Main(m interface{ Run() int }) interface{ Run() int } { return tests{m} }

type tests struct{ m interface{ Run() int } }

func (t tests) Run() int {
	defer func() {
		if shared.stop != nil {
			shared.stop()
		}
	}()
	return t.m.Run()
}

// outside has every name of another machine unknown to the browser, so that a page which
// asks for anything outside fails.
const outside = "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"

// start returns the context of the browser, which runs after the first call.
func start(t testing.TB) context.Context {
	t.Helper()
	path := fetched.Need(t, "chromium")
	shared.once.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path),
			chromedp.NoSandbox, // needs more rights than a container has; the pages are ours
			chromedp.DisableGPU,
			chromedp.Flag("disable-quic", true),
			chromedp.Flag("disable-component-update", true),
			chromedp.Flag("host-resolver-rules", outside),
		)
		all, stopAll := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, stop := chromedp.NewContext(all)
		shared.ctx, shared.stop = ctx, func() { stop(); stopAll() }
		shared.err = chromedp.Do(ctx)
	})
	if shared.err != nil {
		t.Fatalf("chromium does not start: %v", shared.err)
	}
	return shared.ctx
}
