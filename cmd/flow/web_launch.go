package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/dsl"
	"flow/engine"
	"flow/state"
)

// A launch is a run that is about to be started, as an earlier one was: from the files where
// that one's were, as they are now, and on its site.
type launch struct {
	like    state.Run // the earlier one
	path    string    // of the workflow, absolute
	program *dsl.Program
	flags   []string          // that say where
	stored  map[string]string // values of the earlier run, if the form begins with them
}

// launchPage is the form that starts a run.
func (s *site) launchPage(ctx context.Context, r web.Request) (*web.View, error) {
	l, why, err := s.prepareLaunch(ctx, r.Path["workflow"], r.Query.Get("from"))
	if err != nil {
		return nil, err
	}
	m := l.page(r.Token, why)
	if why == "" {
		m.Inputs = l.inputs(nil)
	}
	return page.LaunchView(m), nil
}

// launch starts a run, and goes to its page.
func (s *site) launch(ctx context.Context, r web.Request, form url.Values) (string, error) {
	l, why, err := s.prepareLaunch(ctx, r.Path["workflow"], form.Get("from"))
	if err != nil {
		return "", err
	}
	m := l.page(r.Token, why)
	again := &web.InvalidError{}
	show := func() error { again.View = page.LaunchView(m); return again }
	if why != "" {
		return "", show()
	}
	in, names := l.given(form)
	m.Inputs = l.inputs(form)
	if problems := l.program.Try(in); len(problems) > 0 {
		for i := range m.Inputs {
			m.Inputs[i].Bad = problems[strings.TrimPrefix(m.Inputs[i].Name, page.VarPrefix)]
		}
		m.Bad = problems[""]
		return "", show()
	}
	var values []byte
	if len(names) > 0 {
		values = l.program.VarFile(in, names)
	}
	args := append([]string{"run", "--detach", "--driver"}, l.flags...)
	done, err := s.spawn(ctx, values, append(args, "--", l.path)...)
	id, _, _ := strings.Cut(strings.TrimSpace(done.out), "\n")
	if row, missing := s.src.db().Run(ctx, engine.RunID(id)); id != "" && missing == nil {
		return page.RunURL(string(row.ID)), nil // even if it has failed at once
	}
	if err != nil {
		m.Bad = err.Error()
		return "", show()
	}
	return page.WorkflowURL(m.Workflow), nil // it is still being handed over
}

// prepareLaunch finds out how a run of a workflow would be started: as the run from was, or
// the newest one. why says why it cannot.
func (s *site) prepareLaunch(ctx context.Context, workflow, from string) (l *launch, why string, err error) {
	runs, err := s.runsOf(ctx, workflow)
	if err != nil {
		return nil, "", err
	}
	l = &launch{like: runs[0]}
	for i := range runs {
		if string(runs[i].ID) == from {
			l.like = runs[i]
			info, err := runInfoOf(ctx, s.src.db(), runs[i].ID)
			if err != nil {
				return nil, "", err
			}
			l.stored = info.Variables
		}
	}
	l.path = s.pathLike(ctx, &l.like)
	kept, err := paramsOf(l.like)
	if err != nil {
		return nil, "", err
	}
	l.flags = launchFlags(&l.like, &kept)
	return l, l.load(workflow), nil
}

// pathLike returns where the files of a run's workflow were, as a PATH of flow run.
func (s *site) pathLike(ctx context.Context, row *state.Run) string {
	program, err := s.programOf(ctx, row)
	if err != nil {
		return row.Dir // which can be looked at
	}
	if len(program.Files) == 1 {
		for name := range program.Files {
			return filepath.Join(row.Dir, filepath.Base(name))
		}
	}
	return row.Dir
}

// launchFlags are the flags that a run was started with.
func launchFlags(row *state.Run, kept *params) []string {
	f := runFlags{site: kept.Site.Name, batch: kept.Batch, machine: kept.Machine}
	flags := f.again()
	if kept.Site.Name == "" {
		flags = append(flags, "--executor="+row.Executor)
	}
	return flags
}

// load reads the workflow's files as they are now. why says why they cannot be run.
func (l *launch) load(workflow string) (why string) {
	dir, sources, err := dsl.Read(l.path)
	if err != nil {
		return fmt.Sprintf("The files of this workflow were at %s when run %s was started, and cannot be read now: %v.", l.path, l.like.ID, unpath(err))
	}
	program, diags := dsl.Load(dir, sources)
	if diags.HasErrors() {
		var text strings.Builder
		_ = dsl.WriteText(&text, program.Files, diags, 100, false) // a builder takes all
		return "The workflow has mistakes now. flow validate " + l.path + " says:\n" + text.String()
	}
	if program.Workflow.Name != workflow {
		return fmt.Sprintf("At %s there is the workflow %s now, and no longer %s.", l.path, program.Workflow.Name, workflow)
	}
	l.program = program
	return ""
}

func (l *launch) page(token, why string) *page.Launch {
	m := &page.Launch{Workflow: l.like.Workflow, From: l.path, Token: token, Blocked: why, Where: "this machine"}
	if kept, err := paramsOf(l.like); err == nil {
		if l.like.Executor == batchExecutor {
			m.Where = "AWS Batch"
		}
		if kept.Site.Name != "" {
			m.Where += ", site " + view.Clean(kept.Site.Name)
		}
	}
	if l.stored != nil {
		m.Like = string(l.like.ID)
	}
	if l.program != nil {
		m.Description = descriptionOf(l.program)
	}
	m.Newest = string(l.like.ID)
	return m
}

// elsewhere is where values come from that the form does not give.
func (l *launch) elsewhere() dsl.VarInput {
	return dsl.VarInput{Env: os.Environ(), AutoFiles: true}
}

// inputs are the fields of the form. form is what was sent; nil: nothing yet.
func (l *launch) inputs(form url.Values) (list []page.Input) {
	first := l.elsewhere()
	first.Stored = l.stored
	begins := l.program.Form(first)
	for i, f := range l.program.Form(l.elsewhere()) {
		in := page.Input{
			Name: page.VarPrefix + f.Name, Label: f.Name, Type: f.TypeString, Kind: string(f.Kind), Choices: f.Choices,
			Value: begins[i].Value, Default: f.Value, Need: f.Required && f.Value == "" && !(f.Sensitive && os.Getenv(dsl.EnvPrefix+f.Name) != ""),
		}
		if f.Sensitive {
			in.Kind, in.Value = "secret", ""
		} else if form.Has(in.Name) {
			in.Value = sent(form, in.Name)
		}
		in.Hint = hints(&f)
		list = append(list, in)
	}
	return list
}

// hints say what is to be known of a variable.
func hints(f *dsl.Field) (list []string) {
	if f.Description != "" {
		list = append(list, f.Description)
	}
	if f.Choices == nil {
		list = append(list, f.Rules...)
	}
	if f.Kind == dsl.FieldExpr {
		list = append(list, "An expression, with strings in quotes: "+exampleOf(f.TypeString)+".")
	}
	return list
}

// exampleOf is an expression of a type, or one like it.
func exampleOf(typ string) string {
	if strings.HasPrefix(typ, "map(") || strings.HasPrefix(typ, "object(") {
		return `{ name = "value" }`
	}
	return `["a", "b"]`
}

// given are the values that a form gives, and the names of their variables: what is as it is
// without is not among them.
func (l *launch) given(form url.Values) (in dsl.VarInput, names []string) {
	in = l.elsewhere()
	for _, f := range l.program.Form(in) {
		text := sent(form, page.VarPrefix+f.Name)
		if text == f.Value || f.Sensitive && text == "" || !form.Has(page.VarPrefix+f.Name) {
			continue
		}
		if text == "" && (f.Kind != dsl.FieldText || f.Required) {
			continue // nothing was said
		}
		in.Args = append(in.Args, dsl.VarArg{Set: f.Name + "=" + text})
		names = append(names, f.Name)
	}
	return in, names
}

// sent is the value of an input. Browsers end lines of text areas as the internet does.
func sent(form url.Values, name string) string {
	return strings.ReplaceAll(cmp.Or(form.Get(name), ""), "\r\n", "\n")
}
