package judges

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flow/executor/executortest/apimodel"
	"flow/executor/executortest/fetched"
)

// An endpoint is a `flow emulate` and the recorder before it.
type endpoint struct {
	url      string // of the recorder: what clients are given
	recorder *apimodel.Recorder
}

// start runs `flow emulate` with these flags until the test has ended, and then checks
// all that was said to it and by it. Jobs find the programs that fetch.sh brought.
func start(t *testing.T, flags ...string) *endpoint {
	t.Helper()
	if underRace {
		t.Skip("clients of another process: the race detector sees nothing of it")
	}
	m := fetched.Model(t)
	url := os.Getenv("FLOW_EMULATE_URL")
	if url == "" {
		url = serve(t, flags)
	}
	r := apimodel.Record(t, url)
	t.Cleanup(func() { r.Judge(t, m) })
	return &endpoint{r.URL, r}
}

var underRace bool // are the tests built with the race detector?

// serve starts the command, and returns the URL that it prints.
func serve(t *testing.T, flags []string) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, append([]string{"emulate", "--listen", "127.0.0.1:0"}, flags...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+fetched.Path("engines", "bin")+":"+fetched.Path("py", "bin")+":"+os.Getenv("PATH"))
	var errors safeBuffer
	cmd.Stderr = &errors
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	first, readErr := lines.ReadString('\n')
	t.Cleanup(func() { stop(t, cmd, lines, &errors) })
	_, url, ok := strings.Cut(strings.TrimSpace(first), "listening on ")
	if !ok {
		t.Fatalf("flow emulate: %q %v", first, readErr)
	}
	return url
}

// stop ends the command as a user would, and expects it to end well.
func stop(t *testing.T, cmd *exec.Cmd, stdout *bufio.Reader, errors *safeBuffer) {
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error("flow emulate had ended before: ", err)
	}
	kill := time.AfterFunc(45*time.Second, func() {
		t.Error("flow emulate has not ended 45 s after SIGINT")
		_ = cmd.Process.Kill()
	})
	_, _ = stdout.WriteTo(&bytes.Buffer{}) // Wait closes the pipe
	err := cmd.Wait()
	kill.Stop()
	if err != nil || t.Failed() {
		t.Logf("flow emulate: %v\n%s", err, errors.String())
	}
	if err != nil {
		t.Fail()
	}
}

// A safeBuffer may be read while a process writes to it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const (
	region    = "us-east-1"
	accessKey = "AKIAEXAMPLE"
	secretKey = "example"
)

// signed returns the flag that lets requests in only if the client has signed them well.
func signed(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	text := "[default]\naws_access_key_id = " + accessKey + "\naws_secret_access_key = " + secretKey + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--credentials=" + path
}

// environ is that of a client of an AWS account: nothing of the user's own.
func environ(t *testing.T, ep *endpoint, more ...string) []string {
	own := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "BOTO_") || strings.HasPrefix(v, "HOME=") || strings.HasPrefix(v, "NO_PROXY=")
	})
	return append(append(own,
		"HOME="+t.TempDir(), "NO_PROXY=127.0.0.1", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "PYTHONDONTWRITEBYTECODE=1",
		"AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_DEFAULT_REGION="+region, "AWS_REGION="+region,
		"AWS_ENDPOINT_URL="+ep.url), more...)
}

// run runs a program of others to its end, which must be a success.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	started := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	t.Logf("%s in %v\n%s", cmd.Args[0], time.Since(started).Round(time.Millisecond), out)
	return string(out)
}

// unique returns a name that no other test of the same endpoint uses.
func unique(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv("FLOW_EMULATE_URL") == "" {
		return name
	}
	return fmt.Sprintf("%s-%x", name, time.Now().UnixNano())
}
