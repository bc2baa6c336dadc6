// Package judges tests `flow emulate` with programs that others wrote: the AWS CLI in two
// versions, boto3, the AWS SDKs for JavaScript and Go, the examples of AWS's documents,
// and the model that AWS makes its clients from. Every exchange of every test is checked
// against that model.
//
// fetch.sh brings the programs. With FLOW_EMULATE_URL set, the endpoint there is judged
// instead of one that each test starts for itself.
package judges

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// atOnce is how many tests run at a time: they wait for other programs most of the time.
const atOnce = "5"

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(atOnce) // a number
	}
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

var buildDir string

// build makes the command under test, once.
var build = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(buildDir, "flow")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "flow/cmd/flow")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})
