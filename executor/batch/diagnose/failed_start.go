package diagnose

import (
	"fmt"
	"strings"

	"flow/engine"
)

// memorySigns are of memory that ran out.
var memorySigns = []sign{
	{shows("OutOfMemoryError", "OutOfMemory:"), tellMemory},
	{func(a *Attempt) bool { return a.ExitCode != nil && *a.ExitCode != 0 && a.wrote(memoryWords...) }, tellMemory},
}

// memoryWords are what programs write when they get no more memory.
var memoryWords = []string{"MemoryError", "std::bad_alloc", "java.lang.OutOfMemoryError", "Cannot allocate memory", "JavaScript heap out of memory"}

// wrote reports whether one of the last lines contains one of the texts.
func (a *Attempt) wrote(texts ...string) bool { return a.line(texts...) != "" }

// line returns the last line that contains one of the texts, or "".
func (a *Attempt) line(texts ...string) string {
	for i := len(a.Log) - 1; i >= 0; i-- {
		for _, t := range texts {
			if strings.Contains(a.Log[i], t) {
				return strings.TrimSpace(a.Log[i])
			}
		}
	}
	return ""
}

func tellMemory(a *Attempt, v *Verdict) {
	v.Cause, v.Text = OutOfMemory, "it ran out of memory"
	if a.Asked.MemoryMiB > 0 {
		v.Text += fmt.Sprintf(": memory = %q was not enough", memory(a.Asked.MemoryMiB))
	}
	if line := a.line(memoryWords...); line != "" && !a.says("OutOfMemory") {
		v.Why = fmt.Sprintf("it wrote: %s", line)
	}
	tellPeak(a, v)
	v.help("Ask for more, or let the memory grow with each attempt.")
	v.Write = moreMemory(a.Asked.MemoryMiB)
}

// tellPeak adds how much memory it had at most, if that is known.
func tellPeak(a *Attempt, v *Verdict) {
	if a.PeakMemory > 0 {
		v.Why = strings.TrimPrefix(fmt.Sprintf("%s; it had %s at its peak", v.Why, memory(int(a.PeakMemory>>20))), "; ")
	}
}

// moreMemory is what to write so that the memory grows with each attempt.
func moreMemory(mib int) string {
	if mib == 0 {
		mib = engine.DefaultMemoryMiB
	}
	n, unit := mib, "MiB"
	if mib%1024 == 0 {
		n, unit = mib/1024, "GiB"
	}
	return fmt.Sprintf("resources { memory = \"${%d * attempt} %s\" }\nretry {\n  attempts = 3\n  when \"oom\" { exit_code = 137 }\n}", 2*n, unit)
}

// imageSigns are of images that cannot be pulled (ECS, task_cannot_pull_image). A registry
// that does not say whether an image is there denies it. "failed to resolve ref" stands
// before every cause, and is no sign of one.
var imageSigns = []sign{
	pull(WrongArchitecture, func(a *Attempt, v *Verdict) {
		v.Text = "there is no image " + a.image() + "for the architecture of the instance"
		tellArchitecture(a, v)
	}, "no matching manifest", "does not match the specified platform", "image Manifest does not contain descriptor matching platform"),
	pull(ImageRateLimit, func(a *Attempt, v *Verdict) {
		v.Text = "the registry of image " + a.image() + "has been asked too often"
		v.help("Have the image in ECR (flow image push), or pull it through ECR's pull-through cache or public.ecr.aws: Docker Hub counts pulls by address.")
	}, "toomanyrequests", "429 Too Many Requests", "rate limit", "Rate exceeded"),
	pull(DiskFull, func(a *Attempt, v *Verdict) {
		v.Text = "the disk of the instance is too small for image " + a.image()
		v.help("Give the instances a larger disk (launch_template), or on Fargate the task: container { ephemeral_storage = 50 }.")
	}, "no space left on device"),
	pull(ImageDenied, func(a *Attempt, v *Verdict) {
		v.Text = "image " + a.image() + "may not be pulled, or is not there"
		v.help("Look at the name of the image, with its tag.", pullRole(a), "An image in ECR of another account needs a policy of that repository that allows it.")
	}, "no basic auth credentials", "pull access denied", "403 Forbidden", "AccessDenied", "not authorized", "denied:", "unauthorized", "authentication required", "CannotPullContainerAuthError"),
	pull(ImageNoRoute, func(a *Attempt, v *Verdict) {
		v.Text = "the registry of image " + a.image() + "cannot be reached from where the task is"
		v.help(routeHelp(a)...)
	}, "i/o timeout", "request canceled", "deadline exceeded", "connection refused", "no such host", "handshake timeout", "no route to host", "network is unreachable", "Could not transition to pulled"),
	pull(ImageMissing, func(a *Attempt, v *Verdict) {
		v.Text = "image " + a.image() + "is not there"
		v.help("Look at its name and tag; flow image push puts an image into ECR.")
	}, "not found", "manifest unknown", "name unknown", "does not exist", "NotFoundException"),
	pull(ImagePull, func(a *Attempt, v *Verdict) {
		v.Text = "image " + a.image() + "could not be pulled: " + message(a.Reason)
		v.help("Look at the name of the image, and try it where the instances are: flow doctor.")
	}, ""),
}

// pull makes a sign of a pull that failed, by one of the texts.
func pull(c Cause, tell func(*Attempt, *Verdict), texts ...string) sign {
	return sign{
		func(a *Attempt) bool {
			return a.says("CannotPull", "DockerTimeoutError: Could not transition to pull") && a.says(texts...)
		},
		func(a *Attempt, v *Verdict) {
			v.Cause = c
			tell(a, v)
			v.Text = strings.TrimSpace(v.Text)
		},
	}
}

// image returns the name of the image and a space, or "".
func (a *Attempt) image() string {
	if a.Asked.Image == "" {
		return ""
	}
	return a.Asked.Image + " "
}

func pullRole(a *Attempt) string {
	if a.Asked.Fargate {
		return "On Fargate the execution role pulls: container { execution_role = ... } with the policy AmazonECSTaskExecutionRolePolicy."
	}
	return "For ECR the instance role (ecsInstanceRole) needs the policy AmazonEC2ContainerServiceforEC2Role, or the execution role AmazonECSTaskExecutionRolePolicy."
}

func routeHelp(a *Attempt) []string {
	help := []string{"The subnets need a way out: a NAT gateway, public addresses, or VPC endpoints for ecr.api, ecr.dkr, s3 and logs; the security group must let port 443 out. flow doctor looks."}
	if a.Asked.Fargate {
		help = append(help, `On Fargate in a public subnet: container { network = "public" }.`)
	}
	return help
}

func tellArchitecture(a *Attempt, v *Verdict) {
	v.Cause = WrongArchitecture
	want := firstOf(a.Asked.Architecture, "X86_64")
	other := "ARM64"
	if want == other {
		other = "X86_64"
	}
	v.Why = fmt.Sprintf("the task asks for %s", want)
	v.help("Build the image for that architecture (or for both), or let the task run where the image fits.")
	v.Write = fmt.Sprintf("container { architecture = %q }", other)
}

// startSigns are of containers that could not be made or started.
var startSigns = []sign{
	{func(a *Attempt) bool {
		return a.says("exec format error") || a.wrote("exec format error", "Exec format error")
	}, func(a *Attempt, v *Verdict) {
		v.Text = "its program is for another architecture than the instance (exec format error)"
		tellArchitecture(a, v)
	}},
	{shows("log group does not exist", "failed to create Cloudwatch log stream", "logs:CreateLogStream"), func(a *Attempt, v *Verdict) {
		group := firstOf(a.Asked.LogGroup, "/aws/batch/job")
		v.Cause, v.Text = NoLogGroup, fmt.Sprintf("nothing can be logged to log group %s: it is not there, or may not be written to", group)
		v.help("Make it: aws logs create-log-group --log-group-name "+group+".", "The role that writes (execution role, or the instance role) needs logs:CreateLogStream and logs:PutLogEvents.")
	}},
	{shows("ResourceInitializationError"), tellInitialization},
	{func(a *Attempt) bool {
		return a.starts() && a.says("executable file not found", "no such file or directory", "No command specified")
	}, func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = CommandNotFound, message(a.Reason)
		if p := a.Asked.Program; p != "" && !strings.Contains(v.Text, p) {
			v.Text = p + ": " + v.Text
		}
		v.Why = "the command was not started: " + where(a) + " has no such program, or no interpreter for it"
		if where(a) == here {
			v.help("Install it, or look at its name; -containers docker runs tasks in their images.")
			return
		}
		v.help("Look at the command and at the image; an ENTRYPOINT of the image stands in front of the command.")
	}},
	{func(a *Attempt) bool { return a.starts() && a.says("permission denied") }, func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = NotExecutable, message(a.Reason)
		v.help("Make the program executable (chmod +x), or run it with its interpreter.")
	}},
	{shows("ContainerVanishedError"), func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = Vanished, "its container vanished: "+message(a.Reason)
		v.help("Something on the instance removed it; trying again is most often enough.")
	}},
	{shows("DockerTimeoutError", "TaskStoppedBeforePullBeginError"), func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = NotStarted, "the instance was too slow to start it: "+message(a.Reason)
		v.Why = "often the disk of the instance is short of throughput, as while large images are pulled"
		v.help("Let such starts be tried again, or give the instances a faster disk.")
		v.Write = retryStart
	}},
	{func(a *Attempt) bool { return a.starts() }, func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = NotStarted, "it could not be started"
		if m := message(a.Reason); m != "" && m != engine.ReasonStartFailed {
			v.Text += ": " + m
		}
		v.help("Look at its image, command, volumes and roles; flow doctor checks them.")
	}},
}

// retryStart is what to write for starts that fail by chance.
const retryStart = "retry {\n  attempts = 3\n  when \"start\" { status_reason = \"Task failed to start*\" }\n}"

// starts reports whether the container could not be made or started.
func (a *Attempt) starts() bool {
	return a.begins("CannotStart", "CannotCreate", "CannotInspect", "CannotGetDockerclient", "CannotStop", engine.ReasonStartFailed)
}

func tellInitialization(a *Attempt, v *Verdict) {
	v.Cause, v.Text = NoResources, "the task could not be prepared: "+message(a.Reason)
	switch secret := a.says("secret", "ssm", "parameter"); {
	case a.says("i/o timeout", "deadline exceeded", "connection issue", "request send failed", "send request failed", "no such host"):
		v.Cause, v.Text = ImageNoRoute, "it could not read its secrets, or reach its registry: there is no way out of its network"
		v.help(routeHelp(a)...)
	case a.says("EFS utils", "EFS volume", "mount.nfs4"):
		v.help("The security group of the file system must let port 2049 in from that of the environment, it must have a mount target in the zone, and with IAM the job role must be allowed to mount it.")
	case secret && a.Local:
		v.Cause, v.Text = NoSecret, message(a.Reason)
	case denied(a) && a.says("ecr registry auth", "ecr:GetAuthorizationToken", "GetAuthorizationToken"):
		v.Cause, v.Text = ImageDenied, "the execution role may not pull image "+strings.TrimSpace(a.image())
		v.Text = strings.TrimSpace(v.Text)
		v.help("It needs the policy AmazonECSTaskExecutionRolePolicy: container { execution_role = ... }.")
	case denied(a):
		v.Cause, v.Text = NoSecret, "the execution role may not read the secrets, or pull the image"
		v.help("It needs secretsmanager:GetSecretValue or ssm:GetParameters for these secrets, and AmazonECSTaskExecutionRolePolicy: container { execution_role = ... }.")
	case secret:
		v.Cause, v.Text = NoSecret, "its secrets could not be read: "+message(a.Reason)
		v.help("Look at the names in secrets, at the region, and at the execution role.")
	default:
		v.help("flow doctor checks roles, log groups and the way out of the subnets.")
	}
}

// denied reports whether a call was refused for want of a permission.
func denied(a *Attempt) bool { return a.says("AccessDenied", "not authorized", "403") }

const here = "this machine"

// where is where the programs of a task are.
func where(a *Attempt) string {
	if a.Local && a.Asked.Image == "" {
		return here
	}
	return "the image"
}

// message returns what a reason says, without the name of its error and of Docker.
func message(reason string) string {
	for _, cut := range []string{"Error: ", "Error response from daemon: "} {
		if i := strings.Index(reason, cut); i >= 0 && (cut != "Error: " || !strings.Contains(reason[:i], " ")) {
			reason = reason[i+len(cut):]
		}
	}
	return reason
}
