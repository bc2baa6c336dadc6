package main

import (
	"context"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flow/cmd/flow/internal/web"
	"flow/engine"
)

const shownWorkflow = `
workflow "shown" { description = "a <b>workflow</b>" }
variable "word" {
  type        = string
  default     = "one"
  description = "what is said"
}
step "split" { script = "echo ${var.word}" }
step "work" {
  for_each   = ["a", "b", "c"]
  depends_on = [step.split]
  script     = "test ${each.value} != b || { echo 'no <b>'; exit 1; }"
}
step "gather" {
  depends_on = [step.work]
  script     = "true"
}
output "word" { value = var.word }
`

// ran runs a workflow in a directory of its own, each time with other arguments, and returns
// the site that shows the runs.
func ran(t *testing.T, workflow string, runs ...[]string) *site {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "w.hcl")
	if err := os.WriteFile(file, []byte(workflow), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, now: time.Now}
	for _, args := range runs {
		args = append([]string{"-state", filepath.Join(dir, "flow.db"), "-q", "run", file}, args...)
		if code := a.execute(t.Context(), args); code != exitOK && code != exitRunFailed {
			t.Fatalf("flow %v: exit code %d", args, code)
		}
	}
	src, err := a.openSource()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.close() })
	return &site{app: a, src: src, looks: newLooks(src, nil)}
}

// shown returns the HTML of a view of the newest run.
func shown(t *testing.T, s *site, query string) string {
	t.Helper()
	row, err := s.src.db().FindRun(t.Context(), lastRun)
	if err != nil {
		t.Fatal(err)
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.runPage(t.Context(), web.Request{Path: map[string]string{"run": string(row.ID)}, Query: q})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range v.Regions {
		if r.Body == nil {
			continue
		}
		if err := r.Body.Render(&b); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestRunPage(t *testing.T) {
	t.Parallel()
	s := ran(t, shownWorkflow, nil, []string{"-var", "word=two"})
	for _, c := range []struct {
		query string
		want  []string
		not   []string
	}{
		{"", []string{
			"Failed</span>", "a &lt;b&gt;workflow&lt;/b&gt;", "Retry what failed", "flow resume ", "--failed",
			`1 task of work</a>`, `/steps/work/tasks/1">work[&#34;b&#34;]</a>`, "2 of 3", "needs work", `<code class="last">no &lt;b&gt;</code>`, `/steps/work?cause=`,
			`<svg class="graph"`, `class="node SKIPPED"`, `<rect class="seg FAILED"`, `class="job ran some-failed"`, "1 task: queued ",
		}, []string{"<b>", "Interrupted", `class="now"`}},
		{"from=0&to=1", []string{"Whole run", "Earlier"}, nil},
		{"from=x&to=-1", []string{"Zoom in"}, []string{"Whole run"}},
		{"view=events", []string{"RunEnded", "StepExpanded", "3 tasks", "exit code 1", `<span class="dim">1</span>`}, nil},
		{"view=events&kind=StepEnded&step=work", []string{"StepEnded", "All events"}, []string{">RunEnded</span>", "3 tasks"}},
		{"view=events&kind=none", []string{"No such events"}, nil},
		{"view=events&page=99999999999999999999", []string{"RunStarted"}, nil},
		{"view=data", []string{"Outputs are known when the run has succeeded", "what is said", ">two</pre>"}, nil},
		{"view=source", []string{`id="w.hcl-L2"`, `<tr id="w.hcl-L9" class="bad">`, `<tr id="w.hcl-L13" class="bad">`}, []string{`<tr id="w.hcl-L14" class="bad">`}},
		{"view=changes", []string{">one</pre>", ">two</pre>", "All are the same.", "changed since run "}, nil},
		{"view=nonsense", []string{`<svg class="graph"`}, nil},
	} {
		html := shown(t, s, c.query)
		for _, want := range c.want {
			if !strings.Contains(html, want) {
				t.Errorf("%s: %s is missing in %s", c.query, want, html)
			}
		}
		for _, not := range c.not {
			if strings.Contains(html, not) {
				t.Errorf("%s: %s is shown in %s", c.query, not, html)
			}
		}
	}
}

// A run that nobody drives, though it has not ended, says so and can be resumed.
func TestRunPageOfAnInterruptedRun(t *testing.T) {
	t.Parallel()
	s := ran(t, shownWorkflow, nil)
	row, err := s.src.db().FindRun(t.Context(), lastRun)
	if err != nil {
		t.Fatal(err)
	}
	// Its last event did not come to be.
	err = s.src.run(t.Context(), string(row.ID), func(p *past) error {
		p.run, err = cut(t.Context(), p)
		if err != nil {
			return err
		}
		head := runHead(p, nil, time.Now())
		if head.Rests != "Interrupted" || len(head.Acts) != 2 || head.Acts[0].Text != "Resume" || head.Next != "flow resume "+string(row.ID) {
			t.Errorf("%+v", head)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// cut folds the events of a run but the last one.
func cut(ctx context.Context, p *past) (*engine.Run, error) {
	last := p.run.Seq()
	run, err := engine.NewRun(p.run.Workflow())
	if err != nil {
		return nil, err
	}
	for e, err := range p.db.Events(ctx, p.row.ID, 0) {
		if err != nil || e.Seq == last {
			return run, err
		}
		if err := run.Apply(e); err != nil {
			return nil, err
		}
	}
	return run, nil
}
