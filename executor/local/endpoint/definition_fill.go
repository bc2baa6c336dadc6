package endpoint

import "github.com/aws/aws-sdk-go-v2/service/batch/types"

// Job definitions come back with more than they were registered with: lists that were
// left out are empty, and defaults are told (seen of the service). Structures that are
// changed here belong to the definition alone.

// fillDefinition adds what answers tell.
func fillDefinition(d *definition) {
	if c := d.ContainerProperties; c != nil {
		fillContainer(c)
		if d.fargate && (c.FargatePlatformConfiguration == nil || !given(c.FargatePlatformConfiguration.PlatformVersion)) {
			c.FargatePlatformConfiguration = &types.FargatePlatformConfiguration{PlatformVersion: new("LATEST")}
		}
	}
	if d.EcsProperties != nil {
		fillEcs(d.EcsProperties, d.fargate)
	}
	if d.NodeProperties == nil {
		return
	}
	for i := range d.NodeProperties.NodeRangeProperties {
		r := &d.NodeProperties.NodeRangeProperties[i]
		if r.Container != nil {
			fillContainer(r.Container)
		}
		if r.EcsProperties != nil {
			fillEcs(r.EcsProperties, false)
		}
	}
}

func fillContainer(c *types.ContainerProperties) {
	c.Command, c.Environment, c.MountPoints = filled(c.Command), filled(c.Environment), filled(c.MountPoints)
	c.ResourceRequirements, c.Secrets = filled(c.ResourceRequirements), filled(c.Secrets)
	c.Ulimits, c.Volumes = filled(c.Ulimits), filled(c.Volumes)
	fillLinux(c.LinuxParameters)
	fillLog(c.LogConfiguration)
}

func fillEcs(p *types.EcsProperties, fargate bool) {
	for i := range p.TaskProperties {
		t := &p.TaskProperties[i]
		t.Volumes = filled(t.Volumes)
		if fargate && !given(t.PlatformVersion) {
			t.PlatformVersion = new("LATEST")
		}
		for j := range t.Containers {
			fillTaskContainer(&t.Containers[j])
		}
	}
}

func fillTaskContainer(c *types.TaskContainerProperties) {
	c.Command, c.DependsOn, c.Environment = filled(c.Command), filled(c.DependsOn), filled(c.Environment)
	c.MountPoints, c.ResourceRequirements = filled(c.MountPoints), filled(c.ResourceRequirements)
	c.Secrets, c.Ulimits = filled(c.Secrets), filled(c.Ulimits)
	if c.Essential == nil {
		c.Essential = new(true)
	}
	fillLinux(c.LinuxParameters)
	fillLog(c.LogConfiguration)
}

func fillLinux(p *types.LinuxParameters) {
	if p != nil {
		p.Devices, p.Tmpfs = filled(p.Devices), filled(p.Tmpfs)
	}
}

func fillLog(l *types.LogConfiguration) {
	if l != nil {
		l.Options, l.SecretOptions = filledMap(l.Options), filled(l.SecretOptions)
	}
}
