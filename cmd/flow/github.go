package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// A github tells GitHub Actions, in a job of which flow runs, what a person should see
// there: mistakes and failed tasks beside the lines of the workflow, what failed tasks wrote
// in groups that can be opened, and a summary of the run. Of those who run flow elsewhere
// there is none, and nil does nothing.
// https://docs.github.com/actions/reference/workflow-commands-for-github-actions
type github struct {
	w         io.Writer // the log of the job: stderr is as good as stdout, which is for data
	workspace string    // where the repository is; annotations name files below it
	summary   string    // file that takes Markdown; "": none
	output    string    // file that takes NAME=VALUE; "": none
}

// mostAnnotations of one kind are shown of a step of a job, by GitHub.
const mostAnnotations = 10

// github returns nil outside of GitHub Actions.
func (a *app) github() *github {
	if a.unseen || os.Getenv("GITHUB_ACTIONS") != "true" {
		return nil
	}
	return &github{w: a.stderr, workspace: os.Getenv("GITHUB_WORKSPACE"), summary: os.Getenv("GITHUB_STEP_SUMMARY"), output: os.Getenv("GITHUB_OUTPUT")}
}

// An annotation is a message at a place of a file.
type annotation struct {
	level string // error, warning
	file  string // "": of no file
	line  int    // and so on: from 1; 0: not known
	col   int
	end   int // line
	title string
	text  string
}

// The runner undoes these.
var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func (g *github) annotate(n annotation) {
	var properties []string
	add := func(name, value string) {
		if value != "" && value != "0" {
			properties = append(properties, name+"="+githubProperty.Replace(value))
		}
	}
	if n.file != "" {
		add("file", g.inRepository(n.file))
		add("line", fmt.Sprint(n.line))
		add("col", fmt.Sprint(n.col))
		add("endLine", fmt.Sprint(n.end))
	}
	add("title", view.Clean(n.title))
	fmt.Fprintf(g.w, "::%s %s::%s\n", n.level, strings.Join(properties, ","), githubText.Replace(view.CleanLines(n.text)))
}

// inRepository returns the path of a file as GitHub wants it: from the root of the repository.
func (g *github) inRepository(file string) string {
	whole, err := filepath.Abs(file)
	if err != nil || g.workspace == "" {
		return file
	}
	if rel, err := filepath.Rel(g.workspace, whole); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return whole
}

// diagnostics annotates mistakes in a workflow whose files are in dir.
func (g *github) diagnostics(dir string, diags hcl.Diagnostics) {
	if g == nil {
		return
	}
	shown := map[string]int{}
	for _, d := range diags {
		n := annotation{level: "error", title: d.Summary, text: cmp.Or(d.Detail, d.Summary)}
		if d.Severity == hcl.DiagWarning {
			n.level = "warning"
		}
		if s := d.Subject; s != nil {
			n.file, n.line, n.col, n.end = fileIn(dir, s.Filename), s.Start.Line, s.Start.Column, s.End.Line
		}
		if shown[n.level]++; shown[n.level] <= mostAnnotations {
			g.annotate(n)
		}
	}
}

// fileIn returns the path of a file that a workflow in dir names.
func fileIn(dir, name string) string {
	if filepath.IsAbs(name) || dir == "" {
		return name
	}
	return filepath.Join(dir, name)
}

// group puts text, of which parts may be from elsewhere, into a group of the log that is
// closed until somebody opens it. Nothing in it is taken for a command.
func (g *github) group(title, text string) string {
	token := rand.Text() // whoever wrote the text cannot know it
	return fmt.Sprintf("::group::%s\n::stop-commands::%s\n%s::%[2]s::\n::endgroup::\n", githubText.Replace(view.Clean(title)), token, text)
}

// begins tells which run it is, as an output of the step of the job.
func (g *github) begins(id engine.RunID) {
	if g != nil {
		g.append(g.output, "run-id="+string(id)+"\n")
	}
}

// ends tells how a run has ended: as an output, beside the steps that failed, and as a
// summary on the page of the job.
func (g *github) ends(run *engine.Run, now time.Time) {
	if g == nil {
		return
	}
	g.append(g.output, "status="+run.Status().String()+"\n")
	g.failures(run)
	g.append(g.summary, githubSummary(run, now))
}

// append adds to a file that GitHub reads. Without it, the run is none the worse.
func (g *github) append(path, text string) {
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.WriteString(text)
		err = cmp.Or(err, f.Close())
	}
	if err != nil {
		g.annotate(annotation{level: "warning", title: "flow", text: "GitHub is not told of the run: " + err.Error()})
	}
}

// failures annotates the steps that failed, once for each cause.
func (g *github) failures(run *engine.Run) {
	left := mostAnnotations
	for _, v := range run.Steps() {
		n := annotation{level: "error", file: fileIn(run.Workflow().Dir, v.Step.Pos.File), line: v.Step.Pos.Line, col: v.Step.Pos.Column}
		if v.Step.Pos.File == "" {
			n.file = ""
		}
		if v.Status == engine.Failed && v.Counts[engine.Failed] == 0 && left > 0 {
			left--
			n.title, n.text = string(v.Step.Name)+" failed", whyText(nil, v.Reason, "")
			g.annotate(n)
		}
		if v.Counts[engine.Failed] == 0 {
			continue
		}
		for _, group := range runstat.Failures(run, v.Step.Name) {
			if left--; left < 0 {
				return
			}
			n.title = group.Example + " failed"
			if group.Tasks > 1 {
				n.title = fmt.Sprintf("%s of %s failed", view.Plural(group.Tasks, "task"), v.Step.Name)
			}
			n.text = fmt.Sprintf("%s\nflow explain %s", group.Text, shellWord(string(run.ID())+"/"+group.Example))
			g.annotate(n)
		}
	}
}
