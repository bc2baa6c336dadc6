package dsl

import (
	"fmt"
	"regexp"
	"strings"
)

var shellName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// shellOwn are variables that shells set, or that decide how they read a script: giving
// them another value breaks it.
var shellOwn = wordSet(`IFS PWD OLDPWD SHLVL PPID UID EUID GID RANDOM SECONDS LINENO OPTIND OPTARG REPLY _
	BASH BASHOPTS BASHPID BASH_ENV BASH_SOURCE BASH_VERSION ENV FUNCNAME HOSTNAME HOSTTYPE MACHTYPE OSTYPE PIPESTATUS
	PS1 PS2 PS3 PS4 SHELLOPTS`)

// shellNeeds are variables that programs need, and that a workflow may set with env on
// purpose, but that an input or output of that name would hide by accident.
var shellNeeds = wordSet(`PATH HOME USER LOGNAME SHELL TERM TMPDIR LANG LANGUAGE TZ CDPATH LD_LIBRARY_PATH LD_PRELOAD MAIL`)

func wordSet(text string) map[string]bool {
	m := map[string]bool{}
	for _, n := range strings.Fields(text) {
		m[n] = true
	}
	return m
}

// checkEnvName returns why name cannot be that of an environment variable, or "". A
// deliberate one (env, secrets) may be PATH, HOME and the like; one that an input or
// output makes may not.
func checkEnvName(name string, deliberate bool) string {
	switch {
	case !shellName.MatchString(name):
		return fmt.Sprintf("%q cannot be the name of a variable in a shell: use letters, digits and underscores only, and no digit first.", name)
	case strings.HasPrefix(name, "AWS_BATCH"):
		return fmt.Sprintf("Names that begin with AWS_BATCH belong to AWS Batch. Rename %q.", name)
	case strings.HasPrefix(name, "FLOW_"):
		return fmt.Sprintf("Names that begin with FLOW_ belong to flow. Rename %q.", name)
	case shellOwn[name], !deliberate && (shellNeeds[name] || strings.HasPrefix(name, "LC_")):
		return fmt.Sprintf("$%s has a meaning to the shell and to programs, which this would hide. Rename %q.", name, name)
	}
	return ""
}
