package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// originOf returns what a run was made of.
func originOf(ctx context.Context, p *past) (o page.Origin, err error) {
	info := p.run.Info()
	o.Facts = originFacts(p)
	files, err := p.db.Sources(ctx, p.row.ID)
	if err != nil {
		return o, err
	}
	shown := 0
	for _, f := range files {
		sum := sha256.Sum256(f.Bytes)
		text := string(f.Bytes)
		if shown += len(text); shown > mostOfSource {
			text = "It is left out, since the files of this workflow are large."
		}
		o.Files = append(o.Files, page.SourceFile{Name: f.Name, Sum: hex.EncodeToString(sum[:]), Text: text})
	}
	kept, err := paramsOf(p.row)
	if err != nil {
		return o, err
	}
	g := originGatherer{o: &o, images: map[string]int{}, inputs: map[string]int{}, boxed: info.Executor == batchExecutor || kept.Machine.Containers != ""}
	for _, v := range p.run.Steps() {
		g.step = string(v.Step.Name)
		for i := range max(v.Size, 0) {
			g.add(p.run.Spec(v.Step.Name, i))
		}
	}
	return o, nil
}

func originFacts(p *past) []page.Fact {
	info := p.run.Info()
	facts := []page.Fact{
		page.TextFact("Made with flow", info.Version), page.TextFact("Executor", info.Executor),
		page.TextFact("Files of the workflow", view.Clean(p.row.Dir)), page.TextFact("Files of tasks", view.Clean(info.WorkDir)),
	}
	if kept, err := paramsOf(p.row); err == nil {
		if image := kept.Batch.overSite(kept.Site).AgentImage; image != "" && info.Executor == batchExecutor {
			facts = append(facts, page.TextFact("Agent", image))
		}
		if kept.Machine.Containers != "" {
			facts = append(facts, page.TextFact("Containers", kept.Machine.Containers))
		}
	}
	return facts
}

// An originGatherer gathers images and inputs over the tasks of a run.
type originGatherer struct {
	o      *page.Origin
	images map[string]int // by name: its place in the list
	inputs map[string]int // by path, likewise; -1: it is not listed
	boxed  bool           // tasks run in containers
	step   string
	last   *engine.TaskSpec
}

func (g *originGatherer) add(spec *engine.TaskSpec) {
	if spec == nil || spec == g.last {
		return
	}
	g.last = spec
	if g.boxed && spec.Image != "" {
		at, known := g.images[spec.Image]
		if !known {
			at = len(g.o.Images)
			g.images[spec.Image] = at
			g.o.Images = append(g.o.Images, page.OriginImage{Name: spec.Image})
		}
		g.o.Images[at].Steps = withWord(g.o.Images[at].Steps, g.step)
	}
	for i := range spec.Inputs {
		in := &spec.Inputs[i]
		for k, path := range in.Paths {
			if k < len(in.IDs) {
				g.input(path, in.IDs[k])
			}
		}
	}
}

// input adds a file, unless a task of this run made it.
func (g *originGatherer) input(path, id string) {
	if strings.HasPrefix(id, "task:") || strings.HasPrefix(id, "run:") {
		return
	}
	at, known := g.inputs[path]
	if !known {
		at = len(g.o.Inputs)
		if at == mostInputs {
			at = -1
			g.o.More++
		} else {
			g.o.Inputs = append(g.o.Inputs, page.OriginInput{Path: path, Identity: id})
		}
		g.inputs[path] = at
	}
	if at >= 0 {
		g.o.Inputs[at].Steps = withWord(g.o.Inputs[at].Steps, g.step)
	}
}

// withWord adds a word to a list with commas, unless it is in it.
func withWord(list, word string) string {
	switch {
	case list == "":
		return word
	case slices.Contains(strings.Split(list, ", "), word):
		return list
	}
	return list + ", " + word
}
