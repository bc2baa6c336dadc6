package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"flow/executor/executortest/fetched"
)

// rootOf makes a root file system from busybox, with a file that says what it is.
func rootOf(t *testing.T, says string) string {
	t.Helper()
	program, err := os.ReadFile(fetched.Need(t, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err = errors.Join(
		os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "bin"), 0o755), os.Mkdir(filepath.Join(dir, "tmp"), 0o777),
		os.WriteFile(filepath.Join(dir, "bin/busybox"), program, 0o755), os.WriteFile(filepath.Join(dir, "motd"), []byte(says), 0o644),
	)
	for _, name := range []string{"sh", "cat", "true", "id"} {
		err = errors.Join(err, os.Symlink("busybox", filepath.Join(dir, "bin", name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// startPodman starts a podman of the test's own, and returns a function that runs it.
func startPodman(t *testing.T) func(args ...string) string {
	t.Helper()
	for _, tool := range []string{"podman", "runc", "busybox"} {
		fetched.Need(t, tool)
	}
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		var stderr bytes.Buffer
		cmd := exec.Command(name, args...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
		}
		return string(out)
	}
	script := "../../executor/local/testdata/containers.sh"
	t.Cleanup(func() { run(script, "stop", "podman", dir) })
	for line := range strings.Lines(run(script, "start", "podman", dir)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		t.Setenv(key, value)
	}
	return func(args ...string) string { t.Helper(); return run("podman", args...) }
}

// TestImagesRun pushes images of every kind, and has podman pull and run them.
func TestImagesRun(t *testing.T) {
	host := fetched.Registry(t)
	podman := startPodman(t)
	b := &killBench{t: t, dir: t.TempDir()}
	push := func(args ...string) string {
		t.Helper()
		return strings.TrimSpace(string(b.output(append([]string{"image", "push"}, args...)...)))
	}
	runs := func(image string, command ...string) string {
		t.Helper()
		podman("pull", "-q", "--tls-verify=false", image)
		return podman(append([]string{"run", "--rm", image}, command...)...)
	}
	dir := rootOf(t, "from a directory\n")
	at := push(dir, host+"/lab/dir:1", "-cmd", "cat /motd; id -u; echo $WHO $PWD", "-env", "WHO=me", "-workdir", "/tmp", "-user", "7", "-owner", "0:0", "-label", "a=b")
	if !strings.HasPrefix(at, host+"/lab/dir:1@sha256:") {
		t.Errorf("it prints %q", at)
	}
	if diff := cmp.Diff("from a directory\n7\nme /tmp\n", runs(host+"/lab/dir:1")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := strings.TrimSpace(podman("image", "inspect", "--format", `{{.Config.Labels.a}} {{.Os}}/{{.Architecture}} {{.Digest}}`, host+"/lab/dir:1")); !strings.HasPrefix(got, "b linux/") || !strings.HasSuffix(got, at[strings.Index(at, "sha256:"):]) {
		t.Errorf("podman says %s", got)
	}
	// What podman itself writes.
	out := t.TempDir()
	saved, oci, exported := filepath.Join(out, "saved.tar"), filepath.Join(out, "oci.tar"), filepath.Join(out, "exported.tar")
	podman("save", "-q", "-o", saved, host+"/lab/dir:1")
	podman("save", "-q", "--format", "oci-archive", "-o", oci, host+"/lab/dir:1")
	podman("create", "--name", "exported", host+"/lab/dir:1")
	podman("export", "-o", exported, "exported")
	podman("rm", "exported")
	podman("rmi", "--all", "--force")
	for _, tar := range []string{saved, oci} {
		image := host + "/lab/" + strings.TrimSuffix(filepath.Base(tar), ".tar") + ":1"
		push(tar, image)
		if got := runs(image); got != "from a directory\n7\nme /tmp\n" {
			t.Errorf("%s: %q", image, got)
		}
	}
	push(exported, host+"/lab/exported", "-cmd", `["cat", "/motd"]`)
	if got := runs(host + "/lab/exported:latest"); got != "from a directory\n" {
		t.Errorf("exported: %q", got)
	}
	stream, err := os.Open(exported)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	cmd := b.command("image", "push", "-q", "-", host+"/lab/stdin:1", "-entrypoint", `["cat"]`)
	cmd.Stdin = stream
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := runs(host+"/lab/stdin:1", "/motd"); got != "from a directory\n" {
		t.Errorf("stdin: %q", got)
	}
	t.Run("flow", func(t *testing.T) { testOwnImage(t, host, runs, podman) })
}

// testOwnImage pushes flow's own image and does with it what AWS Batch does with it.
func testOwnImage(t *testing.T, host string, runs func(string, ...string) string, podman func(...string) string) {
	t.Setenv("CGO_ENABLED", "0")
	flow := filepath.Join(t.TempDir(), "flow")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", flow, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	push := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(flow, append([]string{"image", "push", "-flow", "-q"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	at := push(host + "/lab/flow")
	want := regexp.MustCompile(`^` + regexp.QuoteMeta(host) + `/lab/flow:[\w.-]+@sha256:[0-9a-f]{64}$`)
	if !want.MatchString(at) {
		t.Fatalf("it prints %q", at)
	}
	if again := push("-binary", flow, host+"/lab/flow"); again != at {
		t.Errorf("the same flow is %s, and then %s", at, again)
	}
	image := at[:strings.Index(at, "@")]
	// The command of an image that is not overridden is flow version.
	if got := runs(image); !strings.HasPrefix(got, "flow version ") {
		t.Errorf("%q", got)
	}
	volume := t.TempDir()
	podman("run", "--rm", "-v", volume+":/flow-agent", image, "flow", "agent", "install", "/flow-agent")
	installed, err := exec.Command(filepath.Join(volume, "flow"), "version").Output()
	if err != nil || !strings.HasPrefix(string(installed), "flow version ") {
		t.Errorf("%v: %s", err, installed)
	}
}

// TestImageKilled kills a push in the middle: the tag means what it did before, and the next
// push sends what is missing.
func TestImageKilled(t *testing.T) {
	t.Parallel()
	host := fetched.Registry(t)
	backend, _ := url.Parse("http://" + host)
	sending := make(chan struct{})
	var once sync.Once
	proxy := httputil.NewSingleHostReverseProxy(backend)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			_, _ = r.Body.Read(make([]byte, 100))
			once.Do(func() { close(sending) })
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done() // it never gets further
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	tags := func() []string {
		t.Helper()
		repository, err := name.NewRepository(host + "/lab/tools")
		if err != nil {
			t.Fatal(err)
		}
		tags, err := remote.List(repository)
		var none *transport.Error
		if err != nil && (!errors.As(err, &none) || none.StatusCode != http.StatusNotFound) {
			t.Fatal(err)
		}
		return tags
	}
	b := &killBench{t: t, dir: rootOf(t, "killed")}
	cmd := b.command("image", "push", ".", front.Listener.Addr().String()+"/lab/tools:1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-sending
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if got := tags(); len(got) != 0 {
		t.Errorf("it has the tags %v", got)
	}
	var pushed pushedJSON
	if err := json.Unmarshal(b.output("image", "push", "-json", ".", host+"/lab/tools:1"), &pushed); err != nil {
		t.Fatal(err)
	}
	if got := tags(); !cmp.Equal(got, []string{"1"}) || pushed.Sent == 0 || pushed.Size < pushed.Sent || len(pushed.Platforms) != 1 {
		t.Errorf("%v, %+v", got, pushed)
	}
}

// TestImageProgress says on stderr what it does, a line each where nobody watches, and
// nothing with -q.
func TestImageProgress(t *testing.T) {
	t.Parallel()
	host := fetched.Registry(t)
	b := &killBench{t: t, dir: rootOf(t, "shown")}
	push := func(args ...string) string {
		t.Helper()
		var stderr bytes.Buffer
		cmd := b.command(append([]string{"image", "push", "."}, args...)...)
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s", err, &stderr)
		}
		return stderr.String()
	}
	image := host + "/lab/tools:1"
	sent := regexp.MustCompile(`^reading\nsending to ` + regexp.QuoteMeta(image) + `\nsent \d+\.\d KiB\n$|^reading\nsending to ` + regexp.QuoteMeta(image) + `\nsent \d\.\d MiB\n$`)
	if got := push(image); !sent.MatchString(got) {
		t.Errorf("%q", got)
	}
	if got, want := push(image), "reading\nsending to "+image+"\nnothing was sent: the registry has all of it\n"; got != want {
		t.Errorf("%q", got)
	}
	if got := push("-q", image); got != "" {
		t.Errorf("%q", got)
	}
}
