package diagnose

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/batch/capacity"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// waits returns facts of a job that has been at the head of its queue for some time, in an
// environment where it fits.
func waits(age time.Duration, change ...func(*Facts)) Facts {
	f := Facts{
		Job:   Job{ID: "j1", Name: "work", Status: engine.JobRunnable, Since: now.Add(-age), Need: capacity.Need{VCPUs: 2, MemoryMiB: 4096, Platform: "EC2"}},
		Queue: &Queue{Name: "q", State: "ENABLED", Status: "VALID"},
		Environments: []Environment{{
			Environment: capacity.Environment{Name: "ce", Type: "EC2", MaxVCPUs: 16, InstanceTypes: []string{"m5.large"}}, State: "ENABLED", Status: "VALID",
		}},
		Front: []Front{{ID: "j1", Since: now.Add(-age)}},
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

func reason(text string) func(*Facts) { return func(f *Facts) { f.Job.Reason = text } }

func env(change func(*Environment)) func(*Facts) {
	return func(f *Facts) { change(&f.Environments[0]) }
}

func status(s engine.JobStatus) func(*Facts) { return func(f *Facts) { f.Job.Status = s } }

// TestDiagnose has a row for each code and each step of the procedure.
func TestDiagnose(t *testing.T) {
	const fits = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue."
	spot := func(bid int, price engine.Money) func(*Facts) {
		return func(f *Facts) {
			f.Region = "us-east-1"
			e := &f.Environments[0]
			e.Type, e.Bid = "SPOT", bid
			if price > 0 {
				e.Prices = []capacity.Price{{Type: "m5.large", Zone: "us-east-1a", Hour: price}}
			}
		}
	}
	inUse := func(vcpus float64) func(*Facts) { return func(f *Facts) { f.InUse = &vcpus } }
	instance := Instance{ID: "i-1", Status: "ACTIVE", Connected: true, VCPUs: 2, MemoryMiB: 7000, Awslogs: true}
	up := func(in Instance) func(*Facts) {
		return env(func(e *Environment) { e.Desired, e.Instances, e.Listed = 2, []Instance{in}, true })
	}
	for _, test := range []struct {
		name string
		in   Facts
		want []Cause // in order
		sure bool
		text string // a part of what is said, of evidence or of a fix
	}{
		{"runs", waits(time.Hour, status(engine.JobRunning)), nil, false, ""},
		{"ended", waits(time.Hour, status(engine.JobFailed)), nil, false, ""},

		// 1: dependencies.
		{"dependency", waits(time.Minute, status(engine.JobPending), func(f *Facts) {
			f.Job.DependsOn = []string{"d1"}
			f.Depends = []Job{{ID: "d1", Name: "before", Status: engine.JobRunning}}
		}), []Cause{Dependencies}, true, "before (d1) is RUNNING"},
		{"dependencies, to their beginning", waits(time.Minute, status(engine.JobPending), func(f *Facts) {
			f.Job.DependsOn = []string{"d1"}
			f.Depends = []Job{{ID: "d1", Name: "b", Status: engine.JobPending, DependsOn: []string{"d2"}}, {ID: "d2", Name: "a", Status: engine.JobRunnable, Reason: fits}}
		}), []Cause{Dependencies}, true, "at the beginning of what it waits for is a (d2) is RUNNABLE: MISCONFIGURATION"},
		{"dependency on an array", waits(time.Minute, status(engine.JobPending), func(f *Facts) {
			f.Job.DependsOn = []string{"d1"}
			f.Depends = []Job{{ID: "d1", Name: "b", Status: engine.JobPending, Size: 10, Summary: [7]int{engine.JobSucceeded: 4, engine.JobRunning: 6}}}
		}), []Cause{Dependencies}, true, "4 of 10 done, 6 running"},
		{"nothing left to wait for", waits(time.Minute, status(engine.JobPending)), []Cause{Scheduler}, false, "has not moved it on"},

		// 2: array parents.
		{"array", waits(time.Minute, status(engine.JobPending), func(f *Facts) {
			f.Job.Size, f.Job.Summary = 100, [7]int{engine.JobSucceeded: 38, engine.JobFailed: 2, engine.JobRunning: 10, engine.JobRunnable: 50}
		}), []Cause{ArrayGoesOn}, true, "not stuck: 40 of 100 done (2 failed), 10 running, 50 in the queue"},
		{"array, none runs", waits(time.Minute, status(engine.JobPending), func(f *Facts) {
			f.Job.Size, f.Job.Summary = 100, [7]int{engine.JobRunnable: 100}
		}), []Cause{ArrayGoesOn}, true, "none of the array runs"},
		{"array that depends", waits(time.Minute, status(engine.JobPending), func(f *Facts) {
			f.Job.Size, f.Job.DependsOn = 100, []string{"d1"}
			f.Depends = []Job{{ID: "d1", Name: "before", Status: engine.JobRunning}}
		}), []Cause{Dependencies}, true, "before (d1) is RUNNING"},

		{"submitted", waits(time.Hour, status(engine.JobSubmitted)), []Cause{Scheduler}, false, "after 1h"},
		{"submitted to a queue that is off", waits(time.Hour, status(engine.JobSubmitted), func(f *Facts) { f.Queue.State = "DISABLED" }), []Cause{Scheduler, QueueDisabled}, false, "--state ENABLED"},

		// 3: codes.
		{"code: requirement, just now", waits(2*time.Minute, reason(fits)), []Cause{TooLarge}, false, "may be passing: no instance"},
		{"code: requirement, for long", waits(11*time.Minute, reason(fits)), []Cause{TooLarge, NoScaling}, false, "by flow's own arithmetic it fits on m5.large"},
		{"code: requirement, for long, and instances do not join", waits(11*time.Minute, reason(fits), env(func(e *Environment) { e.Desired, e.Listed = 2, true })), []Cause{InstancesAbsent}, true, "no instance has joined"},
		{"code: requirement, not for long, of types that are not known", waits(dwell-time.Second, reason(fits), env(func(e *Environment) { e.InstanceTypes = []string{"zz9"} })), []Cause{TooLarge, NoScaling}, false, "for 9m59s, and it is believed after 10m"},
		{"code: requirement, for long, of types that are not known", waits(dwell, reason(fits), env(func(e *Environment) { e.InstanceTypes = []string{"zz9"} })), []Cause{TooLarge}, true, "at the head of the queue for 10m"},
		{"code: requirement, by arithmetic", waits(time.Minute, reason(fits), func(f *Facts) { f.Job.Need.MemoryMiB = 9000 }), []Cause{TooLarge}, true, "AWS Batch says so as well"},
		{"code: requirement, no snapshot", waits(11*time.Minute, reason(fits), func(f *Facts) { f.Front = nil }), []Cause{TooLarge, NoScaling}, false, "11m"},
		{"code: max vCPUs", waits(time.Minute, reason("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job.")), []Cause{MaxVCPUs}, true, "max_vcpus"},
		{"code: capacity", waits(time.Minute, reason("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [m5.large]")), []Cause{NoCapacity}, true, "more instance types"},
		{"code: configuration", waits(time.Minute, reason("MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED - x")), []Cause{BadInstances}, true, "ec2_configuration"},
		{"code: service role", waits(time.Minute, reason("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS – Batch service role has a permission issue.")), []Cause{ServiceRole}, true, "AWSServiceRoleForBatch"},
		{"code: invalid", waits(time.Minute, reason("ACTION_REQUIRED - CE(s) associated with the job queue are invalid.")), []Cause{EnvInvalid}, true, "flow doctor"},
		{"code: undetermined", waits(time.Minute, reason("UNDETERMINED - Batch job is blocked, root cause is undetermined.")), []Cause{Undetermined}, false, "may be passing"},

		// 4: the queue.
		{"queue off", waits(time.Minute, func(f *Facts) { f.Queue.State = "DISABLED" }), []Cause{Scaling, QueueDisabled}, false, "job queue q is DISABLED: it takes no new jobs, and those that it has go on"},
		{"queue off, and full", waits(time.Minute, inUse(15), func(f *Facts) { f.Queue.State = "DISABLED" }), []Cause{Busy}, true, "the queue is full"},
		{"queue invalid", waits(time.Minute, func(f *Facts) { f.Queue.Status, f.Queue.Reason = "INVALID", "why" }), []Cause{QueueInvalid}, true, "why"},
		{"queue deleted", waits(time.Minute, func(f *Facts) { f.Queue.Status = "DELETING" }), []Cause{QueueInvalid}, true, "is DELETING"},
		{"queue updating", waits(time.Minute, func(f *Facts) { f.Queue.Status = "UPDATING" }), []Cause{Scaling}, false, "within some minutes"},

		// 5: environments.
		{"no environment", waits(time.Minute, func(f *Facts) { f.Environments = nil }), []Cause{NoEnvironment}, true, "compute_environments"},
		{"environment off", waits(time.Minute, env(func(e *Environment) { e.State = "DISABLED" })), []Cause{EnvDisabled}, true, "compute environment ce is DISABLED"},
		{"environment invalid", waits(time.Minute, env(func(e *Environment) {
			e.Status, e.Reason = "INVALID", "CLIENT_ERROR - Not authorized to perform sts:AssumeRole (Service: AWSSecurityTokenService; Status Code: 403)"
		})), []Cause{EnvInvalid}, true, "sts:AssumeRole"},
		{"environments off and invalid", waits(time.Minute, func(f *Facts) {
			f.Environments = append(f.Environments, f.Environments[0])
			f.Environments[0].State, f.Environments[1].Status, f.Environments[1].Name = "DISABLED", "INVALID", "ce2"
		}), []Cause{EnvInvalid}, true, "none of the compute environments of the queue takes jobs"},
		{"one of two off", waits(time.Minute, func(f *Facts) {
			f.Environments = append(f.Environments, f.Environments[0])
			f.Environments[0].State = "DISABLED"
		}), []Cause{Scaling}, false, "within some minutes"},
		{"environments not looked at", waits(time.Minute, func(f *Facts) { f.Queue, f.Environments = nil, nil }), []Cause{Scaling}, false, "within some minutes"},

		// 6 to 8: arithmetic.
		{"max vCPUs", waits(time.Minute, func(f *Facts) { f.Job.Need.VCPUs = 17 }), []Cause{MaxVCPUs}, true, "Raise max_vcpus of ce to 17"},
		{"too much memory", waits(time.Minute, func(f *Facts) { f.Job.Need.MemoryMiB = 8192 }), []Cause{TooLarge}, true, "of its 8192 MiB the system and the agent of ECS keep some"},
		{"GPU", waits(time.Minute, func(f *Facts) { f.Job.Need.GPUs = 1 }), []Cause{TooLarge}, true, "no instance type of ce (m5.large) has one"},
		{"architecture", waits(time.Minute, func(f *Facts) { f.Job.Need.Arch = "ARM64" }), []Cause{TooLarge}, true, "the job is for ARM64"},
		{"platform", waits(time.Minute, func(f *Facts) { f.Job.Need.Platform = "FARGATE" }), []Cause{Misplaced}, true, `platform = "EC2"`},
		{"Fargate pair", waits(time.Minute, func(f *Facts) {
			f.Job.Need.Platform, f.Job.Need.MemoryMiB, f.Environments[0].Type = "FARGATE", 5000, "FARGATE"
		}), []Cause{TooLarge}, true, "has no tasks of 2 vCPUs and 5000 MiB"},
		{"in none of two", waits(time.Minute, func(f *Facts) {
			f.Environments = append(f.Environments, f.Environments[0])
			f.Job.Need.VCPUs, f.Environments[1].MaxVCPUs = 17, 4
		}), []Cause{MaxVCPUs}, true, "no compute environment of the queue can ever hold it"},
		{"in one of two", waits(time.Minute, func(f *Facts) {
			f.Environments = append(f.Environments, f.Environments[0])
			f.Environments[0].MaxVCPUs = 1
		}), []Cause{Scaling}, false, "within some minutes"},

		// 9: all in use.
		{"busy", waits(time.Minute, inUse(15), func(f *Facts) { f.Running = &Running{Jobs: 5, Names: []string{"a", "b", "c"}} }), []Cause{Busy}, true, "running: a, b, c, and 2 more"},
		{"busy, second in the queue", waits(time.Minute, inUse(15), func(f *Facts) {
			f.Front = []Front{{"h", now}, {"j1", now}}
		}), []Cause{Busy}, true, "it is number 2 in the queue"},
		{"not busy", waits(time.Minute, inUse(14)), []Cause{Scaling}, false, ""},
		{"as large as may be", waits(time.Minute, env(func(e *Environment) { e.Desired = 16 })), []Cause{Busy, Scaling}, false, "as large as they may be (16 vCPUs)"},

		{"as large as may be, by another queue", waits(time.Minute, inUse(2), env(func(e *Environment) { e.Desired = 16 })), []Cause{Busy, Scaling}, false, "as large as they may be (16 vCPUs)"},
		{"the machine of flow emulate", waits(time.Minute, inUse(2), func(f *Facts) { f.Near = true }), []Cause{Busy}, true, "this machine, which stands in for AWS Batch, has no room: 2 vCPUs are in use"},

		// 10: others first.
		{"behind", waits(time.Minute, func(f *Facts) {
			f.Front, f.Head = []Front{{"h", now.Add(-time.Minute)}, {"x", now}, {"j1", now}}, &Job{ID: "h", Name: "head", Status: engine.JobRunnable}
		}), []Cause{BehindOthers}, true, "it is number 3 in the queue: the job at its head, head (h)"},
		{"behind one that is stuck", waits(time.Minute, func(f *Facts) {
			f.Front, f.Head = []Front{{"h", now.Add(-time.Hour)}, {"j1", now}}, &Job{ID: "h", Name: "head", Status: engine.JobRunnable, Reason: fits, Need: capacity.Need{VCPUs: 2, MemoryMiB: 1 << 20}}
		}), []Cause{TooLarge, BehindOthers}, true, "aws batch terminate-job --job-id h"},
		{"behind one that is stuck, just now", waits(time.Minute, func(f *Facts) {
			f.Front, f.Head = []Front{{"h", now.Add(-time.Minute)}, {"j1", now}}, &Job{ID: "h", Name: "head", Status: engine.JobRunnable, Reason: "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - x"}
		}), []Cause{NoCapacity, BehindOthers}, true, "AWS Batch says of the job at the head of the queue, head (h): CAPACITY"},
		{"behind one whose code may pass", waits(time.Minute, func(f *Facts) {
			f.Front, f.Head = []Front{{"h", now.Add(-time.Minute)}, {"j1", now}}, &Job{ID: "h", Name: "head", Status: engine.JobRunnable, Reason: fits}
		}), []Cause{TooLarge, BehindOthers}, false, "may be passing: no instance"},
		{"behind a hundred", waits(time.Minute, func(f *Facts) {
			f.Front, f.Head = slices.Repeat([]Front{{"h", now}}, mostFront), &Job{ID: "h", Name: "head"}
		}), []Cause{BehindOthers}, true, "at least 100 jobs are before it"},
		{"its array is the head", waits(time.Minute, func(f *Facts) { f.Job.ID = "j1:7" }), []Cause{Scaling}, false, ""},

		// 11 to 13: instances.
		{"instances on their way", waits(time.Minute, env(func(e *Environment) { e.Desired, e.Listed = 2, true })), []Cause{Scaling}, false, "is starting instances"},
		{"instances do not join", waits(11*time.Minute, env(func(e *Environment) { e.Desired, e.Listed = 2, true })), []Cause{InstancesAbsent}, true, "port 443"},
		{"instances not looked at", waits(11*time.Minute, env(func(e *Environment) { e.Desired = 2 })), []Cause{Scaling}, false, "could not be looked at"},
		{"agents gone", waits(11*time.Minute, up(Instance{ID: "i-1", Status: "ACTIVE"})), []Cause{AgentsGone}, true, "connected on none"},
		{"agents gone, since it drains", waits(11*time.Minute, up(Instance{ID: "i-1", Status: "DRAINING", Connected: true, VCPUs: 2, MemoryMiB: 7000, Awslogs: true})), []Cause{AgentsGone}, true, "connected on none"},
		{"no GPU left", waits(6*time.Minute, up(instance), env(func(e *Environment) { e.InstanceTypes = []string{"g5.xlarge"} }), func(f *Facts) { f.Job.Need.GPUs = 1 }), []Cause{Scaling}, false, "have no room for"},
		{"no log driver", waits(time.Minute, up(Instance{ID: "i-1", Connected: true, VCPUs: 2, MemoryMiB: 7000})), []Cause{NoLogDriver}, true, "ECS_AVAILABLE_LOGGING_DRIVERS"},
		{"another log driver", waits(time.Minute, up(Instance{ID: "i-1", Connected: true, VCPUs: 2, MemoryMiB: 7000}), func(f *Facts) { f.Job.LogDriver = "json-file" }), []Cause{Scaling}, false, ""},
		{"room, and not placed", waits(6*time.Minute, up(instance)), []Cause{NotPlaced}, false, "attributes of the container instance"},
		{"room, placed soon", waits(time.Minute, up(instance)), []Cause{Scaling}, false, "within some minutes"},
		{"no room", waits(time.Hour, up(Instance{ID: "i-1", Connected: true, VCPUs: 1, MemoryMiB: 7000, Awslogs: true})), []Cause{Scaling}, false, "have no room for 2 vCPUs and 4096 MiB"},
		{"wants none", waits(6 * time.Minute), []Cause{NoScaling}, false, "AWSServiceRoleForBatch"},
		{"wants none yet", waits(time.Minute), []Cause{Scaling}, false, "it waits for 1m"},
		{"Fargate", waits(time.Hour, func(f *Facts) { f.Job.Need.Platform, f.Environments[0].Type = "FARGATE", "FARGATE" }), []Cause{Scaling}, false, ""},

		// 14: consumable resources.
		{"consumable", waits(time.Minute, func(f *Facts) { f.Consumables = []Consumable{{"licences", 2, 1, 8, true}} }), []Cause{ConsumableGone}, true, "it wants 2, and 1 of 8 are free"},
		{"consumable, PENDING", waits(time.Minute, status(engine.JobPending), func(f *Facts) { f.Consumables = []Consumable{{"licences", 9, 1, 8, true}} }), []Cause{ConsumableGone}, true, "there are only 8"},
		{"consumable, used up", waits(time.Minute, func(f *Facts) { f.Consumables = []Consumable{{"credits", 2, 1, 8, false}} }), []Cause{ConsumableGone}, true, "--operation ADD"},
		{"consumable there", waits(time.Minute, func(f *Facts) { f.Consumables = []Consumable{{"licences", 2, 2, 8, true}} }), []Cause{Scaling}, false, ""},

		// 15: shares.
		{"shares", waits(time.Minute, inUse(16), func(f *Facts) {
			f.Shares, f.Job.Share = []Share{{"lab", 16}, {"flow", 0}}, "flow"
			f.Policy = &Policy{"fair", 10, map[string]float64{"lab": 0.5}}
		}), []Cause{Busy, FairShare}, true, "share lab has 16 vCPUs, weight 0.5"},

		// The price of Spot.
		{"Spot too dear", waits(time.Minute, spot(30, 40_000)), []Cause{SpotPrice}, true, "m5.large costs $0.0400 an hour in us-east-1a now, and ce pays at most $0.0288 (30 % of $0.0960)"},
		{"Spot cheap enough", waits(time.Minute, spot(50, 40_000)), []Cause{Scaling}, false, ""},
		{"Spot, dearer region", waits(time.Minute, spot(30, 30_000), func(f *Facts) { f.Region = "eu-west-1" }), []Cause{Scaling}, false, ""},
		{"Spot, too dear in any region", waits(time.Minute, spot(30, 50_000), func(f *Facts) { f.Region = "sa-east-1" }), []Cause{SpotPrice}, false, "m5.large costs $0.0500"},
		{"Spot too dear, of types that are known", waits(time.Minute, spot(30, 40_000), env(func(e *Environment) { e.InstanceTypes = []string{"zz9", "m5.large"} })), []Cause{SpotPrice}, false, "m5.large costs"},
		{"Spot too dear, and what is on demand is too small", waits(time.Minute, spot(30, 40_000), func(f *Facts) {
			f.Environments = append(f.Environments, Environment{Environment: capacity.Environment{Name: "small", Type: "EC2", MaxVCPUs: 1, InstanceTypes: []string{"m5.large"}}, State: "ENABLED", Status: "VALID"})
		}), []Cause{SpotPrice}, true, "m5.large costs"},
		{"Spot, prices not known", waits(11*time.Minute, spot(30, 0), env(func(e *Environment) { e.Desired = 2 })), []Cause{SpotPrice, Scaling}, false, "ce pays at most 30 % of the on-demand price"},
		{"Spot without a ceiling", waits(time.Minute, spot(100, 90_000)), []Cause{Scaling}, false, ""},

		// STARTING.
		{"starts", waits(time.Minute, status(engine.JobStarting), func(f *Facts) { f.Job.Image = "lab/tools:1" }), []Cause{Starts}, false, "lab/tools:1 is pulled"},
		{"starts for long", waits(11*time.Minute, status(engine.JobStarting)), []Cause{SlowStart}, false, "large image"},
	} {
		got := Diagnose(test.in, now)
		var causes []Cause
		var all strings.Builder
		sure := len(got) > 0
		for _, f := range got {
			causes = append(causes, f.Cause)
			sure = sure && f.Sure
			for _, line := range slices.Concat([]string{f.Says()}, f.Evidence, f.Fix) {
				all.WriteString(line + "\n")
				if line == "" || strings.Contains(line, "  ") {
					t.Errorf("%s: a line is %q", test.name, line)
				}
			}
		}
		if d := cmp.Diff(test.want, causes); d != "" || sure != test.sure || !strings.Contains(all.String(), test.text) {
			t.Errorf("%s: sure is %v, want %v and %q in\n%s%s", test.name, sure, test.sure, test.text, all.String(), d)
		}
	}
}

// What is in use is told in vCPUs; in other units it is not what max_vcpus is of.
func TestUse(t *testing.T) {
	for unit, want := range map[string]bool{"VCPU": true, "cpu": false} {
		var g gathering
		g.use(&types.QueueSnapshotUtilizationDetail{TotalCapacityUsage: []types.QueueSnapshotCapacityUsage{{CapacityUnit: &unit, Quantity: new(3.0)}}})
		if got := g.facts.InUse; (got != nil) != want {
			t.Errorf("%s: %v", unit, got)
		}
	}
}
