package iac_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/cmd/flow/internal/iac"
	"flow/executor/batch/infra"
	"flow/executor/executortest/fetched"
)

// formations are the kinds of CloudFormation's types.
var formations = map[string]infra.Kind{
	"AWS::Batch::ComputeEnvironment": infra.KindEnvironment, "AWS::Batch::JobQueue": infra.KindQueue, "AWS::Batch::JobDefinition": infra.KindDefinition,
	"AWS::Batch::SchedulingPolicy": infra.KindPolicy, "AWS::Batch::ConsumableResource": infra.KindConsumable,
}

// A formed is a resource of a template.
type formed struct {
	Type       string
	Properties map[string]any
}

// name returns what a resource is called in AWS.
func (f *formed) name() string {
	for _, p := range []string{"ComputeEnvironmentName", "JobQueueName", "JobDefinitionName", "ConsumableResourceName", "RoleName", "InstanceProfileName", "Name"} {
		if s, ok := f.Properties[p].(string); ok {
			return s
		}
	}
	return ""
}

// arn returns its ARN.
func (f *formed) arn() string {
	return "arn:aws:" + map[string]string{
		"AWS::Batch::ComputeEnvironment": "batch:us-east-1:123456789012:compute-environment/", "AWS::Batch::SchedulingPolicy": "batch:us-east-1:123456789012:scheduling-policy/",
		"AWS::IAM::Role": "iam::123456789012:role/", "AWS::IAM::InstanceProfile": "iam::123456789012:instance-profile/",
	}[f.Type] + f.name()
}

// settled returns a value with what CloudFormation puts in for its functions.
func settled(t testing.TB, all map[string]*formed, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if get, ok := v["Fn::GetAtt"].([]any); ok {
			f := all[get[0].(string)]
			if want := map[string]string{"AWS::Batch::ComputeEnvironment": "ComputeEnvironmentArn"}[f.Type]; get[1] != "Arn" && get[1] != want {
				t.Errorf("%s has no attribute %s", f.Type, get[1])
			}
			return f.arn()
		}
		if ref, ok := v["Ref"].(string); ok {
			if all[ref].Type != "AWS::IAM::InstanceProfile" && all[ref].Type != "AWS::IAM::Role" { // of which it is the name
				t.Errorf("Ref of a %s", all[ref].Type)
			}
			return all[ref].name()
		}
		if sub, ok := v["Fn::Sub"].(string); ok {
			return strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::Region}", region, "${AWS::AccountId}", account).Replace(sub)
		}
		for k, e := range v {
			v[k] = settled(t, all, e)
		}
	case []any:
		for i := range v {
			v[i] = settled(t, all, v[i])
		}
	}
	return v
}

func template(t testing.TB, text []byte) map[string]*formed {
	t.Helper()
	var out struct{ Resources map[string]*formed }
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for id, f := range out.Resources {
		if !regexp.MustCompile(`^[A-Za-z0-9]{1,255}$`).MatchString(id) {
			t.Errorf("%q is no logical id", id)
		}
		settled(t, out.Resources, f.Properties)
	}
	return out.Resources
}

func formationAgrees(t *testing.T, s *iac.Stack, aws *server) {
	text, err := iac.CloudFormation(s)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]any{}
	for _, f := range template(t, text) {
		kind, ok := formations[f.Type]
		if !ok {
			continue
		}
		got[string(kind)+" "+f.name()] = f.Properties
		if kind == infra.KindEnvironment {
			if replace, ok := f.Properties["ReplaceComputeEnvironment"].(bool); replace || !ok {
				t.Errorf("%s would be replaced by one of the same name", f.name())
			}
			delete(f.Properties, "ReplaceComputeEnvironment")
		}
	}
	want := aws.described(func(name string) string { return name })
	for id := range want {
		forgive(want[id], got[id])
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what AWS has (-) and what is written (+):\n%s\n%s", d, text)
	}
}

// A template is the same each time, and has an update policy where one is wanted.
func TestCloudFormationIsStable(t *testing.T) {
	t.Parallel()
	first, err := iac.CloudFormation(stack(t, full()))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if again, _ := iac.CloudFormation(stack(t, full())); string(again) != string(first) {
			t.Fatal("it differs from time to time")
		}
	}
	update := template(t, first)["SpotComputeEnvironment"].Properties["UpdatePolicy"]
	if d := cmp.Diff(any(map[string]any{"JobExecutionTimeoutMinutes": 45.0, "TerminateJobsOnUpdate": true}), update); d != "" {
		t.Error(d)
	}
}

// CloudFormation's own schemas, as cfn-lint has them, allow what is written.
func TestCloudFormationLint(t *testing.T) {
	t.Parallel()
	lint := fetched.Need(t, fetched.Path("engines", "bin", "cfn-lint"))
	text, err := iac.CloudFormation(stack(t, full()))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "template.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	tool(t, filepath.Dir(file), lint, "--regions", region, "--template", file)
}
