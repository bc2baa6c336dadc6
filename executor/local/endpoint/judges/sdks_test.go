package judges

import (
	"os/exec"
	"testing"

	"flow/executor/executortest/fetched"
)

// boto3 does all that one does with Batch, and is refused what Batch refuses.
func TestBoto3(t *testing.T) {
	t.Parallel()
	python(t, "testdata/walk.py", signed(t))
}

// Every paginator of boto3 returns all there is, each exactly once.
func TestPaginators(t *testing.T) {
	t.Parallel()
	python(t, "testdata/pages.py", "--runner", "instant")
}

// Misbehaviour on demand is what boto3 takes for AWS's own.
func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	python(t, "testdata/chaos.py")
}

func python(t *testing.T, script string, flags ...string) {
	t.Helper()
	bin := fetched.Need(t, fetched.Path("py", "bin", "python"))
	ep := start(t, flags...)
	cmd := exec.Command(bin, "-u", script)
	cmd.Env = environ(t, ep, "PREFIX="+unique(t, "boto"))
	run(t, cmd)
}

// The AWS SDK for JavaScript does all that one does with Batch.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	node := fetched.Need(t, "node")
	fetched.Need(t, fetched.Path("js", "made-of"))
	ep := start(t, signed(t))
	cmd := exec.Command(node, "testdata/walk.mjs", fetched.Path("js"))
	cmd.Env = environ(t, ep, "PREFIX="+unique(t, "js"))
	run(t, cmd)
}
