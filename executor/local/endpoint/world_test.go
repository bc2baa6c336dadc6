package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/executor"
	"flow/executor/local/model"
)

// A world is a server whose operations run directly on a model, at a virtual time.
type world struct {
	t   testing.TB
	s   *Server
	m   *model.Model
	now time.Time
	ids int
}

// settle is how long environments and queues of a world take to change.
const settle = 2 * time.Second

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, s: &Server{region: "us-east-1", account: "012345678910", catalog: newCatalog(), gremlin: newGremlin(Chaos{}, nil)},
		m: model.New(model.Config{Declared: true, Settle: settle}), now: time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC),
	}
	return w
}

// try carries an operation out and returns its answer as it is written.
func (w *world) try(name, body string) (string, error) {
	w.t.Helper()
	op := operations[name]
	if op == nil {
		w.t.Fatalf("no operation %s", name)
	}
	in, err := op.decode([]byte(body))
	if err != nil {
		return "", err
	}
	w.ids++
	out, err := op.run(&tx{Server: w.s, m: w.m, now: w.now, id: fmt.Sprintf("00000000-0000-4000-8000-%012d", w.ids)}, in)
	if err != nil {
		return "", err
	}
	return string(encode(out)), nil
}

// wait lets so much time pass, and the scheduler do what it does.
func (w *world) wait(d time.Duration) {
	w.now = w.now.Add(d)
	w.m.Tick(w.now)
}

// do carries an operation out that is to succeed. The answer is read as JSON.
func (w *world) do(name, body string) map[string]any {
	w.t.Helper()
	text, err := w.try(name, body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", name, body, err)
	}
	return object(w.t, text)
}

// refused carries an operation out that is to be refused with a text that contains part.
func (w *world) refused(name, body, part string) {
	w.t.Helper()
	text, err := w.try(name, body)
	var refusal executor.Refusal
	switch {
	case err == nil:
		w.t.Errorf("%s %s is not refused (%q): %s", name, body, part, text)
	case !errors.As(err, &refusal):
		w.t.Errorf("%s %s fails: %v", name, body, err)
	case !strings.Contains(string(refusal), part):
		w.t.Errorf("%s %s is refused with %q, want %q", name, body, refusal, part)
	}
}

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// equal compares an answer with what it should be, both as JSON.
func equal(t testing.TB, what string, got any, want string) {
	t.Helper()
	var w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	if d := cmp.Diff(w, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// at returns what is at a path of an answer: keys and indices.
func at(t testing.TB, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				t.Fatalf("no element %d of %d at %v", p, len(l), path)
			}
			v = l[p]
		}
	}
	return v
}
