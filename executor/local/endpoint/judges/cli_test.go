package judges

import (
	"os/exec"
	"testing"
)

// The AWS CLI, unchanged, does all that one does with Batch.
func TestCommandLineInterface(t *testing.T) {
	t.Parallel()
	for version, path := range map[string]string{"v1": cache("py", "bin", "aws"), "v2": "/usr/bin/aws"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			aws := need(t, path)
			ep := start(t, signed(t))
			cmd := exec.Command("testdata/walk.sh", ep.url, aws, unique(t, "walk"))
			cmd.Env = environ(t, ep)
			run(t, cmd)
		})
	}
}
