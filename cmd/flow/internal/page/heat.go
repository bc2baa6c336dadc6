package page

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/engine"
)

// Heat is what a heat map shows of the tasks of a step, a few bytes each. A column that says
// nothing of any task may be nil. It is a web.Value; the lists are not changed once it is made.
type Heat struct {
	Step     string
	URL      string          // what a task's index makes the address of its page; "": they have none
	At       time.Time       // of a map that does not change: when it was so; zero: tasks that run get older
	Base     time.Time       // what Time of tasks that run counts from
	State    []engine.Status // one a task; their number is the number of tasks
	Time     []uint32        // ms: how long the last try took; of a task that runs, when it began, from Base on
	Attempts []uint8         // tries that have ended, at most 255
	Memory   []uint32        // KiB: the peak; 0: not known
	Exit     []int16         // exit code of the last try; ExitNone: none
	Keys     []string        // nil: the index
}

// ExitNone stands for no exit code, in Heat.Exit.
const ExitNone = -1

// heatJSON is Heat as assets/heat.js reads it: columns as base64, numbers little-endian.
type heatJSON struct {
	Step     string   `json:"step"`
	URL      string   `json:"url,omitempty"`
	At       int64    `json:"at,omitempty"` // ms since 1970
	Base     int64    `json:"base"`         // likewise
	Size     int      `json:"size"`
	State    string   `json:"state"`              // 1 byte a task: engine.Status
	Time     string   `json:"time,omitempty"`     // 4 bytes
	Attempts string   `json:"attempts,omitempty"` // 1 byte
	Memory   string   `json:"memory,omitempty"`   // 4 bytes
	Exit     string   `json:"exit,omitempty"`     // 2 bytes, signed
	Keys     []string `json:"keys,omitempty"`
}

// MarshalJSON writes what assets/heat.js reads.
func (v *Heat) MarshalJSON() ([]byte, error) {
	state := make([]byte, len(v.State))
	for i, s := range v.State {
		state[i] = byte(s)
	}
	var at int64
	if !v.At.IsZero() {
		at = v.At.UnixMilli()
	}
	return json.Marshal(heatJSON{
		Step: v.Step, URL: v.URL, At: at, Base: v.Base.UnixMilli(), Size: len(v.State),
		State: base64.StdEncoding.EncodeToString(state), Time: packed(v.Time), Attempts: packedBytes(v.Attempts),
		Memory: packed(v.Memory), Exit: packedExit(v.Exit), Keys: v.Keys,
	})
}

// packed writes a column, "" if all of it is zero.
func packed(column []uint32) string {
	var any uint32
	out := make([]byte, 0, 4*len(column))
	for _, x := range column {
		any |= x
		out = binary.LittleEndian.AppendUint32(out, x)
	}
	if any == 0 {
		return ""
	}
	return base64.StdEncoding.EncodeToString(out)
}

func packedBytes(column []uint8) string {
	for _, x := range column {
		if x != 0 {
			return base64.StdEncoding.EncodeToString(column)
		}
	}
	return ""
}

func packedExit(column []int16) string {
	some := false
	out := make([]byte, 0, 2*len(column))
	for _, x := range column {
		some = some || x != ExitNone
		out = binary.LittleEndian.AppendUint16(out, uint16(x))
	}
	if !some {
		return ""
	}
	return base64.StdEncoding.EncodeToString(out)
}

// heatDelta is the tasks of a heat map that have changed.
type heatDelta struct {
	Set [][6]int `json:"set"` // index, state, time, attempts, memory, exit code
}

// heatWhole is a heat map that has changed as a whole.
type heatWhole struct {
	All *Heat `json:"all"`
}

// Since returns what has changed: of few tasks, each; of many, the whole map.
func (v *Heat) Since(before web.Value) any {
	was, ok := before.(*Heat)
	if !ok || was == nil || len(was.State) != len(v.State) || !was.Base.Equal(v.Base) {
		return heatWhole{v}
	}
	var d heatDelta
	for i := range v.State {
		if is := v.row(i); is != was.row(i) {
			d.Set = append(d.Set, is)
		}
		if len(d.Set) > 100 && len(d.Set) > len(v.State)/4 {
			return heatWhole{v}
		}
	}
	if len(d.Set) == 0 {
		return nil
	}
	return d
}

// row returns what is known of task i, as heatDelta has it.
func (v *Heat) row(i int) [6]int {
	return [6]int{i, int(v.State[i]), int(at(v.Time, i, 0)), int(at(v.Attempts, i, 0)), int(at(v.Memory, i, 0)), int(at(v.Exit, i, ExitNone))}
}

func at[T any](column []T, i int, none T) T {
	if i < len(column) {
		return column[i]
	}
	return none
}

// HeatDatum is the heat map as data of a page. id is that of the element that HeatMap makes.
func HeatDatum(id string, v *Heat) web.Datum { return web.Datum{ID: id + "-data", Value: v} }

// HeatScripts are the scripts that a page with a heat map needs, in their order. They can be
// written into a document as they are, as modules.
var HeatScripts = []string{"heat-data.js", "heat.js"}

// HeatMap is the place where assets/heat.js draws the data of HeatDatum. It is the same
// whatever the state of the tasks, and a page that is live leaves what is in it alone.
func HeatMap(id string) g.Node {
	return g.El("flow-heat", h.ID(id), h.Data("from", id+"-data"), h.Data("keep", ""),
		h.P(h.Class("heat-none"), g.Text("The map of the tasks is drawn by a script. The counts and the tables say the same.")))
}

// HeatOf returns the heat map of a step. url is what Heat.URL says; at is Heat.At.
func HeatOf(run *engine.Run, step engine.StepName, url string, at time.Time) *Heat {
	c := run.Columns(step)
	n := len(c.Status)
	created, _ := run.Times()
	v := &Heat{
		Step: string(step), URL: url, At: at, Base: created, State: slices.Clone(c.Status), Keys: cleaned(c.Keys()),
		Time: make([]uint32, n), Attempts: make([]uint8, n), Memory: make([]uint32, n), Exit: make([]int16, n),
	}
	for i := range c.Status {
		v.Time[i] = heatTime(&c, i, created.UnixMilli())
		v.Attempts[i] = uint8(min(c.Attempts[i], math.MaxUint8))
		if used := c.Used(i); !used.AtMost { // a bound is no peak
			v.Memory[i] = uint32(min((used.PeakMemory+1023)/1024, math.MaxUint32))
		}
		v.Exit[i] = int16(min(exitOf(run, step, &c, i), math.MaxInt16))
	}
	return v
}

// heatTime is Heat.Time of a task.
func heatTime(c *engine.Columns, i int, base int64) uint32 {
	begun := c.Started[i]
	switch s := c.Status[i]; {
	case begun == 0 || s == engine.Pending:
		return 0
	case s == engine.Running:
		return uint32(min(max(begun-base, 0), math.MaxUint32))
	}
	return uint32(min(max(c.Stopped[i]-begun, 0), math.MaxUint32))
}

// cleaned returns texts as view.Clean has them; those that are so already as they are.
func cleaned(texts []string) []string {
	var out []string
	for i, s := range texts {
		if clean := view.Clean(s); clean != s {
			if out == nil {
				out = slices.Clone(texts)
			}
			out[i] = clean
		}
	}
	if out == nil {
		return texts
	}
	return out
}
