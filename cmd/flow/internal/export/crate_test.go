package export

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"flow/engine"
	"flow/executor/executortest/fetched"
)

// crateOf writes a crate of a run, with the files of its workflow, and returns its directory.
func crateOf(t *testing.T, r *Run, o CrateOptions) string {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	if err := Crate(&b, r, o); err != nil {
		t.Fatal(err)
	}
	files := []Source{{MetadataFile, []byte(b.String())}}
	for _, s := range r.Sources {
		files = append(files, Source{SourcePath(s.Name), s.Bytes})
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Bytes, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCrate(t *testing.T) {
	var b strings.Builder
	if err := Crate(&b, gather(t, whole()), CrateOptions{License: "https://spdx.org/licenses/CC-BY-4.0", Author: "Ada"}); err != nil {
		t.Fatal(err)
	}
	golden(t, MetadataFile, b.String())
}

// TestCrateRefers checks that all that a crate refers to is in it, and that what it wants to be
// in a list of parts is.
func TestCrateRefers(t *testing.T) {
	for name, events := range map[string][]engine.Event{"ended": whole(), "running": sample(), "begun": sample()[:1]} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := Crate(&b, gather(t, events), CrateOptions{}); err != nil {
				t.Fatal(err)
			}
			var doc struct {
				Graph []map[string]any `json:"@graph"`
			}
			if err := json.Unmarshal([]byte(b.String()), &doc); err != nil {
				t.Fatal(err)
			}
			ids := map[string]bool{crateSpec: true, runTerms + "DockerImage": true}
			for _, e := range doc.Graph {
				id := e["@id"].(string)
				if ids[id] {
					t.Errorf("%s is there twice", id)
				}
				ids[id] = true
			}
			var refers func(from string, v any)
			refers = func(from string, v any) {
				switch v := v.(type) {
				case []any:
					for _, e := range v {
						refers(from, e)
					}
				case map[string]any:
					if id := v["@id"].(string); !ids[id] {
						t.Errorf("%s refers to %s, which is not there", from, id)
					}
				}
			}
			for _, e := range doc.Graph {
				for k, v := range e {
					refers(e["@id"].(string)+" "+k, v)
				}
			}
			if strings.Contains(b.String(), "secret/value") || strings.Contains(b.String(), "result/token") {
				t.Error("a sensitive value is in it")
			}
		})
	}
}

// TestCrateIsValid has the validator of the RO-Crate community judge crates by the profile
// Provenance Run Crate, and sees it find what is missing.
func TestCrateIsValid(t *testing.T) {
	t.Parallel()
	python := fetched.Need(t, fetched.Path("crates", "bin", "python"))
	good := crateOf(t, gather(t, whole()), CrateOptions{Author: "https://orcid.org/0000-0001-9842-9718"})
	bad := crateOf(t, gather(t, whole()), CrateOptions{})
	path := filepath.Join(bad, MetadataFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), `"workExample": {`, `"sameAs": {`)), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/validate.py", "REQUIRED", good, bad)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	of, rest, found := strings.Cut(string(out), good+": ")
	if !found || of != "" || !strings.Contains(rest, " checks, 0 issues") {
		t.Errorf("%v\n%s", err, out)
	}
	if err == nil || !strings.Contains(rest, "must refer to its corresponding tool via workExample") {
		t.Errorf("a crate without what the steps run is valid: %v\n%s", err, out)
	}
}

func TestImage(t *testing.T) {
	for name, want := range map[string]entity{
		"tools":                       {"name": "tools", "registry": "docker.io", "tag": "latest"},
		"lab/tools:1":                 {"name": "lab/tools", "registry": "docker.io", "tag": "1"},
		"localhost/tools":             {"name": "tools", "registry": "localhost", "tag": "latest"},
		"r.test:5000/a/b":             {"name": "a/b", "registry": "r.test:5000", "tag": "latest"},
		"r.test/a/b:2@sha256:0123abc": {"name": "a/b", "registry": "r.test", "sha256": "0123abc"},
	} {
		c := &crate{known: map[string]bool{}}
		c.image(name)
		for _, key := range []string{"name", "registry", "tag", "sha256"} {
			if c.graph[0][key] != want[key] {
				t.Errorf("%s: %s is %v, want %v", name, key, c.graph[0][key], want[key])
			}
		}
	}
}

func TestFileURL(t *testing.T) {
	for name, want := range map[string]string{
		"/data/a <b>.fq":         "file:///data/a%20%3Cb%3E.fq",
		"s3://lab/flow/a%20b?.x": "s3://lab/flow/a%2520b%3F.x",
		"workflow/a b.hcl":       "workflow/a%20b.hcl",
		"http://h.test/x":        "http://h.test/x",
	} {
		if got := fileURL(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestPlacesOnS3 checks that a crate names objects by their keys: those of the attempt that
// succeeded.
func TestPlacesOnS3(t *testing.T) {
	c := &crate{dirs: map[string]string{"s3://b/result/r/align/a": "s3://b/result/r/align/a/2", "/w/r/x/_": "/w/r/x/_/result"}}
	for name, want := range map[string]string{
		"s3://b/result/r/align/a/result/x/result/y": "s3://b/result/r/align/a/2/x/result/y",
		"/w/r/x/_/result/o":                         "/w/r/x/_/result/o",
		"/elsewhere/result/o":                       "/elsewhere/result/o",
	} {
		if got := c.place(name); got != want {
			t.Errorf("%s is at %s, want %s", name, got, want)
		}
	}
}
