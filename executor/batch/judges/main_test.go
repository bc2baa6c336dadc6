// Package judges tests that flow runs on AWS Batch as AWS describes it, and not only on
// flow emulate: every request is checked against the model that AWS makes its own clients
// from, and the other side is also one that others wrote, the server of moto.
//
// fetch.sh of executor/local/endpoint/judges brings both.
package judges

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/executor/batch"
)

const region = "us-east-1"

var buildDir string

func TestMain(m *testing.M) {
	flag.Parse()
	adopt()
	dir, err := os.MkdirTemp("", "judges")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var underRace bool // are the tests built with the race detector?

// aside skips a test whose programs run aside of this process, where the race detector sees
// nothing of them.
func aside(t *testing.T) {
	t.Helper()
	if underRace {
		t.Skip("what is tested runs in other processes")
	}
}

// build makes the command under test, once.
var build = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(buildDir, "flow")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "flow/cmd/flow")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// binary returns the path of the command under test.
func binary(t *testing.T) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// account is the environment of somebody with keys to an account.
var account = map[string]string{
	"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_REGION": region, "AWS_EC2_METADATA_DISABLED": "true",
}

// adopt makes this process one of somebody with keys to an account, and no files in the
// home directory.
func adopt() {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "FLOW_") {
			os.Unsetenv(name)
		}
	}
	for name, value := range account {
		os.Setenv(name, value)
	}
}

// open opens an executor at an endpoint.
func open(t *testing.T, url string) *batch.Executor {
	t.Helper()
	for _, v := range home(t) {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	x, err := batch.Open(t.Context(), batch.Options{Region: region, Endpoint: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// home is the environment that says where a user's own files are: nowhere yet.
func home(t *testing.T) []string {
	dir := t.TempDir()
	return []string{"HOME=" + dir, "XDG_CACHE_HOME=" + filepath.Join(dir, ".cache"), "XDG_CONFIG_HOME=" + filepath.Join(dir, ".config")}
}

// A shell is a person who runs flow in a directory.
type shell struct {
	t   *testing.T
	bin string
	dir string
	env []string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	return &shell{t, binary(t), t.TempDir(), append(os.Environ(), home(t)...)}
}

// copy puts a file of testdata into the directory, and returns its text.
func (s *shell) copy(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, name), text, 0o644); err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// flow runs flow, expects this exit code, and returns what it wrote to stdout.
func (s *shell) flow(code int, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.bin, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != code {
		s.t.Fatalf("flow %s: %v, expected exit code %d\n%s\n%s", strings.Join(args, " "), err, code, &stdout, &stderr)
	}
	return stdout.String()
}

// expectStatuses compares the status of the newest run, and those of its steps.
func expectStatuses(t *testing.T, sh *shell, run string, want map[string]string) {
	t.Helper()
	var seen struct {
		Status string
		Steps  []struct{ Step, Status string }
	}
	text := sh.flow(0, "status", "-json")
	if err := json.Unmarshal([]byte(text), &seen); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	got := map[string]string{}
	for _, s := range seen.Steps {
		got[s.Step] = s.Status
	}
	if d := cmp.Diff(want, got); seen.Status != run || d != "" {
		t.Errorf("the run is %s, expected %s; steps (-want +got)\n%s\n%s", seen.Status, run, d, text)
	}
}
