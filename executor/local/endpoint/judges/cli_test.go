package judges

import (
	"os/exec"
	"testing"

	"flow/executor/executortest/fetched"
)

// The AWS CLI, unchanged, does all that one does with Batch.
func TestCommandLineInterface(t *testing.T) {
	t.Parallel()
	for version, path := range map[string]string{"v1": fetched.Path("py", "bin", "aws"), "v2": "/usr/bin/aws"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			aws := fetched.Need(t, path)
			ep := start(t, signed(t))
			cmd := exec.Command("testdata/walk.sh", ep.url, aws, unique(t, "walk"))
			cmd.Env = environ(t, ep)
			run(t, cmd)
		})
	}
}
