package policy_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/cmd/flow/internal/policy"
)

// scope names something of everything.
func scope() *policy.Scope {
	return &policy.Scope{
		Workflow: "w", Region: "eu-west-1", Account: "111122223333", Queues: []string{"q", "arn:aws:batch:eu-west-1:111122223333:job-queue/by-arn", "q"},
		Definitions: []string{"own", "fixed:3"}, Consumables: []string{"license"}, JobRoles: []string{"worker", "arn:aws:iam::111122223333:role/path/exec"},
		LogGroups:    []policy.LogGroup{{Name: policy.DefaultLogGroup}, {Region: "us-east-1", Name: "/lab"}},
		Repositories: []string{"arn:aws:ecr:eu-west-1:111122223333:repository/tools"},
		Topics:       []string{"arn:aws:sns:eu-west-1:111122223333:alarms"},
		Files:        []policy.Files{{Bucket: "lab", Prefix: "flow/", Write: true}, {Bucket: "data", Prefix: "in/a.fq"}, {Bucket: "lab", Prefix: "flow/sub"}},
		Made: policy.Made{
			Environments: []string{"spot"}, Queues: []string{"q"}, UsedEnvironments: []string{"spot", "theirs"}, EnvRoles: []string{"arn:aws:iam::111122223333:instance-profile/nodes"},
			Definitions: []string{"own"}, UsedConsumables: []string{"theirs"}, Roles: []string{"flow-w-instance"}, Profiles: []string{"flow-w-instance"}, Attached: []string{"arn:aws:iam::aws:policy/x"}, ServiceRole: true,
		},
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	batch := "arn:aws:batch:eu-west-1:111122223333:"
	want := map[string][]string{
		"SubmitJobs": {
			batch + "consumable-resource/license", batch + "job-definition/fixed:3", batch + "job-definition/flow-*", batch + "job-definition/own", batch + "job-definition/own:*",
			batch + "job-queue/by-arn", batch + "job-queue/q", batch + "job/*",
		},
		"RegisterDefinitions":  {batch + "consumable-resource/license", batch + "job-definition/flow-*"},
		"RemoveDefinitions":    {batch + "job-definition/flow-*"},
		"PassJobRoles":         {"arn:aws:iam::111122223333:role/path/exec", "arn:aws:iam::111122223333:role/worker"},
		"ReadLogs":             {"arn:aws:logs:eu-west-1:111122223333:log-group:/aws/batch/job:log-stream:*", "arn:aws:logs:us-east-1:111122223333:log-group:/lab:log-stream:*"},
		"ReadFiles":            {"arn:aws:s3:::data/in/a.fq*", "arn:aws:s3:::lab/flow/*"},
		"WriteFiles":           {"arn:aws:s3:::lab/flow/*"},
		"LookAtUploads":        {"arn:aws:s3:::lab"},
		"JobListsFiles":        {"arn:aws:s3:::data", "arn:aws:s3:::lab"},
		"JobWritesFiles":       {"arn:aws:s3:::lab/flow/*"},
		"JobLooksAtUploads":    {"arn:aws:s3:::lab"},
		"JobReadsFiles":        {"arn:aws:s3:::data/in/a.fq*", "arn:aws:s3:::lab/flow/*"},
		"MakeQueues":           {batch + "compute-environment/spot", batch + "compute-environment/theirs", batch + "job-queue/q"},
		"MakeDefinitions":      {batch + "consumable-resource/theirs", batch + "job-definition/own", batch + "job-definition/own:*"},
		"PassEnvironmentRoles": {"arn:aws:iam::111122223333:role/nodes"},
		"AttachPolicies":       {"arn:aws:iam::111122223333:role/flow-w-instance"},
		"LookAtInfra":          {"*"},
	}
	got := map[string][]string{}
	for _, s := range policy.Of(scope(), policy.Audiences...).Statement {
		if _, ok := want[s.Sid]; ok {
			got[s.Sid] = s.Resource
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What is not there has no statement: one without resources is refused by IAM.
func TestNothing(t *testing.T) {
	t.Parallel()
	s := &policy.Scope{Region: "cn-north-1"}
	for _, st := range policy.Of(s, policy.Audiences...).Statement {
		if len(st.Resource) == 0 || len(st.Action) == 0 {
			t.Errorf("%+v", st)
		}
		for _, r := range st.Resource {
			if r != "*" && !regexp.MustCompile(`^arn:aws-cn:`).MatchString(r) {
				t.Errorf("%s: %s is in another partition", st.Sid, r)
			}
		}
	}
	if d := policy.Of(s, policy.Job); len(d.Statement) != 0 {
		t.Errorf("%+v", d)
	}
}

// The account that is not known is any, and each action has a reason.
func TestStatements(t *testing.T) {
	t.Parallel()
	s := scope()
	s.Account = ""
	d := policy.Of(s, policy.Audiences...)
	seen := map[string]bool{}
	actions := 0
	for _, st := range d.Statement {
		if !regexp.MustCompile(`^[A-Za-z0-9]+$`).MatchString(st.Sid) || seen[st.Sid] {
			t.Errorf("%q is no Sid, or there twice", st.Sid)
		}
		seen[st.Sid] = true
		actions += len(st.Action)
	}
	if reasons := d.Reasons(); len(reasons) != actions || slices.ContainsFunc(reasons, func(r policy.Reason) bool { return r.For == "" }) {
		t.Errorf("%v", reasons)
	}
	if !slices.Contains(d.Statement[0].Resource, "arn:aws:batch:eu-west-1:*:job-queue/q") {
		t.Errorf("%v", d.Statement[0].Resource)
	}
}
