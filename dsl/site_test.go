package dsl

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"flow/engine"
)

// writeSites writes a flow.config.hcl into a new directory, and returns that.
func writeSites(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ConfigName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lineOf returns the line of a diagnostic, "-" without one.
func lineOf(d *hcl.Diagnostic) string {
	if d.Subject == nil {
		return "-"
	}
	return strconv.Itoa(d.Subject.Start.Line)
}

// choose returns the site of a name, which must be there.
func choose(t *testing.T, name string, dirs ...string) Site {
	t.Helper()
	sites, diags := ReadSites(dirs...)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	site, diags := sites.Choose(name, "-site "+name)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	return site
}

func TestSite(t *testing.T) {
	dir := writeSites(t, `
site "all" {
  executor     = "LOCAL"
  work_dir     = "files/of/tasks/"
  image        = "debian:${6 + 7}"
  queue        = "spot"
  containers   = "podman"
  vcpus        = 2.5
  memory       = "4 GiB"
  tags         = { project = "hg38", "cost center" = 12, none = null }
  max_parallel = 20
  region       = "eu-central-1"
  profile      = "lab"
  agent_image  = "public.ecr.aws/lab/flow:1"
  url          = "https://flow.example.org/"
}
site "aws" {
  executor = "batch"
  endpoint = "http://127.0.0.1:8642"
}
site "nothing" {}
site "nulls" {
  executor = null
  vcpus    = null
}
site "absolute" { work_dir = "/scratch/../data" }
site "bucket" { work_dir = "s3://lab/flow/" }
`)
	tests := []Site{
		{
			Name: "all", Executor: "local", WorkDir: filepath.Join(dir, "files/of/tasks"), MaxParallel: 20,
			Region: "eu-central-1", Profile: "lab", AgentImage: "public.ecr.aws/lab/flow:1", URL: "https://flow.example.org",
			Containers: "podman", VCPUs: 2.5, MemoryMiB: 4096,
			Defaults: Defaults{Image: "debian:13", Queue: "spot", Tags: map[string]string{"project": "hg38", "cost center": "12"}},
		},
		{Name: "aws", Executor: "batch", Endpoint: "http://127.0.0.1:8642"},
		{Name: "nothing"},
		{Name: "nulls"},
		{Name: "absolute", WorkDir: "/data"},
		{Name: "bucket", WorkDir: "s3://lab/flow"},
	}
	for _, want := range tests {
		t.Run(want.Name, func(t *testing.T) {
			if diff := cmp.Diff(want, choose(t, want.Name, dir)); diff != "" {
				t.Errorf("site (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSiteExample: the example of the page about sites has no mistakes.
func TestSiteExample(t *testing.T) {
	doc, err := os.ReadFile("../docs/sites.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```hcl\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the page has no example")
	}
	if got := choose(t, "lab", writeSites(t, example)); got.VCPUs != 16 {
		t.Errorf("got %+v", got)
	}
	if got := string(Format([]byte(example))); got != example {
		t.Errorf("it is not formatted; flow fmt makes it:\n%s", got)
	}
}

// TestSitePlaces: of sites with one name that of the first directory counts, as a whole;
// each directory's paths are relative to it.
func TestSitePlaces(t *testing.T) {
	here := writeSites(t, `site "lab" { queue = "near" }`)
	user := writeSites(t, "site \"lab\" {\n  queue = \"far\"\n  vcpus = 3\n}\nsite \"mine\" { work_dir = \"w\" }\n")
	dirs := []string{here, filepath.Join(here, "nowhere"), "", user, here}
	if got := choose(t, "lab", dirs...); got.Defaults.Queue != "near" || got.VCPUs != 0 {
		t.Errorf("lab is %+v, want the one of the first directory", got)
	}
	if got := choose(t, "mine", dirs...); got.WorkDir != filepath.Join(user, "w") {
		t.Errorf("work_dir is %s, want it in %s", got.WorkDir, user)
	}
}

// TestSiteMistakes compares each file's diagnostics, as lines "line: summary | detail",
// with what is wanted: the beginning of the summary and a part of the detail.
func TestSiteMistakes(t *testing.T) {
	tests := map[string]struct {
		file string
		want []string
	}{
		"argument":     {"site \"a\" {\n  queeu = \"x\"\n}", []string{`2: Unsupported argument | Did you mean "queue"?`}},
		"block":        {"site \"a\" {\n  defaults {}\n}", []string{`2: Unsupported block type | "defaults"`}},
		"top block":    {"sit \"a\" {}\nsite \"b\" {}", []string{`1: Unsupported block type | Did you mean "site"?`}},
		"top argument": {"queue = \"x\"", []string{`1: Unsupported argument | "queue"`}},
		"no name":      {"site {}", []string{"1: Missing name for site |"}},
		"bad name":     {"site \"a b\" {\n  vcpus = \"x\"\n}", []string{"1: Invalid name | letters", "2: Unsuitable value | vcpus"}},
		"twice":        {"site \"a\" {}\nsite \"a\" {}", []string{"2: Duplicate site | flow.config.hcl:1"}},
		"executor":     {"site \"a\" { executor = \"lcoal\" }", []string{`1: Unsuitable value | there are "local" and "batch". Did you mean "local"?`}},
		"containers":   {"site \"a\" { containers = \"dokcer\" }", []string{`1: Unsuitable value | Did you mean "docker"?`}},
		"image":        {"site \"a\" { image = \"a b\" }", []string{"1: Unsuitable value | no name of a container image"}},
		"queue":        {"site \"a\" { queue = \"a b\" }", []string{"1: Unsuitable value | no name of a job queue"}},
		"memory":       {"site \"a\" { memory = \"4 GB\" }", []string{`1: Unsuitable value | Did you mean "4 GiB"?`}},
		"vcpus":        {"site \"a\" { vcpus = 0 }", []string{"1: Unsuitable value | above 0"}},
		"max_parallel": {"site \"a\" { max_parallel = 1.5 }", []string{"1: Unsuitable value | whole number"}},
		"tags":         {"site \"a\" { tags = [\"x\"] }", []string{"1: Unsuitable value | a map is needed"}},
		"tag":          {"site \"a\" { tags = { a = [] } }", []string{"1: Unsuitable value | tags.a: this is a list"}},
		"region":       {"site \"a\" { region = [] }", []string{"1: Unsuitable value | region: this is a list"}},
		"profile":      {"site \"a\" { profile = {} }", []string{"1: Unsuitable value | profile: this is a map"}},
		"agent_image":  {"site \"a\" { agent_image = [] }", []string{"1: Unsuitable value | agent_image"}},
		"no url":       {"site \"a\" { url = \"flow.example.org\" }", []string{"1: Unsuitable value | url"}},
		"no image":     {"site \"a\" { agent_image = \"a b\" }", []string{"1: Unsuitable value | no name of a container image"}},
		"no region":    {"site \"a\" { region = \"Frankfurt\" }", []string{`1: Unsuitable value | no AWS region, such as "eu-central-1"`}},
		"no endpoint":  {"site \"a\" { endpoint = \"localhost:8642\" }", []string{"1: Unsuitable value | no address of a service"}},
		"endpoint":     {"site \"a\" { endpiont = \"x\" }", []string{`1: Unsupported argument | Did you mean "endpoint"?`}},
		"no work_dir":  {"site \"a\" { work_dir = \"\" }", []string{"1: Unsuitable value | empty"}},
		"home":         {"site \"a\" { work_dir = \"~/w\" }", []string{"1: Unsuitable value | ~ stands for nothing"}},
		"URI":          {"site \"a\" { work_dir = \"gs://x/w\" }", []string{"1: Unsuitable value | no place for files"}},
		"reference":    {"site \"a\" { queue = \"${var.x}-${var.y}\" }", []string{`1: Reference not allowed here | "var"`}},
		"bare word":    {"site \"a\" { queue = spot }", []string{`1: Reference not allowed here | Strings stand in quotes`}},
		"function":     {"site \"a\" { queue = upper(\"x\") }", []string{"1: Function calls not allowed | a value that is written out"}},
		"too long a loop": {
			"site \"a\" {\n  tags = { a = [for a in [" + strings.Repeat("1,", 300) + "] : [for b in [" + strings.Repeat("1,", 300) +
				"] : [for c in [" + strings.Repeat("1,", 300) + "] : c]]] }\n}",
			[]string{"2: Expression too large |"},
		},
		"syntax":  {"site \"a\" {\n  queue = \n}\nsite \"b\" {\n  vcpus = \"x\"\n}", []string{"2: Invalid expression |", "5: Unsuitable value | vcpus"}},
		"no text": {"site \"a\" {\x00}", []string{"1: Invalid character | NUL"}},
		"deep":    {"site \"a\" { tags = " + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + " }", []string{"1: "}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sites, diags := ReadSites(writeSites(t, test.file))
			ok := slices.EqualFunc(diags, test.want, func(d *hcl.Diagnostic, want string) bool {
				place, part, _ := strings.Cut(want, " | ")
				return strings.HasPrefix(lineOf(d)+": "+d.Summary, strings.TrimSuffix(place, " |")) && strings.Contains(d.Detail, part)
			})
			if !ok {
				t.Errorf("want %q, got:\n%s", test.want, show(&Program{Files: sites.Files}, diags))
			}
		})
	}
}

// TestSiteUnreadable: a file that cannot be read is told, in the user's directory by its path.
func TestSiteUnreadable(t *testing.T) {
	here, user := t.TempDir(), t.TempDir()
	path := filepath.Join(user, ConfigName)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	_, diags := ReadSites(here, user)
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, path) {
		t.Errorf("got %v, want one error that names %s", diags, path)
	}
}

func TestChooseSite(t *testing.T) {
	sites, diags := ReadSites(writeSites(t, `site "aws" {
  executor = "batch"
}
site "here" {}
`))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	for name, want := range map[string]string{
		"heer": "-: Unknown site: -site heer: there is no such site. Did you mean \"here\"? There are: aws, here.",
		"x":    "-: Unknown site: -site x: there is no such site. There are: aws, here.",
		"here": "",
	} {
		site, diags := sites.Choose(name, "-site "+name)
		switch {
		case want == "":
			if len(diags) > 0 || site.Name != name {
				t.Errorf("Choose(%s) = %+v, %v", name, site, diags)
			}
		case len(diags) != 1 || !strings.HasPrefix(lineOf(diags[0])+": "+diags[0].Summary+": "+diags[0].Detail, want):
			t.Errorf("Choose(%s): got %v, want %s", name, diags, want)
		}
	}
	none, _ := ReadSites("/w", "/u")
	if _, diags := none.Choose("x", "-site x"); len(diags) != 1 || !strings.Contains(diags[0].Detail, "flow.config.hcl in /w or /u.") {
		t.Errorf("without files: got %v", diags)
	}
}

// TestSiteDefaults: a site's image and queue are those of tasks that neither a step nor
// the workflow's defaults give one, and its tags stand below all others.
func TestSiteDefaults(t *testing.T) {
	const steps = `
step "plain" { command = ["a"] }
step "own" {
  command  = ["a"]
  for_each = ["x"]
  image    = "own:${each.value}"
  queue    = "own"
  tags     = { a = "own", b = each.value, d = null }
}
`
	site := Defaults{Image: "site:1", Queue: "site", Tags: map[string]string{"a": "site", "c": "site", "d": "site"}}
	tests := map[string]struct {
		workflow string
		site     Defaults
		want     map[string]Defaults
	}{
		"a site": {
			`workflow "w" { tags = { c = "workflow" } }`, site,
			map[string]Defaults{
				"plain": {"site:1", "site", map[string]string{"a": "site", "c": "workflow", "d": "site"}},
				"own":   {"own:x", "own", map[string]string{"a": "own", "b": "x", "c": "workflow"}},
			},
		},
		"a site below defaults": {
			"workflow \"w\" {\n  defaults {\n    image = \"def:1\"\n    tags = { a = \"def\" }\n  }\n}", site,
			map[string]Defaults{
				"plain": {"def:1", "site", map[string]string{"a": "def", "c": "site", "d": "site"}},
				"own":   {"own:x", "own", map[string]string{"a": "own", "b": "x", "c": "site"}},
			},
		},
		"no site": {
			`workflow "w" { tags = { c = "workflow" } }`, Defaults{},
			map[string]Defaults{
				"plain": {"", "", map[string]string{"c": "workflow"}},
				"own":   {"own:x", "own", map[string]string{"a": "own", "b": "x", "c": "workflow"}},
			},
		},
		"nothing": {
			"", Defaults{},
			map[string]Defaults{"plain": {}, "own": {"own:x", "own", map[string]string{"a": "own", "b": "x"}}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := loadText(t, test.workflow+steps)
			tmpl, diags := p.Bind(VarInput{}, RunContext{ID: "01run", Defaults: test.site})
			if len(diags) > 0 {
				t.Fatal(show(p, diags))
			}
			w := &world{tb: t, tmpl: tmpl, steps: map[engine.StepName]*fakeStep{}}
			for step, want := range test.want {
				spec := w.expand(engine.StepName(step)).Specs[0]
				if diff := cmp.Diff(want, Defaults{spec.Image, spec.Queue, spec.Tags}); diff != "" {
					t.Errorf("%s (-want +got):\n%s", step, diff)
				}
			}
		})
	}
	if diff := cmp.Diff(map[string]string{"a": "site", "c": "site", "d": "site"}, site.Tags); diff != "" {
		t.Errorf("the site's own tags were changed:\n%s", diff)
	}
}
