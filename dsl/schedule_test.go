package dsl

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

const scheduleSource = `
workflow "nightly" {
  expect {
    finish_by    = "06:00"
    max_duration = var.most
    time_zone    = "Europe/Berlin"
  }
}
variable "day" { type = string }
variable "shards" {
  type    = list(number)
  default = [1]
}
variable "opts" {
  type    = object({ a = string, b = optional(number, 7) })
  default = null
  nullable = true
}
variable "most" {
  type    = string
  default = "3h"
}
step "a" { command = ["echo", var.day, jsonencode(var.shards)] }

schedule "daily" {
  cron         = ["30 2 * * mon-fri", " 0  4  * * sat,sun"]
  time_zone    = "America/New_York"
  overlap      = "queue"
  catch_up     = "all"
  start_within = "2h"
  jitter       = "90s"
  vars = {
    day    = formatdate("YYYY-MM-DD hh:mm ZZZ", schedule.local_time)
    shards = [for i in range(2) : "${i}"]
    opts   = { a = "${schedule.name} ${schedule.time_zone} ${schedule.time}" }
  }
}
schedule "off" {
  cron    = "@hourly"
  enabled = false
}
`

func loadSchedules(t *testing.T) *Program {
	t.Helper()
	p, diags := Load("/project", []Source{{Name: "main.hcl", Bytes: []byte(scheduleSource)}})
	if len(diags) > 0 {
		t.Fatal(show(p, diags))
	}
	return p
}

func TestSchedules(t *testing.T) {
	p := loadSchedules(t)
	want := []*engine.Schedule{
		{
			Name: "daily", Cron: []string{"30 2 * * mon-fri", "0 4 * * sat,sun"}, TimeZone: "America/New_York",
			Overlap: engine.OverlapQueue, CatchUp: engine.CatchUpAll, StartWithin: 2 * time.Hour, Jitter: 90 * time.Second,
			Pos: engine.Pos{File: "main.hcl", Line: 25, Column: 1},
		},
		{
			Name: "off", Cron: []string{"@hourly"}, TimeZone: "UTC", Overlap: engine.OverlapSkip, CatchUp: engine.CatchUpLatest,
			Disabled: true, Pos: engine.Pos{File: "main.hcl", Line: 38, Column: 1},
		},
	}
	if d := cmp.Diff(want, p.Workflow.Schedules); d != "" {
		t.Error(d)
	}
	tmpl, diags := p.Bind(VarInput{Args: []VarArg{{Set: "day=x"}, {Set: "most=1d"}}}, RunContext{})
	if diags.HasErrors() {
		t.Fatal(show(p, diags))
	}
	if d := cmp.Diff(want, tmpl.Workflow().Schedules); d != "" {
		t.Error(d)
	}
	expect := &engine.Expect{FinishBy: &engine.TimeOfDay{Hour: 6, TimeZone: "Europe/Berlin"}, MaxDuration: 24 * time.Hour}
	if d := cmp.Diff(expect, tmpl.Workflow().Expect); d != "" {
		t.Error(d)
	}
}

// TestScheduleVars: what a schedule says wins over the environment, and -var over it.
func TestScheduleVars(t *testing.T) {
	p := loadSchedules(t)
	slot := engine.Slot{Schedule: "daily", Time: time.Date(2027, 3, 14, 7, 0, 0, 0, time.UTC), TimeZone: "America/New_York"}
	vars, diags := p.ScheduleVars("daily", slot)
	if diags.HasErrors() {
		t.Fatal(show(p, diags))
	}
	want := map[string]string{
		"day":    `"2027-03-14 03:00 -0400"`,
		"shards": `[0,1]`,
		"opts":   `{"a":"daily America/New_York 2027-03-14T07:00:00Z","b":7}`,
	}
	if d := cmp.Diff(want, vars); d != "" {
		t.Error(d)
	}
	in := VarInput{Env: []string{"FLOW_VAR_day=env", "FLOW_VAR_most=2h"}, Scheduled: vars, Args: []VarArg{{Set: "shards=[9]"}}}
	tmpl, diags := p.Bind(in, RunContext{})
	if diags.HasErrors() {
		t.Fatal(show(p, diags))
	}
	stored := map[string]string{"day": want["day"], "shards": "[9]", "opts": want["opts"], "most": `"2h"`}
	if d := cmp.Diff(stored, tmpl.StoredVariables()); d != "" {
		t.Error(d)
	}
}

func TestScheduleVarsRefuses(t *testing.T) {
	p := loadSchedules(t)
	slot := engine.Slot{Time: time.Unix(0, 0), TimeZone: "UTC"}
	if _, diags := p.ScheduleVars("dayly", slot); !diags.HasErrors() || !strings.Contains(diags[0].Detail, `Did you mean "daily"?`) {
		t.Errorf("of no schedule: %v", diags)
	}
	slot.TimeZone = "Europe/Berln"
	if _, diags := p.ScheduleVars("daily", slot); !diags.HasErrors() {
		t.Error("of no time zone: there are values")
	}
	source := `
variable "n" { type = number }
step "a" { command = ["true"] }
schedule "s" {
  cron = "@daily"
  vars = { n = formatdate("MMM", schedule.time) }
}`
	p, diags := Load("/project", []Source{{Name: "main.hcl", Bytes: []byte(source)}})
	if len(diags) > 0 {
		t.Fatal(show(p, diags))
	}
	slot.TimeZone = "UTC"
	_, diags = p.ScheduleVars("s", slot)
	if !diags.HasErrors() || diags[0].Subject == nil || diags[0].Subject.Start.Line != 6 {
		t.Errorf("of a value that is no number: %v", diags)
	}
}

// TestScheduleLimits: a file cannot make its schedules take long.
func TestScheduleLimits(t *testing.T) {
	var b strings.Builder
	b.WriteString("step \"a\" { command = [\"true\"] }\n")
	for i := range maxSchedules + 3 {
		fmt.Fprintf(&b, "schedule \"s%d\" {\n  cron = \"0 0 29 2 */%d\"\n  jitter = \"1m\"\n}\n", i, i%6+1)
	}
	fmt.Fprintf(&b, "schedule \"many\" { cron = [%s] }\n", strings.Repeat("\"0 0 * * *\", ", maxCrons+1))
	p, diags := Load("/project", []Source{{Name: "main.hcl", Bytes: []byte(b.String())}})
	if len(p.Workflow.Schedules) != maxSchedules || len(diags) != 4 || diags[0].Summary != "Too many schedules" {
		t.Errorf("%d schedules, and\n%s", len(p.Workflow.Schedules), show(p, diags))
	}
}
