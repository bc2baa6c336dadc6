package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/instances"
)

// costWorkflow has ten tasks, five at a time, each of which needs a whole p4d.24xlarge:
// $21.957642 for an hour, in the price table.
const costWorkflow = `
workflow "costly" {
  max_parallel = 5
  %s
}
compute_environment "large" {
  type               = "EC2"
  instance_types     = ["p4d.24xlarge"]
  max_vcpus          = 960
  subnets            = ["subnet-1"]
  security_group_ids = ["sg-1"]
}
job_queue "q" {
  priority             = 1
  compute_environments = [compute_environment.large]
}
step "a" {
  for_each = range(10)
  command  = ["true"]
  resources {
    vcpus  = 96
    memory = "1 GiB"
  }
}
`

func costCloud(t *testing.T, budget, run string) *cloud {
	t.Helper()
	c := newCloud(t, "--runner", "instant", "--latency", "run="+run, "--vcpus", "960", "--memory", "1000GiB")
	c.write("w.hcl", fmt.Sprintf(costWorkflow, budget))
	return c
}

// The cost of a run of known length is right to the cent, and to the millionth of what the
// server says that its tasks took.
func TestBatchCost(t *testing.T) {
	t.Parallel()
	c := costCloud(t, "", "1300ms")
	plan := string(c.output(append([]string{"plan", "w.hcl"}, c.flags...)...))
	for _, want := range []string{"a        10           ?         $21.96     ?", "\nCost: $219.58 if each task of a takes an hour.\n", instances.Date} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan has no %q:\n%s", want, plan)
		}
	}
	c.run("w.hcl", "-no-cache")
	took := int64(0) // milliseconds
	for _, job := range c.jobs() {
		for i := range *job.ArrayProperties.Size {
			out, err := c.client.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{fmt.Sprintf("%s:%d", *job.JobId, i)}})
			if err != nil {
				t.Fatal(err)
			}
			took += aws.ToInt64(out.Jobs[0].StoppedAt) - aws.ToInt64(out.Jobs[0].StartedAt)
		}
	}
	var bill bill
	c.decode(&bill, "cost", "-json")
	if want := float64(took) / 3_600_000 * 21.957642; math.Abs(bill.USD-want) > 0.000002 { // each job is rounded
		t.Errorf("%d ms cost $%f, want $%f", took, bill.USD, want)
	}
	if h := bill.Hours * 3_600_000; math.Abs(h-float64(took)) > 0.5 {
		t.Errorf("%v ms, want %d", h, took)
	}
	// 10 tasks of 1.3 seconds are $0.0793.
	text := string(c.output("cost", "@last"))
	for _, want := range []string{"in all     10      0.00", " $21.96  $0.08          $0.00  $0.00\n", "An hour of a task is reckoned with p4d.24xlarge.", instances.Date} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in:\n%s", want, text)
		}
	}
	if status := string(c.output("status", "@last")); !strings.Contains(status, "\n  cost: about $0.08; see flow cost ") {
		t.Errorf("status says:\n%s", status)
	}
	var planned planJSON
	c.decode(&planned, append([]string{"plan", "w.hcl", "-no-cache", "-json"}, c.flags...)...)
	if p := planned.Cost; p == nil || !p.Complete || math.Abs(p.LowUSD-bill.USD) > 0.001 || math.Abs(p.HighUSD-bill.USD) > 0.001 {
		t.Errorf("planned again: %+v, and it was $%f", p, bill.USD)
	}
}

// A run over its budget pauses: nothing more is submitted, whoever looks, and flow resume
// goes on.
func TestBatchBudget(t *testing.T) {
	t.Parallel()
	c := costCloud(t, "budget { max_usd = 0.03 }", "1300ms")
	said := c.fails(exitTimedOut, append([]string{"run", "w.hcl", "-no-cache"}, c.flags...)...)
	// How much is spent when that is seen depends on when the driver looks.
	for _, want := range []string{" of the budget of $0.03\n", "  10 tasks: 5 succeeded, 5 pending\n", " (grants another $0.03), or flow resume ", " -max-usd 5\n", " paused: spent $0.0"} {
		if !strings.Contains(said, want) {
			t.Errorf("there is no %q in:\n%s", want, said)
		}
	}
	c.wantTasks(map[string]int{"PENDING": 5, "SUCCEEDED": 5})
	if said := c.fails(exitTimedOut, "wait", "@last"); !strings.Contains(said, " paused: spent $0.0") {
		t.Errorf("wait says:\n%s", said)
	}
	if p := c.status().Paused; p == nil || p.AllowedUSD != 0.03 || p.SpentUSD <= 0.03 || p.SpentUSD > 0.05 {
		t.Errorf("paused: %+v", p)
	}
	if list := string(c.output("list")); !strings.Contains(list, "\tRUNNING (paused)\t") {
		t.Errorf("list says:\n%s", list)
	}
	if said := string(c.output("explain", "@last/a[9]")); !strings.Contains(said, "the run is paused: spent $0.04 of the budget of $0.03; go on: flow resume ") {
		t.Errorf("explain says:\n%s", said)
	}
	if said := c.fails(exitProblem, "resume", "@last", "-max-usd", "0.01"); !strings.Contains(said, "the run has cost $0.04 already, which is not less than $0.01") {
		t.Errorf("resume says:\n%s", said)
	}
	if diff := cmp.Diff([]string{"array of 5"}, c.shape()); diff != "" {
		t.Errorf("jobs while it is paused (-want +got):\n%s", diff)
	}
	if said := c.fails(0, "resume", "@last"); !strings.Contains(said, "it may cost $0.07 in all, of which $0.04 is spent") {
		t.Errorf("resume says:\n%s", said)
	}
	c.wantTasks(map[string]int{"SUCCEEDED": 10})
	if got := c.status(); got.Paused != nil || got.CostUSD == nil || *got.CostUSD < 0.075 || *got.CostUSD > 0.085 {
		t.Errorf("%+v", got)
	}
	warned := string(c.output(append([]string{"plan", "w.hcl", "-no-cache"}, c.flags...)...))
	if !strings.Contains(warned, "\nWarning: the budget of $0.03 is less than the run costs, which is $0.08 at least.\n") {
		t.Errorf("plan says:\n%s", warned)
	}
}

// A budget may cancel the run: then what runs is ended.
func TestBatchBudgetCancels(t *testing.T) {
	t.Parallel()
	c := costCloud(t, `budget {
    max_usd   = 0.02
    on_exceed = "cancel"
  }`, time.Hour.String())
	said := c.fails(exitCancelled, append([]string{"run", "w.hcl", "-no-cache"}, c.flags...)...)
	if !strings.Contains(said, " of the budget of $0.02\n") {
		t.Errorf("run says:\n%s", said)
	}
	for _, j := range c.jobs() {
		if alive(j.Status) {
			t.Errorf("%s is %s", *j.JobName, j.Status)
		}
	}
	if got := c.status(); got.Cause != "budget" || got.Status.String() != "CANCELLED" {
		t.Errorf("%+v", got)
	}
	// What it may cost is looked at before anything is changed.
	if said := c.fails(exitProblem, "resume", "@last", "--failed", "-max-usd", "0.01"); !strings.Contains(said, "which is not less than $0.01") {
		t.Errorf("resume says:\n%s", said)
	}
	if got := c.status(); got.Status.String() != "CANCELLED" {
		t.Errorf("%+v", got)
	}
	said = c.fails(exitCancelled, "resume", "@last", "--failed")
	if !strings.Contains(said, "it may cost $0.0") || len(c.jobs()) != 2 {
		t.Errorf("%d jobs; resume says:\n%s", len(c.jobs()), said)
	}
}

// A paused run can be cancelled; nobody has to let it go on first.
func TestBatchBudgetThenCancel(t *testing.T) {
	t.Parallel()
	c := costCloud(t, "budget { max_usd = 0.03 }", "1300ms")
	c.fails(exitTimedOut, append([]string{"run", "w.hcl", "-no-cache"}, c.flags...)...)
	c.output("cancel", "@last")
	if got := c.status(); got.Status.String() != "CANCELLED" || got.Cause != engine.CauseUser || got.Paused != nil {
		t.Errorf("%+v", got)
	}
	c.wantTasks(map[string]int{"CANCELLED": 5, "SUCCEEDED": 5})
	if diff := cmp.Diff([]string{"array of 5"}, c.shape()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

// What a step has cost stays in the bill when the step is reset, and other jobs of its run
// may not have a price.
func TestBillAfterReset(t *testing.T) {
	run, err := engine.NewRun(&engine.Workflow{Name: "w", Steps: []*engine.Step{{Name: "a"}, {Name: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	rate := &engine.Rate{Hour: 36 * engine.USD, Of: "x"}
	one := &engine.Expanded{Size: 1, Groups: []*engine.TaskSpec{{Command: []string{"x"}}}}
	for _, e := range []engine.Event{
		{Kind: engine.RunStarted, Info: &engine.RunInfo{Run: "01k2", Executor: engine.ExecutorBatch}},
		{Kind: engine.StepExpanded, Step: "a", Expanded: one},
		{Kind: engine.JobPlanned, Step: "a", Job: 1, Tasks: engine.Upto(1), Plan: &engine.JobPlan{Name: "one", Attempt: 1, Rate: rate}},
		{Kind: engine.JobAccepted, Job: 1, JobID: "j"},
		{Kind: engine.TasksEnded, Step: "a", Job: 1, Tasks: engine.Upto(1), Outcome: engine.TaskFailed, Attempts: []int{1}, Started: engine.Times{1000}, Stopped: engine.Times{2000}},
		{Kind: engine.JobEnded, Job: 1},
		{Kind: engine.StepReset, Step: "a"},
	} {
		if err := run.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if b := billOf(run); b.total != run.Spent() || b.total != 10_000 || len(b.Steps) != 1 {
		t.Errorf("the bill is %v in %d steps, and %v is spent", b.total, len(b.Steps), run.Spent())
	}
}

// How long tasks take is told by runs on AWS Batch, whatever has run here since.
func TestBatchComparable(t *testing.T) {
	t.Parallel()
	c := newCloud(t, "--runner", "instant", "--latency", "run=1300ms")
	c.write("w.hcl", `
workflow "small" {}
step "a" {
  command = ["true"]
  resources {
    vcpus  = 1
    memory = "512 MiB"
  }
}
`)
	c.run("w.hcl", "-no-cache")
	c.output("run", "w.hcl", "-no-cache", "-executor", "local")
	plan := string(c.output(append([]string{"plan", "w.hcl", "-no-cache"}, c.flags...)...))
	for _, want := range []string{" 1.3s ", "tasks take as long as in the last run on AWS Batch"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan has no %q:\n%s", want, plan)
		}
	}
}
