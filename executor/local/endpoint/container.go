package endpoint

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// A containerSpec is what containers of containerProperties and of ecsProperties have
// both.
type containerSpec struct {
	types.TaskContainerProperties
	vcpus, memory *int32 // deprecated
	single        bool   // of containerProperties
}

// A taskSpec is what containerProperties and the task of ecsProperties have both.
type taskSpec struct {
	types.EcsTaskProperties // but for its containers
	containers              []containerSpec
	fargate                 bool
	node                    bool // of a multi-node job: resources may be given elsewhere
}

// checkContainer refuses containerProperties that Batch would refuse, in a job
// definition or with what SubmitJob overrides merged in.
func checkContainer(c *types.ContainerProperties, fargate bool) error {
	if given(c.InstanceType) {
		return refuse("instanceType is applicable for multi-node parallel jobs only.")
	}
	return containerTask(c, fargate).check()
}

func containerTask(c *types.ContainerProperties, fargate bool) *taskSpec {
	t := &taskSpec{
		EcsTaskProperties: types.EcsTaskProperties{
			EphemeralStorage: c.EphemeralStorage, ExecutionRoleArn: c.ExecutionRoleArn, TaskRoleArn: c.JobRoleArn,
			NetworkConfiguration: c.NetworkConfiguration, RuntimePlatform: c.RuntimePlatform, Volumes: c.Volumes,
		},
		fargate: fargate,
	}
	t.containers = []containerSpec{{
		TaskContainerProperties: types.TaskContainerProperties{
			Image: c.Image, Command: c.Command, Environment: c.Environment, LinuxParameters: c.LinuxParameters, LogConfiguration: c.LogConfiguration,
			MountPoints: c.MountPoints, Privileged: c.Privileged, ReadonlyRootFilesystem: c.ReadonlyRootFilesystem,
			RepositoryCredentials: c.RepositoryCredentials, ResourceRequirements: c.ResourceRequirements, Secrets: c.Secrets,
			Ulimits: c.Ulimits, User: c.User,
		},
		vcpus: c.Vcpus, memory: c.Memory, single: true,
	}}
	if p := c.FargatePlatformConfiguration; p != nil {
		t.PlatformVersion = new(value(p.PlatformVersion))
	}
	return t
}

func (t *taskSpec) check() error {
	if err := firstError(t.checkPlatform(), t.checkRuntime(), checkVolumes(t.Volumes, t)); err != nil {
		return err
	}
	for i := range t.containers {
		if err := t.containers[i].check(t); err != nil {
			return err
		}
	}
	return t.checkSize()
}

// checkPlatform checks what goes with Fargate only.
func (t *taskSpec) checkPlatform() error {
	if !t.fargate {
		switch {
		case t.NetworkConfiguration != nil:
			return refuse("networkConfiguration not applicable for EC2.")
		case t.PlatformVersion != nil && t.containers[0].single:
			return refuse("fargatePlatformConfiguration not applicable for EC2.")
		case t.PlatformVersion != nil:
			return refuse("platformVersion not applicable for EC2.")
		case t.EphemeralStorage != nil:
			return refuse("ephemeralStorage not applicable for EC2.")
		}
		return nil
	}
	if !given(t.ExecutionRoleArn) {
		return refuse("executionRoleArn is required for Fargate.")
	}
	if given(t.PlatformVersion) && !platformVersion().MatchString(*t.PlatformVersion) {
		return refuse("Platform version for Fargate is not valid: %s", *t.PlatformVersion)
	}
	if t.EphemeralStorage != nil {
		if size := value(t.EphemeralStorage.SizeInGiB); size < 21 || size > 200 {
			return refuse("Ephemeral storage for Fargate tasks can be only between range 21 GiB to 200 GiB, got %d", size)
		}
	}
	return nil
}

var platformVersion = pattern(`^(LATEST|[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})$`)

// oldPlatform reports whether the platform version has no EFS, which 1.4.0 brought.
func (t *taskSpec) oldPlatform() bool {
	v := value(t.PlatformVersion)
	return t.fargate && (strings.HasPrefix(v, "0.") || strings.HasPrefix(v, "1.0.") || strings.HasPrefix(v, "1.1.") ||
		strings.HasPrefix(v, "1.2.") || strings.HasPrefix(v, "1.3."))
}

var (
	operatingSystems = []string{"WINDOWS_SERVER_2019_CORE", "WINDOWS_SERVER_2019_FULL", "WINDOWS_SERVER_2022_CORE", "WINDOWS_SERVER_2022_FULL", "LINUX"}
	architectures    = []string{"X86_64", "ARM64"}
)

// checkRuntime checks runtimePlatform (RuntimePlatform).
func (t *taskSpec) checkRuntime() error {
	p := t.RuntimePlatform
	if p == nil {
		return nil
	}
	if given(p.OperatingSystemFamily) && !slices.Contains(operatingSystems, *p.OperatingSystemFamily) {
		return refuse("RuntimePlatform supports only one from [%s] for operatingSystemFamily", strings.Join(operatingSystems, ", "))
	}
	if given(p.CpuArchitecture) && !slices.Contains(architectures, *p.CpuArchitecture) {
		return refuse("RuntimePlatform supports only one from [%s] for cpuArchitecture", strings.Join(architectures, ", "))
	}
	if t.windows() && value(p.CpuArchitecture) == "ARM64" {
		return refuse("Windows supported only by X86_64 cpuArchitecture")
	}
	return nil
}

func (t *taskSpec) windows() bool {
	return t.RuntimePlatform != nil && strings.HasPrefix(value(t.RuntimePlatform.OperatingSystemFamily), "WINDOWS")
}

// checkSize checks what the containers ask for.
func (t *taskSpec) checkSize() error {
	var vcpus float64
	var memory int
	for i := range t.containers {
		r, err := t.containers[i].requirements(t)
		if err != nil {
			return err
		}
		vcpus, memory = vcpus+r.VCPUs, memory+r.MemoryMiB
	}
	if t.fargate {
		return checkFargateSize(vcpus, memory)
	}
	return nil
}

// requirements returns what a container asks for, checked.
func (c *containerSpec) requirements(t *taskSpec) (requirements, error) {
	r, err := readRequirements(c.ResourceRequirements)
	if err != nil {
		return r, err
	}
	if err := r.addDeprecated(c.vcpus, c.memory, t.fargate); err != nil {
		return r, err
	}
	return r, r.check(t)
}

var (
	imageName = pattern(`^[A-Za-z0-9_:./#@-]{1,255}$`)
	userName  = pattern(`^([a-z0-9_][a-z0-9_-]{0,30})$`)
	userGroup = pattern(`^([a-z0-9_][a-z0-9_-]{0,30})(:[a-z0-9_][a-z0-9_-]{0,30})?$`)
)

func (c *containerSpec) check(t *taskSpec) error {
	if !given(c.Image) {
		return refuse("Container image is required.")
	}
	if !imageName().MatchString(*c.Image) {
		return refuse("Container image is not valid: up to 255 letters, numbers, hyphens, underscores, colons, periods, slashes, at and number signs are allowed, got %.255s", *c.Image)
	}
	user := userName
	if !c.single { // with a group: TaskContainerProperties
		user = userGroup
	}
	if given(c.User) && !user().MatchString(*c.User) {
		return refuse("User '%s' does not match regex %s", *c.User, user())
	}
	if c.RepositoryCredentials != nil && !given(c.RepositoryCredentials.CredentialsParameter) {
		return refuse("repositoryCredentials need a credentialsParameter")
	}
	return firstError(checkEnvironment(c.Environment), c.checkSecrets(t), checkMounts(c.MountPoints, t.Volumes), checkUlimits(c.Ulimits),
		checkLinux(c.LinuxParameters), c.checkLog(t), c.checkFargate(t), c.checkWindows(t))
}

// checkFargate refuses what Fargate does not have.
func (c *containerSpec) checkFargate(t *taskSpec) error {
	if !t.fargate {
		return nil
	}
	if value(c.Privileged) {
		return refuse("privileged is not applicable for Fargate.")
	}
	if len(c.Ulimits) > 0 {
		return refuse("ulimits is not applicable for Fargate.")
	}
	p := c.LinuxParameters
	if p == nil {
		return nil
	}
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"devices", len(p.Devices) > 0}, {"sharedMemorySize", p.SharedMemorySize != nil}, {"tmpfs", len(p.Tmpfs) > 0},
		{"swappiness", p.Swappiness != nil}, {"maxSwap", p.MaxSwap != nil},
	} {
		if field.given {
			return refuse("linuxParameter.%s is not allowed for Fargate.", field.name)
		}
	}
	return nil
}

// checkWindows refuses what containers of Windows do not have (RuntimePlatform).
func (c *containerSpec) checkWindows(t *taskSpec) error {
	if !t.windows() {
		return nil
	}
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"linuxParameters", c.LinuxParameters != nil}, {"privileged", value(c.Privileged)}, {"user", given(c.User)},
		{"ulimits", len(c.Ulimits) > 0}, {"readonlyRootFilesystem", value(c.ReadonlyRootFilesystem)},
	} {
		if field.given {
			return refuse("%s is not applicable for Windows containers.", field.name)
		}
	}
	return nil
}
