package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"flow/cmd/flow/internal/bundle"
	"flow/dsl"
)

// A served workflow whose task, and notice, have a secret.
const secretSchedule = `
workflow "w" {}
variable "token" {
  type      = string
  default   = ""
  sensitive = true
}
variable "word" { default = "none" }
schedule "leap" { cron = "0 0 29 2 *" }
notify "env" {
  on = ["succeeded"]
  command { argv = ["sh", "-c", "env | grep -c NOTIFY_SOCKET > '%s/told'; true"] }
}
step "use" {
  cache   = false
  secrets = { TOKEN = var.token }
  script  = "echo ${var.word} $${#TOKEN} $${NOTIFY_SOCKET:-no}"
}
`

// Values of sensitive variables are in the environment of a service, and go from there to tasks
// and nowhere else; a trigger cannot give them to a service, which would keep them.
func TestCanarySchedule(t *testing.T) {
	t.Parallel()
	env, arg, here := canary("service-env"), canary("trigger"), canary("trigger-here")
	h := newCanaryHunt(t, env, arg, here)
	b := newServeBench(t, "")
	cage(t, &b.killBench)
	write(t, filepath.Join(b.dir, "w.hcl"), fmt.Sprintf(secretSchedule, b.dir))
	trigger := func(args ...string) (string, error) {
		out, err := b.command(append([]string{"schedule", "trigger", "leap"}, args...)...).CombinedOutput()
		return string(out), err
	}
	lengths := func() string { return strings.TrimSpace(string(b.output("logs", "@last/use"))) }

	// Without a service the run is driven here, and has what was given.
	if out, err := trigger("-q", "-var", "token="+here, "-var", "word=here"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, want := lengths(), fmt.Sprint("here ", len(here), " no"); !strings.HasSuffix(got, want) {
		t.Errorf("the task says %q, want %q", got, want)
	}

	b.env = append(b.env, "FLOW_VAR_token="+env)
	socket := "NOTIFY_SOCKET=" + filepath.Join(b.dir, "nobody")
	b.env = append(b.env, socket)
	service := b.serve("--json", ".")
	b.env = b.env[:len(b.env)-2]
	b.until("the service drives", func() bool { return b.leader() != 0 })
	for _, args := range [][]string{{"-var", "token=" + arg}, {"-var", " token =" + arg}, {"-var", "tokn=" + arg}} {
		out, err := trigger(args...)
		h.look("the refusal", []byte(out))
		if want := map[bool]string{true: "FLOW_VAR_token", false: `-var tokn: the workflow w has no such variable`}[!strings.HasPrefix(args[1], "tokn")]; err == nil || !strings.Contains(out, want) {
			t.Errorf("trigger %q: %v\n%s", args, err, out)
		}
	}
	// A broken file is as its last good version says; of one that was never read nothing is known.
	write(t, filepath.Join(b.dir, "w.hcl"), "broken {")
	if out, err := trigger("-var", "token="+arg); err == nil || !strings.Contains(out, "FLOW_VAR_token") {
		t.Errorf("with the file broken: %v\n%s", err, out)
	}
	if out, err := trigger("-wait", "-q", "-var", "word=served"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got, want := lengths(), fmt.Sprint("served ", len(env), " no"); !strings.HasSuffix(got, want) {
		t.Errorf("the task of the service says %q, want %q", got, want)
	}
	b.until("the notice has gone out", func() bool {
		text, err := os.ReadFile(filepath.Join(b.dir, "told"))
		return err == nil && len(text) > 0
	})
	if text, err := os.ReadFile(filepath.Join(b.dir, "told")); err != nil || string(text) != "0\n" {
		t.Errorf("a command has the socket of the service manager: %s, %v", text, err)
	}
	for _, args := range [][]string{{"schedule", "history", "-json"}, {"schedule", "list", "-json"}, {"status", "-json"}, {"events"}, {"notices", "list", "-json"}} {
		h.look("flow "+strings.Join(args, " "), b.output(args...))
	}
	h.pagesOf(&b.killBench, "w", "use")
	h.commandLines()
	if err := service.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := service.cmd.Wait(); err != nil {
		t.Errorf("the service: %v", err)
	}
	delete(b.services, service.cmd.Process.Pid)
	h.look("the log", service.log.Bytes())
	if !bytes.Contains(service.log.Bytes(), []byte("the run has ended")) {
		t.Errorf("the log is %s", service.log.String())
	}
	h.files(b.dir)
}

// TestEntrustedSecrets: a run is not left to a service that would drive it without a value that it was
// created with, or with another one.
func TestEntrustedSecrets(t *testing.T) {
	b := newFleetBench(t)
	wf := b.load(fmt.Sprintf(secretSchedule, b.dir))
	file := filepath.Join(b.dir, "given.hcl")
	write(t, file, `token = "x"`)
	for _, arg := range []dsl.VarArg{{Set: "token=x"}, {File: file}} {
		_, err := b.a.createRun(t.Context(), b.db, wf, &runFlags{vars: varFlags{arg}}, runStart{Entrust: true})
		if err == nil || !strings.Contains(err.Error(), "set FLOW_VAR_token in the environment") {
			t.Errorf("%+v: %v", arg, err)
		}
	}
	t.Setenv("FLOW_VAR_token", "x")
	for _, arg := range []dsl.VarArg{{Set: "token=x"}, {Set: "word=y"}} {
		if _, err := b.a.createRun(t.Context(), b.db, wf, &runFlags{vars: varFlags{arg}}, runStart{Entrust: true}); err != nil {
			t.Errorf("%+v: %v", arg, err)
		}
	}
}

// TestBundleSecrets: wherever the value of a sensitive variable stands, it is not taken into a bundle.
func TestBundleSecrets(t *testing.T) {
	b := newFleetBench(t)
	wf := b.load(fmt.Sprintf(secretSchedule, b.dir))
	s := &session{a: b.a, program: wf.program}
	file, auto := filepath.Join(b.dir, "given.hcl"), filepath.Join(b.dir, "x.auto.vars.hcl")
	for _, c := range []struct {
		file, auto string
		vars       varFlags
		ok         bool
	}{
		{file: `word = "x"`, auto: `word = "y"`, vars: varFlags{{File: file}, {Set: "word=z"}}, ok: true},
		{file: `word = "x"`, vars: varFlags{{Set: " token =x"}}},
		{file: `token = "x"`, vars: varFlags{{File: file}}},
		{file: `word = "x"`, auto: `token = "x"`},
	} {
		write(t, file, c.file)
		write(t, auto, c.auto)
		out, err := s.packVars(&bundle.Bundle{}, c.vars)
		if c.ok && (err != nil || len(out) != len(c.vars)) || !c.ok && (err == nil || !strings.Contains(err.Error(), "-secret-var token=ARN")) {
			t.Errorf("%+v: %v, %v", c, out, err)
		}
	}
}
