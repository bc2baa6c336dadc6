package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/cmd/flow/internal/web"
	"flow/dsl"
	"flow/engine"
	"flow/state"
)

// The patterns of what can be done with a run. Each is a page that asks, and an action.
const (
	cancelPath    = runPath + "/cancel"
	resumePath    = runPath + "/resume"
	retryPath     = runPath + "/retry"
	retryFromPath = runPath + "/retry-from"
	launchPath    = workflowPath + "/launch"
)

// An asked is a run that something is to be done with.
type asked struct {
	row  state.Run
	held *state.HeldError // who drives it; nil: nobody
	form url.Values       // what was sent; nil: it is only asked
}

// A deed is something that can be done with a run. Every deed asks first.
type deed struct {
	// ask fills in what is asked; why is not "" if it cannot be done.
	ask func(ctx context.Context, c *page.Confirm, a *asked) (why string, err error)
	// args are those of the command that does it.
	args func(a *asked) []string
	// values says that the command needs those of sensitive variables.
	values bool
}

// deeds are what can be done with a run, by pattern.
func (s *site) deeds() map[string]deed {
	return map[string]deed{
		cancelPath:    {ask: s.askCancel, args: cancelArgs},
		resumePath:    {ask: s.askResume, args: resumeArgs, values: true},
		retryPath:     {ask: s.askRetry, args: retryArgs, values: true},
		retryFromPath: {ask: s.askRetryFrom, args: retryFromArgs, values: true},
	}
}

// addDeeds puts what can be done into the table of all that is served.
func (s *site) addDeeds(r *web.Routes) {
	for pattern, d := range s.deeds() {
		r.Pages[pattern] = func(ctx context.Context, q web.Request) (*web.View, error) {
			c, _, err := s.confirm(ctx, pattern, &d, q, nil)
			if err != nil {
				return nil, err
			}
			return page.ConfirmView(c), nil
		}
		r.Actions[pattern] = func(ctx context.Context, q web.Request, form url.Values) (string, error) {
			return s.act(ctx, pattern, &d, q, form)
		}
	}
	r.Pages[launchPath] = s.launchPage
	r.Actions[launchPath] = s.launch
}

// confirm makes the question of a deed. form is what was sent; nil: nothing yet.
func (s *site) confirm(ctx context.Context, pattern string, d *deed, q web.Request, form url.Values) (*page.Confirm, *asked, error) {
	row, err := s.src.db().Run(ctx, engine.RunID(q.Path["run"]))
	if err != nil {
		return nil, nil, err
	}
	a := &asked{row: row, held: s.src.holder(ctx, row.ID), form: form}
	if a.form == nil {
		a.form = q.Query // ?step=align
	}
	id := string(row.ID)
	c := &page.Confirm{
		Action: filled(pattern, q.Path), Token: q.Token, Back: page.RunURL(id),
		Crumbs: []web.Crumb{{Text: "Runs", URL: "/"}, {Text: row.Workflow, URL: page.WorkflowURL(row.Workflow)}, {Text: id, URL: page.RunURL(id)}},
		Facts:  []page.Fact{page.TextFact("Workflow", row.Workflow), page.CodeFact("Run", id)},
	}
	if c.Blocked, err = d.ask(ctx, c, a); err != nil || c.Blocked != "" {
		return c, a, err
	}
	if d.values {
		err = s.askSensitive(ctx, c, a)
	}
	return c, a, err
}

// act does a deed.
func (s *site) act(ctx context.Context, pattern string, d *deed, q web.Request, form url.Values) (string, error) {
	c, a, err := s.confirm(ctx, pattern, d, q, form)
	if err != nil {
		return "", err
	}
	again := func(why string) error {
		c.Bad = why
		return &web.InvalidError{View: page.ConfirmView(c)}
	}
	if c.Blocked != "" {
		return "", again("")
	}
	for i := range c.Inputs {
		if c.Inputs[i].Bad != "" {
			return "", again("")
		}
	}
	var values []byte
	if d.values {
		if values, err = s.sensitiveFile(ctx, a); err != nil {
			return "", err
		}
	}
	if _, err := s.spawn(ctx, values, append(d.args(a), "--", string(a.row.ID))...); err != nil && ctx.Err() == nil && !s.hasTaken(ctx, a) {
		return "", again(err.Error())
	}
	return page.RunURL(string(a.row.ID)), nil
}

// hasTaken reports whether a deed has had an effect on its run: what was started for it may
// have ended badly because the run did, at once.
func (s *site) hasTaken(ctx context.Context, a *asked) bool {
	row, err := s.src.db().Run(ctx, a.row.ID)
	return err == nil && row.Seq > a.row.Seq
}

func (s *site) askCancel(_ context.Context, c *page.Confirm, a *asked) (string, error) {
	c.Title, c.Button, c.Danger = "Cancel this run?", "Cancel run", true
	if !a.row.Ended.IsZero() {
		return "The run has ended already: " + a.row.Status.String() + ".", nil
	}
	running := a.row.Tasks[engine.Running]
	c.Text = []string{"Nothing more is started, and what runs is stopped: " + view.Plural(running, "task") + " now.", "What has succeeded is kept. The run can go on later."}
	return "", nil
}

func cancelArgs(*asked) []string {
	return []string{"cancel", "--no-wait", "--reason=cancelled by the user"}
}

func (s *site) askResume(_ context.Context, c *page.Confirm, a *asked) (string, error) {
	c.Title, c.Button = "Resume this run?", "Resume run"
	switch {
	case !a.row.Ended.IsZero():
		return "The run has ended: " + a.row.Status.String() + ". What failed can be retried.", nil
	case a.held != nil:
		return drivenBy(a.held), nil
	}
	c.Text = []string{"What has finished meanwhile is taken in, what still runs goes on, and what is missing runs. What has succeeded does not run again. The service drives the run, or, if there is none, a process in the background on this machine."}
	if isPaused(&a.row) {
		c.Text = append([]string{"The run is paused: " + whyOf(&a.row) + "."}, c.Text...)
		in := page.Input{Name: "max-usd", Label: "What the run may cost in all, in US dollars", Kind: "number", Value: a.form.Get("max-usd"), Hint: []string{"If nothing is said: its budget once more."}}
		if in.Value != "" && !isAmount(in.Value) {
			in.Bad = "Write an amount such as 5 or 0.50."
		}
		c.Inputs = append(c.Inputs, in)
	}
	return "", nil
}

// isAmount reports whether text is an amount of money, as the flag -max-usd takes it.
func isAmount(text string) bool {
	return strings.Trim(text, "0123456789.") == "" && strings.Count(text, ".") <= 1 && strings.Trim(text, "0.") != "" && len(text) < 10
}

// goesOn begins the arguments of a command that goes on with a run in the background.
var goesOn = []string{"resume", "--detach", "--driver"}

func resumeArgs(a *asked) []string {
	args := slices.Clone(goesOn)
	if usd := a.form.Get("max-usd"); usd != "" {
		args = append(args, "--max-usd="+usd)
	}
	return args
}

func (s *site) askRetry(_ context.Context, c *page.Confirm, a *asked) (string, error) {
	c.Title, c.Button = "Retry what failed?", "Retry"
	if a.held != nil {
		return drivenBy(a.held), nil
	}
	if a.row.Status.OK() {
		return "Nothing has failed: the run is " + a.row.Status.String() + ".", nil
	}
	failed := a.row.Tasks[engine.Failed]
	rest := a.row.Tasks[engine.Skipped] + a.row.Tasks[engine.Cancelled]
	if failed == 0 && a.row.Status == engine.Cancelled {
		c.Title, c.Button = "Run what was cancelled?", "Run"
		c.Text = []string{fmt.Sprintf("%s that were cancelled or skipped so far run. What has succeeded does not.", view.Plural(rest, "task"))}
		return "", nil
	}
	c.Text = []string{fmt.Sprintf("%s that failed, and what was skipped or cancelled because of them (%s so far), run again. What has succeeded does not.", view.Plural(failed, "task"), view.Plural(rest, "task"))}
	return "", nil
}

func retryArgs(*asked) []string { return append(slices.Clone(goesOn), "--failed") }

func (s *site) askRetryFrom(ctx context.Context, c *page.Confirm, a *asked) (string, error) {
	c.Title, c.Button = "Retry from a step?", "Retry"
	if a.held != nil {
		return drivenBy(a.held), nil
	}
	steps, err := s.src.db().Steps(ctx, a.row.ID)
	if err != nil {
		return "", err
	}
	in := page.Input{Name: "step", Label: "Step", Kind: "text", Value: a.form.Get("step"), Need: true}
	for i := range steps {
		in.Choices = append(in.Choices, string(steps[i].Name))
	}
	if in.Value != "" && !slices.Contains(in.Choices, in.Value) {
		in.Bad = fmt.Sprintf("The run has no step %q.", in.Value)
	} else if in.Value == "" && a.form.Has("token") {
		in.Bad = "Choose a step."
	}
	c.Inputs = append(c.Inputs, in)
	c.Text = []string{"The step runs again, and so does all that depends on it, whatever came of it before. The rest keeps its results."}
	return "", nil
}

func retryFromArgs(a *asked) []string {
	return append(slices.Clone(goesOn), "--from="+a.form.Get("step"))
}

func drivenBy(held *state.HeldError) string {
	who, _ := driverOf(held)
	return "The run goes on: " + who + " drives it. Cancel it first, or wait for its end."
}

// askSensitive asks for the values of sensitive variables, which are kept nowhere.
func (s *site) askSensitive(ctx context.Context, c *page.Confirm, a *asked) error {
	program, err := s.programOf(ctx, &a.row)
	if err != nil {
		return err
	}
	for _, f := range program.Variables {
		if !f.Sensitive {
			continue
		}
		in := page.Input{Name: page.VarPrefix + f.Name, Label: f.Name, Type: f.TypeString, Kind: "secret", Hint: []string{f.Description, "It is sensitive, and was not kept with the run."}}
		c.Inputs = append(c.Inputs, in)
	}
	return nil
}

// sensitiveFile is the file with the values of sensitive variables that were sent; nil: none.
func (s *site) sensitiveFile(ctx context.Context, a *asked) ([]byte, error) {
	program, err := s.programOf(ctx, &a.row)
	if err != nil {
		return nil, err
	}
	var in dsl.VarInput
	var names []string
	for _, v := range program.Variables {
		if text := a.form.Get(page.VarPrefix + v.Name); v.Sensitive && text != "" {
			in.Args = append(in.Args, dsl.VarArg{Set: v.Name + "=" + text})
			names = append(names, v.Name)
		}
	}
	if names == nil {
		return nil, nil
	}
	if why := program.Try(in); why[names[0]] != "" {
		return nil, errors.New(names[0] + ": " + why[names[0]])
	}
	return program.VarFile(in, names), nil
}
