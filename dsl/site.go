package dsl

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// ConfigName is the name of the file beside a workflow, and of the one of a user, that
// sites stand in. It is no part of the workflow.
const ConfigName = "flow.config.hcl"

// The executors that a site may name.
const (
	executorLocal = "local"
	executorBatch = "batch"
)

// A Site says where a workflow runs. The zero value says nothing.
type Site struct {
	Name     string `json:"name,omitempty"`
	Executor string `json:"executor,omitempty"` // "local", "batch"; "": the workflow decides

	// WorkDir is where the files of tasks live, an absolute path or s3://bucket/prefix, and
	// MaxParallel how many tasks may be in flight, instead of what the workflow says; "" and
	// 0 say nothing.
	WorkDir     string `json:"work_dir,omitempty"`
	MaxParallel int    `json:"max_parallel,omitempty"`

	Defaults Defaults `json:"defaults,omitzero"`

	// PublishTo is where relative paths that are published are; see [RunContext]. No file says
	// so, but flow schedule deploy does.
	PublishTo string `json:"publish_to,omitempty"`

	// Of AWS: what the SDK finds by itself where these say nothing. AgentImage is a
	// container image with flow in it, for tasks with inputs or outputs.
	Region     string `json:"region,omitempty"`
	Profile    string `json:"profile,omitempty"`
	Endpoint   string `json:"endpoint,omitempty"` // URL
	AgentImage string `json:"agent_image,omitempty"`

	// URL is where a person sees runs in a browser: of flow serve, without a path at its end.
	URL string `json:"url,omitempty"`

	// Containers is what tasks with an image are run with: "docker" or "podman". VCPUs and
	// MemoryMiB are what tasks may use of the machine; 0: all of it.
	Containers string  `json:"containers,omitempty"`
	VCPUs      float64 `json:"vcpus,omitempty"`
	MemoryMiB  int     `json:"memory_mib,omitempty"`
}

// Defaults are what the tasks of a workflow have where it does not say otherwise, neither
// in a step nor in its own `defaults` and `tags`.
type Defaults struct {
	Image string            `json:"image,omitempty"`
	Queue string            `json:"queue,omitempty"` // name or ARN
	Tags  map[string]string `json:"tags,omitempty"`
}

// Sites are the sites that a workflow may run on.
type Sites struct {
	// Files are the parsed files by name, for printing diagnostics.
	Files map[string]*hcl.File

	list []*Site // the first of a name counts
	dirs []string
}

// ReadSites reads the sites in the flow.config.hcl of directories, of which the first is
// the workflow's; of sites with one name that of the earlier directory counts. A file
// that is not there has no sites. All mistakes come in one pass.
func ReadSites(dirs ...string) (*Sites, hcl.Diagnostics) {
	s := &Sites{Files: map[string]*hcl.File{}}
	p := &Program{Files: s.Files, budget: newBudget(0)}
	var diags hcl.Diagnostics
	for _, dir := range dirs {
		if dir == "" || slices.Contains(s.dirs, dir) {
			continue
		}
		name := filepath.Join(dir, ConfigName)
		src, err := readLimited(name)
		if len(s.dirs) == 0 {
			name = ConfigName // as the files of the workflow are named
		}
		s.dirs = append(s.dirs, dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Cannot read sites", Detail: fmt.Sprintf("%s: %s.", name, reason(err)),
			})
			continue
		}
		file, fileDiags := p.parse(Source{Name: name, Bytes: src})
		diags = append(diags, fileDiags...)
		if file != nil {
			d := &decoder{p: p}
			s.list = append(s.list, d.sites(file, dir)...)
			diags = append(diags, d.diags...)
		}
	}
	diags = improve(diags, s.Files)
	sortDiagnostics(diags)
	return s, diags
}

// Choose returns the site of a name, unless there is none. from
// says who gave the name, for the message: "-site lab".
func (s *Sites) Choose(name, from string) (Site, hcl.Diagnostics) {
	var names []string
	for _, c := range s.list {
		if c.Name == name {
			return *c, nil
		}
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	detail := fmt.Sprintf("%s: there are no sites. Write site %q { ... } into a %s in %s.", from, name, ConfigName, list(s.dirs, "or"))
	if len(names) > 0 {
		detail = fmt.Sprintf("%s: there is no such site.%s There are: %s.", from, suggest(name, names), strings.Join(names, ", "))
	}
	return Site{}, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Unknown site", Detail: detail}}
}

// sites decodes a file of directory dir.
func (d *decoder) sites(file *hcl.File, dir string) []*Site {
	content, diags := file.Body.Content(configSchema)
	d.diags = append(d.diags, diags...)
	var sites []*Site
	for _, b := range content.Blocks {
		ok := d.name(b, b.Labels[0], b.LabelRanges[0])
		if c := d.siteBlock(b, dir); ok {
			sites = append(sites, c)
		}
	}
	return sites
}

func (d *decoder) siteBlock(b *hcl.Block, dir string) *Site {
	c := &Site{Name: b.Labels[0]}
	as, _, _ := d.block(b.Body, siteArgs)
	t := &task{ev: &evaluator{p: d.p}, spec: &engine.TaskSpec{}, final: true}
	for _, a := range as {
		if refs := a.expr.Variables(); len(refs) > 0 {
			t.diags = append(t.diags, errorf(refs[0].SourceRange(), "Reference not allowed here",
				"A site cannot refer to anything, and %q is a reference. Strings stand in quotes.", refs[0].RootName()))
			continue
		}
		c.set(t, a, dir)
	}
	c.Defaults = Defaults{Image: t.spec.Image, Queue: t.spec.Queue, Tags: t.spec.Tags}
	d.diags = append(d.diags, t.diags...)
	return c
}

// set takes in an argument of the block.
func (c *Site) set(t *task, a *arg, dir string) {
	switch a.name {
	case "executor":
		if name, ok := value(t, a, oneOf(executorLocal, executorBatch)); ok {
			c.Executor = name
		}
	case "work_dir":
		c.setWorkDir(t, a, dir)
	case "max_parallel":
		c.MaxParallel, _ = value(t, a, positive)
	case "image":
		t.setImage(a)
	case "queue":
		t.setQueue(a)
	case "tags":
		t.setTags(a)
	case "containers":
		c.Containers, _ = value(t, a, oneOf("docker", "podman"))
	case "vcpus":
		c.VCPUs, _ = value(t, a, toVCPUs)
	case "memory":
		c.MemoryMiB, _ = value(t, a, toMiB)
	case "region":
		c.Region, _ = value(t, a, toRegion)
	case "profile":
		c.Profile, _ = value(t, a, toText)
	case "endpoint":
		c.Endpoint, _ = value(t, a, toEndpoint)
	case "url":
		if s, ok := value(t, a, toEndpoint); ok {
			c.URL = strings.TrimRight(s, "/")
		}
	case "agent_image":
		c.AgentImage, _ = value(t, a, toImage)
	}
}

func (c *Site) setWorkDir(t *task, a *arg, dir string) {
	s, ok := t.text(a)
	switch {
	case !ok:
	case s == "":
		t.errorf(a.expr.Range(), "work_dir is empty. Name a directory or s3://bucket/prefix, or leave it out.")
	case s == "~", strings.HasPrefix(s, "~/"):
		t.errorf(a.expr.Range(), "~ stands for nothing here. Write the path of the directory from / on.")
	case strings.HasPrefix(s, "s3:"), scheme(s) != "":
		w, err := CheckWorkDir(s)
		if err != nil {
			t.wrong("work_dir", a.expr.Range(), err)
		}
		c.WorkDir = w
	case filepath.IsAbs(s):
		c.WorkDir = filepath.Clean(s)
	default:
		c.WorkDir = filepath.Join(dir, s)
	}
}

func toRegion(v cty.Value) (string, error) { return checked(v, CheckRegion) }

func toEndpoint(v cty.Value) (string, error) { return checked(v, CheckEndpoint) }

func toImage(v cty.Value) (string, error) { return checked(v, CheckImage) }

// checked reads a text that check finds nothing wrong with.
func checked(v cty.Value, check func(string) error) (string, error) {
	s, err := toText(v)
	if err != nil {
		return "", err
	}
	return s, check(s)
}

// regionPattern is what names of AWS regions look like: us-east-1, ap-southeast-2, us-gov-west-1.
var regionPattern = lazily(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)

// CheckRegion says what is wrong with the name of an AWS region.
func CheckRegion(s string) error {
	if !regionPattern().MatchString(s) {
		return fmt.Errorf("%q is no AWS region, such as \"eu-central-1\"", s)
	}
	return nil
}

// CheckEndpoint says what is wrong with the address of a service.
func CheckEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%q is no address of a service, such as \"http://127.0.0.1:8642\"", s)
	}
	return nil
}

// CheckImage says what is wrong with the name of a container image.
func CheckImage(s string) error {
	if !imagePattern().MatchString(s) {
		return fmt.Errorf("%q is no name of a container image, such as \"debian:13\"", s)
	}
	return nil
}

// CheckQueue says what is wrong with the name or ARN of a job queue.
func CheckQueue(s string) error {
	if !resourcePattern().MatchString(s) && !strings.HasPrefix(s, "arn:") {
		return fmt.Errorf("%q is no name of a job queue (letters, digits, _ and -, at most 128) and no ARN", s)
	}
	return nil
}
