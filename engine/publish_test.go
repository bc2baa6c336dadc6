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

// publisher is files that note what is published.
type publisher struct {
	*script
	published []string
	fails     error // the next time
	results   []engine.Result
	hits      []engine.Hit
}

func (p *publisher) Publish(_ context.Context, source, target string) error {
	if err := p.fails; err != nil {
		p.fails = nil
		return err
	}
	p.published = append(p.published, source+" > "+target)
	return nil
}

func (p *publisher) Results(engine.Scope) ([]engine.Result, error) { return p.results, nil }

func (p *publisher) Lookup(_ context.Context, keys []engine.CacheKey) ([]engine.Hit, error) {
	return append(p.hits, make([]engine.Hit, len(keys))...)[:len(keys)], nil
}

// sideBySide is one that publishes all at once.
type sideBySide struct {
	*publisher
	all int
}

func (p *sideBySide) PublishAll(ctx context.Context, all []engine.Publication) []error {
	p.all += len(all)
	out := make([]error, len(all))
	for i, a := range all {
		out[i] = p.Publish(ctx, a.Source, a.Target)
	}
	return out
}

func newPublisher(workDir string, n int) (*publisher, *engine.Driver) {
	s, d := newScript(&engine.Step{Name: "a", FanOut: true})
	p := &publisher{script: s}
	d.Files, d.Template, d.Cache = p, p, p
	s.log[0].Info.WorkDir = workDir
	s.tasks("a", n, &engine.TaskSpec{Command: []string{"x"}, Outputs: []engine.Output{
		{Name: "here", Kind: engine.OutputFile, Path: "h", Publish: "/results/"},
		{Name: "there", Kind: engine.OutputFile, Path: "t", Publish: "s3://b/results/"},
		{Name: "many", Kind: engine.OutputFiles, Path: "*", Publish: "/many/"},
		{Name: "none", Kind: engine.OutputFile, Path: "n"},
	}})
	for i := range n {
		s.files[fmt.Sprintf("%s/%s/a/%d", workDir, simRun, i)] = &engine.Manifest{Attempt: 1, Outputs: engine.Values{"many": []byte(`["m1","m2"]`)}}
	}
	return p, d
}

// Of a run whose files are on S3, the driver publishes what is wanted on this machine, at the
// end; flow's agent has published the rest. Of a run on this machine nothing is left.
func TestPublishByTheDriver(t *testing.T) {
	for workDir, want := range map[string][]string{
		"/w": {"/x > /y"},
		"s3://w": {
			"s3://w/R/a/0/result/h > /results/", "s3://w/R/a/0/result/m1 > /many/", "s3://w/R/a/0/result/m2 > /many/",
			"s3://w/R/a/1/result/h > /results/", "s3://w/R/a/1/result/m1 > /many/", "s3://w/R/a/1/result/m2 > /many/", "/x > /y",
		},
	} {
		for _, bulk := range []bool{false, true} {
			p, d := newPublisher(workDir, 2)
			all := &sideBySide{publisher: p}
			if bulk {
				d.Files = all
			}
			p.results = []engine.Result{{Name: "r", Files: []string{"/x"}, Publish: "/y"}}
			run := p.load(t, d)
			p.tick(t, d, 0)
			p.ends(1, engine.Upto(2), engine.JobSucceeded, "", 0)
			p.tick(t, d, 10*time.Second)
			same(t, workDir, engine.Succeeded, run.Status())
			for i := range p.published {
				p.published[i] = strings.Replace(p.published[i], string(simRun), "R", 1)
			}
			same(t, "published with "+workDir, want, p.published)
			if bulk && len(want) > 1 && all.all != len(want) {
				t.Errorf("%d of %d side by side", all.all, len(want))
			}
		}
	}
}

// A result that was known is published all the same, wherever it is wanted.
func TestPublishCached(t *testing.T) {
	p, d := newPublisher("s3://w", 1)
	p.hits = []engine.Hit{{Run: "old", Step: "a", Task: "0", Dir: "s3://old"}}
	p.files["s3://old"] = &engine.Manifest{Outputs: engine.Values{"many": []byte(`["m"]`)}}
	run := p.load(t, d)
	p.tick(t, d, 0)
	same(t, "status", engine.Succeeded, run.Status())
	same(t, "published", []string{"s3://old/result/h > /results/", "s3://old/result/t > s3://b/results/", "s3://old/result/m > /many/"}, p.published)
}

// What cannot be published now is published later; what never can fails the run.
func TestPublishLater(t *testing.T) {
	for _, later := range []bool{true, false} {
		p, d := newPublisher("s3://w", 1)
		p.fails = errors.New("no such bucket")
		if later {
			p.fails = fmt.Errorf("the network is down: %w", engine.ErrLater)
		}
		var told []string
		d.OnTrouble = func(op string, err error) { told = append(told, fmt.Sprint(op, ": ", err)) }
		run := p.load(t, d)
		p.tick(t, d, 0)
		p.ends(1, engine.Upto(1), engine.JobSucceeded, "", 0)
		for range 80 {
			p.tick(t, d, time.Second)
		}
		if !later {
			same(t, "status", engine.Failed, run.Status())
			same(t, "reason", `a["0"], output "here": no such bucket`, run.Reason())
			continue
		}
		same(t, "status", engine.Succeeded, run.Status())
		same(t, "published", 3, len(p.published))
		same(t, "told", []string{`files: a["0"], output "here": the network is down: not now`, "files: <nil>"}, told)
	}
}
