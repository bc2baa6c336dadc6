package main

import (
	"os"

	"github.com/spf13/pflag"

	"flow/dsl"
)

// varFlags collects -var and -var-file in the order of the command line, in which later
// ones win.
type varFlags []dsl.VarArg

// register adds the flags.
func (v *varFlags) register(flags *pflag.FlagSet) {
	flags.Var(&varFlag{v, func(s string) dsl.VarArg { return dsl.VarArg{Set: s} }}, "var", "set a variable: `NAME=VALUE` (also FLOW_VAR_NAME)")
	flags.Var(&varFlag{v, func(s string) dsl.VarArg { return dsl.VarArg{File: s} }}, "var-file", "set variables from `FILE`: .hcl, .json, or NAME=FILE.csv")
}

// input returns where the values of variables come from: the environment, the files beside
// the workflow, the flags; and what an earlier run had, which may be nil.
func (v *varFlags) input(stored map[string]string) dsl.VarInput {
	return dsl.VarInput{Env: os.Environ(), AutoFiles: true, Args: *v, Stored: stored}
}

// input is that of the flags; a process in the background was given the values in its
// environment, where files were taken in already.
func (f *runFlags) input(stored map[string]string) dsl.VarInput {
	in := f.vars.input(stored)
	in.AutoFiles = !f.background
	return in
}

type varFlag struct {
	list *varFlags
	make func(string) dsl.VarArg
}

func (f *varFlag) String() string { return "" }

func (f *varFlag) Type() string { return "string" }

func (f *varFlag) Set(s string) error {
	*f.list = append(*f.list, f.make(s))
	return nil
}
