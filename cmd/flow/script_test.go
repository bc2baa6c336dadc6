package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"flow/executor/local"
)

func TestMain(m *testing.M) {
	local.RunSandboxed()
	testscript.Main(m, map[string]func(){"flow": main})
}

// TestScripts runs the command as people do: each file in testdata/script is a session in
// a directory of its own.
func TestScripts(t *testing.T) {
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
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": exitCode,
		},
	})
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
