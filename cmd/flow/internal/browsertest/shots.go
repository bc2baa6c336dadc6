package browsertest

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Widths of the window at which pages are looked at, in CSS pixels: of a laptop, and of a
// phone. A window is height high.
const (
	Wide   = 1280
	Narrow = 400
	height = 800
)

// Artifacts returns the directory of what tests leave for people to look at:
// $FLOW_ARTIFACTS, or one below the directory for temporary files.
func Artifacts() string {
	if dir := os.Getenv("FLOW_ARTIFACTS"); dir != "" {
		return dir
	}
	return filepath.Join(os.TempDir(), "flow-artifacts-"+strconv.Itoa(os.Getuid()))
}

// Look sets how the page is shown: the width of the window, and whether the person prefers
// dark colours.
func (tab *Tab) Look(width int64, dark bool) {
	tab.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		{Name: "prefers-reduced-motion", Value: "reduce"}, // pictures are of what stays
	}}
	tab.Do(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, media)
		return err
	}))
	Eval[bool](tab, frames)
}

// frames is over when scripts that follow the size of the window have painted what they did.
const frames = `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`

// overflowing names elements that reach beyond the right side of the window and have none
// in them that does; what is scrolled in an element of its own may.
const overflowing = `(() => {
	const beyond = e => e.getBoundingClientRect().right > innerWidth;
	const scrolled = e => { for (; e; e = e.parentElement) if (e !== document.documentElement && e !== document.body && getComputedStyle(e).overflowX !== "visible") return true; return false };
	const found = [...document.body.querySelectorAll("*")].filter(e => beyond(e) && !scrolled(e));
	return found.filter(e => !found.some(o => o !== e && e.contains(o))).slice(0, 5).map(e => e.outerHTML.slice(0, 120));
})()`

// Shot takes a picture of the whole page, name.png in Artifacts.
func (tab *Tab) Shot(name string) {
	tab.t.Helper()
	tab.keep(name, Get(tab, clipped(nil)))
}

// Picture writes a picture of the page, as wide as the window and at most so many pixels
// high, to a file. It is packed well.
func (tab *Tab) Picture(path string, most int64) {
	tab.t.Helper()
	high := min(most, Eval[int64](tab, "document.documentElement.scrollHeight"))
	quick := Get(tab, clipped(&page.Viewport{Width: Wide, Height: float64(high), Scale: 1}))
	picture, err := png.Decode(bytes.NewReader(quick))
	if err != nil {
		tab.t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&packed, picture); err != nil {
		tab.t.Fatal(err)
	}
	if err := os.WriteFile(path, packed.Bytes(), 0o644); err != nil {
		tab.t.Fatal(err)
	}
}

// clipped takes a picture of a part of the page; nil: all of it. It is packed with more haste
// than care: packing pictures takes longer than all else that there is to them.
func clipped(part *page.Viewport) chromedp.Action[[]byte] {
	return func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		yes := true
		r, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{
			Clip: part, FromSurface: &yes, CaptureBeyondViewport: &yes, OptimizeForSpeed: &yes,
		})
		if err != nil {
			return nil, err
		}
		return r.Data, nil
	}
}

// Inspect looks at the page as two people would: on a phone in dark colours, and on a laptop
// in light ones, as it is shown at the end. It keeps pictures of both, name-dark-400.png and
// name-light-1280.png, and fails the test if axe-core finds something serious or critical, or
// if one has to scroll sideways to read.
func (tab *Tab) Inspect(name string) {
	tab.t.Helper()
	tab.Look(Narrow, true)
	tab.fits(name, Narrow)
	tab.Shot(fmt.Sprintf("%s-dark-%d", name, Narrow))
	tab.axe(onlyColours)
	tab.Look(Wide, false)
	tab.fits(name, Wide)
	tab.Shot(fmt.Sprintf("%s-light-%d", name, Wide))
	tab.axe("")
}

// fits fails the test if the page is wider than its window.
func (tab *Tab) fits(name string, width int64) {
	tab.t.Helper()
	if got := Eval[int64](tab, "document.documentElement.scrollWidth"); got > width {
		tab.t.Errorf("%s is %d pixels wide in a window of %d, because of %v", name, got, width, Eval[[]string](tab, overflowing))
	}
}

// shotOfFailure keeps what the page of a test that fails looks like.
func (tab *Tab) shotOfFailure() {
	ctx, cancel := context.WithTimeout(tab.ctx, 5*time.Second)
	defer cancel()
	picture, err := chromedp.Run(ctx, clipped(nil))
	if err != nil {
		tab.t.Logf("no picture of the page: %v", err)
		return
	}
	tab.keep("failed-"+tab.t.Name(), picture)
	tab.t.Logf("the page is in failed-*.png in %s", Artifacts())
}

var noFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// keep writes a picture to Artifacts.
func (tab *Tab) keep(name string, picture []byte) {
	tab.t.Helper()
	path := filepath.Join(Artifacts(), noFileName.ReplaceAllString(name, "-")+".png")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tab.t.Fatal(err)
	}
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		tab.t.Fatal(err)
	}
}
