package dsl

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flow/engine"
)

var infraOptions = cmp.Options{cmpopts.IgnoreFields(engine.Block{}, "Pos"), cmpopts.EquateEmpty()}

func wantInfra() *engine.Infra {
	return &engine.Infra{
		Environments: []*engine.ComputeEnvironment{{
			Block: engine.Block{Label: "spot", Name: "flow-lab-spot", Tags: map[string]string{"team": "lab"}}, Type: engine.TypeSpot, Disabled: true,
			AllocationStrategy: "SPOT_PRICE_CAPACITY_OPTIMIZED", MinVCPUs: 1, DesiredVCPUs: new(2), MaxVCPUs: 256, InstanceTypes: []string{"c6i", "m6i.large", "optimal"},
			BidPercentage: 60, Subnets: []string{"subnet-1", "subnet-2"}, SecurityGroups: []string{"sg-1"}, InstanceRole: "arn:aws:iam::123456789012:instance-profile/mine",
			ServiceRole: "arn:aws:iam::123456789012:role/batch", SpotFleetRole: "spotfleet", EC2KeyPair: "key", PlacementGroup: "close",
			InstanceTags: map[string]string{"Name": "flow"}, CreateRoles: true, LaunchTemplate: &engine.LaunchTemplate{Name: "template", Version: "$Latest"},
			EC2Configuration:      []engine.EC2Configuration{{ImageType: "ECS_AL2023", ImageID: "ami-1"}, {ImageType: "ECS_AL2023_NVIDIA"}},
			ScaleDownDelayMinutes: 20, TerminateJobsOnUpdate: true, JobExecutionTimeoutMinutes: 60,
		}, {
			Block: engine.Block{Label: "nodes", Name: "nodes"}, Type: engine.TypeEC2, AllocationStrategy: "BEST_FIT_PROGRESSIVE", MaxVCPUs: 8,
			InstanceTypes: []string{"m6g"}, Subnets: []string{"subnet-1"}, InstanceRole: "nodes", LaunchTemplate: &engine.LaunchTemplate{ID: "lt-1"},
			EC2Configuration: []engine.EC2Configuration{{ImageType: "EKS_AL2023", KubernetesVersion: "1.33"}},
			EKSCluster:       "arn:aws:eks:eu-west-1:123456789012:cluster/lab", EKSNamespace: "batch",
		}, {Block: engine.Block{Label: "old", Name: "made-by-hand", Existing: true}}},
		Queues: []*engine.JobQueue{{
			Block: engine.Block{Label: "work", Name: "flow-lab-work", Tags: map[string]string{"env": "flow-lab-spot"}}, Priority: 10, Disabled: true,
			Environments: []string{"flow-lab-spot", "made-by-hand", "arn:aws:batch:eu-west-1:123456789012:compute-environment/x"}, Policy: "fair",
			Limits: []engine.StateLimit{{Reason: "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", State: "RUNNABLE", Action: "CANCEL", After: 30 * time.Minute}},
		}},
		Definitions: []*engine.JobDefinition{{
			Block: engine.Block{Label: "tools", Name: "tools", Tags: map[string]string{"team": "x"}}, PropagateTags: true, CreateRoles: true,
			Spec: &engine.TaskSpec{
				Image: "debian:13", Command: []string{"echo", "Ref::word"}, Parameters: map[string]string{"word": "hi"}, Env: map[string]string{"A": "1"},
				Secrets: map[string]string{"TOKEN": "ssm:token"}, Timeout: time.Hour, Priority: 7, Tags: map[string]string{"team": "x"},
				Resources:   []engine.Resources{{VCPUs: 2, MemoryMiB: 4096, GPUs: 1}},
				Consumables: []engine.Consumable{{Resource: "arn:aws:batch:eu-west-1:123456789012:consumable-resource/tokens", Quantity: 1}, {Resource: "license", Quantity: 2}},
				Retry:       engine.Retry{Attempts: 3, Rules: []engine.RetryRule{{Class: "spot", StatusReason: "Host EC2*"}, {Class: "bad", ExitCode: "2", Exit: true}}},
				Container: &engine.Container{
					User: "1000", JobRole: "job", ExecutionRole: "exec", InitProcess: true, Platform: "EC2", LogDriver: "awslogs",
					Volumes: []engine.Volume{{Name: "ref", EFS: "fs-1", Path: "/ref"}},
				},
			},
		}},
		Policies: []*engine.SchedulingPolicy{{
			Block: engine.Block{Label: "fair", Name: "fair", Tags: map[string]string{"a": "b"}}, ShareDecay: 10 * time.Minute, ComputeReservation: 5,
			Shares: []engine.Share{{Identifier: "lab*", Weight: 0.5}, {Identifier: "other"}},
		}},
		Consumables: []*engine.ConsumableResource{{
			Block: engine.Block{Label: "license", Name: "license", Tags: map[string]string{"a": "b"}}, Total: 10, NonReplenished: true,
		}},
	}
}

// TestInfra: every argument arrives from both syntaxes, by Infra without the variable that
// is not used, by Bind and in a sketch.
func TestInfra(t *testing.T) {
	for _, name := range []string{"infra.hcl", "infra.hcl.json"} {
		t.Run(name, func(t *testing.T) {
			p, diags := loadFile(t, "testdata/valid-files/"+name)
			if len(diags) > 0 {
				t.Fatal(show(p, diags))
			}
			testInfra(t, p)
		})
	}
}

func testInfra(t *testing.T, p *Program) {
	got, diags := p.Infra(VarInput{})
	if diags.HasErrors() {
		t.Fatal(show(p, diags))
	}
	if diff := cmp.Diff(wantInfra(), got, infraOptions); diff != "" {
		t.Error(diff)
	}
	for _, q := range got.Queues {
		if rng := p.PlaceOf("job_queue", q.Label, ""); q.Pos.Line == 0 || posOf(rng) != q.Pos {
			t.Errorf("job_queue %s stands at %v, and its place is %v", q.Label, q.Pos, rng)
		}
	}
	in := VarInput{Args: []VarArg{{Set: "unused=x"}}}
	tmpl, diags := p.Bind(in, RunContext{ID: "01run"})
	if diags.HasErrors() {
		t.Fatal(show(p, diags))
	}
	if diff := cmp.Diff(wantInfra(), tmpl.Workflow().Infra, infraOptions); diff != "" {
		t.Error("Bind:", diff)
	}
	wf, specs := p.Sketch(VarInput{}, RunContext{})
	if diff := cmp.Diff(wantInfra(), wf.Infra, infraOptions); diff != "" {
		t.Error("Sketch:", diff)
	}
	if q := specs["a"].Queue; q != "flow-lab-work" {
		t.Errorf("the step's queue is %q", q)
	}
}

// TestInfraArguments: infra.hcl has every argument of every block, so that none is forgotten
// there, and TestInfra sees that it arrives.
func TestInfraArguments(t *testing.T) {
	p, _ := loadFile(t, "testdata/valid-files/infra.hcl")
	for _, kind := range infraKinds {
		seen := map[string]bool{"existing": true}
		for _, c := range p.infra {
			if c.kind != kind {
				continue
			}
			for _, a := range c.args {
				seen[a.name] = true
			}
			for _, part := range c.parts {
				for _, a := range part.args {
					seen[part.typ+"."+a.name] = true
				}
			}
		}
		var missing []string
		for _, a := range infraArgs[kind] {
			if !seen[a.name] {
				missing = append(missing, a.name)
			}
		}
		for _, part := range infraParts[kind] {
			for _, a := range part.args {
				if !seen[part.Type+"."+a.name] {
					missing = append(missing, part.Type+"."+a.name)
				}
			}
		}
		if len(missing) > 0 {
			t.Errorf("%s: %v", kind, missing)
		}
	}
}

// infraOf loads a workflow and evaluates what it says of AWS Batch.
func infraOf(t *testing.T, text string, vars ...string) (*engine.Infra, string) {
	t.Helper()
	p, diags := Load("/w", []Source{{Name: "main.hcl", Bytes: []byte(text)}})
	if diags.HasErrors() {
		return nil, show(p, diags)
	}
	var in VarInput
	for _, v := range vars {
		in.Args = append(in.Args, VarArg{Set: v})
	}
	out, diags := p.Infra(in)
	if diags.HasErrors() && out != nil {
		t.Errorf("infra %v with diagnostics %v", out, diags)
	}
	return out, show(p, diags)
}

const fargate = `
compute_environment "f" {
  name               = var.name
  type               = var.type
  max_vcpus          = 4
  subnets            = ["subnet-1"]
  security_group_ids = ["sg-1"]
}
`

// TestInfraValues: what variables decide is checked when they are known.
func TestInfraValues(t *testing.T) {
	const vars = `
variable "name" { type = string }
variable "type" { default = "FARGATE" }
variable "existing" {
  type    = string
  default = null
}
variable "token" {
  type      = string
  default   = "x"
  sensitive = true
}
variable "unused" {
  type = string
  validation {
    condition     = var.unused != ""
    error_message = "empty"
  }
}
step "s" { command = ["x", var.unused] }
`
	queue := `
job_queue "q" {
  existing             = var.existing
  compute_environments = [compute_environment.f]
}
`
	for _, tt := range []struct {
		name, text string
		vars       []string
		want       string // part of the mistake; "": none
	}{
		{"all is known", fargate + queue, []string{"name=a"}, ""},
		{"a variable is missing", fargate, nil, `Variable "name" (string) has no default`},
		{"a variable is missing that is used through a local value", `
locals { n = "x-${var.name}" }
job_queue "q" {
  name                 = local.n
  compute_environments = ["a"]
}
`, nil, `Variable "name" (string) has no default`},
		{"a variable is missing that is used in a name", `
compute_environment "f" { existing = var.name }
job_queue "q" { compute_environments = [compute_environment.f] }
`, nil, `Variable "name" (string) has no default`},
		{"a wrong value for what is not used", fargate, []string{"name=a", "unused="}, "Empty."},
		{"a name that is not possible", fargate, []string{"name=a b"}, `"a b" is not possible`},
		{"of EC2", fargate, []string{"name=a", "type=EC2"}, "needs instance_types"},
		{"existing beside others", fargate + queue, []string{"name=a", "existing=q"}, "Remove compute_environments, or existing"},
		{"one name twice", fargate + strings.Replace(fargate, `"f"`, `"g"`, 1), []string{"name=a"}, "compute_environment.f, at main.hcl"},
		{"one name of two kinds", fargate + `consumable_resource "a" { total_quantity = 1 }`, []string{"name=a"}, ""},
		{"Fargate and EC2", fargate + `
compute_environment "e" {
  type               = "EC2"
  max_vcpus          = 4
  instance_types     = ["optimal"]
  subnets            = ["subnet-1"]
  security_group_ids = ["sg-1"]
}
job_queue "q" { compute_environments = [compute_environment.e, "a"] }
`, []string{"name=a"}, "f of FARGATE"},
		{"a sensitive value", `scheduling_policy "p" { name = var.token }`, nil, "AWS would store and show it"},
		{"a sensitive value through a reference", fargate + `
job_queue "q" {
  compute_environments = [compute_environment.f]
  tags                 = { a = var.token }
}`, []string{"name=a"}, "AWS would store and show it"},
		{"no infra", "", nil, ""},
		{"a mistake in a local value", `
locals { n = var.name + 1 }
consumable_resource "c" { total_quantity = local.n }
`, []string{"name=a"}, "a number is required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, got := infraOf(t, vars+tt.text, tt.vars...)
			switch {
			case tt.want == "" && got != "":
				t.Errorf("unexpected:\n%s", got)
			case !strings.Contains(got, tt.want):
				t.Errorf("no %q in:\n%s", tt.want, got)
			case strings.Count(got, "Error:") > 1:
				t.Errorf("more than one mistake:\n%s", got)
			}
		})
	}
}

// TestInfraDefaults: what is filled in where a workflow says nothing.
func TestInfraDefaults(t *testing.T) {
	const base = `
compute_environment "e" {
  type               = "EC2"
  max_vcpus          = 4
  instance_types     = ["optimal"]
  subnets            = ["subnet-1"]
  security_group_ids = ["sg-1"]
  create_roles       = %s
}
job_queue "q" {
  existing             = null
  compute_environments = [compute_environment.e]
  state_time_limit "ice" {
    reason   = "capacity:insufficient_instance_capacity"
    max_time = "1h"
  }
}
job_definition "d" { image = "debian:13" }
job_definition "there" { existing = "tools:3" }
consumable_resource "c" { total_quantity = 9007199254740993 }
`
	for roles, want := range map[string]string{"null": "ecsInstanceRole", "false": "ecsInstanceRole", "true": ""} {
		got, text := infraOf(t, strings.ReplaceAll(base, "%s", roles))
		if text != "" {
			t.Fatal(text)
		}
		if role := got.Environments[0].InstanceRole; role != want {
			t.Errorf("create_roles = %s: instance role %q, want %q", roles, role, want)
		}
		q, d := got.Queues[0], got.Definitions[0]
		limit := engine.StateLimit{Reason: "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", State: "RUNNABLE", Action: "CANCEL", After: time.Hour}
		if q.Priority != 1 || q.Limits[0] != limit || q.Existing {
			t.Errorf("queue %+v", q)
		}
		if d.Name != "d" || d.Spec.Image != "debian:13" || d.Spec.Retry.Attempts != 0 || got.Definitions[1].Name != "tools:3" || !got.Definitions[1].Existing {
			t.Errorf("definition %+v", d)
		}
		if got.Consumables[0].Total != 9007199254740993 {
			t.Errorf("total %d", got.Consumables[0].Total)
		}
	}
}

// TestInfraNames: names of blocks are texts wherever expressions are.
func TestInfraNames(t *testing.T) {
	w := bind(t, `
workflow "w" {
  tags = { queue = job_queue.q.name }
  defaults { queue = job_queue.q }
}
variable "n" { default = "lab" }
locals { both = [job_queue.q.name, job_queue["old"].name] }
compute_environment "e" { existing = "e" }
job_queue "q" {
  name                 = "q-${var.n}"
  compute_environments = [var.n == "lab" ? compute_environment.e : compute_environment.e]
}
job_queue "old" { existing = "by-hand" }
job_definition "d" {
  name  = "tools-${job_queue.old.name}"
  image = "x"
}
step "a" { command = concat(["x"], local.both) }
step "b" {
  queue          = local.both[1]
  job_definition = job_definition.d
  for_each       = local.both
  command        = [each.value, "${job_queue.q.name}!"]
}
step "c" {
  command = ["x"]
  retry {
    attempts = 2
    when "spot" {
      status_reason = "Host EC2*"
      queue         = job_queue.old
    }
  }
}
output "q" { value = job_queue.q.name }
`)
	if tags := w.tmpl.Workflow().Tags; tags["queue"] != "q-lab" {
		t.Error(tags)
	}
	a, b, c := w.expand("a").Specs[0], w.expand("b").Specs[0], w.expand("c").Specs[0]
	if diff := cmp.Diff([]string{"x", "q-lab", "by-hand"}, a.Command); diff != "" || a.Queue != "q-lab" {
		t.Error(a.Queue, diff)
	}
	if b.Queue != "by-hand" || b.JobDefinition != "tools-by-hand" || b.Command[1] != "q-lab!" {
		t.Errorf("%+v", b)
	}
	if c.Retry.Rules[0].Queue != "by-hand" {
		t.Errorf("%+v", c.Retry)
	}
	if q := w.tmpl.Workflow().Infra.Queues[0]; q.Name != "q-lab" || q.Environments[0] != "e" {
		t.Errorf("%+v", q)
	}
}

// TestPlaceOf: the place of an argument is that of its value, or of what is around where it
// would stand.
func TestPlaceOf(t *testing.T) {
	p, _ := loadFile(t, "testdata/valid-files/infra.hcl")
	src := p.Files["infra.hcl"].Bytes
	for _, tt := range []struct{ kind, label, arg, want string }{
		{"compute_environment", "spot", "", `compute_environment "spot"`},
		{"compute_environment", "spot", "subnets", `["subnet-1", "subnet-2"]`},
		{"compute_environment", "spot", "tags.team", `var.env`},
		{"compute_environment", "spot", "launch_template.version", `"$Latest"`},
		{"compute_environment", "spot", "launch_template.id", `launch_template`},
		{"compute_environment", "old", "subnets", `compute_environment "old"`},
		{"job_queue", "work", "state_time_limit.no capacity.max_time", `"30m"`},
		{"job_queue", "work", "state_time_limit.no capacity", `state_time_limit "no capacity"`},
		{"job_queue", "work", "compute_environments", `[compute_environment.spot, compute_environment.old.name, "arn:aws:batch:eu-west-1:123456789012:compute-environment/x"]`},
		{"scheduling_policy", "fair", "share.lab*.weight_factor", `0.5`},
		{"scheduling_policy", "fair", "share_decay", `"10m"`},
		{"job_definition", "tools", "env.A", `"1"`},
		{"job_definition", "tools", "environment.A", `"1"`},
		{"job_definition", "tools", "priority", `7`},
		{"job_definition", "tools", "resources.memory", `"4 GiB"`},
		{"job_definition", "tools", "retry.when.bad.exit_code", `2`},
		{"job_definition", "tools", "container.volume.ref.path", `"/ref"`},
		{"job_definition", "tools", "container.execution_role", `"exec"`},
		{"job_definition", "none", "image", ``},
		{"workflow", "", "budget.max_usd", ``},
	} {
		rng := p.PlaceOf(tt.kind, tt.label, tt.arg)
		got := ""
		if rng.Filename != "" {
			got = string(rng.SliceBytes(src))
		}
		if got != tt.want {
			t.Errorf("%s %s, %s: %q, want %q", tt.kind, tt.label, tt.arg, got, tt.want)
		}
	}
}

func TestBudget(t *testing.T) {
	for text, want := range map[string]*engine.Budget{
		`max_usd = 5`:                       {Max: 5 * engine.USD},
		`max_usd = "0.29"`:                  {Max: 290_000},
		`max_usd = 1.1`:                     {Max: 1_100_000},
		`max_usd = var.max`:                 {Max: 12_500_000},
		`max_usd = var.none`:                nil,
		`max_usd = 0.000001`:                {Max: 1},
		"max_usd = 5\non_exceed = var.what": {Max: 5 * engine.USD, Cancel: true},
		"max_usd = 5\non_exceed = null":     {Max: 5 * engine.USD},
	} {
		w := bind(t, `
variable "max" { default = 12.5 }
variable "what" { default = "cancel" }
variable "none" {
  type    = number
  default = null
}
workflow "w" {
  budget {
`+text+`
  }
}
step "a" { command = ["x"] }
`)
		if diff := cmp.Diff(want, w.tmpl.Workflow().Budget); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}
