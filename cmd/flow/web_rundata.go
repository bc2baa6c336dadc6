package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/rogpeppe/go-internal/diff"

	"flow/cmd/flow/internal/page"
	"flow/engine"
	"flow/state"
)

// dataOf returns the outputs and the variables of a run.
func dataOf(p *past) *page.Data {
	d := &page.Data{NoOutputs: "The workflow has no outputs"}
	if len(p.run.Workflow().Outputs) > 0 {
		d.NoOutputs = "Outputs are known when the run has succeeded"
	}
	results := p.run.Results()
	for i := range results {
		r := &results[i]
		o := page.RunOutput{Name: r.Name, Sensitive: r.Sensitive, Paths: r.Files, Published: publishedAt(r)}
		if len(o.Paths) == 0 && !o.Sensitive {
			o.Value = pretty(r.Value)
		}
		d.Outputs = append(d.Outputs, o)
	}
	values := p.run.Info().Variables
	for _, v := range p.program.Variables {
		value, known := values[v.Name]
		d.Variables = append(d.Variables, page.RunVariable{
			Name: v.Name, Type: v.TypeString, Description: v.Description, Sensitive: v.Sensitive || !known, Value: pretty([]byte(value)),
		})
	}
	return d
}

// pretty writes JSON as a person reads it: a string as it is, the rest with lines.
func pretty(value []byte) string {
	if text := valueText(value); len(value) > 0 && value[0] == '"' {
		return text
	}
	var b bytes.Buffer
	if json.Indent(&b, value, "", "  ") != nil {
		return string(value)
	}
	return b.String()
}

// sourceOf returns the files of a run's workflow, and where in them its steps stand.
func sourceOf(ctx context.Context, p *past) (*page.Source, error) {
	files, err := p.db.Sources(ctx, p.row.ID)
	if err != nil {
		return nil, err
	}
	s := &page.Source{Dir: p.row.Dir}
	for _, f := range files {
		sum := sha256.Sum256(f.Bytes)
		s.Files = append(s.Files, page.SourceFile{Name: f.Name, Sum: hex.EncodeToString(sum[:]), Text: string(f.Bytes), Steps: stepsIn(p, f.Name)})
	}
	return s, nil
}

// stepsIn returns where the steps of a run stand in a file.
func stepsIn(p *past, file string) (out []page.SourceStep) {
	for _, v := range p.run.Steps() {
		if v.Step.Pos.File != file || v.Step.Pos.Line == 0 {
			continue
		}
		at := page.SourceStep{Name: string(v.Step.Name), From: v.Step.Pos.Line, To: v.Step.Pos.Line, Status: v.Status}
		at.To = max(at.From, blockEnd(p.program.Files[file], at.From))
		out = append(out, at)
	}
	return out
}

// blockEnd returns the last line of the block that begins in a line of a file; 0: it is not
// known, since the file is JSON.
func blockEnd(f *hcl.File, line int) int {
	if f == nil {
		return 0
	}
	body, ok := f.Body.(*hclsyntax.Body)
	if !ok {
		return 0
	}
	for _, b := range body.Blocks {
		if b.TypeRange.Start.Line == line {
			return b.CloseBraceRange.End.Line
		}
	}
	return 0
}

// changesOf compares a run with the one of its workflow before it.
func (s *site) changesOf(ctx context.Context, p *past) (*page.Changes, error) {
	row, err := s.src.db().PreviousRun(ctx, p.row.Workflow, p.row.ID)
	if errors.Is(err, engine.ErrNotFound) {
		return &page.Changes{}, nil
	}
	if err != nil {
		return nil, err
	}
	c := &page.Changes{Before: string(row.ID), BeforeStatus: row.Status}
	// Whoever holds a run waits for an older one only: no two wait for one another.
	err = s.src.run(ctx, c.Before, func(before *past) error {
		c.Variables = variableChanges(before, p)
		c.Steps = stepChanges(before.run, p.run)
		c.Files, err = fileChanges(ctx, before, p)
		return err
	})
	return c, err
}

func variableChanges(before, now *past) (out []page.VariableChange) {
	old, fresh := before.run.Info().Variables, now.run.Info().Variables
	names := sortedNames(fresh)
	for _, name := range sortedNames(old) {
		if _, ok := fresh[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		a, hadA := old[name]
		b, hasB := fresh[name]
		if a != b || hadA != hasB {
			out = append(out, page.VariableChange{Name: name, Before: shownValue(a, hadA), Now: shownValue(b, hasB)})
		}
	}
	return out
}

// shownValue is the value of a variable that is there, of which "" can be seen.
func shownValue(value string, there bool) string {
	text := pretty([]byte(value))
	if text == "" && there {
		return `""`
	}
	return text
}

func fileChanges(ctx context.Context, before, now *past) (out []page.FileChange, err error) {
	old, err := before.db.Sources(ctx, before.row.ID)
	if err != nil {
		return nil, err
	}
	fresh, err := now.db.Sources(ctx, now.row.ID)
	if err != nil {
		return nil, err
	}
	bytesOf := func(files []state.Source, name string) []byte {
		i := slices.IndexFunc(files, func(f state.Source) bool { return f.Name == name })
		if i < 0 {
			return nil
		}
		return files[i].Bytes
	}
	seen := map[string]bool{}
	for _, f := range slices.Concat(fresh, old) {
		if seen[f.Name] {
			continue
		}
		seen[f.Name] = true
		if d := diff.Diff("before", bytesOf(old, f.Name), "now", bytesOf(fresh, f.Name)); d != nil {
			out = append(out, page.FileChange{Name: f.Name, Diff: strings.ToValidUTF8(string(d), "?")})
		}
	}
	return out, nil
}

// stepChanges says of each step whether its tasks ran, and why the first of them did.
func stepChanges(before, now *engine.Run) (out []page.StepChange) {
	for _, v := range now.Steps() {
		c := page.StepChange{Step: string(v.Step.Name), Cached: v.Counts[engine.Cached], Ran: v.Counts[engine.Succeeded] + v.Counts[engine.Failed] + v.Counts[engine.Running]}
		first := now.Select(v.Step.Name, engine.Succeeded, engine.Failed, engine.Running).First(1)
		if first.Len() > 0 {
			cmp := compare(before, now, v.Step.Name, first.At(0))
			c.Why = cmp.why()
		}
		out = append(out, c)
	}
	return out
}
