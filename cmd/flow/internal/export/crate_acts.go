package export

import (
	"cmp"
	"path"
	"strconv"
	"strings"
	"time"

	"flow/cmd/flow/internal/runstat"
	"flow/engine"
)

// findDirs finds out where the results are that tasks of the run have: on S3 the path that flow
// gives them names no object, see engine.ResultDir. And it notes which outputs are directories.
func (c *crate) findDirs() {
	for t := range c.r.eachTask() {
		if !t.Status.OK() {
			continue
		}
		at := t.Dir + "/" + engine.ResultDir
		if m := c.r.Manifest(t.Dir); m != nil && strings.Contains(t.Dir, "://") {
			at = t.Dir + "/" + strconv.Itoa(m.Attempt)
		}
		if spec := c.r.Spec(t.Step, t.Index); spec != nil {
			for k := range spec.Outputs {
				if o := &spec.Outputs[k]; o.Kind == engine.OutputDirectory {
					c.folders[engine.ResultPath(t.Dir, o.Path)] = true
				}
			}
		}
		c.dirs[t.Dir] = at
	}
}

// place returns where a file is that an input or an output names.
func (c *crate) place(name string) string {
	const mark = "/" + engine.ResultDir + "/"
	for at := 0; ; at++ {
		next := strings.Index(name[at:], mark)
		if next < 0 {
			return name
		}
		at += next
		if dir := c.dirs[name[:at]]; dir != "" {
			return dir + "/" + name[at+len(mark):]
		}
	}
}

// file describes a file or a directory that the crate does not have, by what is known of it. size is -1 and sum
// "" if that is not known.
func (c *crate) file(name string, size int64, sum string, more entity) ref {
	at := c.place(name)
	id, kind := fileURL(at), "File"
	if c.folders[name] || !c.known[id] && size < 0 && c.r.Directory(name) {
		id, kind, sum = strings.TrimSuffix(id, "/")+"/", "Dataset", "" // of a directory it is not what others call so
	}
	if !c.known[id] {
		c.parts = append(c.parts, ref{id})
		e := entity{"name": path.Base(at)}
		if size >= 0 {
			e["contentSize"] = strconv.FormatInt(size, 10)
		}
		if sum != "" {
			e["sha256"] = sum
		}
		for k, v := range more {
			e[k] = v
		}
		c.add(id, kind, e)
	}
	return ref{id}
}

// tasks describes what was done, step by step, and returns what points to it.
func (c *crate) tasks() (steps []ref) {
	tries := c.r.triesByTask()
	for _, v := range c.r.Steps() {
		name := v.Step.Name
		var acts []ref
		for i := range max(v.Size, 0) {
			t := c.r.Task(name, i)
			if t.Hit != nil {
				acts = append(acts, c.cached(&t))
				continue
			}
			for _, try := range tries[name][i] {
				acts = append(acts, c.try(&t, try))
			}
		}
		if len(acts) == 0 {
			continue
		}
		c.acts = append(c.acts, acts...)
		steps = append(steps, c.add(idOf("control", string(name)), "ControlAction", entity{
			"name": "Tasks of step " + string(name), "instrument": ref{stepID(name)}, "object": acts,
		}))
	}
	return steps
}

// act returns the entity of something that was done with a tool for a task.
func (c *crate) act(t *engine.TaskStatus, name, description string, done bool) entity {
	e := entity{"name": name, "description": description, "instrument": ref{toolID(t.Step)}, "actionStatus": completed}
	if c.agent != nil {
		e["agent"] = c.agent
	}
	if read := c.read(t); read != nil {
		e["object"] = read
	}
	if done {
		if made := c.made(t); made != nil {
			e["result"] = made
		}
	}
	if image := c.r.image(t.Step, t.Index); image != "" {
		e["containerImage"] = c.image(image)
	}
	return e
}

// try describes a try of a task. Its result is that of the task, if it is the one that succeeded.
func (c *crate) try(t *engine.TaskStatus, try *runstat.Try) ref {
	attempt := strconv.Itoa(try.Attempt)
	id := idOf("task", string(t.Step), strconv.Itoa(t.Index), strconv.Itoa(try.Job), attempt)
	done := ok(try)
	e := c.act(t, t.Name+", attempt "+attempt, "Ran a task of step "+string(t.Step)+": "+string(try.Outcome), done && t.Status.OK())
	if !done {
		e["actionStatus"], e["error"] = failedAction, whyEnded(try)
	}
	between(e, moment(try.Started), moment(try.Stopped))
	if usage := c.usage(id, try); usage != nil {
		e["resourceUsage"] = usage
	}
	return c.add(id, "CreateAction", e)
}

// cached describes that a task was not run, since another run had done the same.
func (c *crate) cached(t *engine.TaskStatus) ref {
	e := c.act(t, t.Name+", cached", "Took over the result that run "+string(t.Hit.Run)+" has of the same task", true)
	return c.add(idOf("cached", string(t.Step), strconv.Itoa(t.Index)), "CreateAction", e)
}

// whyEnded says why a try did not succeed.
func whyEnded(t *runstat.Try) string {
	code := ""
	if t.ExitCode != nil {
		code = "exit code " + strconv.Itoa(*t.ExitCode)
	}
	return cmp.Or(strings.Trim(code+": "+t.Reason, ": "), string(t.Outcome))
}

func between(e entity, from, to time.Time) {
	if !from.IsZero() {
		e["startTime"] = stamp(from)
	}
	if !to.IsZero() {
		e["endTime"] = stamp(to)
	}
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// usage describes what a try used.
func (c *crate) usage(id string, t *runstat.Try) (out []ref) {
	add := func(name, unit string, n int64) {
		if n > 0 {
			out = append(out, c.add(id+"/"+name, "PropertyValue", entity{"name": name, "propertyID": name, "unitCode": unit, "value": strconv.FormatInt(n, 10)}))
		}
	}
	if !t.AtMost { // a bound is no peak
		add("peak-memory", "https://qudt.org/vocab/unit/BYTE", t.Memory)
	}
	add("cpu-time", "https://qudt.org/vocab/unit/MilliSEC", t.CPU)
	return out
}

// read describes the files that a task reads.
func (c *crate) read(t *engine.TaskStatus) (out []ref) {
	spec := c.r.Spec(t.Step, t.Index)
	if spec == nil {
		return nil
	}
	for i := range spec.Inputs {
		in := &spec.Inputs[i]
		for k, p := range in.Paths {
			sum := ""
			if k < len(in.IDs) {
				sum, _ = strings.CutPrefix(in.IDs[k], "sha256:")
				if sum == in.IDs[k] {
					sum = ""
				}
			}
			out = append(out, c.file(p, -1, sum, nil))
		}
	}
	return out
}

// made describes the files that a task left.
func (c *crate) made(t *engine.TaskStatus) (out []ref) {
	m := c.r.Manifest(t.Dir)
	if m == nil {
		return nil
	}
	for i := range m.Files {
		f := &m.Files[i]
		out = append(out, c.file(engine.ResultPath(t.Dir, f.Path), f.Size, f.SHA256, nil))
	}
	return out
}

// image describes an image of containers: [registry/]name[:tag][@digest].
func (c *crate) image(name string) ref {
	rest, digest, _ := strings.Cut(name, "@")
	registry, short := "docker.io", rest
	if host, after, found := strings.Cut(rest, "/"); found && (strings.ContainsAny(host, ".:") || host == "localhost") {
		registry, short = host, after
	}
	tag := "latest"
	if at := strings.LastIndexByte(short, ':'); at > strings.LastIndexByte(short, '/') {
		short, tag = short[:at], short[at+1:]
	}
	e := entity{"name": short, "registry": registry, "additionalType": ref{runTerms + "DockerImage"}}
	if sum, found := strings.CutPrefix(digest, "sha256:"); found {
		e["sha256"] = sum
	} else {
		e["tag"] = tag
	}
	return c.add(idOf("image", name), "ContainerImage", e)
}

// run describes the run as a whole.
func (c *crate) run(main ref) ref {
	from, to := c.r.Times()
	e := entity{
		"name": "Run " + string(c.r.ID()), "description": "Ran the workflow " + c.r.Workflow().Name + ": " + c.r.Status().String(),
		"instrument": main,
	}
	if c.agent != nil {
		e["agent"] = c.agent
	}
	between(e, from, to)
	switch c.r.Status() {
	case engine.Succeeded:
		e["actionStatus"] = completed
	case engine.Failed, engine.Cancelled:
		e["actionStatus"], e["error"] = failedAction, cmp.Or(c.r.Reason(), c.r.Status().String())
	}
	if given := c.given(); given != nil {
		e["object"] = given
	}
	if made := c.results(); made != nil {
		e["result"] = made
	}
	return c.add(idOf("run", string(c.r.ID())), "CreateAction", e)
}

// given describes what variables had as values. Those of sensitive ones are not kept.
func (c *crate) given() (out []ref) {
	for _, v := range c.r.Variables {
		text, known := c.r.Info().Variables[v.Name]
		if !known {
			continue
		}
		out = append(out, c.add(idOf("value", v.Name), "PropertyValue", entity{
			"name": v.Name, "value": value(text), "exampleOfWork": ref{idOf("variable", v.Name)},
		}))
	}
	return out
}

// results describes the values of the workflow's outputs.
func (c *crate) results() (out []ref) {
	for i := range c.r.Results() {
		res := &c.r.Results()[i]
		of := ref{idOf("output", res.Name)}
		for _, f := range Published(res) {
			out = append(out, c.file(f, -1, "", entity{"exampleOfWork": of}))
		}
		if len(res.Files) == 0 && !res.Sensitive {
			out = append(out, c.add(idOf("result", res.Name), "PropertyValue", entity{"name": res.Name, "value": value(string(res.Value)), "exampleOfWork": of}))
		}
	}
	return out
}

// Published returns where the files of an output are: where they were published, or else where
// their tasks left them.
func Published(r *engine.Result) []string {
	switch {
	case r.Publish == "":
		return r.Files
	case len(r.Files) == 1 && !strings.HasSuffix(r.Publish, "/"):
		return []string{r.Publish}
	}
	out := make([]string, len(r.Files))
	for i, f := range r.Files {
		out[i] = strings.TrimSuffix(r.Publish, "/") + "/" + path.Base(f)
	}
	return out
}

// engine describes flow, and that it ran the steps.
func (c *crate) engine(run ref, steps []ref) {
	tool := entity{"name": "flow"}
	if v := c.r.Info().Version; v != "" {
		tool["softwareVersion"] = v
	}
	flow := c.add(idOf("flow"), "SoftwareApplication", tool)
	if len(steps) == 0 {
		return
	}
	from, to := c.r.Times()
	e := entity{"name": "Run of flow", "instrument": flow, "result": run, "object": steps}
	if c.agent != nil {
		e["agent"] = c.agent
	}
	between(e, from, to)
	c.add(idOf("organize"), "OrganizeAction", e)
}
