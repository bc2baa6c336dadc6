package infra

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// definitionArguments writes a job definition. What flow never sets is written as it is,
// under AWS's name, so that a revision that somebody else has registered is seen.
func definitionArguments(a *arguments, in *batch.RegisterJobDefinitionInput) {
	if in.Type != "" && !strings.EqualFold(string(in.Type), string(types.JobDefinitionTypeContainer)) {
		a.set("type", quoted(string(in.Type)))
	}
	if c := in.ContainerProperties; c != nil {
		containerArguments(a, c)
	}
	if p := capability(in.PlatformCapabilities); p != "EC2" {
		a.set("container.platform", quoted(p))
	}
	a.set("parameters", mapping(in.Parameters))
	if t := in.Timeout; t != nil {
		a.set("timeout", span(t.AttemptDurationSeconds))
	}
	if r := in.RetryStrategy; r != nil && (value(r.Attempts) > 1 || len(r.EvaluateOnExit) > 0) {
		a.set("retry", retryArgument(r))
	}
	a.set("scheduling_priority", positive(in.SchedulingPriority))
	a.set("propagate_tags", yes(in.PropagateTags))
	a.set("consumable_resources", consumablesArgument(in.ConsumableResourceProperties))
	a.set("ecsProperties", raw(in.EcsProperties))
	a.set("eksProperties", raw(in.EksProperties))
	a.set("nodeProperties", raw(in.NodeProperties))
	a.set("tags", tags(in.Tags))
}

// consumablesArgument writes what a job has of consumable resources, by name in order:
// whether it is told by names or by ARNs makes no difference.
func consumablesArgument(p *types.ConsumableResourceProperties) string {
	if p == nil || len(p.ConsumableResourceList) == 0 {
		return ""
	}
	var parts []string
	for i := range p.ConsumableResourceList {
		c := &p.ConsumableResourceList[i]
		parts = append(parts, quoted(nameOf(value(c.ConsumableResource)))+" = "+number(c.Quantity))
	}
	slices.Sort(parts)
	return "{ " + strings.Join(parts, ", ") + " }"
}

// capability is EC2 unless it is something else (API reference, RegisterJobDefinition).
func capability(of []types.PlatformCapability) string {
	for _, c := range of {
		return strings.ToUpper(string(c))
	}
	return "EC2"
}

func retryArgument(r *types.RetryStrategy) string {
	parts := []string{"attempts = " + orText(number(r.Attempts), "1")}
	for i := range r.EvaluateOnExit {
		e := &r.EvaluateOnExit[i]
		parts = append(parts, "when "+block("exit_code", text(e.OnExitCode), "reason", text(e.OnReason), "status_reason", text(e.OnStatusReason),
			"action", quoted(strings.ToLower(string(e.Action)))))
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

func containerArguments(a *arguments, c *types.ContainerProperties) {
	a.set("image", text(c.Image))
	a.set("command", list(c.Command))
	env := map[string]string{}
	for i := range c.Environment {
		if v := value(c.Environment[i].Value); v != "" { // AWS leaves out those that are empty
			env[value(c.Environment[i].Name)] = v
		}
	}
	a.set("environment", mapping(env))
	secrets := map[string]string{}
	for i := range c.Secrets {
		secrets[value(c.Secrets[i].Name)] = value(c.Secrets[i].ValueFrom)
	}
	a.set("secrets", mapping(secrets))
	resourceArguments(a, c)
	a.set("container.job_role", quoted(nameOf(value(c.JobRoleArn))))
	a.set("container.execution_role", quoted(nameOf(value(c.ExecutionRoleArn))))
	a.set("container.user", text(c.User))
	a.set("container.read_only", yes(c.ReadonlyRootFilesystem))
	a.set("container.privileged", yes(c.Privileged))
	if l := c.LinuxParameters; l != nil {
		a.set("container.init_process", yes(l.InitProcessEnabled))
		a.set("container.shared_memory", positive(l.SharedMemorySize))
		rest := *l
		rest.InitProcessEnabled, rest.SharedMemorySize = nil, nil
		a.set("container.linuxParameters", raw(&rest))
	}
	if l := c.LogConfiguration; l != nil {
		a.set("container.log_configuration", block("log_driver", quoted(strings.ToLower(string(l.LogDriver))), "options", mapping(l.Options), "secretOptions", raw(l.SecretOptions)))
	}
	if n := c.NetworkConfiguration; n != nil && strings.EqualFold(string(n.AssignPublicIp), string(types.AssignPublicIpEnabled)) {
		a.set("container.network", quoted("public"))
	}
	if p := c.RuntimePlatform; p != nil {
		platform(a, p)
	}
	if s := c.EphemeralStorage; s != nil && value(s.SizeInGiB) > defaultStorage {
		a.set("container.ephemeral_storage", number(s.SizeInGiB))
	}
	a.set("container.ulimit", raw(sortedBy(c.Ulimits, func(u *types.Ulimit) *string { return u.Name })))
	a.set("container.volume", raw(volumes(c.Volumes)))
	a.set("container.mount", raw(mounts(c.MountPoints)))
	if f := c.FargatePlatformConfiguration; f != nil && value(f.PlatformVersion) != "LATEST" {
		a.set("container.fargatePlatformConfiguration", raw(f))
	}
	a.set("container.repositoryCredentials", raw(c.RepositoryCredentials))
	a.set("container.enableExecuteCommand", yes(c.EnableExecuteCommand))
}

// platform writes what differs from AWS's default, LINUX on X86_64 (API reference,
// RuntimePlatform).
func platform(a *arguments, p *types.RuntimePlatform) {
	if arch := value(p.CpuArchitecture); arch != "X86_64" {
		a.set("container.architecture", quoted(arch))
	}
	if system := value(p.OperatingSystemFamily); system != "LINUX" {
		a.set("container.operatingSystemFamily", quoted(system))
	}
}

// defaultStorage is what a task on Fargate has without being given more, in GiB (API
// reference, EphemeralStorage).
const defaultStorage = 20

// sortedBy returns a list whose order does not matter in that of its names.
func sortedBy[T any](of []T, name func(*T) *string) []T {
	return slices.SortedStableFunc(slices.Values(of), func(x, y T) int { return strings.Compare(value(name(&x)), value(name(&y))) })
}

// volumes leaves out of volumes what is AWS's default (API reference, EFSVolumeConfiguration
// and EFSAuthorizationConfig), which it may tell or not.
func volumes(of []types.Volume) []types.Volume {
	out := sortedBy(of, func(v *types.Volume) *string { return v.Name })
	for i := range out {
		if out[i].EfsVolumeConfiguration == nil {
			continue
		}
		c := *out[i].EfsVolumeConfiguration
		out[i].EfsVolumeConfiguration = &c
		if value(c.RootDirectory) == "/" {
			c.RootDirectory = nil
		}
		if c.TransitEncryption == types.EFSTransitEncryptionDisabled {
			c.TransitEncryption = ""
		}
		if value(c.TransitEncryptionPort) == 0 {
			c.TransitEncryptionPort = nil
		}
		if auth := c.AuthorizationConfig; auth != nil && auth.Iam == types.EFSAuthorizationConfigIAMDisabled {
			c.AuthorizationConfig = &types.EFSAuthorizationConfig{AccessPointId: auth.AccessPointId}
		}
	}
	return out
}

// mounts leaves out that a mount point is not read-only, which AWS may tell or not.
func mounts(of []types.MountPoint) []types.MountPoint {
	out := sortedBy(of, func(m *types.MountPoint) *string { return m.ContainerPath })
	for i := range out {
		if !value(out[i].ReadOnly) {
			out[i].ReadOnly = nil
		}
	}
	return out
}

// resourceArguments writes what a job asks for. What a revision of others says in the
// deprecated vcpus and memory is not seen, so that it differs.
func resourceArguments(a *arguments, c *types.ContainerProperties) {
	values := map[string]string{}
	for i := range c.ResourceRequirements {
		values[string(c.ResourceRequirements[i].Type)] = plainNumber(value(c.ResourceRequirements[i].Value))
	}
	a.set("resources", block("vcpus", values["VCPU"], "memory", values["MEMORY"], "gpus", values["GPU"]))
}

// plainNumber writes "1.0" as "1".
func plainNumber(s string) string {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return s
}

// raw writes what has no name of its own in a workflow, as JSON without what is empty.
func raw(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	var tree any
	if json.Unmarshal(b, &tree) != nil {
		return ""
	}
	tree = pruned(tree)
	if tree == nil {
		return ""
	}
	b, _ = json.Marshal(tree) // it was read from JSON
	return string(b)
}

// pruned returns a tree of JSON without what is empty; nil if nothing is left.
func pruned(tree any) any {
	switch t := tree.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, v := range t {
			if v = pruned(v); v != nil {
				out[k] = v
			}
		}
		if len(out) > 0 {
			return out
		}
		return nil
	case []any:
		var out []any
		for _, v := range t {
			if v = pruned(v); v != nil {
				out = append(out, v)
			}
		}
		if len(out) > 0 {
			return out
		}
		return nil
	case string:
		if t == "" {
			return nil
		}
	}
	return tree
}
