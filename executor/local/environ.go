package local

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"flow/executor/agent"
)

// inherited are the variables of flow's own environment that a task gets as well, and
// all that begin with LC_. Nothing else is inherited, as in a container.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "SHELL"}

// defaultPath is where programs are looked for if flow's environment has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// baseEnviron returns what every process inherits.
func baseEnviron(own []string) []string {
	base := []string{}
	for _, kv := range own {
		name, _, _ := strings.Cut(kv, "=")
		if slices.Contains(inherited, name) || strings.HasPrefix(name, "LC_") {
			base = append(base, kv)
		}
	}
	if _, ok := lookEnv(base, "PATH"); !ok {
		base = append(base, "PATH="+defaultPath)
	}
	return base
}

// lookEnv returns the value of a variable in an environment.
func lookEnv(environ []string, name string) (string, bool) {
	for _, kv := range environ {
		if len(kv) > len(name) && kv[len(name)] == '=' && kv[:len(name)] == name {
			return kv[len(name)+1:], true
		}
	}
	return "", false
}

// environ returns the environment of a task, without what is inherited: env, secrets,
// inputs and outputs, FLOW_ and AWS_BATCH_ variables, of which the later ones win.
// Secrets are read here, at start, and kept nowhere.
func (p *processes) environ(t *Try, task *agent.Task, at *agent.Attempt) ([]string, error) {
	own := append(task.Environ(t.Spec.Tasks.At(t.Index), t.Resources), t.Environment()...)
	spec := task.Spec
	if len(spec.Env) == 0 && len(spec.Secrets) == 0 && len(at.Env) == 0 {
		return own, nil
	}
	env := make([]string, 0, len(spec.Env)+len(spec.Secrets)+len(at.Env)+len(own))
	for _, name := range slices.Sorted(maps.Keys(spec.Env)) {
		env = append(env, name+"="+spec.Env[name])
	}
	env, err := p.secrets(env, spec.Secrets)
	if err != nil {
		return nil, err
	}
	env = append(env, at.Env...)
	return unique(append(env, own...)), nil
}

// secrets appends the values of secrets to an environment.
func (p *processes) secrets(env []string, refs map[string]string) ([]string, error) {
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		if p.secret == nil {
			return nil, fmt.Errorf("secret %s: nothing here can read %s", name, refs[name])
		}
		value, err := p.secret(refs[name])
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		env = append(env, name+"="+value)
	}
	return env, nil
}

// unique drops every variable that a later one of the same name hides.
func unique(env []string) []string {
	seen := make(map[string]bool, len(env))
	at := len(env)
	for i := len(env) - 1; i >= 0; i-- {
		name, _, _ := strings.Cut(env[i], "=")
		if !seen[name] {
			seen[name] = true
			at--
			env[at] = env[i]
		}
	}
	return env[at:]
}

// withBase puts what is inherited before an environment, but for what that sets itself.
func withBase(base, env []string) []string {
	all := make([]string, 0, len(base)+len(env))
	for _, kv := range base {
		name, _, _ := strings.Cut(kv, "=")
		if _, ok := lookEnv(env, name); !ok {
			all = append(all, kv)
		}
	}
	return append(all, env...)
}

// longest returns the name of the longest variable, and its length in bytes.
func longest(env []string) (name string, size int) {
	kv := slices.MaxFunc(env, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	name, _, _ = strings.Cut(kv, "=")
	return name, len(kv)
}

// environSize returns how many bytes an environment or a command line has.
func environSize(env []string) (n int) {
	for _, kv := range env {
		n += len(kv) + 1
	}
	return n
}

// ownEnviron is flow's own environment, for the programs that it uses itself.
func ownEnviron() []string { return os.Environ() }
