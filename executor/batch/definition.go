package batch

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/store"
)

// A Definition is a job definition of flow's own. Its name carries 16 digits of the hash of
// its content, and a tag all of them, so that it is found again and never made twice.
type Definition struct {
	Name    string // flow-<image>-<hash>
	Content string // the sha256 of its content, 64 hexadecimal digits
	Input   *batch.RegisterJobDefinitionInput
}

// tagContent is the tag with the hash of a definition's content.
const tagContent = "flow:content"

// Names in the definition of a job that is run by flow's agent.
const (
	agentContainer = "agent" // puts flow into the volume
	taskContainer  = "task"  // the user's image
	agentVolume    = "flow-agent"
	agentDir       = "/flow-agent"
	agentProgram   = agentDir + "/flow"
	workVolume     = "flow-work" // of jobs whose files are on S3: where their tasks work
	workDir        = "/flow-work"
)

// define gives the definition of a job its name. Its tags say what it is, and whose runs
// registered it: jobs of others use it as well.
func define(spec *engine.JobSpec, in *batch.RegisterJobDefinitionInput) *Definition {
	in.Type = types.JobDefinitionTypeContainer
	in.ConsumableResourceProperties = consumablesOf(spec.Task)
	sum := sha256.Sum256(compact(in))
	d := &Definition{Content: hex.EncodeToString(sum[:]), Input: in}
	d.Name = "flow-" + imageWord(spec.Task.Image) + "-" + d.Content[:16]
	in.JobDefinitionName = &d.Name
	in.Tags = map[string]string{tagContent: d.Content, tagWorkflow: spec.Workflow}
	return d
}

// imageWord returns the last part of an image's name as a part of that of a definition.
func imageWord(image string) string {
	base := image[strings.LastIndexByte(image, '/')+1:]
	base, _, _ = strings.Cut(base, "@")
	base, _, _ = strings.Cut(base, ":")
	base = strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return '-'
	}, base)
	return orText(base[:min(len(base), 40)], "image")
}

// consumablesOf returns what a job has of consumable resources, or nil.
func consumablesOf(task *engine.TaskSpec) *types.ConsumableResourceProperties {
	if len(task.Consumables) == 0 {
		return nil
	}
	p := &types.ConsumableResourceProperties{}
	for _, c := range task.Consumables {
		p.ConsumableResourceList = append(p.ConsumableResourceList, types.ConsumableResourceRequirement{ConsumableResource: &c.Resource, Quantity: &c.Quantity})
	}
	return p
}

// plainDefinition returns the definition of a job without an agent. The command, the
// environment and the resources are what a submission overrides.
func plainDefinition(spec *engine.JobSpec) (*Definition, error) {
	c, capabilities, err := containerOf(spec)
	if err != nil {
		return nil, err
	}
	return define(spec, &batch.RegisterJobDefinitionInput{ContainerProperties: c, PlatformCapabilities: capabilities}), nil
}

// containerOf returns the container of a job, without what a submission overrides.
func containerOf(spec *engine.JobSpec) (*types.ContainerProperties, []types.PlatformCapability, error) {
	p, err := partsOf(spec)
	if err != nil {
		return nil, nil, err
	}
	return &types.ContainerProperties{
		Image: &spec.Task.Image, ResourceRequirements: requirements(engine.Resources{}), Secrets: p.secrets, JobRoleArn: given(p.JobRole), ExecutionRoleArn: given(p.ExecutionRole),
		User: given(p.User), ReadonlyRootFilesystem: flag(p.ReadOnly), Privileged: flag(p.Privileged), Ulimits: p.ulimits, LinuxParameters: p.linux, LogConfiguration: p.log,
		Volumes: p.volumes, MountPoints: p.mounts, NetworkConfiguration: p.network, RuntimePlatform: p.runtime, EphemeralStorage: p.storage,
	}, p.capabilities, nil
}

// agentDefinition returns the definition of a job that is run by flow's agent: one
// container puts flow's own program into a volume, and when it has, the other one runs the
// task with it (Batch User Guide, multi-container-jobs). Where files are on S3 the task works
// in a second volume: its image may have no directory that it may write to.
func agentDefinition(spec *engine.JobSpec, image string) (*Definition, error) {
	task := spec.Task
	p, err := partsOf(spec)
	if err != nil {
		return nil, err
	}
	base := agentResources(task)
	rest := engine.Resources{VCPUs: 1, MemoryMiB: engine.DefaultMemoryMiB}
	if isFargate(task) {
		rest = engine.Resources{VCPUs: 1 - base.VCPUs, MemoryMiB: engine.DefaultMemoryMiB - base.MemoryMiB}
	}
	first := types.TaskContainerProperties{
		Name: new(agentContainer), Image: &image, Command: []string{"flow", "agent", "install", agentDir}, Essential: new(false), ResourceRequirements: requirements(base),
		MountPoints: []types.MountPoint{{SourceVolume: new(agentVolume), ContainerPath: new(agentDir)}}, LogConfiguration: p.log,
	}
	second := types.TaskContainerProperties{
		Name: new(taskContainer), Image: &task.Image, Essential: new(true), ResourceRequirements: requirements(rest), Secrets: p.secrets, User: given(p.User),
		DependsOn:              []types.TaskContainerDependency{{ContainerName: new(agentContainer), Condition: new("SUCCESS")}},
		ReadonlyRootFilesystem: flag(p.ReadOnly), Privileged: flag(p.Privileged), Ulimits: p.ulimits, LinuxParameters: p.linux, LogConfiguration: p.log,
		MountPoints: append(p.mounts, types.MountPoint{SourceVolume: new(agentVolume), ContainerPath: new(agentDir), ReadOnly: new(true)}),
	}
	volumes := append(p.volumes, types.Volume{Name: new(agentVolume)})
	if store.Is(spec.WorkDir) {
		work := types.MountPoint{SourceVolume: new(workVolume), ContainerPath: new(workDir)}
		first.Command = append(first.Command, workDir)
		first.MountPoints, second.MountPoints = append(first.MountPoints, work), append(second.MountPoints, work)
		volumes = append(volumes, types.Volume{Name: new(workVolume)})
	}
	ecs := types.EcsTaskProperties{
		Containers: []types.TaskContainerProperties{first, second}, ExecutionRoleArn: given(p.ExecutionRole), TaskRoleArn: given(p.JobRole),
		NetworkConfiguration: p.network, RuntimePlatform: p.runtime, EphemeralStorage: p.storage, Volumes: volumes,
	}
	return define(spec, &batch.RegisterJobDefinitionInput{
		EcsProperties: &types.EcsProperties{TaskProperties: []types.EcsTaskProperties{ecs}}, PlatformCapabilities: p.capabilities,
	}), nil
}

// agentResources are what the container that puts flow into the volume asks for, by the
// definition. It has ended before the task's starts, and still counts for the job.
func agentResources(task *engine.TaskSpec) engine.Resources {
	if isFargate(task) {
		return engine.Resources{VCPUs: 0.25, MemoryMiB: 128}
	}
	return engine.Resources{VCPUs: 1, MemoryMiB: 64}
}

// agentShare parts what a job asks for between its two containers. On Fargate both together
// have to be one of its pairs (Batch User Guide, multi-container-jobs-scenarios, where 2 and
// 6 vCPUs are a job of 8), so the first container's is taken from the task's; the vCPUs
// of a container are a weight there, and the task may use all of the job's. On EC2 only
// whole vCPUs can be asked for, which are weights as well.
func agentShare(spec *engine.JobSpec) (first, task engine.Resources) {
	first, task = agentResources(spec.Task), spec.Resources
	if task.VCPUs == 0 {
		task.VCPUs = 1
	}
	if task.MemoryMiB == 0 {
		task.MemoryMiB = engine.DefaultMemoryMiB
	}
	if isFargate(spec.Task) {
		first.VCPUs = min(first.VCPUs, task.VCPUs/2)
		task.MemoryMiB -= first.MemoryMiB
		task.VCPUs -= first.VCPUs
	} else if task.VCPUs >= 2 {
		task.VCPUs -= first.VCPUs
	}
	return first, task
}

// jobFileSpec returns what the agents are to know of a job: FLOW_MEMORY_MIB is what the
// task's container may use.
func jobFileSpec(spec *engine.JobSpec) *engine.JobSpec {
	c := *spec
	_, share := agentShare(spec)
	c.MemoryMiB = share.MemoryMiB
	return &c
}

func isFargate(task *engine.TaskSpec) bool {
	return task.Container != nil && strings.EqualFold(task.Container.Platform, string(types.PlatformCapabilityFargate))
}

// parts are what definitions of both kinds have.
type parts struct {
	engine.Container
	capabilities []types.PlatformCapability
	secrets      []types.Secret
	ulimits      []types.Ulimit
	linux        *types.LinuxParameters
	log          *types.LogConfiguration
	volumes      []types.Volume
	mounts       []types.MountPoint
	network      *types.NetworkConfiguration
	runtime      *types.RuntimePlatform
	storage      *types.EphemeralStorage
}

func partsOf(spec *engine.JobSpec) (*parts, error) {
	task := spec.Task
	if task.Image == "" {
		return nil, refuse("it names no container image: set image in the step, in the site, or with -image")
	}
	p := &parts{capabilities: []types.PlatformCapability{types.PlatformCapabilityEc2}}
	if task.Container != nil {
		p.Container = *task.Container
	}
	if err := p.setSecrets(task.Secrets); err != nil {
		return nil, err
	}
	for _, u := range p.Ulimits {
		p.ulimits = append(p.ulimits, types.Ulimit{Name: &u.Name, SoftLimit: new(int32(u.Soft)), HardLimit: new(int32(u.Hard))})
	}
	if p.InitProcess || p.SharedMemoryMiB > 0 {
		p.linux = &types.LinuxParameters{InitProcessEnabled: flag(p.InitProcess), SharedMemorySize: count(p.SharedMemoryMiB)}
	}
	if p.LogDriver != "" || len(p.LogOptions) > 0 {
		p.log = &types.LogConfiguration{LogDriver: types.LogDriver(orText(p.LogDriver, string(types.LogDriverAwslogs))), Options: p.LogOptions}
	}
	p.setVolumes()
	return p, p.setPlatform(task, spec.DiskGiB)
}

// setSecrets takes secrets over by where they are to be read: an ARN, or the name of a
// parameter (API reference, Secret).
func (p *parts) setSecrets(secrets map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		from := secrets[name]
		for _, local := range []string{"env:", "file:", "var:"} {
			if strings.HasPrefix(from, local) {
				return refuse("the secret %s is to be read from %s, which is here and not on AWS: give the ARN of a secret of Secrets Manager or of a parameter of Systems Manager", name, from)
			}
		}
		from = strings.TrimPrefix(from, "ssm:") // a parameter of the same region goes by its name
		p.secrets = append(p.secrets, types.Secret{Name: &name, ValueFrom: &from})
	}
	return nil
}

func (p *parts) setVolumes() {
	for _, v := range p.Volumes {
		volume := types.Volume{Name: &v.Name}
		switch {
		case v.EFS != "":
			volume.EfsVolumeConfiguration = efsOf(&v)
		case v.HostPath != "":
			volume.Host = &types.Host{SourcePath: &v.HostPath}
		}
		p.volumes = append(p.volumes, volume)
		p.mounts = append(p.mounts, types.MountPoint{SourceVolume: &v.Name, ContainerPath: &v.Path, ReadOnly: flag(v.ReadOnly)})
	}
}

// efsOf returns the configuration of a volume of EFS. An access point wants encryption on
// the way (API reference, EFSVolumeConfiguration).
func efsOf(v *engine.Volume) *types.EFSVolumeConfiguration {
	c := &types.EFSVolumeConfiguration{FileSystemId: &v.EFS, RootDirectory: given(v.EFSRoot)}
	if v.EFSAccess != "" {
		c.TransitEncryption = types.EFSTransitEncryptionEnabled
		c.AuthorizationConfig = &types.EFSAuthorizationConfig{AccessPointId: &v.EFSAccess}
	}
	return c
}

// setPlatform takes over what goes with EC2 or with Fargate only.
func (p *parts) setPlatform(task *engine.TaskSpec, disk int) error {
	fargate := isFargate(task)
	switch p.Network {
	case "", "bridge":
	case "public", "private":
		if fargate {
			p.network = &types.NetworkConfiguration{AssignPublicIp: types.AssignPublicIpDisabled}
			if p.Network == "public" {
				p.network.AssignPublicIp = types.AssignPublicIpEnabled
			}
		}
	default:
		return refuse("AWS Batch has no network %q for a container", p.Network)
	}
	if !fargate {
		return nil
	}
	p.capabilities = []types.PlatformCapability{types.PlatformCapabilityFargate}
	if p.Architecture != "" {
		p.runtime = &types.RuntimePlatform{CpuArchitecture: &p.Architecture, OperatingSystemFamily: new("LINUX")}
	}
	if gib := max(disk, p.EphemeralStorage); gib > 20 { // which is what a task has anyway (API reference, EphemeralStorage)
		p.storage = &types.EphemeralStorage{SizeInGiB: new(int32(gib))}
	}
	return nil
}

func flag(b bool) *bool {
	if !b {
		return nil
	}
	return &b
}

func count(n int) *int32 {
	if n == 0 {
		return nil
	}
	return new(int32(n))
}
