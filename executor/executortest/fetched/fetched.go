// Package fetched finds the programs of others that tests judge flow with, and what AWS
// says of its API. fetch.sh of executor/local/endpoint/judges brings them.
package fetched

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"flow/executor/executortest/apimodel"
)

// root is the directory that fetch.sh fills. Tests may change the environment later.
var root = func() string {
	dir := os.Getenv("XDG_CACHE_HOME")
	if dir == "" {
		dir = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	return filepath.Join(dir, "flow", "judges")
}()

// Path returns a path in the directory that fetch.sh fills.
func Path(elem ...string) string { return filepath.Join(append([]string{root}, elem...)...) }

// Need returns the path of a tool, or of something else that fetch.sh brings. A test
// without it is skipped, and fails in CI.
func Need(t testing.TB, path string) string {
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

// Packages returns a path among the Python packages that fetch.sh brought.
func Packages(t testing.TB, elem ...string) string {
	t.Helper()
	Need(t, Path("py", "bin", "python"))
	pattern := filepath.Join(append([]string{Path("py", "lib", "python3*", "site-packages")}, elem...)...)
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v %v", pattern, found, err)
	}
	return found[0]
}

// Botocore returns the data directory of botocore.
func Botocore(t testing.TB) string {
	t.Helper()
	return Packages(t, "botocore", "data")
}

// Model returns what AWS says of the API of Batch and of CloudWatch Logs. It is read once.
func Model(t testing.TB) *apimodel.Model {
	t.Helper()
	data := Botocore(t)
	once.Do(func() { model, errModel = apimodel.Load(data, "batch", "logs") })
	if errModel != nil {
		t.Fatal(errModel)
	}
	return model
}

// Judged returns the URL of a recorder before the server at the URL target. When the test
// has ended, every request that was made there is checked against AWS's model. Without the
// model nothing is, but in CI, and it returns target.
func Judged(t testing.TB, target string) string {
	t.Helper()
	if _, err := os.Stat(Path("py", "bin", "python")); err != nil && os.Getenv("CI") == "" {
		t.Log("requests are not checked: run make deps")
		return target
	}
	m := Model(t)
	r := apimodel.Record(t, target)
	t.Cleanup(func() { r.JudgeRequests(t, m) })
	return r.URL
}

var (
	once     sync.Once
	model    *apimodel.Model
	errModel error
)
