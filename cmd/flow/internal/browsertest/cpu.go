package browsertest

import (
	"context"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

// CPU returns the CPU time that the process of the page has taken so far, of all of its
// threads. Unlike the time by the clock, it says the same on a machine that is busy.
func (tab *Tab) CPU() time.Duration {
	tab.t.Helper()
	metrics := Get(tab, chromedp.Action[[]*performance.Metric](func(ctx context.Context, t *chromedp.Target) ([]*performance.Metric, error) {
		if _, err := cdp.Call(ctx, t, performance.Enable, performance.EnableParams{}); err != nil {
			return nil, err
		}
		r, err := cdp.Call(ctx, t, performance.GetMetrics, cdp.Empty{})
		if err != nil {
			return nil, err
		}
		return r.Metrics, nil
	}))
	for _, m := range metrics {
		if m.Name == "ProcessTime" {
			return time.Duration(m.Value * float64(time.Second))
		}
	}
	tab.t.Fatal("the browser does not say how much CPU time the page took")
	return 0
}
