package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"flow/cmd/flow/internal/policy"
	"flow/engine"
	awscloud "flow/executor/batch/cloud"
	"flow/executor/batch/infra"
	"flow/executor/scheduler"
	"flow/executor/store"
)

// scope returns what a workflow names of AWS, and what of it is not known.
func (x *infrastructure) scope(f *runFlags) (*policy.Scope, []string, error) {
	wf, sketches := x.session.sketches(f)
	workDir, err := x.session.workDir(f, wf)
	if err != nil {
		return nil, nil, err
	}
	c := &collector{scope: &policy.Scope{Workflow: x.workflow.Name, Region: x.cloud.Region(), LogGroups: []policy.LogGroup{{Name: policy.DefaultLogGroup}}}, infra: x.said}
	if store.Is(workDir) {
		c.files(strings.TrimSuffix(workDir, "/")+"/", true)
	}
	c.image(x.session.site.AgentImage)
	var homeless []string
	for _, step := range wf.Steps {
		spec := sketches[step.Name]
		if spec == nil {
			continue // it does not run
		}
		c.task(spec)
		if spec.Queue == "" {
			homeless = append(homeless, string(step.Name))
		}
	}
	unknown := c.sensors(x.session.program.Sensors(f.input(nil)))
	for _, n := range wf.Notices {
		for i := range n.Ways {
			if topic := n.Ways[i].Topic; topic != "" {
				c.scope.Topics = append(c.scope.Topics, topic)
			}
		}
	}
	c.scope.Deployed = policy.Deployed{
		Group: scheduler.GroupName(x.workflow.Name), Definition: scheduler.DefinitionName(x.workflow.Name), Roles: scheduler.RoleNames(x.workflow.Name, c.scope.Region),
	}
	c.scope.Made.RoleNames = infra.RoleNames(x.workflow.Name, c.scope.Region)
	c.made(x.wanted)
	c.others()
	if len(homeless) > 0 {
		c.scope.Queues = append(c.scope.Queues, "*")
		unknown = append(unknown, unknownQueue(homeless))
	}
	return c.scope, unknown, nil
}

// sensors notes the buckets in which objects are waited for: which objects, is another matter in
// each run. It says of which steps that is not known.
func (c *collector) sensors(all map[engine.StepName][]engine.Sensor) (unknown []string) {
	for _, step := range slices.Sorted(maps.Keys(all)) {
		for i := range all[step] {
			s := &all[step][i]
			if s.Kind != engine.SensorS3 {
				continue
			}
			bucket, _, err := store.Split(s.Target)
			if err != nil {
				unknown = append(unknown, fmt.Sprintf("which bucket step %s waits for is known only in a run: add s3:ListBucket of it and s3:GetObject of what is in it", step))
				continue
			}
			c.scope.Files = append(c.scope.Files, policy.Files{Bucket: bucket, Watched: true})
		}
	}
	return unknown
}

// A collector notes what a workflow names.
type collector struct {
	scope *policy.Scope
	infra *engine.Infra
}

// task notes what a step names.
func (c *collector) task(spec *engine.TaskSpec) {
	s := c.scope
	if spec.Queue != "" {
		s.Queues = append(s.Queues, spec.Queue)
	}
	for _, rule := range spec.Retry.Rules {
		if rule.Queue != "" {
			s.Queues = append(s.Queues, rule.Queue)
		}
	}
	if spec.JobDefinition != "" {
		s.Definitions = append(s.Definitions, spec.JobDefinition)
	}
	for _, r := range spec.Consumables {
		s.Consumables = append(s.Consumables, r.Resource)
	}
	c.image(spec.Image)
	c.container(spec.Container)
	for _, in := range spec.Inputs {
		for _, p := range in.Paths {
			c.files(p, false)
		}
	}
	for _, out := range spec.Outputs {
		c.files(out.Publish, true)
	}
}

func (c *collector) container(of *engine.Container) {
	if of == nil {
		return
	}
	for _, role := range []string{of.JobRole, of.ExecutionRole} {
		if role != "" {
			c.scope.JobRoles = append(c.scope.JobRoles, role)
		}
	}
	c.logs(of)
}

// logs notes the log group of a container, if it is not the usual one.
func (c *collector) logs(of *engine.Container) {
	if of == nil {
		return
	}
	if group := of.LogOptions["awslogs-group"]; group != "" && (of.LogDriver == "" || of.LogDriver == "awslogs") {
		c.scope.LogGroups = append(c.scope.LogGroups, policy.LogGroup{Region: of.LogOptions["awslogs-region"], Name: group})
	}
}

// files notes a path, if it is one of S3. Of a pattern it is what stands before the pattern.
func (c *collector) files(path string, write bool) {
	bucket, key, err := store.Split(path)
	if err != nil {
		return
	}
	if i := strings.IndexAny(key, "*?["); i >= 0 && !write {
		key = key[:i]
	}
	c.scope.Files = append(c.scope.Files, policy.Files{Bucket: bucket, Prefix: key, Write: write})
}

// ofECR are the images of ECR: ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG (ECR User
// Guide, Registries).
var ofECR = regexp.MustCompile(`^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)/([^:@]+)`)

// image notes the repository of an image, if it is one of ECR.
func (c *collector) image(name string) {
	m := ofECR.FindStringSubmatch(name)
	if m == nil {
		return
	}
	c.scope.Repositories = append(c.scope.Repositories, "arn:"+awscloud.Partition(m[2])+":ecr:"+m[2]+":"+m[1]+":repository/"+m[3])
}

// made notes what infrastructure is made of.
func (c *collector) made(wanted []infra.Resource) {
	m := &c.scope.Made
	for i := range wanted {
		r := &wanted[i]
		switch r.Kind {
		case infra.KindEnvironment:
			m.Environments = append(m.Environments, r.Name)
		case infra.KindQueue:
			m.Queues = append(m.Queues, r.Name)
		case infra.KindPolicy:
			m.Policies = append(m.Policies, r.Name)
		case infra.KindConsumable:
			m.Consumables = append(m.Consumables, r.Name)
		case infra.KindDefinition:
			m.Definitions = append(m.Definitions, r.Name)
		}
		if role, ok := r.Input.(*infra.Role); ok {
			c.role(role)
		}
	}
	if c.infra == nil {
		return
	}
	for _, e := range c.infra.Environments {
		c.environment(e)
	}
	for _, q := range c.infra.Queues {
		c.uses(q)
	}
	for _, r := range c.infra.Consumables {
		c.scope.Consumables = append(c.scope.Consumables, r.Name)
	}
	for _, d := range c.infra.Definitions {
		if d.Spec != nil && !d.Existing {
			c.definition(d)
		}
	}
}

// others notes whether jobs go where somebody else has decided what is there.
func (c *collector) others() {
	s := c.scope
	s.Others = slices.ContainsFunc(s.Queues, func(q string) bool { return !slices.Contains(s.Made.Queues, q) }) ||
		slices.ContainsFunc(s.Made.UsedEnvironments, func(e string) bool { return !slices.Contains(s.Made.Environments, e) })
}

// role notes a role that is made. One of jobs is passed on when a job definition is made.
func (c *collector) role(r *infra.Role) {
	m := &c.scope.Made
	m.Roles, m.Attached = append(m.Roles, r.Name), append(m.Attached, r.Policies...)
	if r.Profile {
		m.Profiles, m.InstanceRoles = append(m.Profiles, r.Name), append(m.InstanceRoles, r.Name)
	}
	if r.Service == "ecs-tasks.amazonaws.com" {
		m.JobRoles = append(m.JobRoles, r.Name)
	} else {
		m.EnvRoles = append(m.EnvRoles, r.Name)
	}
}

func (c *collector) environment(e *engine.ComputeEnvironment) {
	if e.Existing {
		return
	}
	m := &c.scope.Made
	instances := e.InstanceRole
	if instances == "" && !e.CreateRoles && !e.Fargate() {
		instances = infra.DefaultInstanceRole
	}
	if instances != "" {
		m.InstanceRoles = append(m.InstanceRoles, instances)
	}
	for _, role := range []string{instances, e.SpotFleetRole, e.ServiceRole} {
		if role != "" {
			m.EnvRoles = append(m.EnvRoles, role)
		}
	}
	m.ServiceRole = m.ServiceRole || e.ServiceRole == ""
	if len(e.InstanceTags) > 0 {
		m.Capacity = append(m.Capacity, e.Name)
	}
	if e.EKSCluster != "" {
		m.Clusters = append(m.Clusters, e.EKSCluster)
	}
}

// uses notes what a queue refers to.
func (c *collector) uses(q *engine.JobQueue) {
	m := &c.scope.Made
	if q.Existing {
		return
	}
	m.UsedEnvironments = append(m.UsedEnvironments, q.Environments...)
	if q.Policy != "" {
		m.UsedPolicies = append(m.UsedPolicies, q.Policy)
	}
}

func (c *collector) definition(d *engine.JobDefinition) {
	of := d.Spec.Container
	c.image(d.Spec.Image)
	c.logs(of)
	for _, r := range d.Spec.Consumables {
		c.scope.Made.UsedConsumables = append(c.scope.Made.UsedConsumables, r.Resource)
	}
	if of == nil {
		return
	}
	for _, role := range []string{of.JobRole, of.ExecutionRole} {
		if role != "" {
			c.scope.Made.JobRoles = append(c.scope.Made.JobRoles, role)
		}
	}
}
