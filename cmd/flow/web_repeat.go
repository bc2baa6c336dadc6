package main

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/view"
	"flow/engine"
	"flow/executor/agent"
	"flow/executor/store"
)

// mostFetched is how many inputs a line for a shell fetches.
const mostFetched = 20

// repeatLine returns a line for a shell that runs the command of a task once more on this
// machine, in a new directory, and what has to be known of it, or why there is none. What the
// task left is not touched.
func repeatLine(p *past, m *page.TaskDetail) (line, note string) {
	s, t := m.Spec, &m.Task
	if s == nil {
		return "", ""
	}
	words, err := agent.CommandLine(s, "")
	if err != nil || len(s.Script) >= agent.MaxArg {
		return "", "The script is too long for a line."
	}
	r := repeating{spec: s}
	if !r.inputs(hereDir(p.home(), t.Dir) + "/" + strconv.Itoa(max(t.Attempts, 1))) {
		return "", "It has too many inputs for a line; flow resume " + string(p.run.ID()) + " --failed runs it again as it was."
	}
	r.outputs()
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		r.set(name, shellWord(s.Env[name]))
	}
	attempt := max(t.Attempts, 1)
	task := agent.Task{Run: p.run.ID(), Step: t.Step, Key: t.Key, Attempt: attempt}
	for _, kv := range task.Environ(t.Index, s.ResourcesFor(attempt)) {
		name, value, _ := strings.Cut(kv, "=")
		r.set(name, shellWord(value))
	}
	if t.Child >= 0 {
		r.set("AWS_BATCH_JOB_ARRAY_INDEX", strconv.Itoa(t.Child))
	}
	for i := range words {
		words[i] = shellWord(words[i])
	}
	return r.line(words, containers(p)), r.note()
}

// containers reports whether the tasks of a run are in containers.
func containers(p *past) bool {
	kept, err := paramsOf(p.row)
	return p.run.Info().Executor == batchExecutor || err == nil && kept.Machine.Containers != ""
}

// A repeating is a line for a shell while it is put together.
type repeating struct {
	spec   *engine.TaskSpec
	before []string // commands
	env    []string // NAME=word
	mounts []string // directories that a container has to see
}

func (r *repeating) set(name, word string) { r.env = append(r.env, name+"="+word) }

// inputs sets the variables of the inputs: those that are kept here with an attempt, else
// they are fetched. It reports false if they are too many.
func (r *repeating) inputs(attempt string) bool {
	kept := attempt + "/" + agent.InputsDir
	fetched := 0
	for i := range r.spec.Inputs {
		in := &r.spec.Inputs[i]
		far := slices.ContainsFunc(in.Paths, store.Is)
		if fetched += len(in.Paths); far && fetched > mostFetched {
			return false
		}
		switch {
		case far:
			r.fetch(in)
		case in.List:
			r.set(in.Name, shellWord(kept+"/"+in.Name))
			r.set(in.Name+"_list", shellWord(kept+"/"+in.Name+".list"))
		case len(in.Paths) == 1:
			r.set(in.Name, shellWord(in.Paths[0]))
			r.mounts = append(r.mounts, path.Dir(in.Paths[0]))
		}
		if in.List && !far {
			r.mounts = append(r.mounts, kept)
		}
	}
	return true
}

// fetch brings an input from S3 into the new directory, where files are called as in the task.
func (r *repeating) fetch(in *engine.Input) {
	dir := "inputs/" + in.Name
	names := agent.ListNames(in)
	list := `printf '%s\n'`
	for i, from := range in.Paths {
		to := shellWord(dir + "/" + names[i])
		r.before = append(r.before, "aws s3 cp --only-show-errors "+sourceWord(from)+" "+to)
		list += ` "$PWD"/` + to
	}
	if !in.List {
		r.set(in.Name, `"$PWD"/`+shellWord(dir+"/"+names[0]))
		return
	}
	r.before = append(r.before, list+" > "+shellWord(dir+".list"))
	r.set(in.Name, `"$PWD"/`+shellWord(dir))
	r.set(in.Name+"_list", `"$PWD"/`+shellWord(dir+".list"))
}

// sourceWord is the URI of a file for a shell. Of a task's result on S3 it is put together there:
// an object in place of the result has the number of the attempt whose files it is.
func sourceWord(uri string) string {
	const mark = "/" + engine.ResultDir + "/"
	at := strings.LastIndex(uri, mark)
	if at < 0 {
		return shellWord(uri)
	}
	dir, file := uri[:at], uri[at+len(mark):]
	return shellWord(dir) + `/"$(aws s3 cp ` + shellWord(dir+"/"+engine.ResultDir) + ` -)"/` + shellWord(file)
}

// outputs sets the variables of the outputs whose path is known beforehand.
func (r *repeating) outputs() {
	for i := range r.spec.Outputs {
		if o := &r.spec.Outputs[i]; o.Kind.Static() {
			r.set(o.Name, `"$PWD"/`+shellWord(o.Path))
		}
	}
}

func (r *repeating) line(words []string, boxed bool) string {
	parts := append([]string{`cd "$(mktemp -d)"`}, r.before...)
	run := "env " + strings.Join(r.env, " ") + " " + strings.Join(words, " ")
	if boxed && r.spec.Image != "" {
		run = `docker run --rm -v "$PWD":"$PWD" -w "$PWD"`
		for _, dir := range slices.Compact(slices.Sorted(slices.Values(r.mounts))) {
			run += " -v " + shellWord(dir) + ":" + shellWord(dir) + ":ro"
		}
		for _, kv := range r.env {
			run += " -e " + kv
		}
		run += " --entrypoint " + words[0] + " " + shellWord(r.spec.Image)
		if len(words) > 1 {
			run += " " + strings.Join(words[1:], " ")
		}
	}
	return strings.Join(append(parts, run), " && ")
}

func (r *repeating) note() string {
	note := "In a new directory; what the task left is not touched."
	if n := len(r.spec.Secrets); n > 0 {
		note += " Set " + orList(slices.Sorted(maps.Keys(r.spec.Secrets))) + " before: " + view.Plural(n, "secret") + " is not shown."
		if n > 1 {
			note = strings.Replace(note, "secrets is", "secrets are", 1)
			note = strings.Replace(note, " or ", " and ", 1)
		}
	}
	return note
}
