package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"flow/engine"
)

// naming is a template whose output names the result of the first task of step a.
type naming struct{ *publisher }

func (n naming) Results(scope engine.Scope) ([]engine.Result, error) {
	task := scope.Step("a").Task(0)
	_ = scope.Step("a").Task(1) // is looked at, and named by nobody
	path := task.PathOf("none", "n")
	return []engine.Result{{Name: "r", Value: []byte(fmt.Sprintf(`{"x": [%q]}`, "index of "+path)), Files: []string{path}, Publish: "/out/"}}, nil
}

// A result on S3 is told as the object that it is, also if it is of another run, and
// published with all that is known of it. On this machine it is what it was.
func TestResultsAreTold(t *testing.T) {
	for name, tc := range map[string]struct {
		workDir     string
		hits        []engine.Hit
		made, value string
	}{
		"on S3":           {"s3://w", nil, "s3://w/R/a/0/result/n", "s3://w/R/a/0/3/n"},
		"on this machine": {"/w", nil, "/w/R/a/0/result/n", "/w/R/a/0/result/n"},
		"of another run":  {"s3://w", []engine.Hit{{Run: "old", Step: "a", Task: "0", Dir: "s3://old/a"}}, "s3://old/a/result/n", "s3://old/a/2/n"},
	} {
		t.Run(name, func(t *testing.T) {
			p, d := newPublisher(tc.workDir, 2)
			p.hits, d.Template = tc.hits, naming{p}
			p.files["s3://old/a"] = &engine.Manifest{Attempt: 2}
			p.files[tc.workDir+"/"+string(simRun)+"/a/0"] = &engine.Manifest{Attempt: 3}
			run := p.load(t, d)
			p.tick(t, d, 0)
			p.ends(1, engine.Upto(2), engine.JobSucceeded, "", 0)
			p.tick(t, d, 10*time.Second)
			same(t, "status", engine.Succeeded, run.Status())
			short := func(s string) string { return strings.ReplaceAll(s, string(simRun), "R") }
			same(t, "value", `{"x": ["index of `+tc.value+`"]}`, short(string(run.Results()[0].Value)))
			same(t, "files", tc.value, short(run.Results()[0].Files[0]))
			same(t, "published", tc.made+" > /out/", short(p.published[len(p.published)-1]))
		})
	}
}

// attempter is files that tell attempts without manifests.
type attempter struct {
	*publisher
	err error
}

func (a *attempter) Attempts(_ context.Context, dirs []string) []engine.AttemptAnswer {
	return []engine.AttemptAnswer{{Attempt: 7, Err: a.err}}
}

// Which attempt it is may be known later, or of none: then ResultDir is all there is to say.
func TestResultsAreToldLater(t *testing.T) {
	for err, want := range map[error]string{nil: "s3://w/R/a/0/7/n", engine.ErrNotFound: "s3://w/R/a/0/result/n", errors.New("no answer"): ""} {
		p, d := newPublisher("s3://w", 2)
		a := &attempter{p, err}
		d.Template, d.Files = naming{p}, a
		run := p.load(t, d)
		p.tick(t, d, 0)
		p.ends(1, engine.Upto(2), engine.JobSucceeded, "", 0)
		p.tick(t, d, 10*time.Second)
		if want == "" {
			same(t, "status", engine.Running, run.Status())
			a.err, want = nil, "s3://w/R/a/0/7/n"
			p.tick(t, d, 10*time.Minute)
		}
		same(t, "status", engine.Succeeded, run.Status())
		same(t, "files", want, strings.ReplaceAll(run.Results()[0].Files[0], string(simRun), "R"))
	}
}

// plainCache is a cache that is asked apart for tasks without files.
type plainCache struct {
	*publisher
	asked, plain int
}

func (c *plainCache) Lookup(_ context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	c.asked += len(keys)
	return make([]engine.Hit, len(keys)), nil
}

func (c *plainCache) LookupPlain(_ context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	if c.plain += len(keys); c.fails != nil {
		return nil, c.fails
	}
	hits := make([]engine.Hit, len(keys))
	hits[0] = engine.Hit{Run: "old", Step: "a", Dir: "s3://old/plain"}
	return hits, nil
}

func TestLookupPlain(t *testing.T) {
	p, d := newPublisher("s3://w", 0)
	with := &engine.TaskSpec{Command: []string{"x"}, Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "o"}}}
	for i := range 5 {
		p.steps["a"] = append(p.steps["a"], with)
		if i%2 == 1 {
			p.steps["a"][i] = &engine.TaskSpec{Command: []string{"x"}, Env: map[string]string{"N": fmt.Sprint(i)}}
		}
	}
	c := &plainCache{publisher: p}
	d.Cache = c
	run := p.load(t, d)
	p.tick(t, d, 0)
	same(t, "asked", [2]int{3, 2}, [2]int{c.asked, c.plain})
	same(t, "cached", "1", run.Select("a", engine.Cached).String())
	p.fails = errors.New("broken")
	if _, err := engine.NewPlan(t.Context(), d, engine.RunInfo{Run: simRun, WorkDir: "s3://w"}); !errors.Is(err, p.fails) {
		t.Error(err)
	}
}
