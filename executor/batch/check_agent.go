package batch

import (
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
	"flow/executor/store"
)

// agents checks what flow's agent needs, if the job needs flow's agent.
func (c *checker) agents() {
	if !c.agent {
		return
	}
	files := c.task.NeedsAgent()
	if c.o.AgentImage == "" && !c.o.Near {
		c.noAgent(files)
		if !files { // there is another way than the agent
			return
		}
	}
	c.store()
	switch dir := c.spec.WorkDir; {
	case dir == "", store.Is(dir), c.o.Near:
	case !c.mounted(dir, true):
		c.add(c.reason(), "Task files out of reach", "In this step %s, and no volume of its container holds work_dir, %s. Keep them on S3 (work_dir = \"s3://bucket/prefix\", or --work-dir); or mount a shared file system there, as in container { volume \"work\" { efs = \"fs-...\" path = %q } }, or choose with --work-dir a directory in one of its volumes.", c.whyNot(), dir, dir)
	case files:
		c.inputsInReach()
	}
}

// noAgent says what cannot be done without an image that has flow in it.
func (c *checker) noAgent(files bool) {
	const image = "name an image that has flow in it: agent_image = \"...\" in the site, or --agent-image"
	switch at := slices.Index(c.task.Command, ""); {
	case files:
		c.add(c.reason(), "No image with flow in it", "A step with inputs or outputs needs flow's agent, which brings and takes the files beside the command in its container. For that %s.", image).Site = true
	case at >= 0:
		c.add("command", "Empty text in a command", "Element %d of the command is an empty text, which AWS Batch does not take (ContainerOverrides). Leave it out, or write a script, in which '' is possible; for flow's agent to run it, %s.", at, image)
	case c.length() > maxPlain:
		c.add(c.reason(), "Too long for a job", "The command and the environment of this job make %d characters of overrides, with those that AWS Batch adds, and it hands over at most %d to a container (RunTask); flow leaves some room, up to %d. Put the script into the image, and values into files; for flow's agent to read them from a file, %s.", c.length(), MaxOverrides, maxPlain, image)
	default:
		c.add(c.reason(), "More than fits into a job", "In this step %s. Make this shorter, or %s.", c.why, image)
	}
}

// length returns how many characters of overrides a job makes that has no agent; 0 if it
// cannot be one for another reason.
func (c *checker) length() int {
	env, why := plainEnviron(c.spec)
	if why != "" {
		return 0
	}
	return overridesLength(&batch.SubmitJobInput{ContainerOverrides: &types.ContainerOverrides{
		Command: plainCommand(c.spec), Environment: pairs(env), ResourceRequirements: requirements(c.spec.Resources),
	}})
}

// reason returns the argument for which the job needs flow's agent.
func (c *checker) reason() string {
	t := c.task
	words, vars := len(t.Script), 0
	for _, w := range t.Command {
		words += len(w)
	}
	for k, v := range t.Env {
		vars += len(k) + len(v)
	}
	_, items := itemEnviron(c.spec)
	what := "command"
	if t.Script != "" {
		what = "script"
	}
	switch {
	case len(t.Inputs) > 0:
		return "inputs"
	case len(t.Outputs) > 0:
		return "output." + t.Outputs[0].Name
	case slices.Contains(t.Command, ""):
		return "command"
	case slices.ContainsFunc(c.spec.Items, func(it *engine.Item) bool { return it != nil && (it.Command != nil || it.Script != nil) }):
		return what
	case c.spec.ArraySize > 0 && items != "" && slices.ContainsFunc(c.spec.Items, func(it *engine.Item) bool { return it != nil && it.Env != nil }):
		return "env"
	case c.spec.ArraySize > 0 && items != "":
		return "for_each"
	case vars > words:
		return "env"
	}
	return what
}

// whyNot says why the job needs flow's agent, in the middle of a sentence.
func (c *checker) whyNot() string {
	if c.task.NeedsAgent() {
		return "flow's agent brings and takes files"
	}
	return c.why
}

func remote(p string) bool { return strings.Contains(p, "://") }

// store checks what agents need that reach for S3.
func (c *checker) store() {
	for _, v := range c.box.Volumes {
		if v.Name == agentVolume || v.Name == workVolume || v.Path != "" && (within(agentDir, v.Path) || within(workDir, v.Path)) {
			c.add("container.volume."+v.Name, "A volume of flow's own", "The volumes %s and %s, at %s and %s, are of flow's agent, which this job needs. Use another name and path.", agentVolume, workVolume, agentDir, workDir)
		}
	}
	if !c.o.Near && c.fargate && c.box.JobRole == "" && usesStore(c.spec) {
		c.add("container.job_role", "No job role", "Files of this step are on S3, and flow's agent in its container reaches them with the role of the job, which on AWS Fargate is the only one it has: job_role = \"arn:aws:iam::<account>:role/<name>\" in the container block. What that role has to be allowed prints: flow infra policy -for job.").Unless = []string{"container.job_role"}
	}
}

// inputsInReach checks that inputs which no task has made can be read in the container.
func (c *checker) inputsInReach() {
	for _, in := range c.task.Inputs {
		for _, p := range in.Paths {
			if !remote(p) && !within(c.spec.WorkDir, p) && !c.mounted(p, false) {
				c.add("inputs."+in.Name, "An input out of reach", "No volume of the container holds %s. Put the file on a file system that the jobs mount at the same path, or on S3; or let work_dir be on S3: then files of this machine are uploaded.", p)
				break
			}
		}
	}
}

// mounted reports whether a volume of the container holds the path.
func (c *checker) mounted(p string, write bool) bool {
	for _, v := range c.box.Volumes {
		if v.Path == "" || within(v.Path, p) && !(write && v.ReadOnly) { // "": not known yet
			return true
		}
	}
	return false
}

func within(dir, p string) bool {
	dir, p = path.Clean(dir), path.Clean(p)
	return dir == p || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}
