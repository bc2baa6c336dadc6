package batch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"flow/engine"
	"flow/executor"
)

// resources checks what the tasks ask for in every attempt, also by a retry rule.
func (c *checker) resources() {
	var told engine.Resources // of one step the same is said once
	for i, r := range c.task.Resources {
		if i > 0 && r == c.task.Resources[i-1] {
			continue
		}
		try := ""
		if len(c.task.Resources) > 1 {
			try = fmt.Sprintf(" in attempt %d", i+1)
		}
		if c.size("resources.memory", "resources.vcpus", r, try) {
			told = r
			break
		}
	}
	if c.spec.Resources != (engine.Resources{}) && len(c.task.Resources) == 0 {
		c.size("resources.memory", "resources.vcpus", c.spec.Resources, "")
	}
	for i := range c.task.Retry.Rules {
		rule := &c.task.Retry.Rules[i]
		arg := "retry.when." + rule.Class
		for n := range max(len(rule.MemoryMiB), len(rule.VCPUs)) {
			r := c.task.ResourcesFor(n + 1)
			if len(rule.MemoryMiB) > 0 {
				r.MemoryMiB = rule.MemoryMiB[min(n, len(rule.MemoryMiB)-1)]
			}
			if len(rule.VCPUs) > 0 {
				r.VCPUs = rule.VCPUs[min(n, len(rule.VCPUs)-1)]
			}
			memory, vcpus := arg+".memory", arg+".vcpus"
			if len(rule.MemoryMiB) == 0 {
				memory = vcpus
			} else if len(rule.VCPUs) == 0 {
				vcpus = memory
			}
			if r == told || c.size(memory, vcpus, r, " after a failure of the class "+rule.Class) {
				break
			}
		}
	}
}

// size checks what one attempt asks for, and reports whether something is wrong.
func (c *checker) size(memory, vcpus string, r engine.Resources, try string) bool {
	before := len(c.out)
	if r.GPUs > 0 && c.fargate {
		c.add("resources.gpus", "No GPUs on Fargate", "The step asks for %s%s, and AWS Fargate has none. Ask for none, or use platform = \"EC2\".", plural(r.GPUs, "GPU"), try)
	}
	switch {
	case r.MemoryMiB < executor.MinMemoryMiB:
		c.add(memory, "Too little memory", "A job on AWS Batch has at least %d MiB of memory; this is %d MiB%s.", executor.MinMemoryMiB, r.MemoryMiB, try)
	case c.own: // its platform is not known here
	case c.fargate:
		c.fargateSize(memory, vcpus, r, try)
	case r.VCPUs != float64(int(r.VCPUs)) || r.VCPUs < 1:
		c.add(vcpus, "Parts of a vCPU", "On EC2 AWS Batch takes whole vCPUs, 1 or more; this is %v%s. Write %v, or use platform = \"FARGATE\", which has 0.25 and 0.5.", r.VCPUs, try, max(float64(int(r.VCPUs+0.999)), 1))
	}
	if r.DiskGiB > maxDiskGiB && c.fargate {
		c.add("resources.disk", "Too much disk", "A task on AWS Fargate has at most %d GiB of disk; this is %d GiB%s. Ask for less, or use platform = \"EC2\".", maxDiskGiB, r.DiskGiB, try)
	}
	return len(c.out) > before
}

func (c *checker) fargateSize(memory, vcpus string, r engine.Resources, try string) {
	if executor.FitsFargate(r.VCPUs, r.MemoryMiB) {
		return
	}
	v, m, ok := executor.NearestFargate(r.VCPUs, r.MemoryMiB)
	near := fmt.Sprintf("The nearest that has enough of both is %v vCPU with %d MiB.", v, m)
	if !ok {
		near = fmt.Sprintf("The largest is %v vCPU with %d MiB; for more use platform = \"EC2\".", v, m)
	}
	with := executor.FargateMemory(r.VCPUs)
	if with == "" {
		c.add(vcpus, "No such number of vCPUs on Fargate", "AWS Fargate has tasks of 0.25, 0.5, 1, 2, 4, 8 and 16 vCPUs; this is %v, with %d MiB of memory%s. %s", r.VCPUs, r.MemoryMiB, try, near)
		return
	}
	c.add(memory, "Memory and vCPUs that Fargate does not have together", "With %v vCPU a task on AWS Fargate has %s of memory; this is %d MiB%s. %s", r.VCPUs, with, r.MemoryMiB, try, near)
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// retry checks the retry block (RetryStrategy, EvaluateOnExit).
func (c *checker) retry() {
	before := len(c.out)
	if n := c.task.Retry.Attempts; n < 0 || n > executor.MaxAttempts {
		c.add("retry.attempts", "Too many attempts", "AWS Batch makes 1 to %d attempts; this is %d.", executor.MaxAttempts, n)
	}
	told := map[string]bool{} // a class with several exit codes is several rules
	for i := range c.task.Retry.Rules {
		r := &c.task.Retry.Rules[i]
		arg := "retry.when." + r.Class
		if !told[r.Class] {
			n := len(c.out)
			c.pattern(arg+".exit_code", r.ExitCode, true)
			c.pattern(arg+".reason", r.Reason, false)
			c.pattern(arg+".status_reason", r.StatusReason, false)
			if r.Queue != "" {
				c.queue(arg+".queue", r.Queue)
			}
			told[r.Class] = len(c.out) > n
		}
	}
	if len(c.out) > before {
		return
	}
	var refusal executor.Refusal
	if err := executor.CheckRetry(c.spec.Attempts, c.spec.Evaluate); errors.As(err, &refusal) {
		c.add("retry", "A retry strategy that AWS Batch refuses", "%s", string(refusal))
	}
}

func (c *checker) pattern(arg, p string, exit bool) {
	allowed, what := reasonPattern, "letters, digits, dots, colons and blanks"
	if exit {
		allowed, what = exitPattern, "digits"
	}
	switch {
	case len(p) > executor.MaxPatternLength:
		c.add(arg, "Pattern too long", "A pattern has at most %d characters; this has %d (EvaluateOnExit). End it with * earlier.", executor.MaxPatternLength, len(p))
	case !allowed().MatchString(p):
		c.add(arg, "Pattern that AWS Batch refuses", "A pattern is made of %s, with at most one * at its end (EvaluateOnExit). End %q with * before the first other character.", what, p)
	}
}

// timeout checks the timeout of an attempt (JobTimeout).
func (c *checker) timeout() {
	t := c.task.Timeout
	switch {
	case t == 0:
	case t < executor.MinTimeout:
		c.add("timeout", "Timeout too short", "AWS Batch takes a timeout of %d seconds or more; this is %v. Write \"1m\" or more.", executor.MinTimeout/time.Second, t)
	case t%time.Second != 0:
		c.add("timeout", "Timeout with a part of a second", "AWS Batch takes whole seconds; this is %v. Write \"%ds\".", t, (t+time.Second-1)/time.Second)
	}
}

// labels checks tags and priority.
func (c *checker) labels() {
	for _, k := range keysOf(c.task.Tags) {
		v := c.task.Tags[k]
		switch {
		case k == "" || utf8.RuneCountInString(k) > executor.MaxTagKey:
			c.add("tags."+k, "Not a name of a tag", "The name of a tag has 1 to %d characters; this has %d.", executor.MaxTagKey, utf8.RuneCountInString(k))
		case utf8.RuneCountInString(v) > executor.MaxTagValue:
			c.add("tags."+k, "Value of a tag too long", "The value of a tag has at most %d characters; that of %q has %d.", executor.MaxTagValue, k, utf8.RuneCountInString(v))
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			c.add("tags."+k, "Reserved name", "Tags that begin with aws: belong to AWS. Rename %q.", k)
		case strings.HasPrefix(strings.ToLower(k), "flow:"):
			c.add("tags."+k, "Reserved name", "Tags that begin with flow: belong to flow, which finds its jobs by them. Rename %q.", k)
		}
	}
	if n := len(c.task.Tags); n+len(flowTags) > executor.MaxTags {
		c.add("tags", "Too many tags", "A job on AWS Batch has at most %d tags. This one would have %d: %d given (with those of the workflow and the site) and %d that flow adds. Remove %d.",
			executor.MaxTags, n+len(flowTags), n, len(flowTags), n+len(flowTags)-executor.MaxTags)
	}
	if p := c.task.Priority; p < 0 || p > maxPriority {
		c.add("priority", "Not a priority", "A priority on AWS Batch is 0 to %d; this is %d.", maxPriority, p)
	}
}

// consumables checks what the job has of consumable resources (ConsumableResourceRequirement).
func (c *checker) consumables() {
	const arg = "consumable_resources"
	seen := map[string]bool{}
	for _, r := range c.task.Consumables {
		switch name := r.Name(); {
		case !validARN(r.Resource, "consumable-resource", resourceName()):
			c.add(arg, "Not a consumable resource", "%q is neither the name of a consumable resource (at most 128 letters, digits, _ and -) nor its ARN, as in arn:aws:batch:eu-west-1:123456789012:consumable-resource/name.", r.Resource)
		case r.Quantity < 1:
			c.add(arg, "Not a quantity", "A job has at least 1 of a consumable resource; this is %d of %s.", r.Quantity, name)
		case seen[name]:
			c.add(arg, "A consumable resource twice", "AWS Batch takes each consumable resource once, and %s is there twice. Remove one.", name)
		default:
			seen[name] = true
		}
	}
	if n := len(c.task.Consumables); n > maxConsumables {
		c.add(arg, "Too many consumable resources", "A job on AWS Batch has at most %d consumable resources; this has %d.", maxConsumables, n)
	}
}

// container checks the settings of the container (ContainerProperties).
func (c *checker) container() {
	b := c.box
	switch b.Platform {
	case "", platformEC2, platformFargate:
	default:
		c.add("container.platform", "Not a platform", "AWS Batch has the platforms EC2 and FARGATE; this is %q.", b.Platform)
	}
	switch b.Architecture {
	case "", "X86_64", "ARM64":
	default:
		c.add("container.architecture", "Not an architecture", "AWS Batch has the architectures X86_64 and ARM64; this is %q.", b.Architecture)
	}
	if b.User != "" && !userName().MatchString(b.User) {
		c.add("container.user", "Not a user", "AWS Batch takes a name or number of at most 31 lower-case letters, digits, _ and -, with no - first; this is %q.", b.User)
	}
	if b.SharedMemoryMiB < 0 {
		c.add("container.shared_memory", "Negative shared memory", "This is %d MiB.", b.SharedMemoryMiB)
	}
	c.role("container.job_role", b.JobRole)
	c.role("container.execution_role", b.ExecutionRole)
	c.ulimits()
	if b.ExecutionRole == "" {
		switch {
		case c.fargate:
			c.add("container.execution_role", "No execution role", "On AWS Fargate every job needs an execution role, with which its image is pulled and its logs are written: execution_role = \"arn:aws:iam::<account>:role/ecsTaskExecutionRole\" in the container block.").Unless = []string{"container.execution_role"}
		case len(c.task.Secrets) > 0:
			c.add("container.execution_role", "No execution role for secrets", "Secrets are read with the execution role of the job: execution_role = \"arn:aws:iam::<account>:role/ecsTaskExecutionRole\" in the container block.").Unless = []string{"container.execution_role"}
		}
	}
	if c.fargate {
		c.onFargate()
	} else {
		c.onEC2()
	}
}

func (c *checker) role(arg, role string) {
	if strings.HasPrefix(role, "arn:") && !roleARN().MatchString(role) {
		c.add(arg, "Not a role", "%q is no ARN of a role of IAM: arn:aws:iam::<account>:role/<name>.", role)
	}
}

func (c *checker) ulimits() {
	for _, u := range c.box.Ulimits {
		switch {
		case !slices.Contains(ulimitNames, u.Name):
			c.add("container.ulimits."+u.Name, "Not a limit", "There is no limit %q. AWS Batch has %s.", u.Name, strings.Join(ulimitNames, ", "))
		case u.Soft > u.Hard:
			c.add("container.ulimits."+u.Name, "Soft limit above the hard one", "The soft limit of %s, %d, is above its hard limit, %d.", u.Name, u.Soft, u.Hard)
		}
	}
}

// onFargate checks what Fargate does not have.
func (c *checker) onFargate() {
	b := c.box
	const only = "AWS Fargate does not have %s. Remove this, or use platform = \"EC2\"."
	if b.Privileged {
		c.add("container.privileged", "Privileged on Fargate", only, "privileged containers")
	}
	if len(b.Ulimits) > 0 {
		c.add("container.ulimits", "Limits on Fargate", only, "ulimits of one's own")
	}
	if b.SharedMemoryMiB > 0 {
		c.add("container.shared_memory", "Shared memory on Fargate", only, "shared memory of a chosen size")
	}
	switch b.Network {
	case "", "bridge", "public", "private":
	default:
		c.add("container.network", "Not a network of Fargate", "On AWS Fargate the network is \"public\", with an address of its own in the internet, or \"private\"; %q is one of containers on this machine.", b.Network)
	}
	if d := b.LogDriver; d != "" && !slices.Contains(logDriversFargate, d) {
		c.add("container.log_configuration.driver", "Not a log driver of Fargate", "AWS Fargate has the log drivers %s; this is %q.", strings.Join(logDriversFargate, ", "), d)
	}
	if n := b.EphemeralStorage; n != 0 && (n < minDiskGiB || n > maxDiskGiB) {
		c.add("container.ephemeral_storage", "Not a size of the disk", "A task on AWS Fargate has %d to %d GiB of ephemeral storage; this is %d GiB. Without, it has 20 GiB.", minDiskGiB, maxDiskGiB, n)
	}
}

// onEC2 checks what only Fargate has.
func (c *checker) onEC2() {
	b := c.box
	if b.Network != "" && b.Network != "bridge" {
		c.add("container.network", "A network on EC2", "On EC2 the network of a job is that of its instance, so %q cannot be chosen. Remove it, or use platform = \"FARGATE\".", b.Network)
	}
	if b.EphemeralStorage != 0 {
		c.add("container.ephemeral_storage", "Ephemeral storage on EC2", "Only AWS Fargate has ephemeral storage of a chosen size; on EC2 the disk is that of the instance. Remove it, or use platform = \"FARGATE\".")
	}
	if d := b.LogDriver; d != "" && !slices.Contains(logDrivers, d) {
		c.add("container.log_configuration.driver", "Not a log driver", "AWS Batch has the log drivers %s; this is %q.", strings.Join(logDrivers, ", "), d)
	}
}

// volumes checks the volumes (Volume, EFSVolumeConfiguration, EFSAuthorizationConfig).
func (c *checker) volumes() {
	seen := map[string]bool{}
	for _, v := range c.box.Volumes {
		arg := "container.volume." + v.Name
		switch {
		case !volumeName().MatchString(v.Name):
			c.add(arg, "Not a name of a volume", "The name of a volume has at most 255 letters, digits, _ and -; this is %q.", v.Name)
		case seen[v.Name]:
			c.add(arg, "Two volumes of one name", "There are two volumes %q. Rename one of them.", v.Name)
		}
		seen[v.Name] = true
		if v.Path != "" && !strings.HasPrefix(v.Path, "/") {
			c.add(arg+".path", "Not a path in the container", "A path in the container begins with /; this is %q.", v.Path)
		}
		if v.HostPath != "" && c.fargate {
			c.add(arg+".host", "A directory of the host on Fargate", "AWS Fargate has no host whose directory %s could be mounted. Use efs = \"fs-...\", or platform = \"EC2\".", v.HostPath)
		}
		c.efs(arg, &v)
	}
}

func (c *checker) efs(arg string, v *engine.Volume) {
	switch {
	case len(v.EFSRoot) > maxEFSRoot:
		c.add(arg+".efs_root", "Directory of EFS too long", "The path of a directory of EFS has at most %d characters; this has %d.", maxEFSRoot, len(v.EFSRoot))
	case v.EFS == "" && v.HostPath != "" && (v.EFSRoot != "" || v.EFSAccess != ""):
		c.add(arg+".host", "EFS with a directory of the host", "efs_root and efs_access_point belong to a volume of EFS, and this one is a directory of the host. Remove host, and name the file system: efs = \"fs-...\".")
	case v.EFSAccess != "" && v.EFSRoot != "" && v.EFSRoot != "/":
		c.add(arg+".efs_root", "Directory and access point of EFS", "The access point %s says already which directory is mounted, so AWS Batch takes no other. Remove efs_root.", v.EFSAccess)
	}
}
