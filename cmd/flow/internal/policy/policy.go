// Package policy writes the least policy of IAM with which a workflow can be run, its
// infrastructure made, and its files be reached by its jobs: what flow calls, on what the
// workflow names.
//
// The tables of this package are all there is to know of the permissions that flow needs:
// which action, on what, and for which command. What an action can be restricted to is said
// in the Service Authorization Reference.
package policy

import (
	"cmp"
	"slices"
	"strings"
)

// An Audience is whose permissions a policy has.
type Audience string

// The audiences.
const (
	Run   Audience = "run"   // who runs the workflow and looks at its runs
	Infra Audience = "infra" // who applies and destroys its infrastructure
	Job   Audience = "job"   // the role that its jobs have
)

// Audiences are all.
var Audiences = []Audience{Run, Infra, Job}

// A Document is a policy of IAM.
type Document struct {
	Version   string
	Statement []Statement
}

// A Statement allows actions on resources.
type Statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  []string
	Condition Condition `json:",omitempty"`

	uses []use
}

// A Condition restricts a statement: by operator, key, and values.
type Condition map[string]map[string][]string

// A Reason says which command needs an action.
type Reason struct {
	Sid    string `json:"sid"`
	Action string `json:"action"`
	For    string `json:"for"`
}

// A use is an action, and which command needs it for what.
type use struct{ action, why string }

// A rule is a statement in the making.
type rule struct {
	sid  string
	uses []use
	// on returns the ARNs of what it is about; none: there is no such statement. A nil one
	// is about everything, since the actions cannot be restricted.
	on   func(*Scope) []string
	when func(*Scope) Condition // nil: whenever
}

var rules = map[Audience][]rule{Run: runRules, Infra: infraRules, Job: jobRules, Deploy: deployRules}

// Of returns the policy of audiences for what is in scope.
func Of(s *Scope, audiences ...Audience) *Document {
	d := &Document{Version: "2012-10-17", Statement: []Statement{}}
	for _, a := range audiences {
		for _, r := range rules[a] {
			resources := []string{"*"}
			if r.on != nil {
				resources = compact(r.on(s))
			}
			if len(resources) == 0 {
				continue
			}
			out := Statement{Sid: r.sid, Effect: "Allow", Resource: resources, uses: r.uses}
			for _, u := range r.uses {
				out.Action = append(out.Action, u.action)
			}
			if r.when != nil {
				out.Condition = r.when(s)
			}
			d.Statement = append(d.Statement, out)
		}
	}
	return d
}

// compact returns a list without what is there twice, or is allowed by another entry that
// ends in *, in order.
func compact(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	list = slices.Compact(list)
	return slices.DeleteFunc(list, func(s string) bool {
		return slices.ContainsFunc(list, func(by string) bool {
			prefix, any := strings.CutSuffix(by, "*")
			return any && by != s && strings.HasPrefix(s, prefix)
		})
	})
}

// Reasons says for each action of a policy which command needs it.
func (d *Document) Reasons() []Reason {
	var out []Reason
	for _, s := range d.Statement {
		for _, u := range s.uses {
			out = append(out, Reason{s.Sid, u.action, u.why})
		}
	}
	return out
}

// MaxSize is how many characters a managed policy may have, white space not counted (IAM
// User Guide, reference_iam-quotas).
const MaxSize = 6144

// MaxInline is how many characters the policies may have that are written into a role (ibid.).
const MaxInline = 10240

// Actions returns all actions that the tables of audiences know.
func Actions(audiences ...Audience) []string {
	var out []string
	for _, a := range audiences {
		for _, r := range rules[a] {
			for _, u := range r.uses {
				out = append(out, u.action)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// DefaultLogGroup is where logs go that no log configuration sends elsewhere (Batch User
// Guide, using_cloudwatch_logs).
const DefaultLogGroup = "/aws/batch/job"

// A LogGroup is a log group of CloudWatch Logs; Region may be "": that of the jobs.
type LogGroup struct{ Region, Name string }

// Files are objects of S3 whose keys begin with Prefix.
type Files struct {
	Bucket, Prefix string
	Write          bool // they are written, too
	Watched        bool // who runs the workflow waits for them, and jobs have nothing to do with them
}

// A Scope is what a workflow names of AWS. Names may be ARNs.
type Scope struct {
	Workflow        string
	Region, Account string // Account: "" if it is not known

	Queues       []string // that steps go to
	Definitions  []string // that steps name: NAME, NAME:REVISION
	Consumables  []string
	JobRoles     []string // job and execution roles of steps
	LogGroups    []LogGroup
	Repositories []string // ARNs of repositories of ECR
	Topics       []string // ARNs of topics of SNS that notices go to
	Files        []Files

	Others bool // jobs go to queues or environments that are not made here, of which little is known
	Made   Made // what is to be made

	Deployed Deployed // what is made for its schedules
}

// Made is what infrastructure is to be made of. Names may be ARNs.
type Made struct {
	Environments, Queues, Policies, Definitions, Consumables []string

	UsedEnvironments, UsedPolicies []string // by queues, also those of somebody else
	UsedConsumables                []string // by definitions, likewise

	Capacity []string // environments whose instances have tags
	EnvRoles []string // that environments have: of instances, of Spot fleets, of AWS Batch
	JobRoles []string // that definitions have

	InstanceRoles []string // instance profiles that environments have

	RoleNames   []string // names that roles and instance profiles are looked for by
	Roles       []string // that are created
	Profiles    []string // instance profiles that are created
	Attached    []string // ARNs of the policies of the roles that are created
	ServiceRole bool     // an environment has that of AWS, linked to the service
	Clusters    []string // ARNs of clusters of EKS
}

// partition returns the partition of AWS that the region is in.
func (s *Scope) partition() string {
	switch {
	case strings.HasPrefix(s.Region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(s.Region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// arn returns an ARN in the account: of a service, a region, and what is there.
func (s *Scope) arn(service, region, rest string) string {
	return "arn:" + s.partition() + ":" + service + ":" + region + ":" + cmp.Or(s.Account, "*") + ":" + rest
}

// batch returns the ARNs of things of AWS Batch: those of a kind with the names, or the
// names themselves where they are ARNs.
func (s *Scope) batch(kind string, names ...string) []string {
	var out []string
	for _, n := range names {
		if !isARN(n) {
			n = s.arn("batch", s.Region, kind+"/"+n)
		}
		out = append(out, n)
	}
	return out
}

// roles returns the ARNs of roles. That of an instance profile stands for the role of the
// same name, which it holds as a rule.
func (s *Scope) roles(names []string) []string {
	var out []string
	for _, n := range names {
		if !isARN(n) {
			n = s.arn("iam", "", "role/"+n)
		}
		out = append(out, strings.Replace(n, ":instance-profile/", ":role/", 1))
	}
	return out
}

// profiles returns the ARNs of instance profiles.
func (s *Scope) profiles(names []string) []string {
	var out []string
	for _, n := range names {
		if !isARN(n) {
			n = s.arn("iam", "", "instance-profile/"+n)
		}
		out = append(out, n)
	}
	return out
}

// revisions returns the ARNs of job definitions, of all their revisions if none is named:
// AWS asks for the name as well as for the revision.
func (s *Scope) revisions(names []string) []string {
	var out []string
	for _, arn := range s.batch("job-definition", names...) {
		out = append(out, arn)
		if name := arn[strings.LastIndexByte(arn, '/')+1:]; !strings.Contains(name, ":") {
			out = append(out, arn+":*")
		}
	}
	return out
}

func isARN(s string) bool { return strings.HasPrefix(s, "arn:") }
