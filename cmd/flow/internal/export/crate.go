package export

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"flow/engine"
)

// The profiles that a crate keeps to (www.researchobject.org/workflow-run-crate, 0.5, and the
// RO-Crate that they extend, 1.1), and what their words mean.
const (
	crateSpec     = "https://w3id.org/ro/crate/1.1"
	workflowCrate = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
	runCrates     = "https://w3id.org/ro/wfrun/"
	runVersion    = "0.5"
	runContext    = "https://w3id.org/ro/terms/workflow-run/context"
	runTerms      = "https://w3id.org/ro/terms/workflow-run#"
	completed     = "http://schema.org/CompletedActionStatus"
	failedAction  = "http://schema.org/FailedActionStatus"
)

// MetadataFile is the name of the file of a crate that says what is in it.
const MetadataFile = "ro-crate-metadata.json"

// A CrateOptions is what a crate says that no run knows.
type CrateOptions struct {
	License string // URL or words
	Author  string // who ran it: a name, or an ORCID as a URL
}

// An entity is something that a crate describes.
type entity map[string]any

// A ref points to an entity.
type ref struct {
	ID string `json:"@id"`
}

// A crate is what is written, while it is made.
type crate struct {
	r     *Run
	o     CrateOptions
	graph []entity
	parts []ref // files
	acts  []ref // what was done
	known map[string]bool
	dirs  map[string]string // by task directory: where the files of its result are
	agent []ref

	folders map[string]bool // outputs that are directories, by their paths
}

// Crate writes the metadata of a crate of the run, by the profile Provenance Run Crate: the
// workflow with its steps, who ran it on what, each try of each task with what it read and made,
// and the run itself. The files of the workflow are expected in the crate's directory under
// SourcePath; what tasks read and made stays where it is.
func Crate(w io.Writer, r *Run, o CrateOptions) error {
	c := &crate{r: r, o: o, known: map[string]bool{}, dirs: map[string]string{}, folders: map[string]bool{}}
	root := entity{}
	c.graph = append(c.graph, entity{
		"@id": MetadataFile, "@type": "CreativeWork", "about": ref{"./"}, "conformsTo": []ref{{crateSpec}, {workflowCrate}},
	}, root)
	c.profiles()
	c.author()
	main := c.workflow()
	c.findDirs()
	made := c.tasks()
	run := c.run(main)
	c.engine(run, made)
	c.root(root, main, run)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"@context": []string{crateSpec + "/context", runContext}, "@graph": c.graph})
}

// SourcePath is where in a crate a file of the workflow is, with slashes.
func SourcePath(name string) string { return "workflow/" + name }

// add adds an entity, once, and returns what points to it.
func (c *crate) add(id string, types any, e entity) ref {
	if !c.known[id] {
		c.known[id] = true
		e["@id"], e["@type"] = id, types
		c.graph = append(c.graph, e.single())
	}
	return ref{id}
}

// single returns e with lists of one reference as that reference: a crate is to have no others
// (RO-Crate 1.1, JSON-LD).
func (e entity) single() entity {
	for k, v := range e {
		if list, ok := v.([]ref); ok && len(list) == 1 {
			e[k] = list[0]
		}
	}
	return e
}

// idOf makes an identifier of parts, which may be any text.
func idOf(parts ...string) string {
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return "#" + strings.Join(parts, "/")
}

func (c *crate) profiles() {
	for _, p := range [][2]string{{"process", "Process Run Crate"}, {"workflow", "Workflow Run Crate"}, {"provenance", "Provenance Run Crate"}} {
		c.add(runCrates+p[0]+"/"+runVersion, "CreativeWork", entity{"name": p[1], "version": runVersion})
	}
	c.add(workflowCrate, "CreativeWork", entity{"name": "Workflow RO-Crate", "version": "1.0"})
}

// author describes who ran it, if that is said.
func (c *crate) author() {
	if c.o.Author == "" {
		return
	}
	id := idOf("author")
	if strings.HasPrefix(c.o.Author, "https://") {
		id = c.o.Author
	}
	c.agent = []ref{c.add(id, "Person", entity{"name": c.o.Author})}
}

func (c *crate) root(root entity, main ref, run ref) {
	created, ended := c.r.Times()
	if ended.IsZero() {
		ended = c.r.Now
	}
	license := c.o.License
	if license == "" {
		license = "Nobody said under which license this may be used."
	}
	root["@id"], root["@type"] = "./", "Dataset"
	root["name"] = "Run " + string(c.r.ID()) + " of the workflow " + c.r.Workflow().Name
	root["description"] = fmt.Sprintf("What a run of the workflow %s did, which began on %s and is %s.", c.r.Workflow().Name, stamp(created), c.r.Status())
	root["datePublished"] = stamp(ended)
	if strings.HasPrefix(license, "https://") || strings.HasPrefix(license, "http://") {
		root["license"] = c.add(license, "CreativeWork", entity{"name": license})
	} else {
		root["license"] = license
	}
	if c.agent != nil {
		root["author"] = c.agent
	}
	root["conformsTo"] = []ref{{runCrates + "process/" + runVersion}, {runCrates + "workflow/" + runVersion}, {runCrates + "provenance/" + runVersion}, {workflowCrate}}
	root["hasPart"], root["mainEntity"] = c.parts, main
	root["mentions"] = append([]ref{run}, c.acts...)
	root.single()
}

// workflow describes the workflow: its files, steps, variables and outputs.
func (c *crate) workflow() ref {
	wf := c.r.Workflow()
	language := c.add(idOf("language"), "ComputerLanguage", entity{
		"name": "flow workflow language", "alternateName": "flow HCL", "identifier": "https://github.com/hashicorp/hcl", "url": "https://github.com/hashicorp/hcl",
	})
	main := entity{"name": wf.Name, "programmingLanguage": language, "encodingFormat": "text/plain"}
	if wf.Description != "" {
		main["description"] = wf.Description
	}
	var id string
	var tools, steps []ref
	sum := sha256.New()
	for i, s := range c.r.Sources {
		sum.Write(s.Bytes)
		own := sha256.Sum256(s.Bytes)
		at := fileURL(SourcePath(s.Name))
		c.parts = append(c.parts, ref{at})
		if i == 0 {
			id = at
			main["contentSize"], main["sha256"] = strconv.Itoa(len(s.Bytes)), hex.EncodeToString(own[:])
			continue
		}
		c.add(at, "File", entity{ // no source code by its type: those are programs that something ran
			"name": s.Name, "encodingFormat": "text/plain", "contentSize": strconv.Itoa(len(s.Bytes)), "sha256": hex.EncodeToString(own[:]),
		})
	}
	version := hex.EncodeToString(sum.Sum(nil)[:6])
	for i, s := range wf.Steps {
		tool, step := c.step(i, s, version)
		tools, steps = append(tools, tool), append(steps, step)
	}
	main["version"] = version
	main["hasPart"], main["step"] = tools, steps
	if in := c.inputs(); in != nil {
		main["input"] = in
	}
	if out := c.outputs(); out != nil {
		main["output"] = out
	}
	return c.add(id, []string{"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"}, main)
}

func toolID(s engine.StepName) string { return idOf("tool", string(s)) }
func stepID(s engine.StepName) string { return idOf("step", string(s)) }

// step describes a step, and what its tasks run: of that a crate wants an entity of its own.
func (c *crate) step(i int, s *engine.Step, version string) (tool, step ref) {
	t := entity{"name": string(s.Name), "softwareVersion": version}
	st := entity{"name": string(s.Name), "position": strconv.Itoa(i), "workExample": ref{toolID(s.Name)}}
	if s.Description != "" {
		t["description"], st["description"] = s.Description, s.Description
	}
	return c.add(toolID(s.Name), "SoftwareApplication", t), c.add(stepID(s.Name), "HowToStep", st)
}

// inputs describes the variables of the workflow.
func (c *crate) inputs() (out []ref) {
	values := c.r.Info().Variables
	for _, v := range c.r.Variables {
		value, given := values[v.Name]
		e := entity{"name": v.Name, "additionalType": additionalType(value)}
		if v.Description != "" {
			e["description"] = v.Description
		}
		if given {
			e["workExample"] = ref{idOf("value", v.Name)}
		}
		out = append(out, c.add(idOf("variable", v.Name), "FormalParameter", e))
	}
	return out
}

// additionalType returns the type of schema.org of a value in JSON.
func additionalType(value string) string {
	switch {
	case value == "true" || value == "false":
		return "Boolean"
	case strings.HasPrefix(value, "{") || strings.HasPrefix(value, "["):
		return "PropertyValue"
	case strings.HasPrefix(value, `"`) || value == "" || value == "null":
		return "Text"
	}
	return "Number"
}

// outputs describes the outputs of the workflow.
func (c *crate) outputs() (out []ref) {
	results := map[string]*engine.Result{}
	for i, res := range c.r.Results() {
		results[res.Name] = &c.r.Results()[i]
	}
	for _, o := range c.r.Workflow().Outputs {
		e := entity{"name": o.Name, "additionalType": "Text"}
		if res := results[o.Name]; res != nil {
			if len(res.Files) > 0 {
				e["additionalType"] = "File"
			} else {
				e["additionalType"] = additionalType(string(res.Value))
			}
		}
		if o.Description != "" {
			e["description"] = o.Description
		}
		out = append(out, c.add(idOf("output", o.Name), "FormalParameter", e))
	}
	return out
}

// value returns a value of JSON as a crate has it: a text as it is, else the JSON.
func value(text string) string {
	var s string
	if json.Unmarshal([]byte(text), &s) == nil {
		return s
	}
	return text
}

// stamp writes a time as the profiles want it: to the millisecond, and with an offset.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000-07:00") }

// fileURL returns a path or a URI as a crate names files: a URI, or a relative path with what is
// special in it escaped.
func fileURL(name string) string {
	switch {
	case strings.Contains(name, "://"):
		scheme, rest, _ := strings.Cut(name, "://")
		host, at, _ := strings.Cut(rest, "/")
		return (&url.URL{Scheme: scheme, Host: host, Path: "/" + at}).String()
	case path.IsAbs(name):
		return (&url.URL{Scheme: "file", Path: name}).String()
	}
	return (&url.URL{Path: name}).EscapedPath()
}
