package page

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flow/engine"
)

var heatBase = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestHeatJSON: a column that says nothing is left out, and markup in a key stays inside of
// its script element.
func TestHeatJSON(t *testing.T) {
	v := &Heat{
		Step: "align", URL: "/x/", Base: heatBase, State: []engine.Status{engine.Succeeded, engine.Failed},
		Time: []uint32{1, 258}, Attempts: []uint8{0, 0}, Exit: []int16{0, ExitNone}, Keys: []string{"</script><b>", "b"},
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"step":"align","url":"/x/","base":1767323045000,"size":2,"state":"AgM=","time":"AQAAAAIBAAA=","exit":"AAD//w==","keys":["\u003c/script\u003e\u003cb\u003e","b"]}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
}

// TestHeatSince: what is new in a map, put into the old one, makes the new one.
func TestHeatSince(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "tasks")
		was, is := drawHeat(t, n), drawHeat(t, n)
		if rapid.Bool().Draw(t, "few") {
			for i := range n {
				if i%50 != 7 {
					is.State[i], is.Time[i], is.Attempts[i], is.Memory[i], is.Exit[i] = was.State[i], was.Time[i], was.Attempts[i], was.Memory[i], was.Exit[i]
				}
			}
		}
		switch d := is.Since(was).(type) {
		case nil:
		case heatWhole:
			was = d.All
		case heatDelta:
			for _, r := range d.Set {
				i := r[0]
				was.State[i], was.Time[i], was.Attempts[i], was.Memory[i], was.Exit[i] = engine.Status(r[1]), uint32(r[2]), uint8(r[3]), uint32(r[4]), int16(r[5])
			}
		}
		if diff := cmp.Diff(is, was); diff != "" {
			t.Fatal(diff)
		}
	})
}

func drawHeat(t *rapid.T, n int) *Heat {
	v := &Heat{Step: "s", Base: heatBase}
	for range n {
		v.State = append(v.State, engine.Status(rapid.IntRange(0, 6).Draw(t, "state")))
		v.Time = append(v.Time, rapid.Uint32().Draw(t, "time"))
		v.Attempts = append(v.Attempts, rapid.Uint8().Draw(t, "attempts"))
		v.Memory = append(v.Memory, rapid.Uint32().Draw(t, "memory"))
		v.Exit = append(v.Exit, rapid.Int16().Draw(t, "exit"))
	}
	return v
}

// TestHeatOtherTasks: a map of other tasks is new as a whole.
func TestHeatOtherTasks(t *testing.T) {
	v := &Heat{Step: "s", Base: heatBase, State: make([]engine.Status, 3)}
	if _, whole := v.Since(&Heat{Step: "s", Base: heatBase}).(heatWhole); !whole {
		t.Error("a map that grew is no new map")
	}
	if got := v.Since(v); got != nil {
		t.Errorf("nothing is new, and yet %v", got)
	}
}

// TestHeatColours: the map has the colours of the bars and badges, in the order of engine.Status.
func TestHeatColours(t *testing.T) {
	css, err := Assets.ReadFile("assets/flow.css")
	if err != nil {
		t.Fatal(err)
	}
	script, err := Assets.ReadFile("assets/heat-data.js")
	if err != nil {
		t.Fatal(err)
	}
	var light, dark []string
	for s := engine.Pending; s <= engine.Cached; s++ {
		_, rest, ok := strings.Cut(string(css), "--"+strings.ToLower(s.String())+"-fill: light-dark(")
		pair, _, _ := strings.Cut(rest, ")")
		a, b, both := strings.Cut(pair, ", ")
		if !ok || !both {
			t.Fatalf("flow.css has no fill of %s", s)
		}
		light, dark = append(light, `"`+a+`"`), append(dark, `"`+b+`"`)
	}
	for _, list := range [][]string{light, dark} {
		if want := "state: [" + strings.Join(list, ", ") + "]"; !bytes.Contains(script, []byte(want)) {
			t.Errorf("heat-data.js does not have %s", want)
		}
	}
}
