package batch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"flow/engine"
)

// good is a job without anything wrong, on EC2.
func good() *engine.JobSpec {
	return &engine.JobSpec{
		Name: "flow-01run-s-1-abcdef", Workflow: "w", Run: "01run", Step: "s", Queue: "spot", WorkDir: "/efs/work", Attempt: 1, Attempts: 1,
		Tasks: engine.RangesOf(0), Resources: engine.Resources{VCPUs: 1, MemoryMiB: 2048},
		Task: &engine.TaskSpec{Command: []string{"true"}, Image: "debian:13", Queue: "spot", Container: &engine.Container{}},
	}
}

// fargate is one on Fargate.
func fargate() *engine.JobSpec {
	s := good()
	s.Task.Container = &engine.Container{Platform: platformFargate, ExecutionRole: "arn:aws:iam::123456789012:role/exec"}
	return s
}

// withFiles is one that flow's agent runs.
func withFiles() *engine.JobSpec {
	s := good()
	s.Task.Inputs = []engine.Input{{Name: "reads", Paths: []string{"/efs/reads.fq"}}}
	s.Task.Outputs = []engine.Output{{Name: "bam", Kind: engine.OutputFile, Path: "bam"}}
	s.Task.Container.Volumes = []engine.Volume{{Name: "efs", EFS: "fs-1", Path: "/efs"}}
	return s
}

// ownDefinition is one with a job definition of the user's own.
func ownDefinition() *engine.JobSpec {
	s := good()
	s.Task.JobDefinition, s.Task.Image, s.Task.Container = "tools:3", "", nil
	return s
}

var options = CheckOptions{AgentImage: "flow:1"}

// A change makes something wrong with a job.
type change func(s *engine.JobSpec, t *engine.TaskSpec, c *engine.Container)

func rules(rules ...engine.RetryRule) change {
	return func(_ *engine.JobSpec, t *engine.TaskSpec, _ *engine.Container) {
		t.Retry = engine.Retry{Attempts: 2, Rules: rules}
	}
}

// takes gives a job consumable resources: pairs of a name and a quantity.
func takes(pairs ...any) change {
	return func(_ *engine.JobSpec, t *engine.TaskSpec, _ *engine.Container) {
		for i := 0; i < len(pairs); i += 2 {
			t.Consumables = append(t.Consumables, engine.Consumable{Resource: pairs[i].(string), Quantity: int64(pairs[i+1].(int))})
		}
	}
}

func sized(vcpus float64, mib int) change {
	return func(s *engine.JobSpec, t *engine.TaskSpec, _ *engine.Container) {
		t.Resources = []engine.Resources{{VCPUs: vcpus, MemoryMiB: mib}}
	}
}

func volume(v engine.Volume) change {
	return func(_ *engine.JobSpec, _ *engine.TaskSpec, c *engine.Container) { c.Volumes = []engine.Volume{v} }
}

func box(f func(c *engine.Container)) change {
	return func(_ *engine.JobSpec, _ *engine.TaskSpec, c *engine.Container) { f(c) }
}

func task(f func(t *engine.TaskSpec)) change {
	return func(_ *engine.JobSpec, t *engine.TaskSpec, _ *engine.Container) { f(t) }
}

func tagged(key, value string) change {
	return task(func(t *engine.TaskSpec) { t.Tags = map[string]string{key: value} })
}

func secret(ref string) change {
	return func(_ *engine.JobSpec, t *engine.TaskSpec, c *engine.Container) {
		t.Secrets = map[string]string{"TOKEN": ref}
		c.ExecutionRole = "arn:aws:iam::123456789012:role/exec"
	}
}

// TestCheck has a row for each limit: what is done to a good job, and what is said, as
// argument: part of the text; "" is nothing.
func TestCheck(t *testing.T) {
	long := strings.Repeat("x", 513)
	for _, c := range []struct {
		name   string
		base   func() *engine.JobSpec
		change change
		want   string
	}{
		{"no queue", good, func(s *engine.JobSpec, t *engine.TaskSpec, _ *engine.Container) { s.Queue, t.Queue = "", "" }, "queue: queue = "},
		{"queue", good, func(s *engine.JobSpec, t *engine.TaskSpec, _ *engine.Container) { s.Queue, t.Queue = "a b", "a b" }, "queue: at most 128 letters"},
		{"ARN of a queue", good, func(s *engine.JobSpec, _ *engine.TaskSpec, _ *engine.Container) {
			s.Queue = "arn:aws:batch:eu-west-1:123456789012:job-queue/q"
		}, ""},
		{"ARN of no queue", good, func(s *engine.JobSpec, t *engine.TaskSpec, _ *engine.Container) {
			s.Queue = "arn:aws:batch:eu-west-1:123456789012:job-definition/q:1"
			t.Queue = s.Queue
		}, "queue: nor its ARN"},
		{"ARN of another service", good, func(s *engine.JobSpec, t *engine.TaskSpec, _ *engine.Container) {
			s.Queue = "arn:aws:sqs:eu-west-1:123456789012:q"
			t.Queue = s.Queue
		}, "queue: nor its ARN"},

		{"no image", good, task(func(t *engine.TaskSpec) { t.Image = "" }), "image: runs in a container"},
		{"image", good, task(func(t *engine.TaskSpec) { t.Image = "a b" }), "image: at most 255"},
		{"long image", good, task(func(t *engine.TaskSpec) { t.Image = strings.Repeat("x", 256) }), "image: at most 255"},
		{"longest image", good, task(func(t *engine.TaskSpec) { t.Image = strings.Repeat("x", 255) }), ""},

		{"empty word", withFiles, task(func(t *engine.TaskSpec) { t.Command = []string{"a", ""} }), ""}, // flow's agent runs it
		{"parameter", good, task(func(t *engine.TaskSpec) { t.Command = []string{"a", "Ref::x"} }), `command: parameter "x"`},
		{"variable of Batch", good, task(func(t *engine.TaskSpec) { t.Env = map[string]string{"AWS_BATCH_X": ""} }), "env.AWS_BATCH_X: AWS_BATCH"},
		{"variable of flow", good, task(func(t *engine.TaskSpec) { t.Env = map[string]string{"FLOW_X": ""} }), "env.FLOW_X: FLOW_"},
		{"no variable", good, task(func(t *engine.TaskSpec) { t.Env = map[string]string{"a-b": ""} }), "env.a-b: letters, digits"},

		{"secret of the environment", good, secret("env:TOKEN"), "secrets.TOKEN: $TOKEN"},
		{"secret in a file", good, secret("file:/tmp/t"), "secrets.TOKEN: /tmp/t"},
		{"secret in a variable", good, secret("var:token"), "secrets.TOKEN: variable"},
		{"secret by name", good, secret("secretsmanager:x"), "secrets.TOKEN: full ARN"},
		{"parameter by name", good, secret("ssm:/lab/token"), ""},
		{"secret", good, secret("arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-abcdef"), ""},
		{"parameter of the store", good, secret("arn:aws:ssm:eu-west-1:123456789012:parameter/x"), ""},
		{"ARN of no secret", good, secret("arn:aws:s3:::bucket"), "secrets.TOKEN: neither"},
		{"no execution role for secrets", good, task(func(t *engine.TaskSpec) { t.Secrets = map[string]string{"T": "ssm:t"} }), "container.execution_role: execution role"},

		{"half a vCPU on EC2", good, sized(0.5, 512), "resources.vcpus: Write 1,"},
		{"one and a half", good, sized(1.5, 512), "resources.vcpus: Write 2,"},
		{"too little memory", good, sized(1, 3), "resources.memory: at least 4 MiB"},
		{"least memory", good, sized(1, 4), ""},
		{"by attempt", good, task(func(t *engine.TaskSpec) {
			t.Resources = []engine.Resources{{VCPUs: 1, MemoryMiB: 4}, {VCPUs: 1.5, MemoryMiB: 4}, {VCPUs: 2.5, MemoryMiB: 4}}
		}), "resources.vcpus: in attempt 2"},
		{"quarter on Fargate", fargate, sized(0.25, 2048), ""},
		{"no such pair", fargate, sized(0.25, 3072), "resources.memory: 512 MiB, or 1024 to 2048 MiB in steps of 1024 of memory; this is 3072 MiB. The nearest that has enough of both is 0.5 vCPU with 3072 MiB."},
		{"no such step", fargate, sized(8, 17000), "resources.memory: 8 vCPU with 20480 MiB"},
		{"no such vCPUs", fargate, sized(3, 8192), "resources.vcpus: 4 vCPU with 8192 MiB"},
		{"too large", fargate, sized(16, 200000), "resources.memory: The largest is 16 vCPU with 122880 MiB"},
		{"GPU on Fargate", fargate, task(func(t *engine.TaskSpec) {
			t.Resources = []engine.Resources{{VCPUs: 1, MemoryMiB: 2048, GPUs: 1}}
		}), "resources.gpus: 1 GPU"},
		{"disk on Fargate", fargate, task(func(t *engine.TaskSpec) {
			t.Resources = []engine.Resources{{VCPUs: 1, MemoryMiB: 2048, DiskGiB: 201}}
		}), "resources.disk: at most 200 GiB"},
		{"more memory in a rule", fargate, rules(engine.RetryRule{Class: "oom", ExitCode: "137", MemoryMiB: []int{16384}}), "retry.when.oom.memory: after a failure of the class oom"},
		{"more vCPUs in a rule", good, rules(engine.RetryRule{Class: "slow", ExitCode: "1", VCPUs: []float64{1.5}}), "retry.when.slow.vcpus: whole vCPUs"},

		{"attempts", good, task(func(t *engine.TaskSpec) { t.Retry.Attempts = 11 }), "retry.attempts: 1 to 10"},
		{"exit code", good, rules(engine.RetryRule{Class: "a", ExitCode: "x"}), "retry.when.a.exit_code: digits"},
		{"reason", good, rules(engine.RetryRule{Class: "a", Reason: "a-b"}), `retry.when.a.reason: "a-b"`},
		{"status reason", good, rules(engine.RetryRule{Class: "a.b", StatusReason: "Host (EC2)"}), "retry.when.a.b.status_reason: letters"},
		{"long pattern", good, rules(engine.RetryRule{Class: "a", Reason: long}), "retry.when.a.reason: 513"},
		{"queue of a rule", good, rules(engine.RetryRule{Class: "a", ExitCode: "1", Queue: "a b"}), "retry.when.a.queue: at most 128"},
		{"six entries", good, func(s *engine.JobSpec, _ *engine.TaskSpec, _ *engine.Container) {
			s.Attempts, s.Evaluate = 2, make([]engine.EvaluateOn, 6)
		}, "retry: Up to 5"},

		{"short timeout", good, task(func(t *engine.TaskSpec) { t.Timeout = 59 * time.Second }), "timeout: 60 seconds or more; this is 59s"},
		{"part of a second", good, task(func(t *engine.TaskSpec) { t.Timeout = 90*time.Second + time.Millisecond }), `timeout: Write "91s"`},
		{"a minute", good, task(func(t *engine.TaskSpec) { t.Timeout = time.Minute }), ""},

		{"tag of AWS", good, tagged("AWS:x", ""), "tags.AWS:x: belong to AWS"},
		{"tag of flow", good, tagged("flow:run", ""), "tags.flow:run: belong to flow"},
		{"tag", good, tagged(strings.Repeat("ä", 128), strings.Repeat("ä", 256)), ""},
		{"long tag", good, tagged(strings.Repeat("ä", 129), ""), "tags." + strings.Repeat("ä", 129) + ": this has 129"},
		{"long value", good, tagged("a", strings.Repeat("ä", 257)), "tags.a: has 257"},
		{"many tags", good, task(func(t *engine.TaskSpec) { t.Tags = manyTags(46) }), ""},
		{"too many tags", good, task(func(t *engine.TaskSpec) { t.Tags = manyTags(47) }), "tags: 51: 47 given"},
		{"priority", good, task(func(t *engine.TaskSpec) { t.Priority = 10000 }), "priority: 0 to 9999"},

		{"consumables", ownDefinition, takes("a", 1, "arn:aws:batch:us-east-1:123456789012:consumable-resource/b", 9, "c", 1, "d", 1, "e", 1), ""},
		{"too many consumables", good, takes("a", 1, "b", 1, "c", 1, "d", 1, "e", 1, "f", 1), "consumable_resources: at most 5 consumable resources; this has 6"},
		{"no consumable", good, takes("arn:aws:batch:us-east-1:123456789012:job-queue/b", 1), "consumable_resources: neither the name"},
		{"none of a consumable", good, takes("a", 0), "consumable_resources: at least 1"},
		{"a consumable twice", good, takes("b", 1, "arn:aws:batch:us-east-1:123456789012:consumable-resource/b", 1), "consumable_resources: there twice"},

		{"platform", good, box(func(c *engine.Container) { c.Platform = "EKS" }), "container.platform: EC2 and FARGATE"},
		{"architecture", good, box(func(c *engine.Container) { c.Architecture = "RISCV" }), "container.architecture: X86_64 and ARM64"},
		{"user", good, box(func(c *engine.Container) { c.User = "Nobody" }), "container.user: at most 31"},
		{"role", good, box(func(c *engine.Container) { c.JobRole = "arn:aws:iam::1:user/x" }), "container.job_role: ARN of a role"},
		{"ulimit", good, box(func(c *engine.Container) { c.Ulimits = []engine.Ulimit{{Name: "files", Soft: 1, Hard: 1}} }), "container.ulimits.files: nofile"},
		{"soft above hard", good, box(func(c *engine.Container) { c.Ulimits = []engine.Ulimit{{Name: "nofile", Soft: 2, Hard: 1}} }), "container.ulimits.nofile: above its hard limit"},
		{"log driver", good, box(func(c *engine.Container) { c.LogDriver = "logentries" }), "container.log_configuration.driver: awsfirelens"},
		{"network on EC2", good, box(func(c *engine.Container) { c.Network = "public" }), "container.network: instance"},
		{"ephemeral storage on EC2", good, box(func(c *engine.Container) { c.EphemeralStorage = 30 }), "container.ephemeral_storage: Only AWS Fargate"},
		{"no role on Fargate", fargate, box(func(c *engine.Container) { c.ExecutionRole = "" }), "container.execution_role: every job"},
		{"privileged", fargate, box(func(c *engine.Container) { c.Privileged = true }), "container.privileged: privileged containers"},
		{"ulimits on Fargate", fargate, box(func(c *engine.Container) { c.Ulimits = []engine.Ulimit{{Name: "nofile", Soft: 1, Hard: 1}} }), "container.ulimits: ulimits"},
		{"shared memory", fargate, box(func(c *engine.Container) { c.SharedMemoryMiB = 64 }), "container.shared_memory: shared memory"},
		{"network of Fargate", fargate, box(func(c *engine.Container) { c.Network = "private" }), ""},
		{"local network on Fargate", fargate, box(func(c *engine.Container) { c.Network = "none" }), `container.network: "none"`},
		{"log driver of Fargate", fargate, box(func(c *engine.Container) { c.LogDriver = "syslog" }), "container.log_configuration.driver: awslogs, splunk, awsfirelens; this"},
		{"small storage", fargate, box(func(c *engine.Container) { c.EphemeralStorage = 20 }), "container.ephemeral_storage: 21 to 200"},
		{"storage", fargate, box(func(c *engine.Container) { c.EphemeralStorage = 21 }), ""},
		{"large storage", fargate, box(func(c *engine.Container) { c.EphemeralStorage = 201 }), "container.ephemeral_storage: 21 to 200"},

		{"volume", good, volume(engine.Volume{Name: "a b", HostPath: "/x", Path: "/x"}), "container.volume.a b: at most 255"},
		{"path of a volume", good, volume(engine.Volume{Name: "a", HostPath: "/x", Path: "x"}), "container.volume.a.path: begins with /"},
		{"host on Fargate", fargate, volume(engine.Volume{Name: "a", HostPath: "/x", Path: "/x"}), "container.volume.a.host: efs ="},
		{"access point with a directory", good, volume(engine.Volume{Name: "a", EFS: "fs-1", EFSAccess: "fsap-1", EFSRoot: "/x", Path: "/x"}), "container.volume.a.efs_root: Remove efs_root"},
		{"access point with the root", good, volume(engine.Volume{Name: "a", EFS: "fs-1", EFSAccess: "fsap-1", EFSRoot: "/", Path: "/x"}), ""},
		{"access point on the host", good, volume(engine.Volume{Name: "a", HostPath: "/x", EFSAccess: "fsap-1", Path: "/x"}), "container.volume.a.host: Remove host"},
		{"long directory", good, volume(engine.Volume{Name: "a", EFS: "fs-1", EFSRoot: "/" + strings.Repeat("x", 4096), Path: "/x"}), "container.volume.a.efs_root: 4097"},
		{"two volumes", good, box(func(c *engine.Container) {
			c.Volumes = []engine.Volume{{Name: "a", HostPath: "/x", Path: "/x"}, {Name: "a", HostPath: "/y", Path: "/y"}}
		}), "container.volume.a: two volumes"},

		{"files", withFiles, box(func(*engine.Container) {}), ""},
		{"work_dir out of reach", withFiles, func(s *engine.JobSpec, _ *engine.TaskSpec, _ *engine.Container) { s.WorkDir = "/home/me/work" }, "inputs: flow's agent brings and takes files, and no volume of its container holds work_dir, /home/me/work"},
		{"work_dir beside", withFiles, func(s *engine.JobSpec, _ *engine.TaskSpec, _ *engine.Container) { s.WorkDir = "/efs2/work" }, "inputs: /efs2/work"},
		{"work_dir read-only", withFiles, box(func(c *engine.Container) { c.Volumes[0].ReadOnly = true }), "inputs: no volume"},
		{"work_dir on S3", withFiles, func(s *engine.JobSpec, _ *engine.TaskSpec, _ *engine.Container) { s.WorkDir = "s3://lab/flow" }, ""},
		{"work_dir on S3 and no volume", withFiles, func(s *engine.JobSpec, t *engine.TaskSpec, c *engine.Container) {
			s.WorkDir, c.Volumes, t.Inputs[0].Paths = "s3://lab/flow", nil, []string{"/home/me/a", "s3://lab/b", "https://example.org/c"}
		}, ""},
		{"work_dir on S3 without a role on Fargate", fargate, func(s *engine.JobSpec, t *engine.TaskSpec, _ *engine.Container) {
			s.WorkDir, t.Outputs = "s3://lab/flow", []engine.Output{{Name: "bam", Kind: engine.OutputFile, Path: "bam"}}
		}, "container.job_role: flow infra policy -for job"},
		{"work_dir on S3 with a role on Fargate", fargate, func(s *engine.JobSpec, t *engine.TaskSpec, c *engine.Container) {
			s.WorkDir, t.Outputs, c.JobRole = "s3://lab/flow", []engine.Output{{Name: "bam", Kind: engine.OutputFile, Path: "bam"}}, "arn:aws:iam::123456789012:role/job"
		}, ""},
		{"nothing on S3 on Fargate", fargate, func(s *engine.JobSpec, _ *engine.TaskSpec, _ *engine.Container) { s.WorkDir = "s3://lab/flow" }, ""},
		{"work_dir elsewhere", withFiles, func(s *engine.JobSpec, _ *engine.TaskSpec, _ *engine.Container) { s.WorkDir = "gs://lab/flow" }, "inputs: no volume"},
		{"a volume of flow's name", withFiles, box(func(c *engine.Container) {
			c.Volumes = append(c.Volumes, engine.Volume{Name: "flow-work", Path: "/x", HostPath: "/x"})
		}), "container.volume.flow-work: of flow's agent"},
		{"a volume of flow's path", withFiles, box(func(c *engine.Container) {
			c.Volumes = append(c.Volumes, engine.Volume{Name: "x", Path: "/flow-agent/x", HostPath: "/x"})
		}), "container.volume.x: of flow's agent"},
		{"work_dir on S3 without files", good, func(s *engine.JobSpec, _ *engine.TaskSpec, _ *engine.Container) { s.WorkDir = "s3://lab/flow" }, ""},
		{"input on S3", withFiles, task(func(t *engine.TaskSpec) { t.Inputs[0].Paths = []string{"s3://lab/reads"} }), ""},
		{"input out of reach", withFiles, task(func(t *engine.TaskSpec) { t.Inputs[0].Paths = []string{"/home/me/reads"} }), "inputs.reads: /home/me/reads"},
		{"outputs out of reach", withFiles, func(s *engine.JobSpec, t *engine.TaskSpec, _ *engine.Container) { s.WorkDir, t.Inputs = "/home", nil }, "output.bam: brings and takes files"},

		{"own definition", ownDefinition, func(*engine.JobSpec, *engine.TaskSpec, *engine.Container) {}, ""},
		{"ARN of a definition", ownDefinition, task(func(t *engine.TaskSpec) {
			t.JobDefinition = "arn:aws:batch:eu-west-1:123456789012:job-definition/tools:3"
		}), ""},
		{"no definition", ownDefinition, task(func(t *engine.TaskSpec) { t.JobDefinition = "tools:latest" }), "job_definition: neither"},
		{"ARN of no definition", ownDefinition, task(func(t *engine.TaskSpec) {
			t.JobDefinition = "arn:aws:batch:eu-west-1:123456789012:job-queue/tools"
		}), "job_definition: neither"},
		{"inputs of a definition", ownDefinition, task(func(t *engine.TaskSpec) { t.Inputs = []engine.Input{{Name: "a"}} }), "inputs: flow's agent"},
		{"outputs of a definition", ownDefinition, task(func(t *engine.TaskSpec) { t.Outputs = []engine.Output{{Name: "a"}} }), "output.a: flow's agent"},
		{"image of a definition", ownDefinition, task(func(t *engine.TaskSpec) { t.Image = "debian" }), "image: Remove image"},
		{"container of a definition", ownDefinition, task(func(t *engine.TaskSpec) { t.Container = &engine.Container{Privileged: true} }), "container: cannot change"},
		{"secrets of a definition", ownDefinition, task(func(t *engine.TaskSpec) { t.Secrets = map[string]string{"A": "ssm:a"} }), "secrets: cannot add"},
		{"parameter of a definition", ownDefinition, task(func(t *engine.TaskSpec) { t.Command = []string{"Ref::x"} }), ""},
		{"half a vCPU for a definition", ownDefinition, sized(0.5, 1024), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.base()
			c.change(s, s.Task, s.Task.Container)
			checkSays(t, Check(s, options), c.want)
		})
	}
}

// checkSays fails unless exactly one problem, with that argument and text, was found; or
// none for "".
func checkSays(t *testing.T, got []Problem, want string) {
	t.Helper()
	n := 1
	if want == "" {
		n = 0
	}
	if len(got) != n {
		t.Fatalf("%d problems, want %d: %v", len(got), n, got)
	}
	if n == 0 {
		return
	}
	p := got[0]
	text, ok := strings.CutPrefix(want, p.Arg+": ")
	if !ok || !strings.Contains(p.Detail, text) && !strings.Contains(p.Summary, text) {
		t.Errorf("got %s: %s: %s\nwant %s", p.Arg, p.Summary, p.Detail, want)
	}
	if p.Step != "s" || p.Summary == "" || !strings.HasSuffix(p.Detail, ".") {
		t.Errorf("not whole: %+v", p)
	}
}

func manyTags(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint("k", i)] = ""
	}
	return m
}

// TestCheckAgent has jobs that only flow's agent can run, without an image that has it.
func TestCheckAgent(t *testing.T) {
	array := func(f func(s *engine.JobSpec)) change {
		return func(s *engine.JobSpec, _ *engine.TaskSpec, _ *engine.Container) {
			s.FanOut, s.ArraySize, s.Tasks, s.Keys = true, 2, engine.Ranges{{From: 0, To: 1}}, []string{"a", "b"}
			f(s)
		}
	}
	long := strings.Repeat("x", 8200)
	for _, c := range []struct {
		name   string
		base   func() *engine.JobSpec
		change change
		want   string
	}{
		{"inputs", withFiles, box(func(*engine.Container) {}), "inputs: agent_image"},
		{"empty word", good, task(func(t *engine.TaskSpec) { t.Command = []string{"a", ""} }), "command: Element 1"},
		{"long script", good, task(func(t *engine.TaskSpec) { t.Command, t.Script, t.Shell = nil, long, []string{"sh", "-c"} }), "script: at most 8192"},
		{"long environment", good, task(func(t *engine.TaskSpec) { t.Env = map[string]string{"A": long} }), "env: at most 8192"},
		{"long command", good, task(func(t *engine.TaskSpec) { t.Command = []string{"echo", long} }), "command: at most 8192"},
		{"short script", good, task(func(t *engine.TaskSpec) { t.Command, t.Script, t.Shell = nil, long[:5900], []string{"sh", "-c"} }), ""},
		{"commands that differ", good, array(func(s *engine.JobSpec) {
			s.Items = []*engine.Item{nil, {Command: []string{"false"}}}
		}), "command: its items differ in what they run"},
		{"values of lines", good, array(func(s *engine.JobSpec) {
			s.Items = []*engine.Item{nil, {Env: map[string]string{"A": "1\n2"}}}
		}), "env: the value of A"},
		{"keys of lines", good, array(func(s *engine.JobSpec) { s.Keys[1] = "1\n2" }), "for_each: the key"},
		{"array", good, array(func(*engine.JobSpec) {}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.base()
			c.change(s, s.Task, s.Task.Container)
			checkSays(t, Check(s, CheckOptions{}), c.want)
			if s.WorkDir = "/home/me"; c.want != "" && s.Task.Inputs == nil { // with an agent that is out of reach
				arg, _, _ := strings.Cut(c.want, ":")
				checkSays(t, Check(s, options), arg+": no volume of its container holds work_dir")
			}
		})
	}
}

// TestCheckSizes has requests that are too large as a whole.
func TestCheckSizes(t *testing.T) {
	s := good()
	for i := range 45 {
		s.Tags = merge(s.Tags, fmt.Sprint(strings.Repeat("ä", 100), i), strings.Repeat("ä", 250))
	}
	s.Task.Tags = s.Tags
	checkSays(t, Check(s, options), "tags: at most 30720 (30 KiB)")
	s = good()
	for i := range 100 {
		s.Task.Container.Volumes = append(s.Task.Container.Volumes, engine.Volume{Name: fmt.Sprint("v", i), EFS: "fs-1", EFSRoot: strings.Repeat("/x", 200), Path: "/x"})
	}
	checkSays(t, Check(s, options), "container: at most 24576 (24 KiB)")
	s = ownDefinition()
	s.Task.Command = []string{"echo", strings.Repeat("x", 7900)}
	checkSays(t, Check(s, options), "command: characters")
}

func merge(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

// TestRefusal says of a job what Check found.
func TestRefusal(t *testing.T) {
	s := good()
	if err := Refusal(Check(s, options)); err != nil {
		t.Error(err)
	}
	s.Task.Timeout, s.Task.Priority = time.Second, -1
	err := Refusal(Check(s, options))
	if !errors.Is(err, engine.ErrRefused) || !strings.Contains(err.Error(), "timeout: Timeout too short. ") || !strings.Contains(err.Error(), "priority: ") {
		t.Error(err)
	}
	s = ownDefinition()
	s.Task.Image = "debian" // of the site, as far as a job tells
	if err := Refusal(Check(s, options)); err != nil {
		t.Error(err)
	}
	if text := Check(s, options)[0].String(); !strings.Contains(text, "step s, image: An image with") {
		t.Error(text)
	}
}

// TestCheckNear lets files be on this machine when Batch is.
func TestCheckNear(t *testing.T) {
	s := withFiles()
	s.WorkDir, s.Task.Container.Volumes = "/home/me/work", nil
	s.Task.Inputs[0].Paths = []string{"/home/me/reads"}
	if got := Check(s, CheckOptions{Near: true}); len(got) > 0 {
		t.Error(got)
	}
	checkSays(t, Check(withFiles(), CheckOptions{}), "inputs: agent_image")
	s.WorkDir = "s3://lab/flow"
	if got := Check(s, CheckOptions{Near: true}); len(got) > 0 {
		t.Error(got)
	}
	s.Task.Container = &engine.Container{Platform: platformFargate, ExecutionRole: "arn:aws:iam::123456789012:role/exec"} // nobody asks for its role
	s.Resources = engine.Resources{VCPUs: 1, MemoryMiB: 2048}
	if got := Check(s, CheckOptions{Near: true}); len(got) > 0 {
		t.Error(got)
	}
}

// TestCheckAll finds everything at once.
func TestCheckAll(t *testing.T) {
	s := fargate()
	s.Queue, s.Task.Queue = "", ""
	s.Task.Image = "a b"
	s.Task.Timeout = time.Second
	s.Task.Retry.Attempts = 12
	s.Task.Resources = []engine.Resources{{VCPUs: 1, MemoryMiB: 512, GPUs: 2}}
	s.Task.Container.Privileged, s.Task.Container.User = true, "Root"
	var args []string
	for _, p := range Check(s, options) {
		args = append(args, p.Arg)
	}
	if got, want := fmt.Sprint(args), "[queue image resources.gpus resources.memory retry.attempts timeout container.user container.privileged]"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestParameterOfStore hands the name of a parameter over without its prefix.
func TestParameterOfStore(t *testing.T) {
	s := good()
	secret("ssm:/lab/token")(s, s.Task, s.Task.Container)
	_, def, err := Request(s, RequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := *def.Input.ContainerProperties.Secrets[0].ValueFrom; got != "/lab/token" {
		t.Errorf("valueFrom %q", got)
	}
}

// TestNear asks nobody.
func TestNear(t *testing.T) {
	t.Setenv("AWS_CONFIG_FILE", "none")
	t.Setenv("AWS_ENDPOINT_URL", "")
	for endpoint, want := range map[string]bool{"": false, "http://127.0.0.1:9": true, "https://batch.example.org": false} {
		if got := Near(t.Context(), Options{Endpoint: endpoint}); got != want {
			t.Errorf("%q: %v", endpoint, got)
		}
	}
	t.Setenv("AWS_ENDPOINT_URL_BATCH", "http://localhost:9")
	if !Near(t.Context(), Options{}) {
		t.Error("the endpoint of the environment does not count")
	}
}
