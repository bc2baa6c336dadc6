package main

import (
	"debug/elf"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/executor/executortest/fetched"
)

// scratchWorkflow has steps in exec form, run by a program that is all that their image has.
const scratchWorkflow = `
workflow "scratch" {
  defaults {
    container {
      read_only = true
      user      = "7"
    }
  }
}
locals { upper = "BEGIN { while ((getline line < ENVIRON[\"in\"]) > 0) print toupper(line) > ENVIRON[\"out\"] }" }
step "upper" {
  inputs  = { in = "word.txt" }
  command = ["/busybox", "awk", local.upper]
  output "out" {
    file    = "upper.txt"
    publish = "s3://lab/published/upper.txt"
  }
}
step "copy" {
  inputs  = { in = step.upper.outputs.out }
  command = ["/busybox", "cp", "inputs/in/upper.txt", "copy.txt"]
  output "out" {
    file    = "copy.txt"
    publish = "results/step.txt"
  }
}
output "out" {
  value   = step.copy.outputs.out
  publish = "results/"
}
`

// overTLS puts a server that speaks TLS before an S3 server. It returns its URL, and a file
// with the certificate that vouches for it.
func overTLS(t *testing.T, target string) (at, authority string) {
	t.Helper()
	backend, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backend)
		r.Out.Host = r.In.Host // it is signed
	}})
	t.Cleanup(front.Close)
	authority = filepath.Join(t.TempDir(), "authority.pem")
	write(t, authority, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})))
	return front.URL, authority
}

// In an image with one static program and nothing else, with a root that cannot be written
// to, as a user whom nobody knows, tasks have their files from S3 and leave them there: the
// agent brings all it needs with it, also the certificates to trust S3 by.
func TestBatchFromScratch(t *testing.T) {
	host := fetched.Registry(t)
	podman := startPodman(t)
	reachHost(t)
	c, server := newS3Cloud(t, "--runner", "container", "--containers", "podman")
	at, authority := overTLS(t, server.URL)
	c.env = append(c.env, "AWS_ENDPOINT_URL_S3="+at, "SSL_CERT_FILE="+authority, "AWS_CA_BUNDLE=")

	program, err := os.ReadFile(fetched.Need(t, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := errors.Join(os.Chmod(root, 0o755), os.WriteFile(filepath.Join(root, "busybox"), program, 0o755)); err != nil {
		t.Fatal(err)
	}
	tool, agent := host+"/lab/tool:1", host+"/lab/flow:1"
	c.output("image", "push", "-q", "-owner", "0:0", root, tool)
	c.output("image", "push", "-q", "-flow", "-binary", staticFlow(t), agent)
	for _, image := range []string{tool, agent} {
		podman("pull", "-q", "--tls-verify=false", image)
	}

	c.write("w.hcl", scratchWorkflow)
	c.write("word.txt", "some word\n")
	c.flags = append(c.flags, "-image", tool, "-agent-image", agent)
	c.run("w.hcl")
	c.wantTasks(map[string]int{"SUCCEEDED": 2})
	published, err := os.ReadFile(filepath.Join(server.Dir, "lab/published/upper.txt"))
	got := []string{string(published), c.read("results/step.txt"), c.read("results/copy.txt")}
	if diff := cmp.Diff([]string{"SOME WORD\n", "SOME WORD\n", "SOME WORD\n"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
}

// reachHost lets the containers of the test's podman talk to servers of the test.
func reachHost(t *testing.T) {
	t.Helper()
	path := os.Getenv("CONTAINERS_CONF")
	conf, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Replace(string(conf), `netns = "none"`, `netns = "host"`, 1))
}

// staticFlow returns flow linked statically: this very program, which is flow by that name,
// if it is, as with make test, or else one that is built.
func staticFlow(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := elf.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if !slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return self
	}
	path := filepath.Join(t.TempDir(), "flow")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}
