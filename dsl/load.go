package dsl

import (
	"fmt"
	"path/filepath"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"

	"flow/engine"
)

// Load parses sources, the files of one workflow in directory dir (absolute), and
// checks everything that needs neither values of variables nor other files. All
// mistakes of all files come in one pass, sorted by place. Sources that are no HCL by
// their names are files that the workflow reads; see [Program.Embedded].
//
// The program is never nil: when there are errors it is good for nothing but its
// Files, to print them.
func Load(dir string, sources []Source) (*Program, hcl.Diagnostics) {
	p := &Program{
		Files:     make(map[string]*hcl.File, len(sources)),
		dir:       filepath.Clean(dir),
		locals:    map[string]*localConfig{},
		stepIndex: map[string]*stepConfig{},
		variables: map[string]*Variable{},
		budget:    newBudget(0),
		lost: lostNames{
			vars: map[string]bool{}, locals: map[string]bool{}, steps: map[string]bool{}, hidden: map[string]bool{},
		},
	}
	p.functions = functions(p.dir, p.budget)
	p.offline = withoutFiles(p.functions)

	var diags hcl.Diagnostics
	d := &decoder{p: p}
	for _, src := range sources {
		if !isSource(src.Name) {
			p.budget.embed(src)
			continue
		}
		p.sources = append(p.sources, src)
		file, fileDiags := p.parse(src)
		diags = append(diags, fileDiags...)
		if file == nil {
			p.lost.anything = true
			continue
		}
		p.broken = p.broken || fileDiags.HasErrors()
		for _, diag := range fileDiags {
			if diag.Severity == hcl.DiagError && diag.Subject != nil {
				d.broken = append(d.broken, *diag.Subject)
			}
		}
		d.file(file)
	}
	d.finish()
	diags = append(diags, d.diags...)
	diags = append(diags, p.resolve()...)
	diags = append(diags, p.validate()...)
	diags = improve(diags, p.Files)
	sortDiagnostics(diags)
	p.Workflow = p.build()
	return p, diags
}

// parse parses one file in the syntax that its name says. What could be parsed of a
// file with syntax errors is returned with them; nil if that is nothing.
func (p *Program) parse(src Source) (*hcl.File, hcl.Diagnostics) {
	text := normalize(src.Bytes)
	diags := guard(src.Name, text)
	if diags.HasErrors() {
		p.Files[src.Name] = &hcl.File{Bytes: text}
		return nil, diags
	}
	var file *hcl.File
	var parseDiags hcl.Diagnostics
	if strings.HasSuffix(src.Name, ".json") {
		file, parseDiags = hcljson.Parse(text, src.Name)
	} else {
		file, parseDiags = hclsyntax.ParseConfig(text, src.Name, hcl.InitialPos)
	}
	if parseDiags.HasErrors() && strings.HasSuffix(src.Name, ".json") {
		// What follows the first error of JSON are the consequences of it.
		p.Files[src.Name] = &hcl.File{Bytes: text}
		return nil, append(diags, firstError(parseDiags))
	}
	if parseDiags.HasErrors() && !strings.HasSuffix(src.Name, ".json") {
		var more hcl.Diagnostics
		file, more = withoutErrors(file, parseDiags, src.Name, text)
		parseDiags = append(hcl.Diagnostics{firstError(parseDiags)}, more...)
	}
	diags = append(diags, parseDiags...)
	if file == nil || file.Body == nil {
		p.Files[src.Name] = &hcl.File{Bytes: text}
		return nil, diags
	}
	file.Bytes = text
	p.Files[src.Name] = file
	p.budget.meter(file)
	return file, diags
}

// defaultName is the name of a workflow without a workflow block: that of its file or
// directory.
func (p *Program) defaultName() string {
	name := filepath.Base(p.dir)
	if len(p.sources) == 1 {
		name = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(p.sources[0].Name), ".json"), ".hcl")
	}
	name = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, name)
	if !hclsyntax.ValidIdentifier(name) {
		return "workflow"
	}
	return name
}

// Named reports whether the workflow has a workflow block with its name. Else it has that of
// its file, as others may.
func (p *Program) Named() bool { return p.workflow != nil }

// build makes the engine's view of the program, without what depends on variables.
func (p *Program) build() *engine.Workflow {
	wf := &engine.Workflow{
		Name:      p.defaultName(),
		Dir:       p.dir,
		WorkDir:   filepath.Join(p.dir, defaultWorkDir),
		OnFailure: engine.Finish,
	}
	if p.workflow != nil {
		wf.Name = p.workflow.name
	}
	for _, s := range p.steps {
		wf.Steps = append(wf.Steps, p.buildStep(s))
	}
	for _, s := range p.schedules {
		wf.Schedules = append(wf.Schedules, s.schedule)
	}
	for _, o := range p.outputs {
		wf.Outputs = append(wf.Outputs, &engine.WorkflowOutput{
			Name: o.name, Description: o.description, Sensitive: o.sensitive, Pos: posOf(o.rng),
		})
	}
	return wf
}

func (p *Program) buildStep(s *stepConfig) *engine.Step {
	es := &engine.Step{
		Name:    engine.StepName(s.name),
		Pos:     posOf(s.rng),
		FanOut:  s.fanOut(),
		Deps:    s.deps,
		Partial: s.partial,
		Was:     s.was,
		Gated:   len(s.sensors) > 0,
	}
	if a := s.args.get("inputs"); a != nil {
		es.Reads, es.InputsPos = true, posOf(a.rng)
	}
	for _, o := range s.outputs {
		es.Outputs = append(es.Outputs, engine.OutputDecl{Name: o.name, Kind: o.kind})
	}
	if s.resources != nil {
		for _, a := range s.resources.args {
			es.EngineRetries = es.EngineRetries || a.refs.attempt
		}
	}
	if s.retry != nil {
		for _, r := range s.retry.rules {
			for _, name := range []string{"delay", "memory", "vcpus", "queue"} {
				es.EngineRetries = es.EngineRetries || r.get(name) != nil
			}
		}
	}
	return es
}

func posOf(r hcl.Range) engine.Pos {
	return engine.Pos{File: r.Filename, Line: r.Start.Line, Column: r.Start.Column}
}

// sortDiagnostics sorts by file and place; what has no place comes first.
func sortDiagnostics(diags hcl.Diagnostics) {
	sort.SliceStable(diags, func(i, k int) bool {
		a, b := diags[i].Subject, diags[k].Subject
		if a == nil || b == nil {
			return a == nil && b != nil
		}
		return before(*a, *b)
	})
}

func errorf(rng hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &rng}
}
