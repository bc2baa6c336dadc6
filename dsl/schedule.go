package dsl

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"flow/engine"
	"flow/engine/schedule"
)

// Limits, so that a file cannot make looking for the next time take long.
const (
	maxSchedules = 100 // of a workflow
	maxCrons     = 50  // of a schedule
	// looked is how many times of a schedule are looked at to find how near they are.
	looked = 2000
)

// A scheduleConfig is a `schedule` block.
type scheduleConfig struct {
	blockConfig
	schedule *engine.Schedule
	vars     []*scheduleVar // in source order
}

// A scheduleVar is the value that a schedule gives to a variable.
type scheduleVar struct {
	*arg
	variable string
}

// scheduleMembers are what schedule.<name> is.
var scheduleMembers = []string{"time", "local_time", "time_zone", "name"}

func scheduleMemberNames() []string {
	names := make([]string, len(scheduleMembers))
	for i, m := range scheduleMembers {
		names[i] = "schedule." + m
	}
	return names
}

func (d *decoder) scheduleBlock(b *hcl.Block) {
	if len(d.p.schedules) == maxSchedules {
		d.errorf(b.DefRange, "Too many schedules", "A workflow has at most %d schedules. Times that differ in nothing but when they are can be a list: cron = [\"0 6 * * *\", \"0 18 * * *\"].", maxSchedules)
		return
	}
	s := &scheduleConfig{blockConfig: blockConfig{rng: b.DefRange}}
	s.schedule = &engine.Schedule{
		Name: b.Labels[0], TimeZone: "UTC", Overlap: engine.OverlapSkip, CatchUp: engine.CatchUpLatest, Pos: posOf(b.DefRange),
	}
	ok := d.name(b, s.schedule.Name, b.LabelRanges[0])
	as, _, diags := d.block(b.Body, scheduleArgs)
	s.args = as
	incomplete := diags.HasErrors() || d.isBroken(bodyRange(b))
	if as.get("cron") == nil && !incomplete {
		d.errorf(b.DefRange, "Missing required argument", "Schedule %q does not say when. Add its minute, hour, day of the month, month and day of the week: cron = \"30 2 * * *\" is each day at 02:30.", s.schedule.Name)
	}
	before := len(d.diags)
	d.scheduleArgs(s)
	if as.get("cron") != nil && len(d.diags) == before && !incomplete {
		d.scheduleTimes(s)
	}
	if a := as.get("vars"); a != nil {
		d.varsOfSchedule(s, a)
	}
	if ok {
		d.p.schedules = append(d.p.schedules, s)
	}
}

// scheduleArgs reads the arguments of a schedule one by one.
func (d *decoder) scheduleArgs(s *scheduleConfig) {
	c := s.schedule
	for _, a := range s.args {
		switch a.name {
		case "cron":
			c.Cron = d.crons(a)
		case "time_zone":
			c.TimeZone = written(d, a, toZone, c.TimeZone)
		case "overlap":
			c.Overlap = engine.Overlap(written(d, a, oneOf("skip", "queue", "replace", "allow"), string(c.Overlap)))
		case "catch_up":
			c.CatchUp = engine.CatchUp(written(d, a, oneOf("none", "latest", "all"), string(c.CatchUp)))
		case "start_within":
			c.StartWithin = written(d, a, atLeast(time.Minute), 0)
		case "jitter":
			c.Jitter = written(d, a, atLeast(time.Second), 0)
		case "enabled":
			c.Disabled = !written(d, a, toTruth, true)
		}
	}
}

// written evaluates an argument that refers to nothing; null, and after a mistake, it is what it
// would be without.
func written[T any](d *decoder, a *arg, conv func(cty.Value) (T, error), without T) T {
	v, ok := d.constantValue(a)
	if !ok || v.IsNull() {
		return without
	}
	x, err := conv(v)
	if err != nil {
		d.errorf(a.expr.Range(), "Unsuitable value", "%s: %s", a.name, full(err))
		return without
	}
	return x
}

// full ends what an error says as a sentence.
func full(err error) string {
	text := err.Error()
	if strings.HasSuffix(text, "?") || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

// constantValue evaluates an argument that refers to nothing.
func (d *decoder) constantValue(a *arg) (cty.Value, bool) {
	if len(a.expr.Variables()) > 0 {
		d.errorf(a.expr.Range(), "Unsuitable value", "%s must be written out: when a schedule is due is known before there is a run, so it cannot refer to anything.", a.name)
		return cty.NilVal, false
	}
	v, diags := d.p.budget.value(a.expr, nil)
	d.diags = append(d.diags, diags...)
	return v, !diags.HasErrors()
}

// crons reads cron, a text or a list of them.
func (d *decoder) crons(a *arg) (out []string) {
	v, ok := d.constantValue(a)
	if !ok {
		return nil
	}
	all := []cty.Value{v}
	if ty := v.Type(); ty.IsTupleType() || ty.IsListType() || ty.IsSetType() {
		all = elements(v)
	}
	switch {
	case len(all) == 0:
		d.errorf(a.expr.Range(), "Unsuitable value", "cron: there is no time in the list.")
	case len(all) > maxCrons:
		d.errorf(a.expr.Range(), "Unsuitable value", "cron: a schedule has at most %d times.", maxCrons)
		return nil
	}
	for i, v := range all {
		text, err := toText(v)
		text = strings.Join(strings.Fields(text), " ")
		if err == nil && v.Type() != cty.String {
			err = errors.New("this is a number, and five fields in quotes are needed, such as \"30 2 * * *\"")
		}
		if err == nil {
			err = checkCron(text)
		}
		if err == nil && slices.Contains(out, text) {
			err = fmt.Errorf("%q stands twice in the list", text)
		}
		if err != nil {
			d.errorf(elementRange(a, i), "Unsuitable value", "cron: %s", full(err))
			continue
		}
		out = append(out, text)
	}
	return out
}

// checkCron reports what is wrong with a cron expression.
func checkCron(text string) error {
	_, err := schedule.Parse(&engine.Schedule{Cron: []string{text}})
	var c *schedule.CronError
	if errors.As(err, &c) {
		return errors.New(c.Problem)
	}
	return err
}

// elementRange is where an element of a list stands; of what is no list, where the value does.
func elementRange(a *arg, i int) hcl.Range {
	if exprs, diags := hcl.ExprList(a.expr); !diags.HasErrors() && i < len(exprs) {
		return exprs[i].Range()
	}
	return a.expr.Range()
}

// scheduleTimes checks what the arguments of a schedule say together.
func (d *decoder) scheduleTimes(s *scheduleConfig) {
	a := s.get("cron")
	for i, cron := range s.schedule.Cron {
		times, err := schedule.Parse(&engine.Schedule{Cron: []string{cron}})
		if err == nil && times.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
			rng := elementRange(a, i)
			d.diags = append(d.diags, &hcl.Diagnostic{
				Severity: hcl.DiagWarning, Summary: "Never due", Subject: &rng,
				Detail: fmt.Sprintf("There is no day that fits %q, so no run will ever be due.", cron),
			})
		}
	}
	jitter := s.get("jitter")
	if jitter == nil || s.schedule.Jitter == 0 {
		return
	}
	if apart := interval(s.schedule.Cron); s.schedule.Jitter >= apart {
		d.errorf(jitter.expr.Range(), "Unsuitable value", "jitter: times of this schedule are %s apart, and a run is due before the next one is. Say less than that.", durationText(apart))
	}
}

// interval is how near two times of a schedule are to one another, where no clock is put forward.
// It looks at a leap year, and at the first 2,000.
func interval(cron []string) time.Duration {
	least := time.Duration(1<<63 - 1)
	times, err := schedule.Parse(&engine.Schedule{Cron: cron})
	if err != nil {
		return least
	}
	from := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	var last time.Time
	n := 0
	for slot := range times.Upto(from, from.AddDate(1, 1, 0)) {
		if !last.IsZero() {
			least = min(least, slot.Sub(last))
		}
		if n++; n == looked || least == time.Minute {
			break
		}
		last = slot
	}
	return least
}

// durationText writes a duration as this language has it, without parts that are zero.
func durationText(d time.Duration) string {
	text := d.String()
	text = strings.TrimSuffix(text, "0s")
	if t, ok := strings.CutSuffix(text, "h0m"); ok {
		text = t + "h"
	}
	if text == "" {
		return "0s"
	}
	return text
}

// atLeast returns a reader of durations of at least so much.
func atLeast(least time.Duration) func(cty.Value) (time.Duration, error) {
	return func(v cty.Value) (time.Duration, error) {
		d, err := toDuration(v)
		switch {
		case err != nil:
			return 0, err
		case d < least:
			return 0, fmt.Errorf("it must be at least %s", durationText(least))
		}
		return d.Truncate(time.Second), nil
	}
}

//go:embed zones.txt
var zoneNames string

// toZone reads the name of a time zone.
func toZone(v cty.Value) (string, error) {
	name, err := toText(v)
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", errors.New("it is empty; write a name such as \"Europe/Berlin\", or leave it out for UTC")
	}
	if _, err := schedule.Zone(name); err != nil {
		return "", errors.New(err.Error() + zoneHint(name))
	}
	return name, nil
}

// zoneHint ends a sentence about a time zone that is not there with what was likely meant: the
// name in other letters, that of a city alone, or a slip.
func zoneHint(name string) string {
	names := strings.Fields(zoneNames)
	plain := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), " ", "_"))
	for _, n := range names {
		lower := strings.ToLower(n)
		if lower == plain || strings.HasSuffix(lower, "/"+plain) {
			return fmt.Sprintf(". Did you mean %q?", n)
		}
	}
	if hint := suggest(name, names); hint != "" {
		return "." + hint
	}
	return ""
}

// varsOfSchedule reads vars, whose names are written out.
func (d *decoder) varsOfSchedule(s *scheduleConfig, a *arg) {
	pairs, diags := hcl.ExprMap(a.expr)
	if diags.HasErrors() {
		d.errorf(a.expr.Range(), "Unsuitable value", "vars is written out: vars = { day = formatdate(\"YYYY-MM-DD\", schedule.local_time) }.")
		return
	}
	for _, p := range pairs {
		key, diags := d.p.budget.value(p.Key, nil)
		d.diags = append(d.diags, diags...)
		if diags.HasErrors() {
			continue
		}
		name, err := toText(key)
		switch {
		case err != nil:
			d.errorf(p.Key.Range(), "Unsuitable value", "vars: a name is the name of a variable.")
		case slices.ContainsFunc(s.vars, func(v *scheduleVar) bool { return v.variable == name }):
			d.errorf(p.Key.Range(), "Unsuitable value", "vars: variable %q is given two values.", name)
		default:
			value := &arg{name: "vars", expr: p.Value, rng: p.Value.Range(), nameRange: p.Key.Range(), spec: &scheduleVarArg}
			s.vars = append(s.vars, &scheduleVar{arg: value, variable: name})
		}
	}
}

// ScheduleVars returns the values that a schedule gives to the variables of a run for a slot, as
// JSON and by name, for VarInput.Scheduled.
func (p *Program) ScheduleVars(name string, slot engine.Slot) (map[string]string, hcl.Diagnostics) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.schedules, func(s *scheduleConfig) bool { return s.schedule.Name == name })
	if i < 0 {
		var names []string
		for _, s := range p.schedules {
			names = append(names, s.schedule.Name)
		}
		return nil, hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Unknown schedule",
			Detail: fmt.Sprintf("There is no schedule %q in the workflow.%s", name, suggest(name, names)),
		}}
	}
	s := p.schedules[i]
	zone, err := schedule.Zone(slot.TimeZone)
	if err != nil {
		return nil, hcl.Diagnostics{errorf(s.rng, "Unknown time zone", "%s", sentence(err.Error()))}
	}
	p.budget.reset()
	vals, diags := p.scheduleVars(s, map[string]cty.Value{
		"time":       cty.StringVal(timeText(slot.Time)),
		"local_time": cty.StringVal(slot.Time.In(zone).Format(time.RFC3339)),
		"time_zone":  cty.StringVal(zone.String()),
		"name":       cty.StringVal(name),
	}, p.functions)
	out := make(map[string]string, len(vals))
	for _, variable := range slices.Sorted(maps.Keys(vals)) {
		raw, err := p.variables[variable].encode(vals[variable])
		if err != nil {
			diags = append(diags, errorf(s.rng, "Invalid value for variable", "The value of variable %q cannot be stored: %s.", variable, err))
			continue
		}
		out[variable] = string(raw)
	}
	diags = improve(diags, p.Files)
	if diags.HasErrors() {
		return nil, diags
	}
	return out, diags
}

// unknownSlot is what schedule.<name> is while validating.
func unknownSlot(s *scheduleConfig) map[string]cty.Value {
	return map[string]cty.Value{
		"time":       cty.UnknownVal(cty.String).RefineNotNull(),
		"local_time": cty.UnknownVal(cty.String).RefineNotNull(),
		"time_zone":  cty.StringVal(s.schedule.TimeZone),
		"name":       cty.StringVal(s.schedule.Name),
	}
}

// scheduleVars evaluates vars of a schedule, as far as slot is known, and gives the values the
// types of their variables.
func (p *Program) scheduleVars(s *scheduleConfig, slot map[string]cty.Value, functions map[string]function.Function) (vals map[string]cty.Value, diags hcl.Diagnostics) {
	ctx := &hcl.EvalContext{
		Variables: map[string]cty.Value{"schedule": cty.ObjectVal(slot), "path": p.pathValue()},
		Functions: functions,
	}
	ev := &evaluator{p: p}
	vals = map[string]cty.Value{}
	for _, given := range s.vars {
		v := p.variables[given.variable]
		switch {
		case v == nil && p.lost.hides(given.variable):
			continue
		case v == nil:
			r := &varReader{p: p}
			diags = append(diags, errorf(given.nameRange, "Value for undeclared variable", "There is no variable %q in the workflow.%s", given.variable, r.known(given.variable)))
			continue
		case v.Sensitive:
			diags = append(diags, errorf(given.nameRange, "Sensitive variable", "Variable %q is sensitive, and what stands in a file is no secret. Set %s%s in the environment of the service.", v.Name, EnvPrefix, v.Name))
			continue
		}
		val, evalDiags := ev.eval(given.arg, ctx)
		diags = append(diags, evalDiags...)
		if evalDiags.HasErrors() {
			continue
		}
		converted, err := v.fit(val)
		if err != nil {
			diags = append(diags, errorf(given.expr.Range(), fmt.Sprintf("Invalid value for variable %q", v.Name),
				"Schedule %q gives variable %q a value that is not of its type, %s (declared in %s, line %d). %s",
				s.schedule.Name, v.Name, v.TypeString, v.Range.Filename, v.Range.Start.Line, sentence(err.Error())))
			continue
		}
		vals[v.Name] = converted
	}
	return vals, diags
}

// fit gives a value the type of v, with the defaults of its optional attributes.
func (v *Variable) fit(val cty.Value) (cty.Value, error) {
	if v.defaults != nil && !val.IsNull() && val.IsWhollyKnown() {
		val = v.defaults.Apply(val)
	}
	return convertTo(val, v.constraint)
}
