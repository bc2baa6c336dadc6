package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	batchtypes "github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/google/go-cmp/cmp"

	"flow/cmd/flow/internal/head"
	"flow/executor/executortest/fetched"
	scheduled "flow/executor/scheduler"
	"flow/state"
)

// A deployBench is an account: AWS Batch by flow emulate, S3 by versitygw, and moto for
// EventBridge Scheduler, IAM and STS.
type deployBench struct {
	*cloud
	server    *fetched.S3Server
	temp      string // of heads
	scheduler *scheduler.Client
	iam       *iam.Client
	place     string   // the directory of the deployment
	deploys   []string // flags of deploy
}

func newDeployBench(t *testing.T, workflow string, emulate ...string) *deployBench {
	t.Helper()
	server := fetched.S3(t)
	server.MakeBucket("lab")
	temp := t.TempDir()
	moto := fetched.Moto(t)
	for _, v := range append(server.Env(), "TMPDIR="+temp) {
		emulate = append(emulate, "--task-env", v)
	}
	emulate = append(emulate, "--vcpus", "8", "--memory", "16GiB") // heads and tasks at a time
	b := &deployBench{cloud: newCloud(t, emulate...), server: server, temp: temp}
	b.cloud.env = append(server.Env(), "AWS_ENDPOINT_URL_IAM="+moto, "AWS_ENDPOINT_URL_STS="+moto, "AWS_ENDPOINT_URL_SCHEDULER="+moto)
	b.scheduler = scheduler.New(scheduler.Options{Region: "us-east-1", BaseEndpoint: &moto, Credentials: keys("key", "secret")})
	b.iam = iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: &moto, Credentials: keys("key", "secret")})
	b.place = filepath.Join(server.Dir, "lab", "flow", "deploy", workflow)
	b.deploys = []string{"-endpoint", b.url, "-queue", "q", "-image", "busybox", "-agent-image", "flow:1", "-work-dir", "s3://lab/flow"}
	return b
}

// schedule runs flow schedule with flags of deploy, if they are for it.
func (b *deployBench) schedule(args ...string) string {
	b.killBench.t.Helper()
	if args[0] == "deploy" {
		args = append(args, b.deploys...)
	} else {
		args = append(args, "-endpoint", b.url)
	}
	return string(b.output(append([]string{"schedule"}, args...)...))
}

// schedules returns the schedules that are there, by name.
func (b *deployBench) schedules() map[string]*scheduler.GetScheduleOutput {
	t := b.killBench.t
	t.Helper()
	out := map[string]*scheduler.GetScheduleOutput{}
	list, err := b.scheduler.ListSchedules(t.Context(), &scheduler.ListSchedulesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Schedules {
		if out[*s.Name], err = b.scheduler.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: s.Name, GroupName: s.GroupName}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// deliver submits the job of a schedule for a slot, as EventBridge Scheduler does, and returns
// its id.
func (b *deployBench) deliver(schedule string, slot time.Time) string {
	t := b.killBench.t
	t.Helper()
	s := b.schedules()[schedule]
	if s == nil {
		t.Fatalf("there is no schedule %s", schedule)
	}
	if arn := aws.ToString(s.Target.Arn); arn != "arn:aws:scheduler:::aws-sdk:batch:submitJob" {
		t.Fatalf("the target is %s", arn)
	}
	var in batch.SubmitJobInput
	text := strings.ReplaceAll(*s.Target.Input, "<aws.scheduler.scheduled-time>", slot.UTC().Format(time.RFC3339))
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	out, err := b.client.SubmitJob(t.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.JobId
}

// job waits until a job has ended, and returns how.
func (b *deployBench) job(id string) batchtypes.JobDetail {
	t := b.killBench.t
	t.Helper()
	var job batchtypes.JobDetail
	until(t, func() bool {
		out, err := b.client.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		job = out.Jobs[0]
		return !alive(job.Status)
	})
	return job
}

// succeeds waits until a job has succeeded.
func (b *deployBench) succeeds(id string) {
	b.killBench.t.Helper()
	if job := b.job(id); job.Status != succeeded {
		b.killBench.t.Fatalf("the head is %s: %s\n%s", job.Status, aws.ToString(job.StatusReason), b.log(job))
	}
}

// log returns what a job has written.
func (b *deployBench) log(job batchtypes.JobDetail) string {
	cmd := b.command("logs", "-endpoint", b.url, *job.JobId)
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// seat returns what heads have left of who drives.
func (b *deployBench) seat() *head.Document {
	t := b.killBench.t
	t.Helper()
	d := &head.Document{}
	text, err := os.ReadFile(filepath.Join(b.place, "head.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// published returns the runs and slots of the state that heads have left on S3.
func (b *deployBench) published() ([]state.Run, []state.Slot) {
	t := b.killBench.t
	t.Helper()
	d := b.seat()
	if d.Owner != nil || d.State == nil {
		t.Fatalf("the seat is %+v", d)
	}
	data, err := os.ReadFile(filepath.Join(b.place, "state", filepath.Base(d.State.URI)))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(path, state.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	runs, err := db.Runs(t.Context(), state.RunFilter{})
	if err != nil {
		t.Fatal(err)
	}
	slots, err := db.Slots(t.Context(), state.SlotFilter{})
	if err != nil {
		t.Fatal(err)
	}
	return runs, slots
}

// roles returns the names of the roles that are there.
func (b *deployBench) roles() (names []string) {
	t := b.killBench.t
	t.Helper()
	out, err := b.iam.ListRoles(t.Context(), &iam.ListRolesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range out.Roles {
		names = append(names, *r.RoleName)
	}
	slices.Sort(names)
	return names
}

const deployWorkflow = `
workflow "day" {}
schedule "daily" {
  cron      = "30 4 * * *"
  time_zone = "Europe/Berlin"
  vars      = { day = formatdate("YYYY-MM-DD", schedule.time) }
}
schedule "often" {
  cron         = ["*/15 8-18 1 * mon-fri"]
  overlap      = "queue"
  start_within = "2h"
  jitter       = "90s"
  enabled      = false
}
variable "day" {
  type    = string
  default = "none"
}
step "note" {
  inputs = { words = "words.txt" }
  script = "echo $day > $out; cat $words >> $out"
  env    = { day = var.day }
  output "out" { file = "note.txt" }
}
step "count" {
  inputs = { note = step.note.outputs.out }
  script = "wc -l < $note > $out"
  output "out" { file = "count.txt" }
}
`

// deploy makes what -dry-run says, its head job makes one run of a slot that is delivered
// twice, and undeploy leaves nothing.
func TestScheduleDeploy(t *testing.T) {
	t.Parallel()
	b := newDeployBench(t, "day")
	b.write("day.hcl", deployWorkflow)
	b.write("words.txt", "one\ntwo\n")

	dry := b.schedule("deploy", "day.hcl", "-dry-run", "-json")
	var plan struct {
		Changes []struct{ Action, Kind, Name string }
		Bundle  struct{ Files []string }
	}
	if err := json.Unmarshal([]byte(dry), &plan); err != nil {
		t.Fatalf("%v: %s", err, dry)
	}
	var says []string
	for _, c := range plan.Changes {
		says = append(says, c.Action+" "+c.Kind+" "+c.Name)
	}
	want := []string{
		"create role flow-day-us-east-1-scheduler", "create role flow-day-us-east-1-head", "create job definition flow-head-day",
		"create schedule group flow-day", "create schedule daily", "create schedule often", "create schedule often.2",
	}
	if d := cmp.Diff(want, says); d != "" {
		t.Errorf("-dry-run (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{".flow-deploy.json", "day.hcl", "words.txt"}, plan.Bundle.Files); d != "" {
		t.Errorf("the bundle (-want +got):\n%s", d)
	}
	if len(b.schedules()) > 0 || len(b.roles()) > 0 || len(objects(t, b.server)) > 0 {
		t.Fatal("-dry-run has made something")
	}

	b.schedule("deploy", "day.hcl")
	if again := b.schedule("deploy", "day.hcl"); !strings.Contains(again, "Nothing is to be done.") {
		t.Errorf("deployed again:\n%s", again)
	}
	b.judge()

	slot := time.Date(2026, 3, 2, 3, 30, 0, 0, time.UTC)
	b.succeeds(b.deliver("daily", slot))
	b.succeeds(b.deliver("daily", slot))
	runs, slots := b.published()
	if len(runs) != 1 || runs[0].Status.String() != "SUCCEEDED" || runs[0].Schedule != "day/daily" || !runs[0].Slot.Equal(slot) {
		t.Errorf("the runs are %+v", runs)
	}
	if len(slots) != 1 || slots[0].Status != state.SlotStarted || slots[0].Run != runs[0].ID {
		t.Errorf("the slots are %+v", slots)
	}
	note, err := os.ReadFile(filepath.Join(b.server.Dir, "lab", "flow", string(runs[0].ID), "note", "_", "1", "note.txt"))
	if err != nil || string(note) != "2026-03-02\none\ntwo\n" {
		t.Errorf("the note is %q, %v; objects: %v", note, err, objects(t, b.server))
	}
	// The next day another head goes on with the same state.
	b.succeeds(b.deliver("daily", slot.AddDate(0, 0, 1)))
	if runs, _ := b.published(); len(runs) != 2 {
		t.Errorf("the runs are %+v", runs)
	}

	b.write("day.hcl", strings.Replace(strings.Replace(deployWorkflow, "30 4 * * *", "40 4 * * *", 1), `cron         = ["*/15 8-18 1 * mon-fri"]`, `cron         = ["*/15 8-18 1 * *"]`, 1))
	changed := b.schedule("deploy", "day.hcl")
	for _, line := range []string{"~ job definition flow-head-day", "~ schedule daily (description, expression)", "- schedule often.2", "0 to create, 3 to change, 1 to delete."} {
		if !strings.Contains(changed, line) {
			t.Errorf("deployed after a change, it does not say %q:\n%s", line, changed)
		}
	}

	b.schedule("undeploy", "day.hcl")
	if len(b.schedules()) > 0 || len(b.roles()) > 0 {
		t.Errorf("there are still %v, %v", b.schedules(), b.roles())
	}
	if again := b.schedule("undeploy", "-workflow", "day"); !strings.Contains(again, "Nothing is to be done.") {
		t.Errorf("undeployed again:\n%s", again)
	}
}

// judge looks at what deploy has made of deployWorkflow.
func (b *deployBench) judge() {
	t := b.killBench.t
	t.Helper()
	type seen struct{ Expression, Zone, State, Window, Retries, Input string }
	got := map[string]seen{}
	for name, s := range b.schedules() {
		window := string(s.FlexibleTimeWindow.Mode)
		if n := s.FlexibleTimeWindow.MaximumWindowInMinutes; n != nil {
			window += fmt.Sprint(" ", *n)
		}
		retries := fmt.Sprint(*s.Target.RetryPolicy.MaximumEventAgeInSeconds, "s ", *s.Target.RetryPolicy.MaximumRetryAttempts)
		got[name] = seen{*s.ScheduleExpression, *s.ScheduleExpressionTimezone, string(s.State), window, retries, *s.Target.Input}
		if want := "arn:aws:iam::123456789012:role/flow-day-us-east-1-scheduler"; *s.Target.RoleArn != want {
			t.Errorf("schedule %s has the role %s, want %s", name, *s.Target.RoleArn, want)
		}
	}
	input := func(schedule string) string {
		return `{"JobName":"flow-head-day-` + schedule + `","JobQueue":"q","JobDefinition":"flow-head-day","Parameters":{"schedule":"` + schedule + `","slot":"` + scheduled.SlotArgument + `"}}`
	}
	want := map[string]seen{
		"daily":   {"cron(30 4 * * ? *)", "Europe/Berlin", "ENABLED", "OFF", "86400s 185", input("daily")},
		"often":   {"cron(0/15 8-18 1 * ? *)", "UTC", "DISABLED", "FLEXIBLE 2", "7200s 185", input("often")},
		"often.2": {"cron(0/15 8-18 ? * 2-6 *)", "UTC", "DISABLED", "FLEXIBLE 2", "7200s 185", input("often")},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("schedules (-want +got):\n%s", d)
	}
	policy, err := b.iam.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: aws.String("flow-day-us-east-1-scheduler"), PolicyName: aws.String("flow")})
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"batch%3ASubmitJob", "job-definition/flow-head-day", "job-queue/q"} {
		if !strings.Contains(*policy.PolicyDocument, what) {
			t.Errorf("the policy of schedules has no %s: %s", what, *policy.PolicyDocument)
		}
	}
}
