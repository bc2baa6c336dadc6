package model

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// savedWorld is a Batch with a bit of everything.
func savedWorld(t testing.TB) (*world, []byte) {
	w := newShared(t, 2, Policy{Weights: []Weight{{"a", 2}}, Detail: "policy"})
	w.accept(w.UpdateEnvironment(w.now, Environment{Name: "e", MaxVCPUs: 2, Detail: "environment"}))
	w.accept(w.UpdateQueue(w.now, Queue{Name: "q", Policy: "p", Environments: []string{"e"}, Detail: "queue"}))
	w.accept(w.CreateQueue(w.now, Queue{Name: "old", Environments: []string{"e"}}))
	w.accept(w.CreateConsumable(w.now, Consumable{Name: "c", Total: 3, Replenishes: true, Detail: "consumable"}))
	w.submit("gone", inQueue("old"))
	w.exits("gone", 1)
	w.accept(w.UpdateQueue(w.now, Queue{Name: "old", Disabled: true, Environments: []string{"e"}}))
	w.accept(w.DeleteQueue(w.now, "old"))
	w.submit("a", size(5), tries(2), ofShare("a"), needs(Need{"c", 1}), limit(time.Minute), func(r *Request) { r.Payload = "payload" })
	w.submit("b", size(5), nToN("a"), ofShare("b"), tries(2))
	w.submit("c", after("b"), ofShare("a"))
	w.runs("a:0")
	w.exits("a:1", 0)
	w.pass(time.Second)
	w.accept(w.Block(w.now, "q", capacityReason))
	w.exits("b:1", 1)
	w.Forget(w.now, "c")
	w.accept(w.Terminate(w.now, "a:0", "x"))
	w.accept(w.Submit(w.now, "d", req("d", nToN("a"), size(5), ofShare("c"))))
	b, err := json.Marshal(w.Save())
	if err != nil {
		t.Fatal(err)
	}
	return w, b
}

func restored(t testing.TB, b []byte, d Decoders) (*Model, error) {
	var s Saved
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return Restore(Config{Declared: true}, &s, d)
}

// What the model only keeps is decoded by the caller, and without that is what was
// written.
func TestRestoreDetails(t *testing.T) {
	w, b := savedWorld(t)
	with := func(what string) func(json.RawMessage) (any, error) {
		return func(b json.RawMessage) (any, error) { return what + " " + string(b), nil }
	}
	m, err := restored(t, b, Decoders{with("P"), with("E"), with("Q"), with("S"), with("C")})
	if err != nil {
		t.Fatal(err)
	}
	e, _, _ := m.Environment("e")
	q, _, _ := m.JobQueue("q")
	p, _ := m.Policy("p")
	c, _ := m.Consumable("c")
	v, _ := m.Describe("a")
	got := []any{v.Request.Payload, e.Detail, q.Detail, p.Detail, c.Detail}
	if diff := cmp.Diff([]any{`P "payload"`, `E "environment"`, `Q "queue"`, `S "policy"`, `C "consumable"`}, got); diff != "" {
		t.Error(diff)
	}
	if m, err = restored(t, b, Decoders{}); err != nil {
		t.Fatal(err)
	}
	if v, _ := m.Describe("a"); string(v.Request.Payload.(json.RawMessage)) != `"payload"` {
		t.Errorf("got %v", v.Request.Payload)
	}
	s := w.Save() // not by way of JSON
	if m, err = Restore(Config{Declared: true}, s, Decoders{}); err != nil {
		t.Fatal(err)
	}
	if v, _ := m.Describe("a"); v.Request.Payload != "payload" {
		t.Errorf("got %v", v.Request.Payload)
	}
	if v, ok := m.Describe("gone"); !ok || v.Queue != "old" || v.StatusReason != "Essential container in task exited" {
		t.Errorf("got %+v", v)
	}
}

// What makes no sense, or does not decode, is an error and no panic.
func TestRestoreErrors(t *testing.T) {
	_, b := savedWorld(t)
	bad := errors.New("bad")
	fail := func(json.RawMessage) (any, error) { return nil, bad }
	for i, d := range []Decoders{{Payload: fail}, {Environment: fail}, {Queue: fail}, {Policy: fail}, {Consumable: fail}} {
		if _, err := restored(t, b, d); !errors.Is(err, bad) {
			t.Errorf("decoder %d: %v", i, err)
		}
	}
	for _, test := range []struct{ name, from, to string }{
		{"version", `"version":1`, `"version":2`},
		{"environment", `"environments":["e"]`, `"environments":["x"]`},
		{"policy", `"policy":"p"`, `"policy":"x"`},
		{"no policy", `"policy":"p"`, `"policy":""`},
		{"queue", `"q":1`, `"q":7`},
		{"place", `"p":`, `"p":9`},
		{"status", `"s":6`, `"s":7`},
		{"size", `"array_size":5`, `"array_size":50`},
		{"array of 1", `"array_size":5`, `"array_size":1`},
		{"front", `"front":[{"j":2`, `"front":[{"j":99`},
		{"stuck", `"stuck":{"j":2`, `"stuck":{"j":-1`},
		{"index", `"i":1`, `"i":99`},
		{"past", `"past":[0`, `"past":[77`},
		{"stop", `"stops":[{"j":1`, `"stops":[{"j":99`},
		{"dependency", `{"job":"a","type":"N_TO_N"}`, `{"job":"x","type":"N_TO_N"}`},
		{"same id", `"id":"b"`, `"id":"a"`},
		{"turns", `"turns":[`, `"turns":["x","y",`},
		{"share", `"shares":[{"name":"a"`, `"shares":[{"name":"z"`},
	} {
		text := strings.Replace(string(b), test.from, test.to, 1)
		if test.name == "place" {
			text = strings.Replace(string(b), `"s":6,`, `"s":6,"p":9,`, 1)
		}
		if test.name == "dependency" {
			at := strings.LastIndex(string(b), test.from)
			text = string(b[:at]) + test.to + string(b[at+len(test.from):])
		}
		if text == string(b) {
			t.Errorf("%s: there is no %s in %s", test.name, test.from, b)
			continue
		}
		if _, err := restored(t, []byte(text), Decoders{}); err == nil {
			t.Errorf("%s: no error", test.name)
		}
	}
}

// Whatever is read, Restore returns a model or an error.
func FuzzRestore(f *testing.F) {
	_, b := savedWorld(f)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Saved
		if json.Unmarshal(b, &s) != nil {
			return
		}
		for _, declared := range []bool{false, true} {
			if _, err := Restore(Config{Declared: declared}, &s, Decoders{}); err != nil {
				continue
			}
		}
	})
}
