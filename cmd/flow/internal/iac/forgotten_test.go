package iac_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flow/cmd/flow/internal/iac"
	"flow/engine"
	"flow/executor/batch/infra"
)

// Whatever member of an input is given, also one that no workflow can give: it is written,
// or a note says that it is not.
func TestNothingIsForgotten(t *testing.T) {
	t.Parallel()
	for kind, in := range map[infra.Kind]any{
		infra.KindEnvironment: &batch.CreateComputeEnvironmentInput{}, infra.KindQueue: &batch.CreateJobQueueInput{}, infra.KindDefinition: &batch.RegisterJobDefinitionInput{},
		infra.KindPolicy: &batch.CreateSchedulingPolicyInput{}, infra.KindConsumable: &batch.CreateConsumableResourceInput{},
	} {
		f := &filler{}
		f.fill(reflect.ValueOf(in).Elem(), 0)
		r := infra.Resource{Kind: kind, Name: "x", Input: in}
		if kind == infra.KindEnvironment {
			r.Update = &types.UpdatePolicy{}
			f.fill(reflect.ValueOf(r.Update).Elem(), 0)
		}
		s := &iac.Stack{Workflow: "lab", Region: region, Resources: []infra.Resource{r}}
		for _, p := range []iac.Provider{iac.Provider5, iac.Provider6} {
			text, notes, err := iac.Terraform(s, iac.TerraformOptions{Provider: p})
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			for _, n := range notes {
				if !strings.Contains(string(text), n.Member+" = ") {
					t.Errorf("there is no comment for: %s", n)
				}
			}
			f.look(t, kind, "Terraform", text) // what is noted stands in a comment
		}
		text, err := iac.CloudFormation(s)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		f.look(t, kind, "CloudFormation", text)
	}
}

// A filler gives all members values that differ.
type filler struct {
	n    int
	made map[string]string // what is written, by path
}

func (f *filler) look(t *testing.T, kind infra.Kind, form string, text []byte) {
	t.Helper()
	if len(f.made) < 3 {
		t.Errorf("%s: only %v", kind, f.made)
	}
	for value, path := range f.made {
		if !strings.Contains(string(text), value) {
			t.Errorf("%s, %s: %s = %s is not written", form, kind, path, value)
		}
	}
}

func (f *filler) fill(v reflect.Value, depth int) { f.at(v, v.Type().Name(), depth) }

func (f *filler) at(v reflect.Value, path string, depth int) {
	f.n++
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 12 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		f.at(v.Elem(), path, depth)
	case reflect.String:
		v.SetString(fmt.Sprintf("text%dx", f.n))
		f.note(v.String(), path)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(7000000 + f.n))
		f.note(fmt.Sprint(v.Int()), path)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.n) + 0.5)
		f.note(fmt.Sprintf("%d.5", f.n), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.at(v.Index(0), path, depth+1)
	case reflect.Map:
		key, value := fmt.Sprintf("key%dx", f.n), fmt.Sprintf("value%dx", f.n)
		v.Set(reflect.ValueOf(map[string]string{key: value}).Convert(v.Type()))
		f.note(key, path)
		f.note(value, path)
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				f.at(v.Field(i), path+"."+field.Name, depth+1)
			}
		}
	}
}

func (f *filler) note(value, path string) {
	if f.made == nil {
		f.made = map[string]string{}
	}
	f.made[value] = path
}

// All that a role has is written.
func TestRoles(t *testing.T) {
	t.Parallel()
	role := &infra.Role{}
	f := &filler{}
	f.fill(reflect.ValueOf(role).Elem(), 0)
	s := &iac.Stack{Workflow: "lab", Region: region, Resources: []infra.Resource{{Kind: infra.KindRole, Name: role.Name, Input: role}}}
	text, _, err := iac.Terraform(s, iac.TerraformOptions{Provider: iac.Provider6})
	if err != nil {
		t.Fatal(err)
	}
	f.look(t, infra.KindRole, "Terraform", text)
	if !strings.Contains(string(text), `"aws_iam_instance_profile"`) {
		t.Errorf("there is no instance profile in\n%s", text)
	}
	text, err = iac.CloudFormation(s)
	if err != nil {
		t.Fatal(err)
	}
	f.look(t, infra.KindRole, "CloudFormation", text)
	if !strings.Contains(string(text), "AWS::IAM::InstanceProfile") {
		t.Errorf("there is no instance profile in\n%s", text)
	}
}

// What cannot be written is told, and stands in a comment.
func TestNotes(t *testing.T) {
	t.Parallel()
	_, notes, err := iac.Terraform(stack(t, full()), iac.TerraformOptions{Provider: iac.Provider5})
	if err != nil {
		t.Fatal(err)
	}
	want := []iac.Note{
		{Kind: infra.KindEnvironment, Name: "spot", Member: "ComputeResources.ScalingPolicy"},
		{Kind: infra.KindEnvironment, Name: "pods", Member: "ComputeResources.Ec2Configuration.ImageKubernetesVersion"},
	}
	if d := cmp.Diff(want, notes, cmpopts.IgnoreFields(iac.Note{}, "Why")); d != "" {
		t.Error(d)
	}
}

// What is there gets an import block, by the id that the provider takes.
func TestImport(t *testing.T) {
	t.Parallel()
	in := full()
	in.Definitions = in.Definitions[:1]
	s := stack(t, in)
	s.ARNs = map[iac.Key]string{}
	for _, r := range s.Resources {
		s.ARNs[iac.Key{Kind: r.Kind, Name: r.Name}] = "arn:of:" + r.Name
	}
	delete(s.ARNs, iac.Key{Kind: infra.KindQueue, Name: "far_queue"})
	text, notes, err := iac.Terraform(s, iac.TerraformOptions{Provider: iac.Provider6, Import: true})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, b := range parse(t, text).imports {
		id, diags := b.Body.Attributes["id"].Expr.Value(nil)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		to := string(b.Body.Attributes["to"].Expr.Range().SliceBytes(text))
		got[to] = id.AsString()
	}
	role := "flow-lab-us-east-1-"
	want := map[string]string{
		"aws_batch_compute_environment.spot": "spot", "aws_batch_compute_environment.best-fit": "best-fit", "aws_batch_compute_environment.plain": "plain",
		"aws_batch_compute_environment._2far": "2far", "aws_batch_compute_environment.pods": "pods", "aws_batch_job_queue.fair-queue": "arn:of:fair-queue",
		"aws_batch_scheduling_policy.fair": "arn:of:fair", "aws_batch_job_definition.sort": "arn:of:sort",
		"awscc_batch_consumable_resource.license": "arn:of:license", "awscc_batch_consumable_resource.once": "arn:of:once",
		"aws_iam_role." + role + "instance": role + "instance", "aws_iam_role." + role + "spot": role + "spot", "aws_iam_instance_profile." + role + "instance": role + "instance",
		"aws_iam_role." + role + "execution": role + "execution", "aws_iam_role." + role + "job": role + "job",
		"aws_iam_role_policy_attachment." + role + "instance":  role + "instance/arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role",
		"aws_iam_role_policy_attachment." + role + "spot":      role + "spot/arn:aws:iam::aws:policy/service-role/AmazonEC2SpotFleetTaggingRole",
		"aws_iam_role_policy_attachment." + role + "execution": role + "execution/arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n := notes[len(notes)-1]; n.Name != "far_queue" || !strings.Contains(n.Why, "not there yet") {
		t.Errorf("%v", notes)
	}
}

// What is not the workflow's own is looked up, or its ARN put together.
func TestReferencesToOthers(t *testing.T) {
	t.Parallel()
	s := stack(t, &engine.Infra{Queues: []*engine.JobQueue{{
		Block: engine.Block{Label: "q", Name: "q"}, Environments: []string{"theirs", "arn:aws:batch:us-east-1:123456789012:compute-environment/by-arn"}, Policy: "shares",
	}}})
	for _, p := range []iac.Provider{iac.Provider5, iac.Provider6} {
		text, _, err := iac.Terraform(s, iac.TerraformOptions{Provider: p})
		if err != nil {
			t.Fatal(err)
		}
		m := parse(t, text)
		checkOthers(t, m.body(m.resources[0].Body), "compute_environment_order", "compute_environment", "scheduling_policy_arn")
	}
	text, err := iac.CloudFormation(s)
	if err != nil {
		t.Fatal(err)
	}
	checkOthers(t, template(t, text)["QJobQueue"].Properties, "ComputeEnvironmentOrder", "ComputeEnvironment", "SchedulingPolicyArn")
}

func checkOthers(t *testing.T, q map[string]any, order, environment, policy string) {
	t.Helper()
	got := []any{q[policy]}
	for _, e := range q[order].([]any) {
		got = append(got, e.(map[string]any)[environment])
	}
	prefix := "arn:aws:batch:us-east-1:123456789012:"
	if d := cmp.Diff([]any{prefix + "scheduling-policy/shares", prefix + "compute-environment/theirs", prefix + "compute-environment/by-arn"}, got); d != "" {
		t.Error(d)
	}
}
