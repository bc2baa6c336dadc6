package batch

import (
	"fmt"
	"strings"

	"flow/engine"
)

// A Problem is something in a step that AWS Batch does not take, or cannot do.
type Problem struct {
	Step engine.StepName
	// Arg is the path of the argument that is to be changed: "image", "resources.memory",
	// "retry.when.oom.reason", "container.volume.data.efs_root", "tags.project".
	Arg     string
	Summary string
	Detail  string // what is wrong, the limit, and what to do

	// Unless are arguments of which none is given: the step needs one of them.
	Unless []string
	// Site says that it may be mended for all steps at once, in the site or by a flag.
	Site bool
	// Own says that it is a mistake only where the step itself gives Arg; what comes from
	// defaults or the site is left out.
	Own bool
}

// String says all of a problem in a line.
func (p *Problem) String() string {
	return fmt.Sprintf("step %s, %s: %s. %s", p.Step, p.Arg, p.Summary, p.Detail)
}

// CheckOptions say what jobs are checked for.
type CheckOptions struct {
	AgentImage string // see Options; "": there is none
	Near       bool   // Batch is on this machine, as flow emulate is
}

// Check returns everything in a job that AWS Batch would refuse, at once or when it starts
// the job, and what flow cannot do there. It makes no call. Sources of the limits: Batch API
// reference (SubmitJob, RegisterJobDefinition and their types), Batch User Guide,
// service_limits; docs/limits.md lists them.
//
// The job may be a sketch: what is not known of it yet is empty, and not looked at.
func Check(spec *engine.JobSpec, o CheckOptions) []Problem {
	c := newChecker(spec, o)
	c.place()
	c.command()
	c.variables()
	c.secrets()
	c.resources()
	c.retry()
	c.timeout()
	c.labels()
	c.consumables()
	if c.own {
		c.definition()
	} else {
		c.container()
		c.volumes()
		c.agents()
	}
	c.sizes()
	return c.out
}

// checker gathers what is wrong with a job.
type checker struct {
	spec    *engine.JobSpec
	task    *engine.TaskSpec
	box     *engine.Container // never nil
	o       CheckOptions
	own     bool // a job definition of the user's own
	fargate bool
	agent   bool // flow's agent runs around the command
	why     string
	out     []Problem
}

func newChecker(spec *engine.JobSpec, o CheckOptions) *checker {
	c := &checker{spec: spec, task: spec.Task, box: spec.Task.Container, o: o, own: spec.Task.JobDefinition != ""}
	if c.box == nil {
		c.box = &engine.Container{}
	}
	c.fargate = c.box.Platform == platformFargate && !c.own
	c.agent, c.why = usesAgent(spec)
	return c
}

func (c *checker) add(arg, summary, format string, args ...any) *Problem {
	c.out = append(c.out, Problem{Step: c.spec.Step, Arg: arg, Summary: summary, Detail: fmt.Sprintf(format, args...)})
	return &c.out[len(c.out)-1]
}

// needs says that it is a problem only as long as none of args is given.
func (p *Problem) needs(args ...string) { p.Unless, p.Site = args, true }

// place checks where the job goes, and what it runs in.
func (c *checker) place() {
	if c.spec.Queue == "" {
		c.add("queue", "No job queue", "AWS Batch runs jobs from a queue. Name it: queue = \"name\" in the step, in the defaults of the workflow or in the site, or --queue.").needs("queue")
	} else if c.task.Queue == c.spec.Queue || c.task.Queue == "" {
		c.queue("queue", c.spec.Queue)
	}
	if c.own {
		if !validARN(c.task.JobDefinition, "job-definition", definitionName()) {
			c.add("job_definition", "Not a job definition", "%q is neither the name of a job definition (at most 128 letters, digits, _ and -, with :revision if need be) nor its ARN, as in arn:aws:batch:eu-west-1:123456789012:job-definition/tools:3.", c.task.JobDefinition)
		}
		return
	}
	switch image := c.task.Image; {
	case image == "":
		c.add("image", "No container image", "On AWS Batch every job runs in a container. Name its image: image = \"debian:13\" in the step, in the defaults of the workflow or in the site, or --image; or a job definition of your own with job_definition.").needs("image", "job_definition")
	case !imageName().MatchString(image):
		c.add("image", "Not an image that AWS Batch takes", "The name of an image has at most 255 letters, digits and characters of _ : . / # @ -; this one is %q.", image)
	}
}

func (c *checker) queue(arg, queue string) {
	if !validARN(queue, "job-queue", resourceName()) {
		c.add(arg, "Not a job queue", "%q is neither the name of a job queue (at most 128 letters, digits, _ and -) nor its ARN, as in arn:aws:batch:eu-west-1:123456789012:job-queue/name.", queue)
	}
}

// definition checks what goes with a job definition of the user's own: flow uses it as it
// is, so that nothing can be put around the command or into the container.
func (c *checker) definition() {
	const detail = "The job definition %q is used as it is, and %s. %s"
	if c.agent && !c.task.NeedsAgent() {
		c.add(c.reason(), "Not possible with a job definition of your own", detail, c.task.JobDefinition, c.why+", which flow's agent would see to, and that is not in it", "Change this, or use image instead of job_definition.")
	}
	if len(c.task.Inputs) > 0 {
		c.add("inputs", "Inputs with a job definition of your own", detail, c.task.JobDefinition, "flow's agent, which would bring the inputs, is not in it", "Remove inputs, or use image instead of job_definition.")
	}
	if len(c.task.Outputs) > 0 {
		c.add("output."+c.task.Outputs[0].Name, "Outputs with a job definition of your own", detail, c.task.JobDefinition, "flow's agent, which would take the outputs, is not in it", "Remove the outputs, or use image instead of job_definition.")
	}
	if c.task.Image != "" {
		c.add("image", "An image with a job definition of your own", detail, c.task.JobDefinition, "has an image already", "Remove image or job_definition.").Own = true
	}
	if c.task.Container != nil {
		c.add("container", "Container settings with a job definition of your own", detail, c.task.JobDefinition, "SubmitJob cannot change its container", "Set this in the job definition, or use image instead of job_definition.").Own = true
	}
	if len(c.task.Secrets) > 0 {
		c.add("secrets", "Secrets with a job definition of your own", detail, c.task.JobDefinition, "SubmitJob cannot add secrets to it", "Put them into the job definition.")
	}
}

// command checks the command, in whose place Batch puts parameters.
func (c *checker) command() {
	if c.own || c.agent {
		return
	}
	for _, word := range c.task.Command {
		if name, ref := strings.CutPrefix(word, "Ref::"); ref && !has(c.task.Parameters, name) {
			c.add("command", "Unknown parameter", "AWS Batch puts the parameter %q in the place of %q, and there is none. Write the value itself: parameters belong to a job definition of your own.", name, word)
			return
		}
	}
}

func has(m map[string]string, key string) bool {
	_, ok := m[key]
	return ok
}

// variables checks the environment.
func (c *checker) variables() {
	for _, name := range keysOf(c.task.Env) {
		c.variable("env."+name, name)
	}
	for _, name := range keysOf(c.task.Secrets) {
		c.variable("secrets."+name, name)
		if has(c.task.Env, name) {
			c.add("secrets."+name, "Two variables of one name", "%s is both in env and in secrets. Rename one of them.", name)
		}
	}
}

func (c *checker) variable(arg, name string) {
	switch {
	case strings.HasPrefix(name, "AWS_BATCH"):
		c.add(arg, "Reserved name", "Names that begin with AWS_BATCH belong to AWS Batch, which refuses them. Rename %q.", name)
	case strings.HasPrefix(name, "FLOW_"):
		c.add(arg, "Reserved name", "Names that begin with FLOW_ belong to flow. Rename %q.", name)
	case !variableName().MatchString(name):
		c.add(arg, "Not a name of a variable", "%q cannot be the name of an environment variable: letters, digits and underscores only, and no digit first.", name)
	}
}

// secrets checks that the container can be given its secrets.
func (c *checker) secrets() {
	for _, name := range keysOf(c.task.Secrets) {
		ref := c.task.Secrets[name]
		kind, rest, _ := strings.Cut(ref, ":")
		const how = "Put it into AWS Secrets Manager or into the Parameter Store of Systems Manager, and write its ARN, or \"ssm:NAME\" of a parameter in the same region."
		switch kind {
		case "": // not known yet
		case "arn":
			if !secretARN().MatchString(ref) {
				c.add("secrets."+name, "Not a secret", "%q is neither the ARN of a secret in Secrets Manager nor of a parameter in the Parameter Store.", ref)
			}
		case "ssm":
		case "env":
			c.add("secrets."+name, "A secret of this machine", "$%s is a variable of flow's own environment, and a job on AWS Batch cannot read it. %s", rest, how)
		case "file":
			c.add("secrets."+name, "A secret of this machine", "The file %s is on this machine, and a job on AWS Batch cannot read it. %s", rest, how)
		case "var":
			c.add("secrets."+name, "A secret of this machine", "The value of the variable %q is known here only: it would stand in the job for everybody to read. %s", rest, how)
		case "secretsmanager":
			c.add("secrets."+name, "A secret without its ARN", "AWS Batch takes secrets of Secrets Manager by their full ARN only (Secret, valueFrom). Write it: arn:aws:secretsmanager:<region>:<account>:secret:%s-<6 characters>.", rest)
		default:
			c.add("secrets."+name, "Not a secret", "%q does not say where a secret is. %s", ref, how)
		}
	}
}
