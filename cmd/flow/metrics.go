package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"flow/cmd/flow/internal/web"
	"flow/engine"
	"flow/state"
)

// metrics answers with numbers about runs, in the text format of Prometheus (0.0.4). There are
// few series however many runs and workflows there are: workflows beyond the first ones by
// name are counted together.
func (s *site) metrics(w http.ResponseWriter, req *http.Request, _ web.Request) error {
	text, err := s.metricsText(req.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, err = w.Write([]byte(text))
	return err
}

// shownWorkflows is how many workflows have series of their own.
const shownWorkflows = 20

func (s *site) metricsText(ctx context.Context) (string, error) {
	counts, err := s.src.db().CountRuns(ctx)
	if err != nil {
		return "", err
	}
	live, err := s.src.db().Runs(ctx, state.RunFilter{Status: []engine.Status{engine.Pending, engine.Running}})
	if err != nil {
		return "", err
	}
	var m metricsWriter
	m.family("flow_info", "Which flow answers.")
	m.sample("flow_info", 1, "version", version())
	m.family("flow_runs", "Runs in the state file, by workflow and status.")
	for _, c := range gathered(counts) {
		m.sample("flow_runs", float64(c.Runs), "workflow", c.Workflow, "status", c.Status.String())
	}
	var tasks state.Counts
	driven, paused := 0, 0
	for i := range live {
		for st, n := range live[i].Tasks {
			tasks[st] += n
		}
		if s.src.holder(ctx, live[i].ID) != nil {
			driven++
		}
		if strings.HasPrefix(live[i].Reason, "paused: ") {
			paused++
		}
	}
	m.family("flow_tasks", "Tasks of runs that have not ended, by status, as far as they are known.")
	for st, n := range tasks {
		m.sample("flow_tasks", float64(n), "status", engine.Status(st).String())
	}
	m.family("flow_runs_driven", "Runs that have not ended and that a flow process drives.")
	m.sample("flow_runs_driven", float64(driven))
	m.family("flow_runs_paused", "Runs that wait for more budget.")
	m.sample("flow_runs_paused", float64(paused))
	m.family("flow_last_run_timestamp_seconds", "When the newest run that has ended so did, by workflow and status.")
	for _, c := range gathered(counts) {
		if !c.LastEnd.IsZero() {
			m.sample("flow_last_run_timestamp_seconds", float64(c.LastEnd.UnixMilli())/1000, "workflow", c.Workflow, "status", c.Status.String())
		}
	}
	if err := s.scheduleMetrics(ctx, &m); err != nil {
		return "", err
	}
	return m.b.String(), nil
}

// gathered counts the runs of workflows beyond the first ones as those of "(others)".
func gathered(counts []state.RunCount) (out []state.RunCount) {
	var names []string
	at := map[engine.Status]int{} // in out
	for _, c := range counts {
		if !slices.Contains(names, c.Workflow) {
			names = append(names, c.Workflow)
		}
		if len(names) <= shownWorkflows {
			out = append(out, c)
			continue
		}
		i, there := at[c.Status]
		if !there {
			at[c.Status] = len(out)
			c.Workflow = "(others)"
			out = append(out, c)
			continue
		}
		out[i].Runs += c.Runs
		if c.LastEnd.After(out[i].LastEnd) {
			out[i].LastEnd = c.LastEnd
		}
	}
	return out
}

// A metricsWriter writes families of samples, all of them gauges.
type metricsWriter struct{ b strings.Builder }

func (m *metricsWriter) family(name, help string) {
	fmt.Fprintf(&m.b, "# HELP %s %s\n# TYPE %[1]s gauge\n", name, help)
}

// labelEscaper writes the value of a label.
var labelEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// sample writes a sample with labels: names and values in turn.
func (m *metricsWriter) sample(name string, value float64, labels ...string) {
	m.b.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(&m.b, `%s%s="%s"`, sep, labels[i], labelEscaper.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")))
	}
	if len(labels) > 0 {
		m.b.WriteByte('}')
	}
	m.b.WriteString(" " + strconv.FormatFloat(value, 'f', -1, 64) + "\n")
}
