package endpoint

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// Here are the checks of the parts of a container and its task.

// reservedPrefix is what names of environment variables cannot begin with.
const reservedPrefix = "AWS_BATCH"

// checkEnvironment refuses environment variables that Batch would refuse.
func checkEnvironment(list []types.KeyValuePair) error {
	for i := range list {
		if err := checkVariable(list[i].Name); err != nil {
			return err
		}
	}
	return nil
}

func checkVariable(name *string) error {
	if !given(name) {
		return refuse("Environment variable name is required.")
	}
	if strings.HasPrefix(*name, reservedPrefix) {
		return refuse("Environment variables cannot start with %s, got %s", reservedPrefix, *name)
	}
	if strings.ContainsAny(*name, "=\x00") {
		return refuse("Environment variable name is not valid: %q", *name)
	}
	return nil
}

func (c *containerSpec) checkSecrets(t *taskSpec) error {
	all := c.Secrets
	if c.LogConfiguration != nil {
		all = slices.Concat(all, c.LogConfiguration.SecretOptions)
	}
	for i := range all {
		if !given(all[i].Name) || !given(all[i].ValueFrom) {
			return refuse("secrets and secretOptions need a name and a valueFrom")
		}
	}
	if len(all) > 0 && !given(t.ExecutionRoleArn) {
		return refuse("executionRoleArn cannot be empty when using secrets or secretOptions")
	}
	return nil
}

// checkLog checks logConfiguration.
func (c *containerSpec) checkLog(t *taskSpec) error {
	l := c.LogConfiguration
	if l == nil {
		return nil
	}
	if l.LogDriver == "" {
		return refuse("logConfiguration needs a logDriver")
	}
	onFargate := []types.LogDriver{types.LogDriverAwslogs, types.LogDriverSplunk, types.LogDriverAwsfirelens}
	if t.fargate && !slices.Contains(onFargate, l.LogDriver) {
		return refuse("Log driver for Fargate is not valid: %s", l.LogDriver)
	}
	return nil
}

var volumeName = pattern(`^[A-Za-z0-9_-]{1,255}$`)

// checkVolumes checks the volumes of a task.
func checkVolumes(volumes []types.Volume, t *taskSpec) error {
	seen := map[string]bool{}
	for i := range volumes {
		v := &volumes[i]
		name := value(v.Name)
		if !volumeName().MatchString(name) {
			return refuse("Volume name is not valid: up to 255 letters, numbers, hyphens and underscores are allowed, got %q", name)
		}
		if seen[name] {
			return refuse("Volume names must be unique, got %s twice", name)
		}
		seen[name] = true
		if err := checkVolume(v, t); err != nil {
			return err
		}
	}
	return nil
}

func checkVolume(v *types.Volume, t *taskSpec) error {
	kinds := 0
	for _, is := range []bool{v.Host != nil, v.EfsVolumeConfiguration != nil, v.S3filesVolumeConfiguration != nil} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		return refuse("Volume %s can have only one of host, efsVolumeConfiguration and s3filesVolumeConfiguration", *v.Name)
	case v.Host != nil && given(v.Host.SourcePath) && t.fargate:
		return refuse("host.sourcePath should not be set for volumes in Fargate.")
	case v.S3filesVolumeConfiguration != nil && !given(v.S3filesVolumeConfiguration.FileSystemArn):
		return refuse("s3filesVolumeConfiguration needs a fileSystemArn")
	case v.EfsVolumeConfiguration != nil:
		return checkEFS(v.EfsVolumeConfiguration, t)
	}
	return nil
}

// checkEFS checks a volume of an Elastic File System (EFSVolumeConfiguration,
// EFSAuthorizationConfig).
func checkEFS(e *types.EFSVolumeConfiguration, t *taskSpec) error {
	switch {
	case t.oldPlatform():
		return refuse("EFS is supported for Fargate platform versions 1.4.0 or later")
	case t.windows():
		return refuse("efsVolumeConfiguration is not applicable for Windows containers.")
	case !given(e.FileSystemId):
		return refuse("efsVolumeConfiguration needs a fileSystemId")
	case len(value(e.RootDirectory)) > 4096:
		return refuse("efsVolumeConfiguration rootDirectory cannot exceed 4096 characters")
	}
	a := e.AuthorizationConfig
	if a == nil {
		return nil
	}
	iam := a.Iam == types.EFSAuthorizationConfigIAMEnabled
	switch {
	case (iam || given(a.AccessPointId)) && e.TransitEncryption != types.EFSTransitEncryptionEnabled:
		return refuse("transitEncryption must be ENABLED when using an EFS access point or IAM authorization")
	case iam && !given(t.TaskRoleArn):
		return refuse("jobRoleArn cannot be empty when using EFS IAM authorization")
	case given(a.AccessPointId) && given(e.RootDirectory) && *e.RootDirectory != "/":
		return refuse("rootDirectory must be omitted or / when using an EFS access point")
	}
	return nil
}

// checkMounts checks that each mount point is of a volume that is there.
func checkMounts(mounts []types.MountPoint, volumes []types.Volume) error {
	for i := range mounts {
		source := value(mounts[i].SourceVolume)
		if !slices.ContainsFunc(volumes, func(v types.Volume) bool { return value(v.Name) == source }) {
			return refuse("Unknown volume '%s' in mountPoints.", source)
		}
		if !strings.HasPrefix(value(mounts[i].ContainerPath), "/") {
			return refuse("containerPath of a mount point should be an absolute path, got %q", value(mounts[i].ContainerPath))
		}
	}
	return nil
}

// ulimitNames are those that Ulimit lists.
var ulimitNames = []string{"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"}

func checkUlimits(list []types.Ulimit) error {
	for i := range list {
		u := &list[i]
		if !slices.Contains(ulimitNames, value(u.Name)) {
			return refuse("Invalid ulimit name %q, valid names: [%s]", value(u.Name), strings.Join(ulimitNames, ", "))
		}
		if u.SoftLimit == nil || u.HardLimit == nil {
			return refuse("ulimit %s needs a softLimit and a hardLimit", *u.Name)
		}
	}
	return nil
}

// checkLinux checks linuxParameters (LinuxParameters).
func checkLinux(p *types.LinuxParameters) error {
	if p == nil {
		return nil
	}
	if p.Swappiness != nil && (*p.Swappiness < 0 || *p.Swappiness > 100) {
		return refuse("linuxParameter.swappiness should be between 0 and 100, got %d", *p.Swappiness)
	}
	if value(p.MaxSwap) < 0 {
		return refuse("linuxParameter.maxSwap should be 0 or a positive integer, got %d", *p.MaxSwap)
	}
	if value(p.SharedMemorySize) < 0 {
		return refuse("linuxParameter.sharedMemorySize should not be negative, got %d", *p.SharedMemorySize)
	}
	for i := range p.Devices {
		if !given(p.Devices[i].HostPath) {
			return refuse("linuxParameter.devices need a hostPath")
		}
	}
	for i := range p.Tmpfs {
		if !given(p.Tmpfs[i].ContainerPath) || value(p.Tmpfs[i].Size) < 1 {
			return refuse("linuxParameter.tmpfs need a containerPath and a size")
		}
	}
	return nil
}

// checkConsumables checks consumableResourceProperties; whether the resources exist is
// for SubmitJob.
func checkConsumables(p *types.ConsumableResourceProperties) error {
	if p == nil {
		return nil
	}
	seen := map[string]bool{}
	for i := range p.ConsumableResourceList {
		c := &p.ConsumableResourceList[i]
		name := nameOf(kindConsumable, value(c.ConsumableResource))
		if !resourceName().MatchString(name) {
			return refuse("consumableResource should be the name or ARN of a consumable resource, got %q", value(c.ConsumableResource))
		}
		if seen[name] {
			return refuse("Cannot have duplicate consumableResource in consumableResourceProperties")
		}
		seen[name] = true
		if value(c.Quantity) < 1 {
			return refuse("quantity of consumableResource %s must be at least 1, got %d", name, value(c.Quantity))
		}
	}
	return nil
}

// checkPriority checks a schedulingPriority.
func checkPriority(p *int32) error {
	if p != nil && (*p < 0 || *p > 9999) {
		return refuse("Scheduling priority should be between 0 and 9999, got %d", *p)
	}
	return nil
}
