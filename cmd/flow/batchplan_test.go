package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlanSendsNothing plans for AWS Batch, with credentials and a region, where every call
// that anybody would make, also one that looks for credentials, ends at a listener.
func TestPlanSendsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
			select {
			case called <- struct{}{}:
			default:
			}
		}
	}()
	b := &killBench{t: t, dir: t.TempDir()}
	const workflow = `
step "a" {
  image   = "debian:13"
  queue   = "q"
  command = ["true"]
}
`
	if err := os.WriteFile(filepath.Join(b.dir, "w.hcl"), []byte(workflow), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, credentials := range []bool{true, false} {
		cmd := b.command("plan", "--executor", "batch", "w.hcl")
		cmd.Env = append(os.Environ(), "HTTPS_PROXY=http://"+l.Addr().String(), "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://"+l.Addr().String(),
			"HOME="+b.dir, "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL=", "NO_PROXY=")
		if credentials {
			cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID=any", "AWS_SECRET_ACCESS_KEY=any")
		}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "3 calls now at most, 1 of them SubmitJob") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	_ = l.Close()
	<-done
	if len(called) > 0 {
		t.Error("a plan called somebody")
	}
}
