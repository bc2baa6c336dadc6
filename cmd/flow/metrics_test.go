package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/state"
)

// metricLine is a sample in the text format of Prometheus: a name, labels, a value.
var metricLine = regexp.MustCompile(`^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.]+)$`)

// parseMetrics reads the text format of Prometheus, strictly: a family is declared once, before
// its samples, which are together, and no sample comes twice.
func parseMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	families := map[string]bool{}
	family := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			family, _, _ = strings.Cut(name, " ")
			if families[family] || !strings.HasSuffix(line, " gauge") {
				t.Errorf("%q", line)
			}
			families[family] = true
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		m := metricLine.FindStringSubmatch(line)
		if m == nil || m[1] != family {
			t.Errorf("%q is no sample of %s", line, family)
			continue
		}
		value, err := strconv.ParseFloat(m[3], 64)
		key := m[1] + "{" + m[2] + "}"
		if _, twice := out[key]; twice || err != nil {
			t.Errorf("%q comes twice, or %v", key, err)
		}
		out[key] = value
	}
	return out
}

// testSite is a site over a state file with nothing in it but what db gets.
func testSite(t *testing.T) (*site, *state.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flow.db")
	a := newApp()
	a.state = path
	src, err := a.openSource()
	if err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(path, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db.Close()
		src.close()
	})
	return &site{app: a, src: src, looks: newLooks(src, nil)}, db
}

// TestMetrics reads what Prometheus would.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s, db := testSite(t)
	at := time.UnixMilli(1_700_000_000_500).UTC()
	create := func(id, workflow string, events ...engine.Event) {
		t.Helper()
		run := state.NewRun{Info: engine.RunInfo{Run: engine.RunID(id), Workflow: workflow, WorkDir: "/w"}, Steps: []state.StepInfo{{Name: "a"}}}
		if err := db.CreateRun(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		if err := db.Append(t.Context(), engine.RunID(id), 1, events...); err != nil {
			t.Fatal(err)
		}
	}
	expanded := engine.Event{At: at, Kind: engine.StepExpanded, Step: "a", Expanded: &engine.Expanded{Size: 1, Groups: []*engine.TaskSpec{{}}}}
	const odd = "odd \"name\" \\ with\nall"
	create("01a", odd, engine.Event{At: at, Kind: engine.RunEnded, Status: engine.Failed})
	create("01b", "w", expanded)
	create("01c", "w", expanded)
	create("01d", "w", engine.Event{At: at, Kind: engine.RunPaused, Reason: "paused: too dear"})
	if _, err := db.Acquire(t.Context(), "01b", state.Self("")); err != nil {
		t.Fatal(err)
	}
	for i := range shownWorkflows + 3 {
		create(fmt.Sprint("01z", i), fmt.Sprintf("z%02d", i), engine.Event{At: at, Kind: engine.RunEnded, Status: engine.Succeeded})
	}
	text, err := s.metricsText(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := parseMetrics(t, text)
	got := map[string]float64{}
	for key, value := range all {
		if !strings.Contains(key, `"z`) && value != 0 && !strings.Contains(key, "flow_info") {
			got[key] = value
		}
	}
	const end = 1_700_000_000.5
	want := map[string]float64{
		`flow_runs{workflow="odd \"name\" \\ with\nall",status="FAILED"}`:                       1,
		`flow_runs{workflow="w",status="RUNNING"}`:                                              3,
		`flow_runs{workflow="(others)",status="SUCCEEDED"}`:                                     5,
		`flow_last_run_timestamp_seconds{workflow="odd \"name\" \\ with\nall",status="FAILED"}`: end,
		`flow_last_run_timestamp_seconds{workflow="(others)",status="SUCCEEDED"}`:               end,
		`flow_tasks{status="PENDING"}`:                                                          2,
		`flow_runs_driven{}`:                                                                    1,
		`flow_runs_paused{}`:                                                                    1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", diff, text)
	}
}
