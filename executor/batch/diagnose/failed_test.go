package diagnose

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/agent"
)

func exits(code int) Attempt {
	return Attempt{ExitCode: &code, StatusReason: engine.ReasonExited}
}

func ofImage(reason string) Attempt {
	return Attempt{StatusReason: engine.ReasonStartFailed, Reason: reason, Asked: Asked{Image: "lab/tools:1", MemoryMiB: 4096}}
}

// TestWhyFailed has a row for each sign: reasons as AWS Batch, ECS, its agent, Docker and
// flow's own agent write them.
func TestWhyFailed(t *testing.T) {
	begun := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	pulling := "CannotPullContainerError: Error response from daemon: "
	initial := "ResourceInitializationError: "
	for _, test := range []struct {
		name string
		in   Attempt
		want Cause
		text string // a part of it
		help string // likewise, of one of the sentences, of Why, or of the HCL; "": there is none
	}{
		// The exit code alone.
		{"program", exits(3), ExitCode, "exit code 3", ""},
		{"program, recorded", Attempt{ExitCode: new(3), Reason: "exit code 3"}, ExitCode, "exit code 3", ""},
		{"not executable", exits(126), NotExecutable, "exit code 126 (cannot be executed)", "chmod +x"},
		{"no program", exits(127), CommandNotFound, "exit code 127 (command not found)", "runs (the image)"},
		{"no program here", Attempt{ExitCode: new(127), Local: true}, CommandNotFound, "exit code 127", "runs (this machine)"},
		{"killed", exits(137), Killed, "exit code 137 (SIGKILL", "more memory"},
		{"segfault", exits(139), Signalled, "exit code 139 (SIGSEGV)", "touched memory"},
		{"abort", exits(134), Signalled, "exit code 134 (SIGABRT)", "gave up"},
		{"SIGTERM", exits(143), Signalled, "exit code 143 (SIGTERM)", "exit_code = 143"},
		{"SIGILL", exits(132), Signalled, "exit code 132 (SIGILL)", "another one"},
		{"SIGHUP", exits(129), Signalled, "exit code 129 (SIGHUP)", "a signal ended it"},
		{"timeout(1)", exits(124), ExitCode, "exit code 124", "the command timeout"},
		{"docker run", exits(125), ExitCode, "exit code 125", "docker run"},
		{"-1", exits(255), ExitCode, "exit code 255", "as ssh does"},
		{"Windows", exits(-1073741819), ExitCode, "exit code -1073741819 (0xC0000005, access violation)", ""},
		{"beyond signals", exits(200), ExitCode, "exit code 200", ""},
		{"222 without an agent", exits(222), ExitCode, "exit code 222", ""},
		{"disk full", Attempt{ExitCode: new(1), Log: []string{"cp: error writing 'x': No space left on device", ""}}, DiskFull, "exit code 1", "ephemeral_storage"},
		{"exec format in the log", Attempt{ExitCode: new(255), Log: []string{"exec /usr/bin/bwa: exec format error"}, Asked: Asked{Architecture: "ARM64"}}, WrongArchitecture, "another architecture", `architecture = "X86_64"`},
		{"said to have no memory", Attempt{ExitCode: new(1), Log: []string{"MemoryError"}, Asked: Asked{MemoryMiB: 1536}}, OutOfMemory, `memory = "1536 MiB" was not enough`, "${3072 * attempt} MiB"},
		{"nothing known", Attempt{}, Other, "no reason was recorded", ""},
		{"other words", Attempt{StatusReason: "something new"}, Other, "something new", ""},
		{"words and a code", Attempt{ExitCode: new(2), Reason: "something new"}, ExitCode, "exit code 2: something new", ""},
		{"only one reason that says nothing", Attempt{StatusReason: engine.ReasonExited}, Other, "no reason was recorded", ""},

		// Memory and time.
		{"OOM", Attempt{ExitCode: new(137), Reason: engine.ReasonOutOfMemory, StatusReason: engine.ReasonExited, Asked: Asked{MemoryMiB: 4096}}, OutOfMemory, `it ran out of memory: memory = "4 GiB" was not enough`, "${8 * attempt} GiB"},
		{"OOM with its peak", Attempt{ExitCode: new(137), Reason: engine.ReasonOutOfMemory, PeakMemory: 4000 << 20, Asked: Asked{MemoryMiB: 4096}}, OutOfMemory, "was not enough", "it had 4000 MiB at its peak\n"},
		{"no memory by its log, with its peak", Attempt{ExitCode: new(1), Log: []string{"MemoryError"}, PeakMemory: 3 << 30}, OutOfMemory, "out of memory", "it wrote: MemoryError; it had 3 GiB at its peak\n"},
		{"killed, with its peak", Attempt{ExitCode: new(137), PeakMemory: 3 << 30}, Killed, "", "stopped it; it had 3 GiB at its peak\n"},
		{"timeout", Attempt{ExitCode: new(137), StatusReason: engine.ReasonTimeout, Asked: Asked{Timeout: 2 * time.Hour}, Started: begun, Stopped: begun.Add(2*time.Hour + 3*time.Second)}, TimedOut, "longer than its timeout of 2h (2h0m3s)", `timeout = "4h"`},
		{"timeout, recorded", Attempt{ExitCode: new(137), Reason: engine.ReasonTimeout + " (exit code 137)"}, TimedOut, "longer than its timeout, and was ended", "SIGTERM"},

		// Hosts.
		{"host", Attempt{StatusReason: "Host EC2 (instance i-0123456789abcdef0) terminated."}, HostLost, "its instance i-0123456789abcdef0 went away", `status_reason = "Host EC2*"`},
		{"host, with a code", Attempt{ExitCode: new(137), StatusReason: "Host EC2 (instance i-0123456789abcdef0) terminated."}, HostLost, "i-0123456789abcdef0", "up to ten times"},
		{"flow stopped", Attempt{Local: true, Reason: "Host EC2 (instance i-0) terminated."}, HostLost, "the process that ran it was stopped", ""},
		{"Fargate Spot", Attempt{StatusReason: "Your Spot Task was interrupted."}, SpotTaken, "Fargate Spot", "Your Spot Task was interrupted*"},

		// Images.
		{"no image", ofImage(pulling + "manifest for lab/tools:1 not found: manifest unknown: manifest unknown"), ImageMissing, "image lab/tools:1 is not there", "name and tag"},
		{"no tag in ECR", ofImage("CannotPullContainerError: failed to resolve ref 123456789012.dkr.ecr.eu-west-1.amazonaws.com/x:1: not found"), ImageMissing, "is not there", "flow image push"},
		{"denied", ofImage(pulling + "pull access denied for lab/tools, repository does not exist or may require 'docker login'"), ImageDenied, "may not be pulled, or is not there", "AmazonEC2ContainerServiceforEC2Role"},
		{"no credentials", ofImage("CannotPullContainerError: Get https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/x: no basic auth credentials"), ImageDenied, "may not be pulled", "execution role"},
		{"no credentials, Fargate", Attempt{Reason: "CannotPullECRContainerError: AccessDeniedException: not authorized to perform: ecr:GetAuthorizationToken", Asked: Asked{Fargate: true}}, ImageDenied, "image may not be pulled", "execution_role"},
		{"rate", ofImage(pulling + "toomanyrequests: You have reached your pull rate limit."), ImageRateLimit, "asked too often", "public.ecr.aws"},
		{"no route", ofImage(pulling + "Get https://registry-1.docker.io/v2/: net/http: request canceled while waiting for connection"), ImageNoRoute, "cannot be reached", "NAT gateway"},
		{"no route, timeout", ofImage("CannotPullContainerError: dial tcp 52.1.2.3:443: i/o timeout"), ImageNoRoute, "cannot be reached", "NAT gateway"},
		{"no route, containerd", ofImage(`CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref docker.io/lab/tools:1: failed to do request: Head "https://registry-1.docker.io/v2/lab/tools/manifests/1": dial tcp 44.205.64.79:443: i/o timeout`), ImageNoRoute, "cannot be reached", "NAT gateway"},
		{"not resolved", ofImage(`CannotPullContainerError: failed to resolve ref lab.example/x:1: failed to do request: Head "https://lab.example/v2/x": x509: certificate signed by unknown authority`), ImagePull, "x509", "flow doctor"},
		{"pull too slow", ofImage("DockerTimeoutError: Could not transition to pulled; timed out after waiting 2h0m0s"), ImageNoRoute, "cannot be reached", "NAT gateway"},
		{"no manifest", ofImage(pulling + "no matching manifest for linux/arm64/v8 in the manifest list entries"), WrongArchitecture, "no image lab/tools:1 for the architecture", `architecture = "ARM64"`},
		{"disk too small", ofImage("CannotPullContainerError: failed to register layer: write /x: no space left on device"), DiskFull, "disk of the instance is too small", "launch_template"},
		{"other pull", ofImage(pulling + "something new"), ImagePull, "could not be pulled: something new", "flow doctor"},

		// Starts.
		{"no such command", Attempt{Reason: `CannotStartContainerError: Error response from daemon: OCI runtime create failed: exec: "bwa": executable file not found in $PATH: unknown`, Asked: Asked{Program: "bwa", Image: "x"}}, CommandNotFound, `exec: "bwa": executable file not found`, "ENTRYPOINT"},
		{"no such command here", Attempt{Local: true, StatusReason: engine.ReasonStartFailed, Reason: `CannotStartContainerError: exec: "bwa": executable file not found in $PATH`}, CommandNotFound, `exec: "bwa": executable file not found in $PATH`, "this machine has no such program"},
		{"not allowed", Attempt{Reason: `CannotStartContainerError: exec: "/x": permission denied: it is not executable`}, NotExecutable, "permission denied", "chmod +x"},
		{"architecture", Attempt{Reason: `CannotStartContainerError: exec: "/x": exec format error`}, WrongArchitecture, "another architecture", `architecture = "ARM64"`},
		{"log group", Attempt{Reason: "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.", Asked: Asked{LogGroup: "/lab"}}, NoLogGroup, "log group /lab", "create-log-group --log-group-name /lab"},
		{"log group, Fargate", Attempt{StatusReason: initial + "failed to validate logger args: The specified log group does not exist."}, NoLogGroup, "/aws/batch/job", "logs:PutLogEvents"},
		{"secrets, route", Attempt{Reason: initial + "unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: RequestError: send request failed: dial tcp: i/o timeout", Asked: Asked{Fargate: true}}, ImageNoRoute, "no way out of its network", `network = "public"`},
		{"secrets, role", Attempt{Reason: initial + "unable to pull secrets or registry auth: AccessDeniedException: not authorized to perform secretsmanager:GetSecretValue"}, NoSecret, "execution role may not read", "secretsmanager:GetSecretValue"},
		{"secrets, missing", Attempt{Reason: initial + "unable to pull secrets: Secrets Manager can't find the specified secret."}, NoSecret, "could not be read", "names in secrets"},
		{"secret here", Attempt{Local: true, Reason: initial + "secret KEY: environment variable API_KEY, which is not set"}, NoSecret, "API_KEY, which is not set", ""},
		{"initialization", Attempt{Reason: initial + "failed to invoke EFS utils commands to set up EFS volumes"}, NoResources, "EFS utils", "port 2049"},
		{"initialization, other", Attempt{Reason: initial + "something new"}, NoResources, "could not be prepared: something new", "flow doctor"},
		{"registry, role", Attempt{Reason: initial + "unable to pull secrets or registry auth: unable to retrieve ecr registry auth: AccessDeniedException: not authorized to perform: ecr:GetAuthorizationToken", Asked: Asked{Image: "x"}}, ImageDenied, "the execution role may not pull image x", "AmazonECSTaskExecutionRolePolicy"},
		{"vanished", Attempt{Reason: "ContainerVanishedError: No container matching saved ID found"}, Vanished, "No container matching", "trying again"},
		{"too slow", Attempt{Reason: "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s"}, NotStarted, "too slow", `status_reason = "Task failed to start*"`},
		{"not made", Attempt{Reason: "CannotCreateContainerError: volume \"v\" is on EFS"}, NotStarted, `could not be started: volume "v" is on EFS`, "flow doctor"},
		{"start, no reason", Attempt{StatusReason: engine.ReasonStartFailed}, NotStarted, "it could not be started", "flow doctor"},

		// The job as a whole.
		{"refused", Attempt{Reason: "AWS Batch, SubmitJob: JobQueue spot not found."}, Refused, "JobQueue spot not found.", "-queue NAME"},
		{"not registered", Attempt{Reason: "AWS Batch, RegisterJobDefinition: Error executing request, Exception : Role x is not valid"}, Refused, "Role x is not valid", "flow doctor"},
		{"dependency", Attempt{StatusReason: engine.ReasonDependency}, DependencyFailed, "a job that it depends on failed", ""},
		{"dependency, known", Attempt{StatusReason: engine.ReasonDependency, Cause: `align["chr1"]`}, DependencyFailed, `align["chr1"] failed`, ""},
		{"array", Attempt{StatusReason: engine.ReasonArrayChild}, ChildFailed, "tasks of its array failed", ""},
		{"overrides", Attempt{StatusReason: "Container Overrides length must be at most 8192"}, OverridesTooLong, "8,192 characters", "agent_image"},
		{"queue limit", Attempt{StatusReason: "Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", Terminated: true}, QueueLimit, "longer than its queue allows", "no instances of the wanted types"},
		{"queue deleted", Attempt{StatusReason: "JobQueue deleted", Terminated: true}, QueueDeleted, "its job queue was deleted", "flow infra apply"},
		{"terminated", Attempt{ExitCode: new(143), StatusReason: "not wanted any more", Terminated: true}, Ended, "it was terminated: not wanted any more", "never retried"},
		{"lost", Attempt{Reason: engine.ReasonLost + "the executor does not know job x any more, and nobody can tell whether it ran"}, Lost, "does not know job x", "on_lost"},

		// flow's agent.
		{"input", Attempt{StatusReason: engine.ReasonStartFailed, Reason: `StageInError: input "reads": /no/such.fq is not there`}, InputMissing, `input "reads": /no/such.fq is not there`, "not started"},
		{"input, code", Attempt{ExitCode: new(agent.ExitStageIn), Asked: Asked{Agent: true}}, InputMissing, "see the end of its log", "not started"},
		{"output", Attempt{ExitCode: new(0), Reason: `OutputMissing: output "bam": a.bam is not there; the directory is empty`}, OutputMissing, `output "bam": a.bam is not there`, "optional = true"},
		{"output, code", Attempt{ExitCode: new(agent.ExitOutput), Reason: "OutputMissing: see the end of the log"}, OutputMissing, "left an output out: see the end of its log", "the command itself succeeded"},
		{"output invalid", Attempt{Reason: `OutputInvalid: output "n": no JSON`}, OutputMissing, "no JSON", "JSON"},
		{"not kept", Attempt{ExitCode: new(agent.ExitStageOut), Reason: "StageOutError: /work is full"}, OutputNotKept, "/work is full", "work_dir"},
		{"not published", Attempt{Reason: "PublishError: s3://x: denied"}, OutputNotKept, "s3://x: denied", "work_dir"},
		{"not kept on S3", Attempt{Reason: "StageOutError: s3://x: denied"}, OutputNotKept, "s3://x: denied", "flow infra policy -for job"},
		{"input on S3", Attempt{Reason: `StageInError: input "a": s3://x: denied`}, InputMissing, "s3://x: denied", "flow infra policy -for job"},
		{"claimed", Attempt{ExitCode: new(agent.ExitClaimed), Reason: "another job runs this attempt, and the command was not started"}, Claimed, "another job", "submitted twice"},
		{"no agent", Attempt{Reason: "flow's agent could not be put into the job: its container ended with exit code 1: x"}, AgentFailed, "could not be run: its container ended with exit code 1: x", "flow image push -flow"},
		{"no agent, the pull", Attempt{Reason: "CannotPullContainerError: r/flow:1: not found", Asked: Asked{Image: "r/tools:1", AgentImage: "r/flow:1"}}, AgentFailed, "flow's agent image r/flow:1 could not be pulled", "instance role"},
		{"an image beside the agent", Attempt{Reason: "CannotPullContainerError: r/tools:1: not found", Asked: Asked{Image: "r/tools:1", AgentImage: "r/flow:1"}}, ImageMissing, "image r/tools:1 is not there", "flow image push"},
		{"no agent, named", Attempt{Reason: "flow's agent could not be put into the job: its container did not start: CannotPullContainerError: no", Asked: Asked{AgentImage: "r/flow:1"}}, AgentFailed, "flow's agent image r/flow:1 could not be pulled", "instance role"},
	} {
		got := WhyFailed(test.in)
		all := strings.Join(append([]string{got.Why, got.Write}, got.Help...), "\n")
		if got.Cause != test.want || !strings.Contains(got.Text, test.text) || !strings.Contains(all, test.help) || test.help == "" && len(got.Help) > 0 {
			t.Errorf("%s: %+v, want %s %q %q", test.name, got, test.want, test.text, test.help)
		}
		if strings.ContainsAny(got.Text, "\n") || strings.Contains(got.Text, "  ") || strings.HasSuffix(got.Text, ": ") {
			t.Errorf("%s: the text is no line: %q", test.name, got.Text)
		}
	}
}

// A verdict as a whole.
func TestVerdict(t *testing.T) {
	want := Verdict{
		Cause: OutOfMemory, Text: `it ran out of memory: memory = "2 GiB" was not enough`,
		Help:  []string{"Ask for more, or let the memory grow with each attempt."},
		Write: "resources { memory = \"${4 * attempt} GiB\" }\nretry {\n  attempts = 3\n  when \"oom\" { exit_code = 137 }\n}",
	}
	got := WhyFailed(Attempt{ExitCode: new(137), Reason: engine.ReasonOutOfMemory, Asked: Asked{MemoryMiB: 2048}})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		2 * time.Hour: "2h", 90 * time.Minute: "1h30m", 90 * time.Second: "1m30s", 1500 * time.Millisecond: "2s", 20 * time.Millisecond: "20ms", time.Minute: "1m", 0: "0s", 2*time.Hour + time.Second: "2h0m1s",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) is %q, want %q", d, got, want)
		}
	}
}

// Exit codes in words: of shells, of the signals of Linux, and of Windows in both of its
// ways to write them.
func TestExitText(t *testing.T) {
	for code, want := range map[int]string{
		0: "exit code 0", 1: "exit code 1", -1: "exit code -1", 128: "exit code 128", 129: "exit code 129 (SIGHUP)", 159: "exit code 159 (SIGSYS)", 160: "exit code 160",
		255: "exit code 255", 256: "exit code 256", 3221225786: "exit code 3221225786 (0xC000013A, interrupted)", -1073741510: "exit code -1073741510 (0xC000013A, interrupted)",
		-1073741502: "exit code -1073741502 (0xC0000142, of Windows)", 1 << 33: "exit code 8589934592", 3<<30 + 1<<32: "exit code 7516192768", -1 << 40: "exit code -1099511627776",
	} {
		if got := ExitText(code); got != want {
			t.Errorf("%d: %q, want %q", code, got, want)
		}
	}
}
