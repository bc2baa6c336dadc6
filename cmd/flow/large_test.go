package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"flow/engine"
	"flow/executor/agent"
	"flow/executor/executortest/fetched"
)

// randomFile writes a file of random bytes, and returns their sha256.
func randomFile(t testing.TB, path string, size int64) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, sum), rand.NewChaCha8([32]byte{1}), size); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// putLarge makes an object of random bytes, s3://lab/large, and returns their sha256.
func putLarge(t testing.TB, server *fetched.S3Server, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "large")
	sum := randomFile(t, path, size)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	client := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &server.URL, UsePathStyle: true, Credentials: keys(server.Key, server.Secret)})
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("lab"), Key: aws.String("large"), Body: f}); err != nil {
		t.Fatal(err)
	}
	return sum
}

func sumOf(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// oneFile returns a job with a file as its input and the same file as its output, which costs
// nothing in between: a step "copy" with files in s3://lab/flow.
func oneFile(run engine.RunID, from string, command ...string) *engine.JobSpec {
	return &engine.JobSpec{
		Name: "copy", Run: run, Step: "copy", WorkDir: "s3://lab/flow", Tasks: engine.Upto(1), Attempt: 1, Attempts: 2,
		Task: &engine.TaskSpec{
			Command: command, Inputs: []engine.Input{{Name: "in", Paths: []string{from}}},
			Outputs: []engine.Output{{Name: "out", Kind: engine.OutputFile, Path: "out"}},
		},
	}
}

// agentOf returns flow's agent for an attempt of a job, as its container would start it. The
// job file is an object.
func agentOf(t testing.TB, server *fetched.S3Server, spec *engine.JobSpec, scratch string, attempt int) *exec.Cmd {
	t.Helper()
	file := filepath.Join(t.TempDir(), "job")
	if err := agent.WriteJob(file, spec); err != nil {
		t.Fatal(err)
	}
	job, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	uri := agent.JobPath(spec.WorkDir, spec.Run, spec.Name)
	object := filepath.Join(server.Dir, strings.TrimPrefix(uri, "s3://"))
	if err := os.MkdirAll(filepath.Dir(object), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, object, string(job))
	b := &killBench{t: t, dir: t.TempDir()}
	cmd := b.command("agent", "run", "-scratch", scratch, "-region", "us-east-1", "--", uri)
	cmd.Env = append(append(cmd.Env, server.Env()...), "AWS_BATCH_JOB_ID=job", fmt.Sprintf("AWS_BATCH_JOB_ATTEMPT=%d", attempt))
	return cmd
}

// A gate stands before an S3 server and lets only so many of some requests through; the
// others get no answer.
type gate struct {
	url    string
	shut   func(*http.Request) bool // which
	after  int64                    // how many
	half   chan struct{}            // closed when those are through
	seen   atomic.Int64
	done   atomic.Int64
	mu     sync.Mutex
	client int   // the process that makes the requests
	peak   int64 // the most memory that it has had, in KiB, as of its last request
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	backend, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backend)
		r.Out.Host = r.In.Host // it is signed
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.look()
		if g.shut == nil || !g.shut(r) {
			proxy.ServeHTTP(w, r)
			return
		}
		if g.seen.Add(1) > g.after {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done() // its process is dead
			return
		}
		proxy.ServeHTTP(w, r)
		if g.done.Add(1) == g.after {
			close(g.half)
		}
	}))
	t.Cleanup(front.Close)
	g.url = front.URL
	return g
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// look notes how much memory the client has had. Unlike what wait4 says, that has nothing of
// the process that started it.
func (g *gate) look() {
	g.mu.Lock()
	defer g.mu.Unlock()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.client))
	if m := highWater.FindSubmatch(status); err == nil && m != nil {
		kib, _ := strconv.ParseInt(string(m[1]), 10, 64) // digits
		g.peak = max(g.peak, kib)
	}
}

// start starts an agent that finds S3 here.
func (g *gate) start(t *testing.T, cmd *exec.Cmd, said *bytes.Buffer) {
	t.Helper()
	cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL_S3="+g.url)
	cmd.Stdout, cmd.Stderr = said, said
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.client = cmd.Process.Pid
}

// An agent that is killed when half of a large file has come or gone leaves no result, and
// the next attempt makes a whole one. It never needs much memory.
func TestLargeFileKilled(t *testing.T) {
	t.Parallel()
	most := int64(100_000) // KiB: less than the file has
	if raceEnabled {
		most = 300_000
	}
	size := int64(often(0, 128, 64)) << 20
	half := size / (16 << 20) / 2 // parts and ranges
	for name, tt := range map[string]struct {
		shut func(*http.Request) bool
		ran  bool // the command of the attempt that is killed
	}{
		"stage-in": {func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/large")
		}, false},
		"stage-out": {func(r *http.Request) bool {
			return r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := fetched.S3(t)
			server.MakeBucket("lab")
			sum := putLarge(t, server, size)
			g := newGate(t, server.URL)
			g.shut, g.after, g.half = tt.shut, half, make(chan struct{})
			ran := filepath.Join(t.TempDir(), "ran")
			spec := oneFile("run", "s3://lab/large", "sh", "-c", `echo >> "$0" && ln "$in" "$out"`, ran)
			scratch := t.TempDir()

			var said bytes.Buffer
			cmd := agentOf(t, server, spec, scratch, 1)
			g.start(t, cmd, &said)
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case <-g.half:
			case err := <-ended:
				t.Fatalf("it ends before: %v\n%s", err, &said)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
			for _, key := range objects(t, server) {
				if strings.HasSuffix(key, "/result") || strings.HasSuffix(key, "/1.json") || strings.HasSuffix(key, "/out") {
					t.Errorf("there is %s", key)
				}
			}
			if _, err := os.Stat(ran); (err == nil) != tt.ran {
				t.Errorf("whether the command ran: %v", err)
			}

			g.shut = nil
			cmd = agentOf(t, server, spec, scratch, 2)
			g.start(t, cmd, &said)
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, &said)
			}
			task := filepath.Join(server.Dir, "lab/flow/run/copy/_")
			if got, err := os.ReadFile(filepath.Join(task, "result")); err != nil || strings.TrimSpace(string(got)) != "2" {
				t.Errorf("the result is that of attempt %q, %v", got, err)
			}
			if got := sumOf(t, filepath.Join(task, "2/out")); got != sum {
				t.Errorf("the output is %s, want %s", got, sum)
			}
			t.Logf("%d KiB of memory", g.peak)
			if g.peak == 0 || g.peak > most {
				t.Errorf("it took %d KiB of memory, want at most %d", g.peak, most)
			}
		})
	}
}
