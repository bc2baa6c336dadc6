package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"flow/cmd/flow/internal/browsertest"
	"flow/executor/executortest/fetched"
	"flow/executor/local"
)

func TestMain(m *testing.M) {
	local.RunSandboxed()
	testscript.Main(browsertest.Main(m), map[string]func(){"flow": main})
}

// TestScripts runs the command as people do: each file in testdata/script is a session in
// a directory of its own.
func TestScripts(t *testing.T) {
	s3 := s3Scripts{start: sync.OnceValue(func() *fetched.S3Server { return fetched.S3(t) })}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			// Without it, a .flow above the temporary directory would be used.
			if err := makeStateDir(filepath.Join(e.WorkDir, stateDir)); err != nil {
				return err
			}
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("USER", "tester")
			e.Setenv("LANG", "C.UTF-8")
			e.Values[browserKey] = &scriptBrowser{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": exitCode,
			"emulate":  emulate,
			"chaos":    chaos,
			"admin":    admin,
			"s3":       s3.command,
			"ui":       scriptUI,
			"get":      get,
			"await":    await,
			"post":     post,
		},
		Condition: s3.condition,
	})
}

// s3Scripts are the scripts with files on S3: they share a server, which is started when the
// first of them asks for it.
type s3Scripts struct{ start func() *fetched.S3Server }

// condition is [s3]: there is a server, or there must be one.
func (s *s3Scripts) condition(name string) (bool, error) {
	if name != "s3" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	_, err := os.Stat(fetched.Path("bin", "versitygw"))
	return err == nil || os.Getenv("CI") != "", nil
}

// command makes a bucket for the script, s3 NAME, and has what follows find it: S3 is the URI
// of the bucket, and S3DIR the directory with its objects.
func (s *s3Scripts) command(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: s3 BUCKET")
	}
	server := s.start()
	server.MakeBucket(args[0])
	for _, kv := range server.Env() {
		name, value, _ := strings.Cut(kv, "=")
		ts.Setenv(name, value)
	}
	ts.Setenv("S3", "s3://"+args[0])
	ts.Setenv("S3DIR", filepath.Join(server.Dir, args[0]))
}

// exitCode runs a command that must end with a certain code: exitcode 4 flow run x.hcl.
// Its output is kept for stdout and stderr to check.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE COMMAND...")
	}
	shell := append([]string{"-c", `want=$1; shift; "$@"; got=$?; if [ "$got" != "$want" ]; then echo "exit code $got, want $want" >&2; exit 1; fi`, "sh"}, args...)
	err := ts.Exec("sh", shell...)
	ts.Check(err)
}

// emulate starts flow emulate with a job queue "q", and has what follows find it as AWS
// Batch: emulate [FLAG...]. It ends with the script; the variable EMULATOR is its process.
func emulate(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: emulate [FLAG...]")
	}
	cmd := exec.Command("flow", append([]string{"emulate", "-q", "--listen", "127.0.0.1:0", "--queue", "q"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	ts.Check(err)
	ts.Setenv("AWS_ENDPOINT_URL", strings.TrimSpace(line[strings.Index(line, "http://"):]))
	ts.Setenv("EMULATOR", strconv.Itoa(cmd.Process.Pid))
}

// chaos has the emulator misbehave: chaos 5xx=100%, or chaos off.
func chaos(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: chaos SETTINGS")
	}
	answer, err := http.Post(ts.Getenv("AWS_ENDPOINT_URL")+"/_flow/chaos", "application/x-www-form-urlencoded", strings.NewReader(args[0]))
	ts.Check(err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		ts.Fatalf("chaos %s: %s", args[0], answer.Status)
	}
}

// admin tells the emulator what AWS would have made of something by itself, or what is to
// happen: admin block queue=q 'reason=CAPACITY:...'. See docs/emulate.md.
func admin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: admin WHAT [NAME=VALUE...]")
	}
	form := url.Values{}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		form.Set(name, value)
	}
	answer, err := http.PostForm(ts.Getenv("AWS_ENDPOINT_URL")+"/_flow/"+args[0], form)
	ts.Check(err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		ts.Fatalf("admin %s: %s", strings.Join(args, " "), body)
	}
}
