package dsl

import (
	"github.com/hashicorp/hcl/v2"

	"flow/engine"
)

// uses says which names an expression may use beside var, local, path and functions.
type uses uint8

const (
	useRun uses = 1 << iota
	useSteps
	useEach
	useAttempt
	useSchedule // and neither var nor local

	useNone  uses = 0
	useTask       = useRun | useSteps | useEach
	useTries      = useTask | useAttempt
)

// An argSpec is one row of the language: an argument of a block.
type argSpec struct {
	name string
	uses uses
	// inDefaults: may stand in the `defaults` block of the workflow.
	inDefaults bool
	// merges: a map whose entries are added to those of the defaults.
	merges bool
	// apply puts the value of the argument into the spec of a task; nil for the ones
	// that shape the step itself and are looked at by name.
	apply func(*task, *arg)
	// takes: the kind of block about AWS Batch itself that is named, or given as a whole;
	// "": none.
	takes string
}

// A blockSpec is the arguments of a kind of block.
type blockSpec []argSpec

func (b blockSpec) find(name string) *argSpec {
	for i := range b {
		if b[i].name == name {
			return &b[i]
		}
	}
	return nil
}

func (b blockSpec) schema(blocks ...hcl.BlockHeaderSchema) *hcl.BodySchema {
	s := &hcl.BodySchema{Blocks: blocks}
	for _, a := range b {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a.name})
	}
	return s
}

var rootSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "workflow", LabelNames: []string{"name"}},
	{Type: "variable", LabelNames: []string{"name"}},
	{Type: "locals"},
	{Type: "step", LabelNames: []string{"name"}},
	{Type: "output", LabelNames: []string{"name"}},
	{Type: "moved"},
	{Type: kindEnvironment, LabelNames: []string{"name"}},
	{Type: kindQueue, LabelNames: []string{"name"}},
	{Type: kindDefinition, LabelNames: []string{"name"}},
	{Type: kindPolicy, LabelNames: []string{"name"}},
	{Type: kindConsumable, LabelNames: []string{"name"}},
	{Type: kindPool, LabelNames: []string{"name"}},
	{Type: "notify", LabelNames: []string{"name"}},
	{Type: "schedule", LabelNames: []string{"name"}},
	// This is reserved.
	{Type: "module", LabelNames: []string{"name"}},
}}

// configSchema is that of flow.config.hcl.
var configSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "site", LabelNames: []string{"name"}}}}

var siteArgs = blockSpec{
	{name: "executor"},
	{name: "work_dir"},
	{name: "max_parallel"},
	{name: "image"},
	{name: "queue"},
	{name: "tags"},
	{name: "containers"},
	{name: "vcpus"},
	{name: "memory"},
	{name: "region"},
	{name: "profile"},
	{name: "endpoint"},
	{name: "agent_image"},
	{name: "url"},
}

var workflowArgs = blockSpec{
	{name: "description"},
	{name: "work_dir", uses: useRun},
	{name: "max_parallel"},
	{name: "executor"},
	{name: "on_failure"},
	{name: "on_lost"},
	{name: "timeout"},
	{name: "tags", uses: useRun},
}

var movedArgs = blockSpec{{name: "from"}, {name: "to"}}

var expectArgs = blockSpec{{name: "finish_by"}, {name: "max_duration"}, {name: "time_zone"}}

// scheduleArgs are written out: what runs when is known before there is a run, and values of
// variables. The values in vars are evaluated for each run.
var scheduleArgs = blockSpec{
	{name: "cron"},
	{name: "time_zone"},
	{name: "overlap"},
	{name: "catch_up"},
	{name: "start_within"},
	{name: "vars"},
	{name: "enabled"},
	{name: "jitter"},
}

// scheduleVarArg is a value in vars of a schedule.
var scheduleVarArg = argSpec{name: "vars", uses: useSchedule}

var budgetArgs = blockSpec{{name: "max_usd"}, {name: "on_exceed"}}

var (
	stepArgs = blockSpec{
		{name: "description"},
		{name: "command", uses: useTask, apply: (*task).setCommand},
		{name: "script", uses: useTask, apply: (*task).setScript},
		{name: "script_file", uses: useTask, apply: (*task).setScriptFile},
		{name: "shell", uses: useTask, inDefaults: true, apply: (*task).setShell},
		{name: "image", uses: useTask, inDefaults: true, apply: (*task).setImage},
		{name: "queue", uses: useTask, inDefaults: true, takes: kindQueue, apply: (*task).setQueue},
		{name: "job_definition", uses: useTask, inDefaults: true, takes: kindDefinition, apply: (*task).setJobDefinition},
		{name: "parameters", uses: useTask, inDefaults: true, merges: true, apply: (*task).setParameters},
		{name: "inputs", uses: useTask, inDefaults: true, merges: true, apply: (*task).setInputs},
		{name: "env", uses: useTask, inDefaults: true, merges: true, apply: (*task).setEnv},
		{name: "secrets", uses: useTask, inDefaults: true, merges: true, apply: (*task).setSecrets},
		{name: "for_each", uses: useRun | useSteps},
		{name: "each_key", uses: useTask},
		{name: "sequential", inDefaults: true},
		{name: "timeout", uses: useTask, inDefaults: true, apply: (*task).setTimeout},
		{name: "when", uses: useTask, inDefaults: true},
		{name: "depends_on"},
		{name: "cache", uses: useTask, inDefaults: true, apply: (*task).setCache},
		{name: "cache_version", uses: useTask, inDefaults: true, apply: (*task).setCacheVersion},
		{name: "max_parallel", inDefaults: true},
		{name: "tags", uses: useTask, inDefaults: true, merges: true, apply: (*task).setTags},
		{name: "priority", uses: useTask, inDefaults: true, apply: (*task).setPriority},
		{name: "consumable_resources", uses: useTask, inDefaults: true, merges: true, apply: (*task).setConsumables},
		{name: "pools", uses: useTask, inDefaults: true, merges: true, apply: (*task).setPools},
	}
	resourceArgs = blockSpec{
		{name: "vcpus", uses: useTries},
		{name: "memory", uses: useTries},
		{name: "gpus", uses: useTries},
		{name: "disk", uses: useTries},
	}
	ruleArgs = blockSpec{
		{name: "exit_code", uses: useTask},
		{name: "reason", uses: useTask},
		{name: "status_reason", uses: useTask},
		{name: "action", uses: useTask},
		{name: "delay", uses: useTask},
		{name: "memory", uses: useTries},
		{name: "vcpus", uses: useTries},
		{name: "queue", uses: useTask, takes: kindQueue},
	}
	containerArgs = blockSpec{
		{name: "user", uses: useTask},
		{name: "job_role", uses: useTask},
		{name: "execution_role", uses: useTask},
		{name: "init_process", uses: useTask},
		{name: "read_only", uses: useTask},
		{name: "privileged", uses: useTask},
		{name: "ulimits", uses: useTask},
		{name: "network", uses: useTask},
		{name: "architecture", uses: useTask},
		{name: "platform", uses: useTask},
		{name: "shared_memory", uses: useTask},
		{name: "ephemeral_storage", uses: useTask},
	}

	stepBlocks = []hcl.BlockHeaderSchema{
		{Type: "output", LabelNames: []string{"name"}},
		{Type: "matrix"},
		{Type: "resources"},
		{Type: "retry"},
		{Type: "tolerate"},
		{Type: "container"},
		{Type: "wait_for", LabelNames: []string{"kind"}},
	}
	retryArgs    = blockSpec{{name: "attempts"}}
	retryBlocks  = []hcl.BlockHeaderSchema{{Type: "when", LabelNames: []string{"class"}}}
	tolerateArgs = blockSpec{{name: "failed"}}
	// sensorArgs are the blocks of wait_for.
	sensorArgs = map[engine.SensorKind]blockSpec{
		engine.SensorS3: {
			{name: "object", uses: useRun | useSteps}, {name: "prefix", uses: useRun | useSteps}, {name: "count", uses: useRun | useSteps},
			{name: "every"}, {name: "timeout"}, {name: "on_timeout"},
		},
		engine.SensorFile: {
			{name: "path", uses: useRun | useSteps}, {name: "count", uses: useRun | useSteps},
			{name: "every"}, {name: "timeout"}, {name: "on_timeout"},
		},
	}
	axisArg = argSpec{name: "axis", uses: useRun | useSteps}

	containerBlocks = []hcl.BlockHeaderSchema{
		{Type: "volume", LabelNames: []string{"name"}},
		{Type: "log_configuration"},
	}
	volumeArgs = blockSpec{
		{name: "host", uses: useTask},
		{name: "efs", uses: useTask},
		{name: "path", uses: useTask},
		{name: "read_only", uses: useTask},
		{name: "efs_root", uses: useTask},
		{name: "efs_access_point", uses: useTask},
	}
	loggingArgs = blockSpec{
		{name: "driver", uses: useTask},
		{name: "options", uses: useTask},
	}
	stepOutputArgs = blockSpec{
		{name: "file", uses: useTask},
		{name: "files", uses: useTask},
		{name: "directory", uses: useTask},
		{name: "json", uses: useTask},
		{name: "text", uses: useTask},
		{name: "type"},
		{name: "optional"},
		{name: "publish", uses: useTask},
		{name: "temporary"},
	}
	variableArgs = blockSpec{
		{name: "type"},
		{name: "default"},
		{name: "description"},
		{name: "sensitive"},
		{name: "nullable"},
	}
	variableBlocks = []hcl.BlockHeaderSchema{{Type: "validation"}}
	validationArgs = blockSpec{{name: "condition"}, {name: "error_message"}}
	outputArgs     = blockSpec{
		{name: "value", uses: useRun | useSteps},
		{name: "publish", uses: useRun | useSteps},
		{name: "description"},
		{name: "sensitive"},
	}
	notifyArgs = blockSpec{{name: "on"}}
	// wayArgs are the blocks of notify: how a message goes out.
	wayArgs = map[engine.WayKind]blockSpec{
		engine.WayCommand: {{name: "argv", uses: useRun}, {name: "timeout"}},
		engine.WayWebhook: {{name: "url", uses: useRun}, {name: "headers", uses: useRun}, {name: "secret"}, {name: "timeout"}},
		engine.WaySlack:   {{name: "webhook"}, {name: "timeout"}},
		engine.WaySNS:     {{name: "topic"}, {name: "timeout"}},
		engine.WayEmail: {
			{name: "server"}, {name: "tls"}, {name: "from"}, {name: "to"}, {name: "user"}, {name: "password"}, {name: "timeout"},
		},
	}
	notifyBlocks = []hcl.BlockHeaderSchema{
		{Type: string(engine.WayCommand)}, {Type: string(engine.WayWebhook)}, {Type: string(engine.WaySlack)}, {Type: string(engine.WaySNS)}, {Type: string(engine.WayEmail)},
	}
	localArg = argSpec{name: "local", uses: useRun | useSteps}
)
