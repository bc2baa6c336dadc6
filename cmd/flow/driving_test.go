package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"flow/dsl"
	"flow/engine"
)

// TestTroubles: what is tried again anyway is told once, and once when it is over.
func TestTroubles(t *testing.T) {
	var got []string
	tr := troubles{tell: func(s string) { got = append(got, s) }}
	for n := range 3 {
		tr.told("describe", fmt.Errorf("no route, request %d\nmore", n))
	}
	tr.told("submit", engine.ErrLater)
	tr.told("submit", engine.ErrLater)
	tr.told("", nil)
	tr.told("", nil)
	tr.told("submit", fmt.Errorf("too much: %w", engine.ErrRefused))
	tr.told("", nil)
	tr.told("submit", errors.New("cut off"))
	tr.told("missing", &engine.MissingError{Job: "j", Step: "a", Jobs: 3, Grace: time.Minute})
	want := []string{
		"jobs cannot be looked at, and it is tried again: no route, request 0",
		"jobs cannot be submitted, and it is tried again: not now",
		"AWS Batch does what it is asked for again",
		"jobs cannot be submitted: too much: job refused",
		"AWS Batch does what it is asked for again",
		"nobody knows whether jobs were submitted, and they are looked for: cut off",
		"AWS Batch: job j of step a is not known any more (nor 2 more); after 1m0s without it, it counts as lost",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestFlagsAgain: the flags that a process in the background is given say the same as those
// of the command that started it.
func TestFlagsAgain(t *testing.T) {
	f := &runFlags{
		site: "lab",
		batch: batchFlags{
			Queue: "q", Image: "i", Region: "eu-central-1", Profile: "p q", Endpoint: "http://127.0.0.1:1", AgentImage: "a",
			Poll: 1500 * time.Millisecond, Doubt: time.Minute,
		},
		machine: machineFlags{Containers: "docker", VCPUs: 1.5, MemoryMiB: 1 << 20, GPUs: 2},
	}
	given := reflect.ValueOf(f.batch)
	for i := range given.NumField() {
		if given.Field(i).IsZero() && given.Type().Field(i).Name != "Executor" { // which a run keeps
			t.Errorf("the test gives no %s", given.Type().Field(i).Name)
		}
	}
	got := &runFlags{}
	cmd := &cobra.Command{}
	cmd.Flags().StringVar(&got.site, "site", "", "")
	got.batch.registerPlace(cmd.Flags())
	got.machine.register(cmd.Flags())
	if err := cmd.ParseFlags(f.again()); err != nil {
		t.Fatal(err)
	}
	if got.site != f.site || got.batch != f.batch || got.machine != f.machine {
		t.Errorf("got %+v, want %+v", got, f)
	}
	if args := (&runFlags{}).again(); len(args) > 0 {
		t.Errorf("without flags there are %q", args)
	}
}

// TestPlaceOver: a flag counts before the site, and what flags said when a run was started
// is still said when it goes on.
func TestPlaceOver(t *testing.T) {
	site := dsl.Site{Name: "s", Executor: "batch", Region: "us-east-1", Profile: "site", Defaults: dsl.Defaults{Queue: "site", Image: "site"}}
	kept := batchFlags{Queue: "kept", Profile: "kept", Poll: time.Second}
	now := batchFlags{Profile: "now", AgentImage: "now", Doubt: time.Minute}
	all := kept.over(now)
	if want := (batchFlags{Queue: "kept", Profile: "now", AgentImage: "now", Poll: time.Second, Doubt: time.Minute}); all != want {
		t.Errorf("got %+v, want %+v", all, want)
	}
	want := dsl.Site{
		Name: "s", Executor: "batch", Region: "us-east-1", Profile: "now", AgentImage: "now",
		Defaults: dsl.Defaults{Queue: "kept", Image: "site"},
	}
	if diff := cmp.Diff(want, all.overSite(site)); diff != "" {
		t.Errorf("site (-want +got):\n%s", diff)
	}
}

// grown is an executor whose only log grows.
type grown struct {
	engine.Executor
	lines []string
	asked []engine.LogOptions
	err   error
}

func (g *grown) Logs(_ context.Context, _ engine.JobID, o engine.LogOptions) iter.Seq2[engine.LogLine, error] {
	g.asked = append(g.asked, o)
	return func(yield func(engine.LogLine, error) bool) {
		lines := g.lines
		if o.Tail > 0 && len(lines) > o.Tail {
			lines = lines[len(lines)-o.Tail:]
		}
		for _, text := range lines {
			if !yield(engine.LogLine{Text: text}, nil) {
				return
			}
		}
		if g.err != nil {
			yield(engine.LogLine{}, g.err)
		}
	}
}

// TestRemoteLog: a log that grows is handed on line by line, each once.
func TestRemoteLog(t *testing.T) {
	tests := map[string]struct {
		tail  int
		sizes []int // lines of the log at each read; the attempt has ended at the last one
		want  string
	}{
		"at once":           {0, []int{4}, "1 2 3 4"},
		"growing":           {0, []int{0, 1, 1, 3, 4}, "1 2 3 4"},
		"tail at once":      {2, []int{4}, "3 4"},
		"tail, growing":     {2, []int{3, 3, 5}, "2 3 4 5"},
		"long tail":         {9, []int{2, 3}, "1 2 3"},
		"tail of nothing":   {2, []int{0, 0, 1}, "1"},
		"whole, then again": {0, []int{2, 2}, "1 2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := &grown{}
			log := &remoteLog{executor: g, job: "j", attempt: 2}
			var got []string
			add := func(line []byte) error { got = append(got, string(line)); return nil }
			for k, size := range test.sizes {
				for len(g.lines) < size {
					g.lines = append(g.lines, strconv.Itoa(len(g.lines)+1))
				}
				if err := log.read(t.Context(), test.tail, k == len(test.sizes)-1, add); err != nil {
					t.Fatal(err)
				}
			}
			if text := strings.Join(got, " "); text != test.want {
				t.Errorf("got %q, want %q", text, test.want)
			}
			before := len(g.asked)
			if err := log.read(t.Context(), test.tail, true, add); err != nil || len(g.asked) != before {
				t.Errorf("a log that has ended is read again: %v", err)
			}
			for _, o := range g.asked {
				if o.Attempt != 2 || o.Follow {
					t.Errorf("asked for %+v", o)
				}
			}
		})
	}
	t.Run("error", func(t *testing.T) {
		g := &grown{lines: []string{"1", "2"}, err: errors.New("throttled")}
		log := &remoteLog{executor: g}
		var got []string
		add := func(line []byte) error { got = append(got, string(line)); return nil }
		if err := log.read(t.Context(), 0, true, add); err == nil {
			t.Error("the error is not returned")
		}
		g.err = nil
		if err := log.read(t.Context(), 0, true, add); err != nil {
			t.Error(err)
		}
		if text := strings.Join(got, " "); text != "1 2" {
			t.Errorf("got %q: lines twice, or none", text)
		}
	})
}
