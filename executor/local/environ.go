package local

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"flow/executor/agent"
)

// inherited are the variables of flow's own environment that a task gets as well, and
// all that begin with LC_. Nothing else is inherited, as in a container.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "SHELL"}

// baseEnviron returns what every process inherits, with last as the last directory of
// PATH unless it is "".
func baseEnviron(own []string, last string) []string {
	base := []string{}
	path := agent.DefaultPath
	for _, kv := range own {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case name == "PATH":
			path = value
		case slices.Contains(inherited, name), strings.HasPrefix(name, "LC_"):
			base = append(base, kv)
		}
	}
	if last != "" {
		path = strings.TrimPrefix(path+string(filepath.ListSeparator)+last, string(filepath.ListSeparator))
	}
	return append(base, "PATH="+path)
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
	return agent.Unique(append(env, own...)), nil
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

// withBase puts what is inherited before an environment, but for what that sets itself.
func withBase(base, env []string) []string {
	all := make([]string, 0, len(base)+len(env))
	for _, kv := range base {
		name, _, _ := strings.Cut(kv, "=")
		if _, ok := agent.LookEnv(env, name); !ok {
			all = append(all, kv)
		}
	}
	return append(all, env...)
}

// ownEnviron is flow's own environment, for the programs that it uses itself.
func ownEnviron() []string { return os.Environ() }
