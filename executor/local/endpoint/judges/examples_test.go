package judges

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"flow/executor/executortest/fetched"
)

// The examples of AWS's documents, played in order, answer as they are printed there.
func TestExamples(t *testing.T) {
	t.Parallel()
	if os.Getenv("FLOW_EMULATE_URL") != "" {
		t.Skip("the examples have names of their own: they need an endpoint that has nothing yet")
	}
	bin := fetched.Need(t, fetched.Path("py", "bin", "python"))
	data, err := filepath.Glob(filepath.Join(fetched.Botocore(t), "batch", "*"))
	if err != nil || len(data) != 1 {
		t.Fatal(data, err)
	}
	for kind, c := range map[string]struct {
		folder string
		want   string
	}{
		"botocore": {data[0], `(?m)^23 examples of 19 operations`},
		"cli":      {fetched.Packages(t, "awscli", "examples", "batch"), `(?m)^19 examples of 16 operations`},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ep := start(t)
			env := environ(t, ep)
			cmd := exec.Command(bin, "-u", "testdata/examples.py", kind, c.folder)
			if kind == "cli" {
				cmd.Args = append(cmd.Args, loadedCLI(t, bin, env))
			}
			cmd.Env = env
			if out := run(t, cmd); !regexp.MustCompile(c.want).MatchString(out) {
				t.Errorf("not %s", c.want)
			}
		})
	}
}
