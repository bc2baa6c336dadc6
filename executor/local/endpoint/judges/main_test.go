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

	"flow/executor/local/endpoint/judges/apimodel"
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

// cache returns a path in the directory that fetch.sh fills.
func cache(elem ...string) string {
	dir := os.Getenv("XDG_CACHE_HOME")
	if dir == "" {
		dir = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	return filepath.Join(append([]string{dir, "flow", "judges"}, elem...)...)
}

// need returns the path of a tool, or of something else that fetch.sh brings. A test without it is skipped, and fails in CI.
func need(t *testing.T, path string) string {
	t.Helper()
	found, err := exec.LookPath(path)
	if filepath.IsAbs(path) {
		found = path
		_, err = os.Stat(path)
	}
	if err == nil {
		return found
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing: run make deps", path)
	}
	t.Skipf("%s is missing: run make deps", path)
	return ""
}

// botocore returns the data directory of botocore.
func botocore(t *testing.T) string {
	t.Helper()
	need(t, cache("py", "bin", "python"))
	return packages(t, "botocore", "data")
}

// packages returns a path among the Python packages that fetch.sh brought.
func packages(t *testing.T, elem ...string) string {
	t.Helper()
	pattern := filepath.Join(append([]string{cache("py", "lib", "python3*", "site-packages")}, elem...)...)
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v %v", pattern, found, err)
	}
	return found[0]
}

// model returns what AWS says of its API. It is read once.
func model(t *testing.T) *apimodel.Model {
	t.Helper()
	data := botocore(t)
	modelOnce.Do(func() { loaded, loadErr = apimodel.Load(data, "batch", "logs") })
	if loadErr != nil {
		t.Fatal(loadErr)
	}
	return loaded
}

var (
	modelOnce sync.Once
	loaded    *apimodel.Model
	loadErr   error
)
