package batch

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/local/endpoint"
)

// plainSpec is a job of one task.
func plainSpec(change ...func(*engine.JobSpec)) *engine.JobSpec {
	spec := &engine.JobSpec{
		Name: "flow-01jrun-step-1-abcdef", Workflow: "w", Run: "01jrun", Step: "step", Queue: "q", Tasks: engine.Upto(1), WorkDir: "/work", Attempt: 1, Attempts: 1,
		Task:      &engine.TaskSpec{Command: []string{"prog", "arg"}, Image: "registry.example/team/tool:1.2@sha256:00"},
		Resources: engine.Resources{VCPUs: 2, MemoryMiB: 4096},
	}
	for _, c := range change {
		c(spec)
	}
	return spec
}

// tree is the JSON of a request.
func tree(t *testing.T, v any) (out any) {
	t.Helper()
	if err := json.Unmarshal(compact(v), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func parse(t *testing.T, text string) (out any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return out
}

const (
	plainEnv     = `{"Name":"FLOW_ATTEMPT","Value":"1"},{"Name":"FLOW_INDEX","Value":"0"},{"Name":"FLOW_KEY","Value":"0"},{"Name":"FLOW_MEMORY_MIB","Value":"4096"},{"Name":"FLOW_RUN_ID","Value":"01jrun"},{"Name":"FLOW_STEP","Value":"step"},{"Name":"FLOW_VCPUS","Value":"2"}`
	plainNeeds   = `[{"Type":"VCPU","Value":"2"},{"Type":"MEMORY","Value":"4096"}]`
	baseNeeds    = `[{"Type":"VCPU","Value":"1"},{"Type":"MEMORY","Value":"2048"}]`
	plainTags    = `{"flow:run":"01jrun","flow:step":"step","flow:workflow":"w","flow:job":"flow-01jrun-step-1-abcdef"}`
	plainHead    = `"JobName":"flow-01jrun-step-1-abcdef","JobQueue":"q","Tags":` + plainTags
	oneTry       = `"RetryStrategy":{"Attempts":1}`
	plainDefault = `{"Image":"registry.example/team/tool:1.2@sha256:00","ResourceRequirements":` + baseNeeds + `}`
)

func TestRequests(t *testing.T) {
	prelude, _ := json.Marshal(prelude)
	for _, test := range []struct {
		name       string
		spec       *engine.JobSpec
		submit     string
		definition string // without its name, type and tags; "": none
	}{
		{"plain", plainSpec(),
			`{` + plainHead + `,` + oneTry + `,"ContainerOverrides":{"Command":["prog","arg"],"Environment":[` + plainEnv + `],"ResourceRequirements":` + plainNeeds + `}}`,
			`{"PlatformCapabilities":["EC2"],"ContainerProperties":` + plainDefault + `}`},
		{"all of it", plainSpec(func(s *engine.JobSpec) {
			s.Tags, s.Timeout, s.Attempts = map[string]string{"team": "x", "flow:run": "hidden"}, 90*time.Second+1, 3
			s.Evaluate = []engine.EvaluateOn{{StatusReason: "Host EC2*", Retry: true}, {ExitCode: "1*", Reason: "a", Retry: true}, {Reason: "*"}}
			s.DependsOn = []engine.Dependency{{Job: "1"}, {Job: "2", Type: engine.DependNToN}, {Type: engine.DependSequential}}
			s.Task.Priority, s.GPUs = 7, 1
			s.ArraySize, s.Tasks = 3, engine.RangesOf(1, 2, 5)
			s.Task.Env = map[string]string{"E": "v"}
		}),
			`{"JobName":"flow-01jrun-step-1-abcdef","JobQueue":"q","Tags":{"team":"x",` + strings.TrimPrefix(plainTags, "{") + `,"Timeout":{"AttemptDurationSeconds":91},"SchedulingPriorityOverride":7,"ShareIdentifier":"flow",
			"RetryStrategy":{"Attempts":3,"EvaluateOnExit":[{"OnStatusReason":"Host EC2*","Action":"RETRY"},{"OnExitCode":"1*","OnReason":"a","Action":"RETRY"},{"OnReason":"*","Action":"EXIT"}]},
			"DependsOn":[{"JobId":"1"},{"JobId":"2","Type":"N_TO_N"},{"Type":"SEQUENTIAL"}],"ArrayProperties":{"Size":3},
			"ContainerOverrides":{"Command":["/bin/sh","-c",` + string(prelude) + `,"sh","prog","arg"],"ResourceRequirements":[{"Type":"VCPU","Value":"2"},{"Type":"MEMORY","Value":"4096"},{"Type":"GPU","Value":"1"}],
			"Environment":[{"Name":"E","Value":"v"},{"Name":"FLOW_ATTEMPT","Value":"1"},{"Name":"FLOW_MAP","Value":"1-2,5,"},{"Name":"FLOW_MEMORY_MIB","Value":"4096"},{"Name":"FLOW_RUN_ID","Value":"01jrun"},{"Name":"FLOW_STEP","Value":"step"},{"Name":"FLOW_VCPUS","Value":"2"}]}}`,
			`{"PlatformCapabilities":["EC2"],"ContainerProperties":` + plainDefault + `}`},
		{"consumable resources", plainSpec(func(s *engine.JobSpec) {
			s.Task.Consumables = []engine.Consumable{{Resource: "license", Quantity: 2}, {Resource: "tokens", Quantity: 1}}
		}),
			`{` + plainHead + `,` + oneTry + `,"ContainerOverrides":{"Command":["prog","arg"],"Environment":[` + plainEnv + `],"ResourceRequirements":` + plainNeeds + `}}`,
			`{"PlatformCapabilities":["EC2"],"ContainerProperties":` + plainDefault + `,"ConsumableResourceProperties":{"ConsumableResourceList":[{"ConsumableResource":"license","Quantity":2},{"ConsumableResource":"tokens","Quantity":1}]}}`},
		{"consumable resources, own definition", plainSpec(func(s *engine.JobSpec) {
			s.Task = &engine.TaskSpec{JobDefinition: "mine:3", Consumables: []engine.Consumable{{Resource: "license", Quantity: 2}}}
		}),
			`{` + plainHead + `,` + oneTry + `,"JobDefinition":"mine:3","ConsumableResourcePropertiesOverride":{"ConsumableResourceList":[{"ConsumableResource":"license","Quantity":2}]}}`, ""},
		{"container on EC2", plainSpec(func(s *engine.JobSpec) {
			s.Task.Secrets = map[string]string{"TOKEN": "arn:aws:secretsmanager:us-east-1:1:secret:t", "KEY": "parameter"}
			s.Task.Container = &engine.Container{
				User: "u", JobRole: "jr", ExecutionRole: "er", InitProcess: true, ReadOnly: true, Privileged: true, SharedMemoryMiB: 64, LogDriver: "awslogs", LogOptions: map[string]string{"awslogs-group": "g"},
				Ulimits: []engine.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}}, Network: "bridge", Architecture: "ARM64", EphemeralStorage: 50,
				Volumes: []engine.Volume{{Name: "h", HostPath: "/h", Path: "/in", ReadOnly: true}, {Name: "e", EFS: "fs-1", EFSRoot: "/r", Path: "/e"}, {Name: "a", EFS: "fs-2", EFSAccess: "ap-1", Path: "/a"}},
			}
		}),
			`{` + plainHead + `,` + oneTry + `,"ContainerOverrides":{"Command":["prog","arg"],"Environment":[` + plainEnv + `],"ResourceRequirements":` + plainNeeds + `}}`,
			`{"PlatformCapabilities":["EC2"],"ContainerProperties":{"Image":"registry.example/team/tool:1.2@sha256:00","ResourceRequirements":` + baseNeeds + `,"User":"u","JobRoleArn":"jr","ExecutionRoleArn":"er",
			"LinuxParameters":{"InitProcessEnabled":true,"SharedMemorySize":64},"ReadonlyRootFilesystem":true,"Privileged":true,"Ulimits":[{"Name":"nofile","SoftLimit":1,"HardLimit":2}],
			"LogConfiguration":{"LogDriver":"awslogs","Options":{"awslogs-group":"g"}},"Secrets":[{"Name":"KEY","ValueFrom":"parameter"},{"Name":"TOKEN","ValueFrom":"arn:aws:secretsmanager:us-east-1:1:secret:t"}],
			"Volumes":[{"Name":"h","Host":{"SourcePath":"/h"}},{"Name":"e","EfsVolumeConfiguration":{"FileSystemId":"fs-1","RootDirectory":"/r"}},
				{"Name":"a","EfsVolumeConfiguration":{"FileSystemId":"fs-2","TransitEncryption":"ENABLED","AuthorizationConfig":{"AccessPointId":"ap-1"}}}],
			"MountPoints":[{"SourceVolume":"h","ContainerPath":"/in","ReadOnly":true},{"SourceVolume":"e","ContainerPath":"/e"},{"SourceVolume":"a","ContainerPath":"/a"}]}}`},
		{"Fargate", plainSpec(func(s *engine.JobSpec) {
			s.DiskGiB = 30
			s.Task.Container = &engine.Container{Platform: "FARGATE", ExecutionRole: "er", Network: "public", Architecture: "ARM64"}
		}),
			`{` + plainHead + `,` + oneTry + `,"ContainerOverrides":{"Command":["prog","arg"],"Environment":[` + plainEnv + `],"ResourceRequirements":` + plainNeeds + `}}`,
			`{"PlatformCapabilities":["FARGATE"],"ContainerProperties":{"Image":"registry.example/team/tool:1.2@sha256:00","ResourceRequirements":` + baseNeeds + `,"ExecutionRoleArn":"er",
			"NetworkConfiguration":{"AssignPublicIp":"ENABLED"},"RuntimePlatform":{"CpuArchitecture":"ARM64","OperatingSystemFamily":"LINUX"},"EphemeralStorage":{"SizeInGiB":30}}}`},
		{"agent", plainSpec(func(s *engine.JobSpec) {
			s.Task.Inputs, s.Task.Env = []engine.Input{{Name: "in", Paths: []string{"/a"}}}, map[string]string{"E": "in the job file"}
		}),
			`{` + plainHead + `,` + oneTry + `,"EcsPropertiesOverride":{"TaskProperties":[{"Containers":[{"Name":"task",
			"Command":["/flow-agent/flow","agent","run","--","/work/01jrun/.jobs/flow-01jrun-step-1-abcdef.job"],"ResourceRequirements":[{"Type":"VCPU","Value":"1"},{"Type":"MEMORY","Value":"4096"}]}]}]}}`,
			`{"PlatformCapabilities":["EC2"],"EcsProperties":{"TaskProperties":[{"Volumes":[{"Name":"flow-agent"}],"Containers":[
			{"Name":"agent","Image":"flow:1","Command":["flow","agent","install","/flow-agent"],"Essential":false,"ResourceRequirements":[{"Type":"VCPU","Value":"1"},{"Type":"MEMORY","Value":"64"}],"MountPoints":[{"SourceVolume":"flow-agent","ContainerPath":"/flow-agent"}]},
			{"Name":"task","Image":"registry.example/team/tool:1.2@sha256:00","Essential":true,"DependsOn":[{"ContainerName":"agent","Condition":"SUCCESS"}],"ResourceRequirements":` + baseNeeds + `,"MountPoints":[{"SourceVolume":"flow-agent","ContainerPath":"/flow-agent","ReadOnly":true}]}]}]}}`},
		{"agent with files on S3", plainSpec(func(s *engine.JobSpec) {
			s.WorkDir, s.Task.Inputs = "s3://lab/flow", []engine.Input{{Name: "in", Paths: []string{"/a"}}}
		}),
			`{` + plainHead + `,` + oneTry + `,"EcsPropertiesOverride":{"TaskProperties":[{"Containers":[{"Name":"task",
			"Command":["/flow-agent/flow","agent","run","-scratch","/flow-work","-region","eu-west-1","-endpoint","http://minio:9000","--","s3://lab/flow/01jrun/.jobs/flow-01jrun-step-1-abcdef.job"],
			"ResourceRequirements":[{"Type":"VCPU","Value":"1"},{"Type":"MEMORY","Value":"4096"}]}]}]}}`,
			`{"PlatformCapabilities":["EC2"],"EcsProperties":{"TaskProperties":[{"Volumes":[{"Name":"flow-agent"},{"Name":"flow-work"}],"Containers":[
			{"Name":"agent","Image":"flow:1","Command":["flow","agent","install","/flow-agent","/flow-work"],"Essential":false,"ResourceRequirements":[{"Type":"VCPU","Value":"1"},{"Type":"MEMORY","Value":"64"}],
			"MountPoints":[{"SourceVolume":"flow-agent","ContainerPath":"/flow-agent"},{"SourceVolume":"flow-work","ContainerPath":"/flow-work"}]},
			{"Name":"task","Image":"registry.example/team/tool:1.2@sha256:00","Essential":true,"DependsOn":[{"ContainerName":"agent","Condition":"SUCCESS"}],"ResourceRequirements":` + baseNeeds + `,
			"MountPoints":[{"SourceVolume":"flow-agent","ContainerPath":"/flow-agent","ReadOnly":true},{"SourceVolume":"flow-work","ContainerPath":"/flow-work"}]}]}]}}`},
		{"own definition", plainSpec(func(s *engine.JobSpec) {
			s.Task = &engine.TaskSpec{JobDefinition: "mine:3", Parameters: map[string]string{"x": "1"}}
		}),
			`{` + plainHead + `,` + oneTry + `,"JobDefinition":"mine:3","Parameters":{"x":"1"}}`, ""},
		{"own definition, own command", plainSpec(func(s *engine.JobSpec) {
			s.Task = &engine.TaskSpec{JobDefinition: "mine:3", Script: "true", Shell: []string{"sh", "-c"}, Resources: []engine.Resources{s.Resources}}
		}),
			`{` + plainHead + `,` + oneTry + `,"JobDefinition":"mine:3","ContainerOverrides":{"Command":["sh","-c","true"],"Environment":[` + plainEnv + `],"ResourceRequirements":` + plainNeeds + `}}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			in, def, err := Request(test.spec, RequestOptions{AgentImage: "flow:1", StoreRegion: "eu-west-1", StoreEndpoint: "http://minio:9000"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parse(t, test.submit), tree(t, in)); diff != "" {
				t.Errorf("SubmitJob (-want +got):\n%s", diff)
			}
			if def == nil || test.definition == "" {
				if def != nil || test.definition != "" {
					t.Errorf("the definition is %v", def)
				}
				return
			}
			got := tree(t, def.Input).(map[string]any)
			if got["JobDefinitionName"] != def.Name || got["Type"] != "container" || got["Tags"].(map[string]any)[tagContent] != def.Content {
				t.Errorf("the definition %s is called %v with tags %v", def.Name, got["JobDefinitionName"], got["Tags"])
			}
			delete(got, "JobDefinitionName")
			delete(got, "Type")
			delete(got, "Tags")
			if diff := cmp.Diff(parse(t, test.definition), any(got)); diff != "" {
				t.Errorf("definition (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestRefusals(t *testing.T) {
	for _, test := range []struct {
		name, text string
		change     func(*engine.JobSpec)
	}{
		{"no queue", "names no job queue", func(s *engine.JobSpec) { s.Queue = "" }},
		{"no image", "names no container image", func(s *engine.JobSpec) { s.Task.Image = "" }},
		{"secret of here", "give the ARN", func(s *engine.JobSpec) { s.Task.Secrets = map[string]string{"A": "env:HOME"} }},
		{"network", `no network "host"`, func(s *engine.JobSpec) { s.Task.Container = &engine.Container{Network: "host"} }},
		{"work_dir elsewhere", "which needs a work_dir on S3 or in a file system", func(s *engine.JobSpec) {
			s.WorkDir, s.Task.Outputs = "gs://bucket/work", []engine.Output{{Name: "o", Path: "o"}}
		}},
		{"outputs with a definition", "cannot be put into the job definition mine", func(s *engine.JobSpec) {
			s.Task.JobDefinition, s.Task.Outputs = "mine", []engine.Output{{Name: "o", Path: "o"}}
		}},
		{"secrets with a definition", "belong into the job definition mine", func(s *engine.JobSpec) {
			s.Task.JobDefinition, s.Task.Secrets = "mine", map[string]string{"A": "arn:a"}
		}},
		{"other tasks with a definition", "would take the tasks 3,7 for 0 to 1", func(s *engine.JobSpec) {
			s.Task = &engine.TaskSpec{JobDefinition: "mine"}
			s.ArraySize, s.Tasks = 2, engine.RangesOf(3, 7)
		}},
		{"51 tags", "more than 50 tags", func(s *engine.JobSpec) {
			s.Tags = map[string]string{}
			for c := range 47 {
				s.Tags[strings.Repeat("t", c+1)] = "v"
			}
		}},
		{"too long with a definition", "needs flow's agent", func(s *engine.JobSpec) {
			s.Task.JobDefinition, s.Task.Env = "mine", map[string]string{"A": strings.Repeat("a", 8000)}
		}},
	} {
		spec := plainSpec()
		test.change(spec)
		if _, _, err := Request(spec, RequestOptions{AgentImage: "flow"}); outcome(err) != wantRefused || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %s: %v, want refused with %q", test.name, outcome(err), err, test.text)
		}
	}
	if _, _, err := Request(agentSpec("/work"), RequestOptions{}); outcome(err) != wantRefused || !strings.Contains(err.Error(), "agent_image") {
		t.Errorf("without an image for the agent: %v", err)
	}
}

func TestUsesAgent(t *testing.T) {
	long := func(n int) *engine.JobSpec {
		return plainSpec(func(s *engine.JobSpec) { s.Task.Env = map[string]string{"A": strings.Repeat("a", n)} })
	}
	for _, test := range []struct {
		name string
		spec *engine.JobSpec
		want bool
	}{
		{"plain", plainSpec(), false},
		{"array", arraySpec(engine.Upto(10_000)), false},
		{"outputs", agentSpec("/work"), true},
		{"empty word", plainSpec(func(s *engine.JobSpec) { s.Task.Command = []string{"grep", "", "f"} }), true},
		{"nearly too long", long(5_000), false},
		{"too long", long(7_000), true},
		{"env of its one item", plainSpec(func(s *engine.JobSpec) { s.Items = []*engine.Item{{Env: map[string]string{"A": "two\nlines"}}} }), false},
	} {
		if got, why := usesAgent(test.spec); got != test.want || got != (why != "") {
			t.Errorf("%s: usesAgent = %v, %q, want %v", test.name, got, why, test.want)
		}
	}
}

// On Fargate both containers together are one of its pairs, and what is the task's own is
// what its agent is told.
func TestAgentShare(t *testing.T) {
	for _, test := range []struct {
		platform           string
		asked, first, task engine.Resources
	}{
		{"EC2", engine.Resources{VCPUs: 1, MemoryMiB: 100}, engine.Resources{VCPUs: 1, MemoryMiB: 64}, engine.Resources{VCPUs: 1, MemoryMiB: 100}},
		{"EC2", engine.Resources{VCPUs: 4, MemoryMiB: 100, GPUs: 1}, engine.Resources{VCPUs: 1, MemoryMiB: 64}, engine.Resources{VCPUs: 3, MemoryMiB: 100, GPUs: 1}},
		{"FARGATE", engine.Resources{VCPUs: 0.25, MemoryMiB: 512}, engine.Resources{VCPUs: 0.125, MemoryMiB: 128}, engine.Resources{VCPUs: 0.125, MemoryMiB: 384}},
		{"FARGATE", engine.Resources{VCPUs: 4, MemoryMiB: 8192}, engine.Resources{VCPUs: 0.25, MemoryMiB: 128}, engine.Resources{VCPUs: 3.75, MemoryMiB: 8064}},
	} {
		spec := agentSpec("/work")
		spec.Resources, spec.Task.Container = test.asked, &engine.Container{Platform: test.platform}
		first, task := agentShare(spec)
		if first != test.first || task != test.task {
			t.Errorf("%s %v: %v and %v, want %v and %v", test.platform, test.asked, first, task, test.first, test.task)
		}
		if got := jobFileSpec(spec); got.MemoryMiB != test.task.MemoryMiB || spec.Resources != test.asked {
			t.Errorf("%s %v: the agent is told %v", test.platform, test.asked, got.Resources)
		}
	}
}

// The hash of a definition is over its content alone, and stays as it is: what is
// registered is found again by the next version of flow.
func TestDefinitionNames(t *testing.T) {
	name := func(change ...func(*engine.JobSpec)) string {
		_, def, err := Request(plainSpec(change...), RequestOptions{AgentImage: "flow:1"})
		if err != nil {
			t.Fatal(err)
		}
		return def.Name
	}
	if got, want := name(), "flow-tool-077090a1b3a09a1a"; got != want {
		t.Errorf("the definition is called %s, want %s", got, want)
	}
	if a, b := name(), name(func(s *engine.JobSpec) { s.Task.Container = &engine.Container{ReadOnly: true} }); a == b {
		t.Errorf("different contents have the name %s", a)
	}
	// Of what varies with the run nothing is in a definition.
	onS3 := func(run, dir, input string) string {
		return name(func(s *engine.JobSpec) {
			s.Run, s.WorkDir, s.Task.Inputs = engine.RunID(run), dir, []engine.Input{{Name: "in", Paths: []string{input}}}
		})
	}
	if a, b := onS3("01jrun", "s3://lab/flow", "/a"), onS3("01jother", "s3://other/x", "s3://lab/b"); a != b || a == onS3("01jrun", "/work", "/a") {
		t.Errorf("with files on S3 the definition is called %s and %s", a, b)
	}
	for image, want := range map[string]string{
		"busybox": "busybox", "host:5000/a/b.c:tag": "b-c", "x@sha256:12": "x", "/": "image", "a/" + strings.Repeat("y", 60): strings.Repeat("y", 40),
	} {
		if got := imageWord(image); got != want {
			t.Errorf("the word of %s is %q, want %q", image, got, want)
		}
	}
}

func TestMeasure(t *testing.T) {
	in, def, err := Request(plainSpec(), RequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := sizesOf(in, def)
	if s.Submit < 500 || s.Submit > 1500 || s.Overrides < 900 || s.Overrides > 1500 || s.Definition < 200 || s.Definition > 600 {
		t.Errorf("the sizes are %+v", s)
	}
}

// What is measured is not below what the emulator counts, so nothing is sent that FAILs at its start.
func TestOverridesFit(t *testing.T) {
	e := newEmulated(t, endpoint.Options{})
	for n := 5_500; n < 7_500; n += 100 {
		spec := plainSpec(func(s *engine.JobSpec) {
			s.Task.Command, s.Task.Env, s.Task.Image = []string{"true"}, map[string]string{"A": strings.Repeat(`"`, 20) + strings.Repeat("a", n)}, "busybox"
			s.VCPUs = 1
		})
		if uses, _ := usesAgent(spec); uses {
			return
		}
		id, err := e.x.Submit(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range e.x.Logs(t.Context(), id, engine.LogOptions{Follow: true}) {
			t.Fatal(err)
		}
		if jobs, err := e.x.Describe(t.Context(), []engine.JobID{id}); err != nil || len(jobs) != 1 || jobs[0].Status != engine.JobSucceeded {
			t.Fatalf("with %d characters: %+v, %v", n, jobs, err)
		}
	}
	t.Error("no job was too long")
}
