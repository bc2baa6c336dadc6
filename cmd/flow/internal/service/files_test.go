package service

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/state"
)

const (
	goodFile   = "workflow \"w\" {}\nschedule \"daily\" { cron = \"0 6 * * *\" }\nstep \"s\" { command = [\"true\"] }\n"
	brokenFile = "workflow \"w\" {}\nstep \"s\" { comand = [\"true\"] }\n"
	scriptFile = "workflow \"w\" {}\nstep \"s\" { script_file = \"s.sh\" }\n"
)

// A filesBench is a directory that is watched.
type filesBench struct {
	t    *testing.T
	dir  string
	f    *Files
	kept map[string][]state.Source
	now  time.Time
}

func newFilesBench(t *testing.T, files map[string]string) *filesBench {
	b := &filesBench{t: t, dir: t.TempDir(), kept: map[string][]state.Source{}, now: time.Unix(1e9, 0)}
	for name, text := range files {
		b.write(name, text)
	}
	b.again()
	return b
}

// again has another process watch.
func (b *filesBench) again() {
	b.t.Helper()
	f, err := NewFiles(func(_ context.Context, path string) ([]state.Source, error) { return b.kept[path], nil }, b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	b.f = f
}

// write puts a file there at once, as editors do.
func (b *filesBench) write(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		b.t.Fatal(err)
	}
}

// look returns what is there, by the names of directories, a while later.
func (b *filesBench) look(later time.Duration) map[string]Workflow {
	b.t.Helper()
	b.now = b.now.Add(later)
	var all []Workflow
	for range 3 { // what has changed is read when it stays so, and again with what it reads
		var err error
		if all, err = b.f.Look(b.t.Context(), b.now); err != nil {
			b.t.Fatal(err)
		}
	}
	out := map[string]Workflow{}
	for _, wf := range all {
		rel, err := filepath.Rel(b.dir, wf.Path)
		if err != nil {
			b.t.Fatal(err)
		}
		out[rel] = wf
		if !wf.Broken && wf.Problem == "" {
			b.kept[wf.Path] = wf.Sources
		}
	}
	return out
}

func TestWorkflowsAreFound(t *testing.T) {
	for name, c := range map[string]struct{ files, want []string }{
		"a workflow":                       {[]string{"w.hcl", "sub/x.hcl"}, []string{"."}},
		"workflows below":                  {[]string{"a/w.hcl", "b/w.hcl.json", "c/readme", "d/e/w.hcl", ".git/w.hcl"}, []string{"a", "b"}},
		"nothing":                          {[]string{"readme"}, nil},
		"sites and variables are none":     {[]string{"flow.config.hcl", "x.vars.hcl", "a/w.hcl"}, []string{"a"}},
		"a directory that is named as one": {[]string{"x.hcl/readme", "a/w.hcl"}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			for _, f := range c.files {
				files[f] = goodFile
			}
			b := newFilesBench(t, files)
			var got []string
			all, err := b.f.Look(t.Context(), b.now)
			if err != nil {
				t.Fatal(err)
			}
			for _, wf := range all {
				rel, _ := filepath.Rel(b.dir, wf.Path)
				got = append(got, rel)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestLastGoodVersionGoesOn(t *testing.T) {
	b := newFilesBench(t, map[string]string{"a/w.hcl": goodFile})
	first := b.look(0)["a"]
	if first.Name != "w" || len(first.Schedules) != 1 || first.Problem != "" {
		t.Fatalf("it was read as %+v", first)
	}
	if again := b.look(time.Second)["a"]; again.Revision != first.Revision {
		t.Error("nothing has changed, and its revision has")
	}
	for _, process := range []string{"the same", "another"} {
		b.write("a/w.hcl", brokenFile)
		if process == "another" {
			b.again()
		}
		broken := b.look(time.Second)["a"]
		if broken.Broken || len(broken.Schedules) != 1 || broken.Revision == first.Revision {
			t.Errorf("%s process: the last version without mistakes is not there: %+v", process, broken)
		}
		if !strings.Contains(broken.Problem, "w.hcl line 2") || !strings.Contains(broken.Problem, `Did you mean "command"`) {
			t.Errorf("%s process: the problem is told as %q", process, broken.Problem)
		}
		if p := b.f.Problems(); len(p) != 1 || !p[0].Good {
			t.Errorf("%s process: problems are %+v", process, p)
		}
		if v := b.f.Good(broken.Path); v == nil || !strings.Contains(string(v.Sources[0].Bytes), "daily") {
			t.Errorf("%s process: the version that goes on is %+v", process, v)
		}
	}
	b.write("a/w.hcl", strings.Replace(goodFile, "daily", "nightly", 1))
	mended := b.look(time.Second)["a"]
	if mended.Problem != "" || mended.Schedules[0].Name != "nightly" || len(b.f.Problems()) != 0 {
		t.Errorf("it was mended, and is %+v", mended)
	}
}

func TestBrokenFromTheStart(t *testing.T) {
	b := newFilesBench(t, map[string]string{"a/w.hcl": brokenFile})
	wf := b.look(0)["a"]
	if !wf.Broken || wf.Problem == "" || b.f.Good(wf.Path) != nil {
		t.Errorf("it never was without mistakes, and is %+v", wf)
	}
}

func TestFilesThatAreReadAreWatched(t *testing.T) {
	b := newFilesBench(t, map[string]string{"a/w.hcl": scriptFile, "a/s.sh": "echo one"})
	first := b.look(0)["a"]
	b.write("a/s.sh", "echo two")
	if next := b.look(time.Second)["a"]; next.Revision == first.Revision || string(next.Sources[1].Bytes) != "echo two" {
		t.Errorf("a script was edited, and the workflow is %+v", next)
	}
	b.write("a/w.hcl", brokenFile)
	b.write("a/s.sh", "echo three")
	wf := b.look(time.Second)["a"]
	if got := string(b.f.Good(wf.Path).Program.Embedded()[0].Bytes); got != "echo two" {
		t.Errorf("the version that goes on has the script %q", got)
	}
}

func TestFilesThatAreAway(t *testing.T) {
	b := newFilesBench(t, map[string]string{"a/w.hcl": goodFile})
	b.look(0)
	if err := os.Rename(filepath.Join(b.dir, "a"), filepath.Join(b.dir, "b")); err != nil {
		t.Fatal(err)
	}
	if got := b.look(goneAfter - time.Second); len(got) != 2 {
		t.Errorf("for a moment it is away, and there are %v", got)
	}
	if got := b.look(time.Second); len(got) != 1 || got["b"].Name != "w" {
		t.Errorf("it is gone, and there are %v", got)
	}
}

// TestHalfWritten has a file be empty at one look, as it is while somebody writes it anew.
func TestHalfWritten(t *testing.T) {
	b := newFilesBench(t, map[string]string{"a/w.hcl": goodFile})
	b.look(0)
	for _, text := range []string{"", goodFile + "\n"} {
		b.write("a/w.hcl", text)
		all, err := b.f.Look(t.Context(), b.now)
		if err != nil || len(all) != 1 || len(all[0].Schedules) != 1 {
			t.Errorf("with %d bytes of it there, the workflow is %+v (%v)", len(text), all, err)
		}
	}
}

// Who is told of a slot that is missed is known without a run.
func TestNoticesOfFiles(t *testing.T) {
	const told = "variable \"where\" {\n  type = string\n  default = \"https://example.org/hook\"\n}\n" +
		"notify \"all\" {\n  on = [\"missed\"]\n  webhook { url = var.where }\n}\n"
	b := newFilesBench(t, map[string]string{"w.hcl": goodFile + told})
	all, err := b.f.Look(t.Context(), b.now)
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	want := []*engine.Notice{{
		Name: "all", On: []engine.Occasion{engine.OnMissed}, Ways: []engine.NoticeWay{{Kind: engine.WayWebhook, URL: engine.Told{Text: "https://example.org/hook"}}},
	}}
	if d := cmp.Diff(want, all[0].Notices); d != "" {
		t.Error(d)
	}
}

// TestFilesThatCannotBeRead: what cannot be looked into is not gone, and keeps nothing else from being seen.
func TestFilesThatCannotBeRead(t *testing.T) {
	b := newFilesBench(t, map[string]string{"a/w.hcl": goodFile, "b/w.hcl": goodFile})
	b.look(0)
	// A link to itself is one that even root cannot look into.
	for _, name := range []string{"a", "lost"} {
		if err := os.RemoveAll(filepath.Join(b.dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, filepath.Join(b.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	got := b.look(2 * goneAfter)
	if len(got) != 2 || len(got["a"].Schedules) != 1 || got["a"].Problem == "" || got["b"].Problem != "" {
		t.Errorf("there are %+v", got)
	}
}

// TestHostileNames: files may be called anything.
func TestHostileNames(t *testing.T) {
	name := "a\n\x1b[31m\xff\"; --"
	b := newFilesBench(t, map[string]string{name + "/w.hcl": goodFile, name + "/\xfe.hcl": "", "b/w.hcl": goodFile})
	for range 2 {
		if got := b.look(time.Second); len(got) != 2 || len(got[name].Schedules) != 1 || got[name].Problem != "" {
			t.Errorf("there are %+v", got)
		}
		b.again()
	}
	b.write(name+"/w.hcl", brokenFile)
	b.again()
	if got := b.look(time.Second); len(got[name].Schedules) != 1 || got[name].Problem == "" {
		t.Errorf("broken, it is %+v", got[name])
	}
}
