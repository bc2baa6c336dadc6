package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/executor/executortest/fetched"
)

// newS3Cloud returns a cloud whose tasks have their files in s3://lab/flow, on a server that
// they reach as if by a role.
func newS3Cloud(t testing.TB, emulate ...string) (*cloud, *fetched.S3Server) {
	t.Helper()
	server := fetched.S3(t)
	server.MakeBucket("lab")
	c := newCloud(t, append(emulate, "--task-env", "AWS_ACCESS_KEY_ID="+server.Key, "--task-env", "AWS_SECRET_ACCESS_KEY="+server.Secret)...)
	c.env = server.Env()
	c.flags = append(c.flags, "-work-dir", "s3://lab/flow")
	return c, server
}

// objects returns the keys of the bucket lab, sorted.
func objects(t testing.TB, server *fetched.S3Server) (keys []string) {
	t.Helper()
	root := filepath.Join(server.Dir, "lab")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			keys = append(keys, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

const twoChains = `
workflow "w" {}
step "a" {
  inputs = { in = "a.txt" }
  script = "tr a-z A-Z < $in > $out"
  output "out" { file = "a.out" }
}
step "b" {
  inputs = { in = "b.txt" }
  script = "tr a-z A-Z < $in > $out"
  output "out" { file = "b.out" }
}
step "part" {
  for_each = range(3)
  inputs   = { b = step.b.outputs.out }
  script   = "cat $b > $out; echo $FLOW_KEY >> $out"
  output "out" { file = "part" }
}
step "all" {
  inputs = { a = step.a.outputs.out, parts = step.part.outputs.out }
  script = "env > env.txt; tr '\\0' ' ' < /proc/$PPID/cmdline > agent.txt; cat $a $parts/* > $all"
  output "all" { file = "all.txt" }
  output "seen" { files = "*.txt" }
}
output "all" {
  value   = step.all.outputs.all
  publish = "results/all.txt"
}
`

// Of a run on S3 that is run again no task is submitted, and of one whose input has changed
// those that depend on it, as flow plan says beforehand. Tasks see no path of the driver's.
func TestS3Cache(t *testing.T) {
	t.Parallel()
	c, server := newS3Cloud(t)
	c.write("w.hcl", twoChains)
	c.write("a.txt", "some a\n")
	c.write("b.txt", "some b\n")
	c.run("w.hcl")
	c.wantTasks(map[string]int{"SUCCEEDED": 6})
	all := "SOME A\nSOME B\n0\nSOME B\n1\nSOME B\n2\n"
	if got := c.read("results/all.txt"); got != all {
		t.Errorf("published is %q", got)
	}
	for _, key := range objects(t, server) {
		data, err := os.ReadFile(filepath.Join(server.Dir, "lab", key))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(c.dir)) && !strings.Contains(key, "/.run/") { // which is for flow recover
			t.Errorf("%s has the driver's directory in it: %s", key, data)
		}
		if bytes.Contains(data, []byte(server.Secret)) && !strings.HasSuffix(key, "/env.txt") { // the role's, as the task has it
			t.Errorf("%s has the secret key in it", key)
		}
	}

	submitted := c.calls()["SubmitJob"]
	c.run("w.hcl")
	c.wantTasks(map[string]int{"CACHED": 6})
	if n := c.calls()["SubmitJob"]; n != submitted {
		t.Errorf("the second run made %d submissions", n-submitted)
	}

	c.write("a.txt", "some A\n")
	plan := string(c.output(append([]string{"plan", "w.hcl"}, c.flags...)...))
	for _, want := range []string{`(?m)^a +1 +0 +1 `, `(?m)^b +1 +1 +0 `, `(?m)^part +3 +3 +0 `, `(?m)^all +1 +0 +1 `, `input in \(a\.txt\): sha256 [0-9a-f]+ -> [0-9a-f]+`} {
		if !regexp.MustCompile(want).MatchString(plan) {
			t.Errorf("the plan has no %s:\n%s", want, plan)
		}
	}
	c.run("w.hcl")
	c.wantTasks(map[string]int{"CACHED": 4, "SUCCEEDED": 2})
}

// A table of 5,000 samples of 2 KB each is one array job. Each child reads its own.
func TestS3ManySamples(t *testing.T) {
	t.Parallel()
	c, _ := newS3Cloud(t, "--runner", "instant")
	var table strings.Builder
	table.WriteString("name,text\n")
	text := func(i int) string { return strings.Repeat(fmt.Sprintf("sample %d \"$HOME\" ", i), 200)[:2000] }
	for i := range 5000 {
		fmt.Fprintf(&table, "s%d,\"%s\"\n", i, strings.ReplaceAll(text(i), `"`, `""`))
	}
	c.write("samples.csv", table.String())
	c.write("w.hcl", `step "sample" {
  for_each = csvdecode(file("samples.csv"))
  script   = "printf %s ${shellquote(each.value.text)} | cksum"
}`)
	c.run("w.hcl")
	c.wantTasks(map[string]int{"SUCCEEDED": 5000})
	if diff := cmp.Diff([]string{"array of 5000"}, c.shape()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	jobs := c.jobs()
	for _, child := range []int{0, 4711, 4999} {
		cmd := c.command("agent", "run", "-scratch", t.TempDir(), "-region", "us-east-1", "--", "s3://lab/flow/"+c.status().Run+"/.jobs/"+*jobs[0].JobName+".job")
		cmd.Env = append(cmd.Environ(), fmt.Sprintf("AWS_BATCH_JOB_ARRAY_INDEX=%d", child), fmt.Sprintf("AWS_BATCH_JOB_ID=%s:%d", *jobs[0].JobId, child))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("child %d: %v\n%s", child, err, out)
		}
		sum := exec.Command("cksum")
		sum.Stdin = strings.NewReader(text(child))
		want, err := sum.Output()
		if err != nil {
			t.Fatal(err)
		}
		if string(out) != string(want) {
			t.Errorf("child %d prints %q, want %q", child, out, want)
		}
	}
}
