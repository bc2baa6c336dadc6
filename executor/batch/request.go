package batch

import (
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor"
	"flow/executor/agent"
	"flow/executor/store"
)

// Limits of what Batch hands over to ECS: the merged command and environment of a job, as
// JSON with what Batch adds to it (ECS API reference, RunTask, overrides: 8,192 characters).
// Beyond it a job FAILs when it is to start.
const (
	maxPlain     = 7_000 // above, the agent reads it from a file
	maxOverrides = 7_500 // above, nothing is submitted
	reserve      = 600   // for the variables that Batch sets
)

// ShareIdentifier is that of jobs with a priority: only queues with a fair-share policy
// know priorities, and they want one (API reference, SubmitJob).
const ShareIdentifier = "flow"

// RequestOptions say what jobs are submitted with.
type RequestOptions struct {
	// AgentImage is a container image with flow in it.
	AgentImage string
	// StoreRegion and StoreEndpoint are where S3 is, for jobs with files there. The endpoint
	// is "" if it is that of the region.
	StoreRegion, StoreEndpoint string
}

// Request returns the call of SubmitJob that submits a job, and the definition that it
// runs by, whose ARN or name is still to be set as JobDefinition; nil if the job names one
// of its own. It makes no call and touches no file.
//
// An error says why the job cannot be submitted as it is; it is engine.ErrRefused.
func Request(spec *engine.JobSpec, o RequestOptions) (*batch.SubmitJobInput, *Definition, error) {
	if err := check(spec); err != nil {
		return nil, nil, err
	}
	in := &batch.SubmitJobInput{
		JobName: &spec.Name, JobQueue: &spec.Queue, DependsOn: dependencies(spec.DependsOn), RetryStrategy: retryStrategy(spec), Tags: tagsOf(spec),
	}
	if spec.ArraySize > 0 {
		in.ArrayProperties = &types.ArrayProperties{Size: new(int32(spec.ArraySize))}
	}
	if spec.Timeout > 0 {
		in.Timeout = &types.JobTimeout{AttemptDurationSeconds: new(int32(min(math.Ceil(spec.Timeout.Seconds()), math.MaxInt32)))}
	}
	if p := spec.Task.Priority; p > 0 {
		in.SchedulingPriorityOverride, in.ShareIdentifier = new(int32(p)), new(ShareIdentifier)
	}
	var def *Definition
	var err error
	if spec.Task.JobDefinition != "" {
		err = byOwnDefinition(in, spec)
	} else if uses, why := usesAgent(spec); uses {
		def, err = byAgent(in, spec, why, o)
	} else {
		def, err = plain(in, spec)
	}
	if err != nil {
		return nil, nil, err
	}
	if n := overridesLength(in); n > maxOverrides {
		return nil, nil, refuse("its command and environment have %d characters, and AWS Batch hands over at most 8,192, its own included: put the script into the image, or values into a file that is an input", n)
	}
	return in, def, nil
}

// check refuses what Batch would refuse, with its words, without asking it.
func check(spec *engine.JobSpec) error {
	size := spec.Size()
	switch {
	case spec.Task == nil, spec.Tasks.Len() != size && spec.ArraySize != 1, spec.Keys != nil && len(spec.Keys) != size, spec.Items != nil && len(spec.Items) != size:
		return refuse("the job has %d children, %d tasks, %d keys and %d items", size, spec.Tasks.Len(), len(spec.Keys), len(spec.Items))
	case spec.Queue == "":
		return refuse("it names no job queue: set queue in the step, in the site, or with -queue")
	}
	for _, d := range spec.DependsOn {
		if d.Type != engine.DependAll && d.Type != engine.DependNToN && d.Type != engine.DependSequential {
			return refuse("%q is no type of a dependency", d.Type)
		}
	}
	for _, err := range []error{
		executor.CheckName(spec.Name), executor.CheckArraySize(spec.ArraySize), executor.CheckRetry(spec.Attempts, spec.Evaluate), executor.CheckTags(tagsOf(spec)),
	} {
		if err != nil {
			return refuse("%v", err)
		}
	}
	return nil
}

// plain makes a job that runs its command with nothing of flow's around it.
func plain(in *batch.SubmitJobInput, spec *engine.JobSpec) (*Definition, error) {
	env, _ := plainEnviron(spec)
	in.ContainerOverrides = &types.ContainerOverrides{Command: plainCommand(spec), Environment: pairs(env), ResourceRequirements: requirements(spec.Resources)}
	return plainDefinition(spec)
}

// byOwnDefinition makes a job by a definition of the user's own, as it is but for what the
// step says of it.
func byOwnDefinition(in *batch.SubmitJobInput, spec *engine.JobSpec) error {
	task := spec.Task
	if need, why := usesAgent(spec); need {
		return refuse("%s, which needs flow's agent, and that cannot be put into the job definition %s", why, task.JobDefinition)
	}
	if len(task.Secrets) > 0 {
		return refuse("secrets belong into the job definition %s itself: AWS Batch cannot add them to a job", task.JobDefinition)
	}
	in.JobDefinition, in.Parameters, in.ConsumableResourcePropertiesOverride = &task.JobDefinition, task.Parameters, consumablesOf(task)
	runs := len(task.Command) > 0 || len(task.Shell) > 0
	if !runs && spec.ArraySize > 0 && !slices.Equal(spec.Tasks, engine.Upto(spec.ArraySize)) {
		return refuse("the command of the job definition %s would take the tasks %s for 0 to %d, by AWS_BATCH_JOB_ARRAY_INDEX: give the step a command, which is told FLOW_INDEX and FLOW_KEY",
			task.JobDefinition, strings.TrimSuffix(indexMap(spec.Tasks), ","), spec.ArraySize-1)
	}
	var over types.ContainerOverrides
	if runs {
		over.Command = plainCommand(spec)
	}
	if runs || len(task.Env) > 0 || len(spec.Items) > 0 {
		env, _ := plainEnviron(spec)
		over.Environment = pairs(env)
	}
	if len(task.Resources) > 0 {
		over.ResourceRequirements = requirements(spec.Resources)
	}
	if over.Command != nil || over.Environment != nil || over.ResourceRequirements != nil {
		in.ContainerOverrides = &over
	}
	return nil
}

// byAgent makes a job whose command is run by flow's agent, which reads the job file.
func byAgent(in *batch.SubmitJobInput, spec *engine.JobSpec, why string, o RequestOptions) (*Definition, error) {
	switch {
	case !strings.HasPrefix(spec.WorkDir, "/") && !store.Is(spec.WorkDir):
		return nil, refuse("%s, which needs a work_dir on S3 or in a file system that is mounted at the same path in its container, and %q is neither", why, spec.WorkDir)
	case o.AgentImage == "":
		return nil, refuse("%s, which needs flow's agent: set agent_image in the site, or -agent-image, to an image with flow in it", why)
	}
	first, share := agentShare(spec)
	containers := []types.TaskContainerOverrides{{
		Name: new(taskContainer), Command: agentCommand(spec, o), ResourceRequirements: requirements(share),
	}}
	if first != agentResources(spec.Task) {
		containers = append(containers, types.TaskContainerOverrides{Name: new(agentContainer), ResourceRequirements: requirements(first)})
	}
	in.EcsPropertiesOverride = &types.EcsPropertiesOverride{TaskProperties: []types.TaskPropertiesOverride{{Containers: containers}}}
	return agentDefinition(spec, o.AgentImage)
}

// agentCommand returns what runs in the task's container of a job that uses flow's agent.
func agentCommand(spec *engine.JobSpec, o RequestOptions) []string {
	c := []string{agentProgram, "agent", "run"}
	if store.Is(spec.WorkDir) {
		c = append(c, "-scratch", workDir)
	}
	if usesStore(spec) {
		if o.StoreRegion != "" {
			c = append(c, "-region", o.StoreRegion)
		}
		if o.StoreEndpoint != "" {
			c = append(c, "-endpoint", o.StoreEndpoint)
		}
	}
	return append(c, "--", jobFile(spec))
}

// jobFile returns the path or URI of the job file of a job that uses flow's agent.
func jobFile(spec *engine.JobSpec) string { return agent.JobPath(spec.WorkDir, spec.Run, spec.Name) }

// usesAgent reports whether a job is run by flow's agent, and why. It is what needs a
// work_dir that the job's containers share.
func usesAgent(spec *engine.JobSpec) (bool, string) {
	if spec.Task.NeedsAgent() {
		return true, "the step has inputs or outputs"
	}
	if slices.Contains(spec.Task.Command, "") {
		return true, "its command has an empty word, which AWS Batch does not take"
	}
	env, why := plainEnviron(spec)
	if why != "" {
		return true, why
	}
	over := &types.ContainerOverrides{Command: plainCommand(spec), Environment: pairs(env), ResourceRequirements: requirements(spec.Resources)}
	if n := overridesLength(&batch.SubmitJobInput{ContainerOverrides: over}); n > maxPlain {
		return true, "its command and environment have " + strconv.Itoa(n) + " characters, more than fit into a job"
	}
	return false, ""
}

// plainCommand returns what a job without an agent runs: with the prelude where children or
// attempts differ. A program that is run without a shell is left alone where attempts differ
// by lost hosts only, which nearly all jobs may have: its image may have no shell, or an
// ENTRYPOINT that makes arguments of what it is given.
func plainCommand(spec *engine.JobSpec) []string {
	command := spec.Task.Command
	if len(command) == 0 {
		command = append(slices.Clone(spec.Task.Shell), spec.Task.Script)
	}
	if spec.ArraySize == 0 && (spec.Attempts <= 1 || retriesLossesOnly(spec.Evaluate) && !isShell(command)) {
		return command
	}
	return preluded(command)
}

// retriesLossesOnly reports whether Batch tries again after lost hosts and nothing else.
func retriesLossesOnly(list []engine.EvaluateOn) bool {
	n := len(list)
	return n > 0 && list[n-1] == engine.EvaluateOn{Reason: "*"} && !slices.ContainsFunc(list, func(e engine.EvaluateOn) bool {
		return e.Retry && !strings.HasPrefix(e.StatusReason, engine.ReasonHostLost) && !strings.HasPrefix(e.StatusReason, engine.ReasonSpotFargate)
	})
}

func isShell(command []string) bool {
	return len(command) > 0 && slices.Contains([]string{"sh", "ash", "bash", "dash", "ksh", "zsh"}, path.Base(command[0]))
}

// plainEnviron returns the environment of a job without an agent, or why it needs one.
func plainEnviron(spec *engine.JobSpec) (map[string]string, string) {
	task := spec.Task
	if spec.ArraySize == 0 {
		task = task.With(spec.Item(0))
		if it := spec.Item(0); it != nil && (it.Command != nil || it.Script != nil || len(it.Inputs) > 0 || len(it.Outputs) > 0) {
			return nil, "its item differs in more than variables"
		}
	}
	env := maps.Clone(task.Env)
	if env == nil {
		env = map[string]string{}
	}
	for name, value := range env {
		if strings.Contains(value, "\x00") {
			return nil, "the value of " + name + " has a NUL"
		}
	}
	mine := agent.Task{Run: spec.Run, Step: spec.Step, Key: spec.Key(0), Attempt: max(spec.Attempt, 1)}
	for _, kv := range mine.Environ(spec.Tasks.At(0), spec.Resources) {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	if spec.ArraySize == 0 {
		return env, ""
	}
	delete(env, "FLOW_KEY")
	delete(env, "FLOW_INDEX")
	items, why := itemEnviron(spec)
	maps.Copy(env, items)
	return env, why
}

func pairs(env map[string]string) []types.KeyValuePair {
	out := make([]types.KeyValuePair, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, types.KeyValuePair{Name: new(name), Value: new(env[name])})
	}
	return out
}

// requirements returns resources as Batch has them: the values are strings.
func requirements(r engine.Resources) []types.ResourceRequirement {
	if r.VCPUs == 0 {
		r.VCPUs = 1
	}
	if r.MemoryMiB == 0 {
		r.MemoryMiB = engine.DefaultMemoryMiB
	}
	out := []types.ResourceRequirement{
		{Type: types.ResourceTypeVcpu, Value: new(strconv.FormatFloat(r.VCPUs, 'f', -1, 64))},
		{Type: types.ResourceTypeMemory, Value: new(strconv.Itoa(r.MemoryMiB))},
	}
	if r.GPUs > 0 {
		out = append(out, types.ResourceRequirement{Type: types.ResourceTypeGpu, Value: new(strconv.Itoa(r.GPUs))})
	}
	return out
}

func dependencies(list []engine.Dependency) []types.JobDependency {
	var out []types.JobDependency
	for _, d := range list {
		dep := types.JobDependency{Type: types.ArrayJobDependency(d.Type)}
		if d.Job != "" {
			dep.JobId = new(string(d.Job))
		}
		out = append(out, dep)
	}
	return out
}

// retryStrategy replaces that of the definition as a whole (API reference, SubmitJob).
func retryStrategy(spec *engine.JobSpec) *types.RetryStrategy {
	if spec.Attempts < 1 {
		return nil
	}
	r := &types.RetryStrategy{Attempts: new(int32(spec.Attempts))}
	for _, e := range spec.Evaluate {
		on := types.EvaluateOnExit{Action: types.RetryActionExit, OnExitCode: given(e.ExitCode), OnReason: given(e.Reason), OnStatusReason: given(e.StatusReason)}
		if e.Retry {
			on.Action = types.RetryActionRetry
		}
		r.EvaluateOnExit = append(r.EvaluateOnExit, on)
	}
	return r
}

// Tags of the jobs of flow, which tell what a job is without flow's own records.
const (
	tagRun      = "flow:run"
	tagStep     = "flow:step"
	tagWorkflow = "flow:workflow"
	tagJob      = "flow:job"
)

func tagsOf(spec *engine.JobSpec) map[string]string {
	tags := maps.Clone(spec.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	for name, value := range map[string]string{tagRun: string(spec.Run), tagStep: string(spec.Step), tagWorkflow: spec.Workflow, tagJob: spec.Name} {
		if value != "" {
			tags[name] = value
		}
	}
	return tags
}

// given returns nil for "".
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// value returns what p points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// moment returns a time as Batch has it: milliseconds since the epoch, absent or 0 if it
// has not come.
func moment(ms *int64) time.Time {
	if value(ms) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(*ms)
}
