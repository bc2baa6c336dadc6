package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		name             string
		from, to, origin time.Duration // after epoch
		want             []Tick
	}{
		{"a minute", 0, time.Minute, 0, []Tick{{0, 0}, {25, 15 * time.Second}, {50, 30 * time.Second}, {75, 45 * time.Second}, {100, time.Minute}}},
		{"an hour of a longer run", 90 * time.Minute, 150 * time.Minute, 0, []Tick{{0, 90 * time.Minute}, {25, 105 * time.Minute}, {50, 2 * time.Hour}, {75, 135 * time.Minute}, {100, 150 * time.Minute}}},
		{"between two round times", time.Second, 3 * time.Second, 0, []Tick{{0, time.Second}, {25, 1500 * time.Millisecond}, {50, 2 * time.Second}, {75, 2500 * time.Millisecond}, {100, 3 * time.Second}}},
		{"nothing", 0, 0, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := Timeline{From: epoch.Add(c.from), To: epoch.Add(c.to)}
			if d := cmp.Diff(c.want, l.Ticks(epoch.Add(c.origin), 4)); d != "" {
				t.Error(d)
			}
		})
	}
}

// Whatever the times, there are as many ticks as asked for at most, all on the axis.
func TestTicksAreFewAndOnTheAxis(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := epoch.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "from")))
		l := Timeline{From: from, To: from.Add(time.Duration(rapid.Int64Range(0, 1e18).Draw(t, "length")))}
		n := rapid.IntRange(1, 12).Draw(t, "n")
		ticks := l.Ticks(epoch, n)
		if len(ticks) > n+1 {
			t.Fatalf("%d ticks, want %d at most", len(ticks), n+1)
		}
		for _, k := range ticks {
			if k.At < 0 || k.At > 100.0001 {
				t.Fatalf("a tick at %v %%", k.At)
			}
		}
	})
}

func TestTrackShowsWhatIsInSight(t *testing.T) {
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	l := Timeline{From: at(100), To: at(200), Now: at(150)}
	got := string(l.Track([]Bar{
		{From: at(0), To: at(99), Kind: "before"},
		{From: at(50), To: at(125), Kind: "cut"},
		{From: at(130), To: at(130), Kind: "short"},
		{From: at(190), To: at(300), Kind: "late", Lane: 1},
		{From: at(201), To: at(300), Kind: "after"},
		{From: at(140), To: at(120), Kind: "backwards"},
	}, nil))
	for _, want := range []string{
		`class="job cut" x="0.00%" y="3" width="25.00%"`, `class="job short" x="30.00%" y="3" width="0.25%"`,
		`class="job late" x="90.00%" y="20" width="10.00%"`, `<line class="now" x1="50.00%"`, `height="37"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
	for _, not := range []string{"before", "after", "backwards"} {
		if strings.Contains(got, not) {
			t.Errorf("%s is shown: %s", not, got)
		}
	}
}

// What is put into pages is well-formed whatever the names are, and has no style of its own,
// which the pages' policy would refuse.
func TestInlineDrawingsAreXMLWithoutStyle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := randomGraph(t)
		g.Title = rapid.String().Draw(t, "title")
		g.Width = rapid.SampledFrom([]float64{0, 1e9}).Draw(t, "width")
		for i := range g.Nodes {
			g.Nodes[i].URL, g.Nodes[i].Bar = "/runs/x/steps/"+rapid.String().Draw(t, "url"), true
			g.Nodes[i].Segments = []Segment{{"FAILED", rapid.IntRange(0, 3).Draw(t, "n")}, {"PENDING", 9}}
		}
		l := Timeline{From: epoch, To: epoch.Add(time.Hour)}
		name := rapid.String().Draw(t, "name")
		spread := Spread{Min: 1, Low: 2, Median: 3, High: 4, Max: 5, Asked: 9, Scale: 10}
		for _, image := range [][]byte{
			Arrange(g).Inline(g), l.Track([]Bar{{From: epoch, To: epoch.Add(time.Minute), Tip: name}}, l.Ticks(epoch, 6)),
			l.Axis(l.Ticks(epoch, 6), func(time.Duration) string { return name }), Area([]float64{0, 3, 1}, "running", 20), spread.Box(14),
		} {
			for d := xml.NewDecoder(bytes.NewReader(image)); ; {
				tok, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%v in %s", err, image)
				}
				e, ok := tok.(xml.StartElement)
				if !ok {
					continue
				}
				for _, a := range e.Attr {
					if e.Name.Local == "style" || a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") {
						t.Fatalf("%s has %s", e.Name.Local, a.Name.Local)
					}
				}
			}
		}
	})
}

// A drawing stays as it is when only texts change.
func TestArrangementFitsOtherTexts(t *testing.T) {
	g := genome()
	for i := range g.Nodes {
		g.Nodes[i].Room = 12
	}
	a := Arrange(g)
	before := string(a.Inline(g))
	g.Nodes[2].Detail = "413/1,000, 3 failed and more than there is room for"
	after := string(a.Inline(g))
	if !strings.Contains(after, ">413/1,000, …<") {
		t.Errorf("the new text is not cut to its room: %s", after)
	}
	if strings.ReplaceAll(after, "413", "412") != before {
		t.Error("more than the text has changed")
	}
}
