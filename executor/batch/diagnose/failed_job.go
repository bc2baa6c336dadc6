package diagnose

import (
	"fmt"
	"strings"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/batch"
)

// Texts of statusReason that are no decision's of flow's, and so not in package engine.
const (
	reasonRefused      = "AWS Batch, SubmitJob: " // by flow's executor, of a job that was refused
	reasonUnregistered = "AWS Batch, RegisterJobDefinition: "
	reasonQueueLimit   = "Canceled by JobStateTimeLimit action"
	reasonQueueDeleted = "JobQueue deleted"
	reasonOverrides    = "Container Overrides length must be at most"
)

// jobSigns are what AWS Batch says of a job as a whole.
var jobSigns = []sign{
	{opens(engine.ReasonLost), func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = Lost, a.after(engine.ReasonLost)
		v.Why = "AWS Batch forgets jobs some days after their end, and this one was not looked at before"
		if a.Local {
			v.Why = ""
		}
		v.help("If it does no harm when it runs twice, send it again: flow resume RUN -failed.", `on_lost = "retry" in the workflow block does so by itself.`)
	}},
	{opens(reasonRefused, reasonUnregistered), func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = Refused, firstOf(a.Reason, a.StatusReason)
		v.Why = "AWS Batch did not take the job: nothing has run"
		if a.says("queue") {
			v.help("Look at the name of the queue, the region and the account; flow infra apply makes queues, -queue NAME uses another.")
		}
		v.help("flow doctor says what a run needs that is not there.")
	}},
	{opens(reasonQueueLimit), func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = QueueLimit, "it waited longer than its queue allows, and AWS Batch cancelled it"
		if _, code, ok := strings.Cut(a.StatusReason+a.Reason, "reason: "); ok {
			v.Text += ": " + code
			v.Why = meaningOf(code)
		}
		v.help("Mend what it waited for (flow doctor), or let the state_time_limit of the job queue wait longer.")
	}},
	{func(a *Attempt) bool { return a.StatusReason == reasonQueueDeleted || a.Reason == reasonQueueDeleted }, func(_ *Attempt, v *Verdict) {
		v.Cause, v.Text = QueueDeleted, "its job queue was deleted"
		v.help("Make the queue again (flow infra apply), or use another: -queue NAME.")
	}},
	{opens(engine.ReasonDependency), func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = DependencyFailed, "a job that it depends on failed, and it was not started"
		if a.Cause != "" {
			v.Text = a.Cause + " failed, which it depends on, and it was not started"
		}
	}},
	{opens(engine.ReasonArrayChild), func(_ *Attempt, v *Verdict) {
		v.Cause, v.Text = ChildFailed, "tasks of its array failed"
	}},
	{shows(reasonOverrides), func(_ *Attempt, v *Verdict) {
		v.Cause, v.Text = OverridesTooLong, "its command and environment are longer than the 8,192 characters that Amazon ECS takes"
		v.help("Put the script into a file (script_file), give long values as inputs, or give the site an agent_image: flow's agent reads them from work_dir.")
	}},
	{opens(engine.ReasonTimeout), tellTimeout},
	{opens(engine.ReasonHostLost), tellHostLost},
	{opens(engine.ReasonSpotFargate), func(_ *Attempt, v *Verdict) {
		v.Cause, v.Text = SpotTaken, "AWS took its Fargate Spot capacity back"
		v.Why = afterLosses
		v.help("Where that is too often, let tries after a loss run on another queue, of type FARGATE.")
		v.Write = retryElsewhere(engine.ReasonSpotFargate)
	}},
	{func(a *Attempt) bool { return a.Terminated }, func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = Ended, "it was terminated"
		if reason := firstOf(a.StatusReason, a.Reason); reason != "" && reason != engine.ReasonExited {
			v.Text += ": " + reason
		}
		v.Why = "somebody, or flow itself, ended the job; such a job is never retried by AWS Batch"
	}},
}

// afterLosses says what flow does about losses (see engine.Retry).
const afterLosses = "this is no failure of the task: it is tried again up to ten times after such a loss, and none of the attempts of its retry block is spent"

func retryElsewhere(reason string) string {
	return fmt.Sprintf("retry {\n  when \"lost\" {\n    status_reason = \"%s*\"\n    queue         = \"ON-DEMAND-QUEUE\"\n  }\n}", reason)
}

func tellTimeout(a *Attempt, v *Verdict) {
	v.Cause, v.Text = TimedOut, "it ran longer than its timeout"
	if a.Asked.Timeout > 0 {
		v.Text += " of " + span(a.Asked.Timeout)
	}
	if d := a.ran(); d > 0 {
		v.Text += fmt.Sprintf(" (%s), and was ended", span(d))
	} else {
		v.Text += ", and was ended"
	}
	v.Why = "the time runs from RUNNING, for each attempt anew; after SIGTERM and 30 seconds comes SIGKILL; it is tried again only if a rule of retry names the time-out"
	v.help("Give it more time, or look in its log for what takes so long.")
	if t := a.Asked.Timeout; t > 0 {
		v.Write = fmt.Sprintf("timeout = %q", span(2*t))
	}
}

func tellHostLost(a *Attempt, v *Verdict) {
	if a.Local {
		v.Cause, v.Text = HostLost, "the process that ran it was stopped"
		return
	}
	v.Cause, v.Text = HostLost, "its instance went away"
	if _, rest, ok := strings.Cut(firstBeginning(engine.ReasonHostLost, a.StatusReason, a.Reason), "(instance "); ok {
		id, _, _ := strings.Cut(rest, ")")
		v.Text = "its instance " + id + " went away"
	}
	v.Text += ": Spot capacity was taken back, or the instance was terminated"
	v.Why = afterLosses
	v.help("Where that is too often, let tries after a loss run on another queue, whose instances are on demand.")
	v.Write = retryElsewhere(engine.ReasonHostLost)
}

// ownSigns are what flow's agent says: what went wrong around the command.
var ownSigns = []sign{
	{shows(batch.ReasonNoAgent), tellNoAgent},
	{func(a *Attempt) bool {
		return a.Asked.AgentImage != "" && a.Asked.AgentImage != a.Asked.Image && a.says("CannotPull") && a.says(a.Asked.AgentImage)
	}, tellNoAgent},
	{ownOr(agent.ExitStageIn, agent.StageIn), func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = InputMissing, own(a, "an input could not be brought to it", agent.StageIn)
		v.Why = "the command was not started"
		v.help("The file must be there, at the same path for every task; on AWS Batch work_dir and inputs are on S3, or where all containers have them (docs/files.md).")
		v.helpOnS3(a)
	}},
	{opens(agent.OutputInvalid), func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = OutputMissing, own(a, "an output is not what it should be", agent.OutputInvalid)
		v.Why = "the command itself succeeded"
		v.help("Let the command write what the output block says: its type, and JSON where that is asked for.")
	}},
	{ownOr(agent.ExitOutput, agent.OutputMissing), func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = OutputMissing, own(a, "the command succeeded and left an output out", agent.OutputMissing)
		v.Why = "the command itself succeeded"
		v.help("Let the command write the file where the output block says ($NAME of the output is its path), or say optional = true.")
	}},
	{ownOr(agent.ExitStageOut, agent.StageOut, agent.PublishFailed), func(a *Attempt, v *Verdict) {
		v.Cause, v.Text = OutputNotKept, own(a, "its outputs could not be kept", agent.StageOut, agent.PublishFailed)
		v.Why = "the command itself succeeded"
		v.help("work_dir must have room, and be writable for the user that the container runs as.")
		v.helpOnS3(a)
	}},
	{ownOr(agent.ExitClaimed, "another job runs this attempt"), func(_ *Attempt, v *Verdict) {
		v.Cause, v.Text = Claimed, "another job runs this attempt, and the command was not started"
		v.Why = "a job that was submitted twice, since an answer of AWS Batch was lost: only one of the two runs the command"
	}},
}

// helpOnS3 says what a job needs to reach S3, if that is where it failed.
func (v *Verdict) helpOnS3(a *Attempt) {
	if a.says("s3://") {
		v.help("On S3 it takes a job_role that may read and write there; flow infra policy -for job prints what it has to be allowed, and flow doctor looks at the bucket.")
	}
}

// tellNoAgent says why the container that brings flow into the job did not do so.
func tellNoAgent(a *Attempt, v *Verdict) {
	rest := strings.TrimPrefix(firstOf(a.Reason, a.StatusReason), batch.ReasonNoAgent)
	image, fails := firstOf(a.Asked.AgentImage, "(agent_image)"), "run"
	if contains(rest, "CannotPull") {
		fails = "pulled"
	}
	v.Cause, v.Text = AgentFailed, fmt.Sprintf("flow's agent image %s could not be %s: %s", image, fails, rest)
	v.Why = "a container of that image puts flow into the job, and the command was not started"
	v.help("Push one with this version of flow, for the architecture of the instances: flow image push -flow REPOSITORY; and name it: agent_image of the site, or -agent-image.")
	if fails == "pulled" {
		v.help(pullRole(a))
	}
}

// ownOr makes the test of a failure of flow's agent: its text, or its exit code where
// nothing but a code could be told.
func ownOr(code int, texts ...string) func(*Attempt) bool {
	return func(a *Attempt) bool {
		return a.begins(texts...) || a.Asked.Agent && a.ExitCode != nil && *a.ExitCode == code && (a.Reason == "" || a.Reason == engine.ReasonExited)
	}
}

// own returns what the agent says behind the class of its failure, or otherwise.
func own(a *Attempt, otherwise string, classes ...string) string {
	for _, c := range classes {
		if a.begins(c) {
			if rest := a.after(c); rest != "" && !strings.HasPrefix(rest, "see the end of the log") {
				return rest
			}
		}
	}
	return otherwise + ": see the end of its log"
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// firstBeginning returns the first of the texts with that beginning.
func firstBeginning(beginning string, texts ...string) string {
	for _, t := range texts {
		if strings.HasPrefix(t, beginning) {
			return t
		}
	}
	return ""
}
