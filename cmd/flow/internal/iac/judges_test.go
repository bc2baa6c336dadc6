package iac_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"flow/cmd/flow/internal/iac"
)

// plugins are where the providers of Terraform may be.
var plugins = []string{
	os.Getenv("FLOW_TERRAFORM_PLUGINS"), filepath.Join(os.Getenv("HOME"), ".terraform.d", "plugins"), "/usr/local/share/terraform/plugins",
}

// tool runs a program in a directory, and returns what it prints.
func tool(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+os.DevNull, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// tools returns the path of Terraform, and the directory of its providers.
func tools(t testing.TB) (terraform, from string) {
	t.Helper()
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is missing")
	}
	for _, dir := range plugins {
		if _, err := os.Stat(filepath.Join(dir, "registry.terraform.io", "hashicorp", "aws")); dir != "" && err == nil {
			return terraform, dir
		}
	}
	t.Skip("the Terraform provider hashicorp/aws is missing: name its directory in FLOW_TERRAFORM_PLUGINS")
	return "", ""
}

// Terraform itself, where it and its provider are there, takes what is written by the
// provider's own schema. It takes over what flow infra apply has made, and would make none
// of it again.
func TestTerraformTakesOver(t *testing.T) {
	t.Parallel()
	terraform, from := tools(t)
	in := full()
	in.Consumables = nil
	s := stack(t, in)
	aws := newServer(t, in)
	s.ARNs = map[iac.Key]string{}
	for kind, of := range aws.arns {
		for name, arn := range of {
			s.ARNs[iac.Key{Kind: kind, Name: name}] = arn
		}
	}
	text, _, err := iac.Terraform(s, iac.TerraformOptions{Provider: iac.Provider5, Import: true})
	aws.must(err)
	dir := t.TempDir()
	aws.must(os.WriteFile(filepath.Join(dir, "main.tf"), text, 0o644))
	aws.must(os.WriteFile(filepath.Join(dir, "provider.tf"), fmt.Appendf(nil, `
provider "aws" {
  region                      = %q
  access_key                  = "any"
  secret_key                  = "any"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  endpoints {
    batch = %q
    iam   = %q
    sts   = %[3]q
  }
}
`, region, aws.url, aws.moto), 0o644))
	tool(t, dir, terraform, "init", "-plugin-dir="+from)
	tool(t, dir, terraform, "fmt", "-check", "-diff", "main.tf")
	out := tool(t, dir, terraform, "plan", "-no-color")
	if !strings.Contains(out, " to import, 0 to add, ") || !strings.Contains(out, " 0 to destroy.") {
		t.Errorf("Terraform would make something again:\n%s", out)
	}
	for _, kind := range []string{"compute_environment", "scheduling_policy"} { // of others the provider keeps something of its own
		if updated := regexp.MustCompile(`# aws_batch_` + kind + `\S+ will be updated`).FindString(out); updated != "" {
			t.Errorf("%s:\n%s", updated, out)
		}
	}
}
