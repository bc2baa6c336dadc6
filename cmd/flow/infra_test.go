package main

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"flow/dsl"
	"flow/executor/executortest/fetched"
)

const infraWorkflow = `
workflow "lab" {}
compute_environment "spot" {
  type                = "SPOT"
  allocation_strategy = "SPOT_PRICE_CAPACITY_OPTIMIZED"
  max_vcpus           = 16
  instance_types      = ["optimal"]
  subnets             = ["subnet-0a"]
  security_group_ids  = ["sg-0a"]
  CREATE_ROLES
}
job_queue "main" {
  compute_environments = [compute_environment.spot]
}
`

// An infraBench is an emulator of its own, and a directory with a workflow that wants an
// environment and a queue.
type infraBench struct {
	*emulation
	killBench
	client *batch.Client
	env    []string
}

func newInfraBench(t *testing.T, settle, roles string) *infraBench {
	t.Helper()
	b := &infraBench{emulation: startEmulation(t, "--latency", "settle="+settle), killBench: killBench{t: t, dir: t.TempDir()}}
	b.client = b.emulation.client("any", "any")
	text := strings.ReplaceAll(infraWorkflow, "CREATE_ROLES", roles)
	if err := os.WriteFile(filepath.Join(b.dir, "w.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return b
}

// infra runs flow infra, which must end with a code, and returns what it says.
func (b *infraBench) infra(code int, args ...string) string {
	t := b.killBench.t
	t.Helper()
	cmd := b.command(append(append([]string{"infra"}, args...), "-endpoint", b.url)...)
	cmd.Env = append(os.Environ(), b.env...)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("flow infra %s: exit code %d, want %d (%v)\n%s", strings.Join(args, " "), got, code, err, out)
	}
	return string(out)
}

// signalled begins an apply, and ends it with a signal while the environment is CREATING.
func (b *infraBench) signalled(sig os.Signal) (code int, said string) {
	t := b.killBench.t
	t.Helper()
	cmd := b.command("infra", "apply", "-auto-approve", "-endpoint", b.url)
	cmd.Env = append(os.Environ(), b.env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return len(b.environments()) == 1 })
	_ = cmd.Process.Signal(sig)
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), out.String()
}

func (b *infraBench) environments() []types.ComputeEnvironmentDetail {
	t := b.killBench.t
	t.Helper()
	out, err := b.client.DescribeComputeEnvironments(t.Context(), &batch.DescribeComputeEnvironmentsInput{})
	if err != nil {
		t.Fatal(err)
	}
	return out.ComputeEnvironments
}

// Ctrl-C ends the wait, and says how to go on.
func TestInfraInterrupted(t *testing.T) {
	t.Parallel()
	b := newInfraBench(t, "1h", "")
	code, said := b.signalled(syscall.SIGINT)
	if want := "stopped: what was begun goes on in AWS. Go on with: flow infra apply -endpoint " + b.url + "\n"; code != exitInterrupted || !strings.HasSuffix(said, want) {
		t.Errorf("it ends with %d and says:\n%s\nwant at the end: %s", code, said, want)
	}
	// Nor does anybody have to wait for ever.
	late := "compute_environment spot: after 100ms it is still waiting for CREATING, and waits no longer."
	if said := b.infra(exitProblem, "apply", "-auto-approve", "-timeout", "100ms"); !strings.Contains(said, late) {
		t.Errorf("with a timeout it says:\n%s", said)
	}
}

// A process that is killed leaves nothing behind that the next one does not go on from;
// roles are made beside a server of IAM, and nothing is left after destroy.
func TestInfraKilled(t *testing.T) {
	t.Parallel()
	b := newInfraBench(t, "400ms", "create_roles = true")
	moto := fetched.Moto(t, "MOTO_IAM_LOAD_MANAGED_POLICIES=true")
	b.env = []string{"AWS_ENDPOINT_URL_IAM=" + moto}
	b.signalled(syscall.SIGKILL)
	if said := b.infra(0, "apply", "-auto-approve"); !strings.Contains(said, "Done: 1 created, 0 changed, 0 replaced, 0 deleted.") || strings.Contains(said, "put-role-policy") {
		t.Errorf("the second apply says:\n%s", said)
	}
	if said := b.infra(0, "plan", "-detailed-exitcode"); !strings.HasPrefix(said, "No changes.") {
		t.Errorf("then there is still:\n%s", said)
	}
	said := b.infra(0, "status")
	for _, want := range []string{"role\tflow-lab-us-east-1-instance\tflow\t", "job_queue\tmain\tflow\tENABLED\tVALID\t-\tnone\t"} {
		if !strings.Contains(said, want) {
			t.Errorf("status is without %q:\n%s", want, said)
		}
	}
	b.infra(0, "destroy", "-auto-approve")
	client := iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: &moto, Credentials: keys("any", "any")})
	b.onS3(client)
	b.infra(0, "destroy", "-auto-approve")
	if left := b.environments(); len(left) > 0 {
		t.Errorf("%d environments are left", len(left))
	}
	roles, err := client.ListRoles(t.Context(), &iam.ListRolesInput{})
	if err != nil {
		t.Fatal(err)
	}
	profiles, err := client.ListInstanceProfiles(t.Context(), &iam.ListInstanceProfilesInput{})
	if err != nil || len(roles.Roles)+len(profiles.InstanceProfiles) > 0 {
		t.Errorf("of IAM there is left: %v %v %v", roles.Roles, profiles.InstanceProfiles, err)
	}
}

// onS3 makes it for a site whose files are on S3: what flow says then allows the role of the
// instances to reach them.
func (b *infraBench) onS3(client *iam.Client) {
	t := b.killBench.t
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, dsl.ConfigName), []byte("site \"aws\" { work_dir = \"s3://files/flow\" }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said := b.infra(0, "apply", "-site", "aws", "-auto-approve")
	for _, want := range []string{
		"flow infra policy -site aws -for job > files.json", "aws iam put-role-policy --role-name flow-lab-us-east-1-instance --policy-name flow-files --policy-document file://files.json",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("an apply for files on S3 says:\n%s\nwant %s", said, want)
		}
	}
	document := b.infra(0, "policy", "-site", "aws", "-for", "job", "-account", "111122223333")
	if !strings.Contains(document, `"arn:aws:s3:::files/flow/*"`) {
		t.Errorf("the policy is\n%s", document)
	}
	if _, err := client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("flow-lab-us-east-1-instance"), PolicyName: aws.String("flow-files"), PolicyDocument: &document,
	}); err != nil {
		t.Error(err)
	}
	if said := b.infra(0, "apply", "-site", "aws", "-auto-approve"); !strings.HasPrefix(said, "No changes.") || strings.Contains(said, "put-role-policy") {
		t.Errorf("the next apply says:\n%s", said)
	}
}

// Why an environment is INVALID is said in plain words, and what to do.
func TestInfraInvalid(t *testing.T) {
	t.Parallel()
	b := newInfraBench(t, "10ms", "")
	b.infra(0, "apply", "-auto-approve")
	answer, err := http.PostForm(b.url+"/_flow/invalidate", url.Values{
		"environment": {"spot"}, "reason": {"CLIENT_ERROR - Not authorized to perform sts:AssumeRole (Service: AWSSecurityTokenService; Status Code: 403)"},
	})
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	answer.Body.Close()
	why := regexp.MustCompile(`compute_environment spot is INVALID: AWS Batch may not assume the service role .*\. To mend it, leave service_role out, .*; or have it made anew: flow infra apply -replace spot`)
	for _, args := range [][]string{{"plan"}, {"apply"}} {
		code := 0
		if args[0] == "apply" {
			code = exitProblem
		}
		if said := b.infra(code, args...); !why.MatchString(said) {
			t.Errorf("%v says:\n%s", args, said)
		}
	}
	if said := b.infra(0, "status"); !strings.Contains(said, "\tINVALID\t") {
		t.Errorf("status says:\n%s", said)
	}
	b.infra(0, "apply", "-replace", "spot", "-auto-approve")
	if said := b.infra(0, "plan"); !strings.HasPrefix(said, "No changes.") || strings.Contains(said, "Warning") {
		t.Errorf("when it is made anew, there is:\n%s", said)
	}
}
