// Package batch runs jobs on AWS Batch, with the SDK of AWS.
//
// A job becomes one call of SubmitJob. What varies from job to job goes into the
// submission as overrides; what does not, such as the image, the roles and the volumes,
// is a job definition, of which there is one for each distinct content, found again by
// the hash of that content (definition.go).
//
// There are two kinds of jobs (request.go). A plain one runs the command in the user's
// image with nothing of flow in it but, for arrays, a few lines of POSIX sh that tell the
// child which task it is (prelude.go). A job whose tasks have inputs or outputs, or items
// that do not fit into the environment, is run by flow's agent: a first container of the
// job puts the flow binary into a volume that the second one, with the user's image, runs
// its command with.
//
// Every call goes through one place (call.go), which bounds its time, tries again what may
// be tried again, and says of a failure whether the call was carried out: surely not, for
// good (engine.ErrRefused), surely not for now (engine.ErrLater), or nobody knows
// (errors.go).
package batch

import (
	"flow/engine"
	"flow/executor/agent"
)

var _ interface {
	engine.Executor
	engine.BulkSubmitter
} = (*Executor)(nil)

// Options say where AWS Batch is, and how to get there. What is empty is found as the SDK
// finds it: environment, shared configuration, SSO, roles.
type Options struct {
	Region, Profile string
	// Endpoint is the URL of both AWS Batch and CloudWatch Logs, as that of flow emulate.
	Endpoint string
	// AgentImage is a container image with flow in it, for steps that need flow's agent.
	// "": "flow" on loopback, where flow emulate finds its own program by that name.
	AgentImage string
	// Files reads inputs of this machine and reaches S3, for jobs whose files are there. nil:
	// such jobs are refused.
	Files *agent.Files
	// Account is that of the jobs, if it is known. Once credentials have expired, those of
	// another one are not used. "": that of the first job.
	Account string
	// Notice is told what a person should know: that the credentials have expired, and
	// that they are there again; and what of this machine is uploaded. nil: nobody listens.
	Notice func(text string)
}
