package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
)

// finish runs a task of which the command is f, in its directory.
func finish(t testing.TB, task *Task, f func(dir string)) (*engine.Manifest, error) {
	t.Helper()
	var a Agent
	at := begin(t, &a, task)
	f(at.Dir)
	return at.Finish(context.Background())
}

func TestOutputs(t *testing.T) {
	src := write(t, t.TempDir()+"/in.txt", "input")
	task := newTask(t, engine.TaskSpec{
		Inputs: []engine.Input{{Name: "in", Paths: []string{src}}},
		Outputs: []engine.Output{
			{Name: "file", Kind: engine.OutputFile, Path: "f"},
			{Name: "dir", Kind: engine.OutputDirectory, Path: "d"},
			{Name: "files", Kind: engine.OutputFiles, Path: "**/*.fq"},
			{Name: "json", Kind: engine.OutputJSON, Path: "v.json"},
			{Name: "text", Kind: engine.OutputText, Path: "v.txt"},
			{Name: "crlf", Kind: engine.OutputText, Path: "crlf.txt"},
			{Name: "no file", Kind: engine.OutputFile, Path: "none", Optional: true},
			{Name: "no files", Kind: engine.OutputFiles, Path: "none*", Optional: true},
			{Name: "no json", Kind: engine.OutputJSON, Path: "none", Optional: true},
			{Name: "link", Kind: engine.OutputFile, Path: "link"},
			{Name: "inner", Kind: engine.OutputFile, Path: "inner"},
		},
	})
	m, err := finish(t, task, func(dir string) {
		write(t, dir+"/f", "")
		write(t, dir+"/d/x/y", "y")
		write(t, dir+"/d/z", "z")
		write(t, dir+"/b.fq", "b")
		write(t, dir+"/a/a<b>.fq", "a")
		write(t, dir+"/.hidden.fq", "")
		write(t, dir+"/v.json", " {\"n\": 1.50,\n \"s\": [\"<\", null]} \n")
		write(t, dir+"/v.txt", "two\nlines\n\n")
		write(t, dir+"/crlf.txt", "x\r\n")
		link(t, dir+"/inputs/in/in.txt", dir+"/link")
		link(t, dir+"/d/z", dir+"/inner")
		link(t, src, dir+"/d/direct")
	})
	if err != nil {
		t.Fatal(err)
	}
	wantValues := map[string]string{
		"files": `["a/a<b>.fq","b.fq"]`, "json": `{"n":1.50,"s":["<",null]}`, "text": `"two\nlines\n"`, "crlf": `"x"`,
		"no file": "null", "no files": "null", "no json": "null",
	}
	got := map[string]string{}
	for k, v := range m.Outputs {
		got[k] = string(v)
	}
	if diff := cmp.Diff(wantValues, got); diff != "" {
		t.Error(diff)
	}
	var paths []string
	for _, f := range m.Files {
		paths = append(paths, f.Path)
	}
	if diff := cmp.Diff([]string{"a/a<b>.fq", "b.fq", "crlf.txt", "d/direct", "d/x/y", "d/z", "f", "inner", "link", "v.json", "v.txt"}, paths); diff != "" {
		t.Error(diff)
	}
	const sumOfZ = "594e519ae499312b29433b7dd8a97ff068defcba9755b6d5d00e84c524d67b06"
	if f := m.Files[5]; f.SHA256 != sumOfZ || f.Size != 1 {
		t.Errorf("%+v", f)
	}
	var files Files
	back, err := files.Manifest(context.Background(), task.Dir)
	if diff := cmp.Diff(m, back); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if target, err := os.Readlink(task.Dir + "/result"); target != "1" || err != nil {
		t.Error(target, err)
	}
}

func TestOutputErrors(t *testing.T) {
	outside := write(t, t.TempDir()+"/canary", "x")
	input := t.TempDir()
	write(t, input+"/in", "x")
	tests := []struct {
		name, class, want string
		output            engine.Output
		command           func(dir string)
	}{
		{"missing file", OutputMissing, `output "o": x.bam is not there; the directory has "a\nb", a.sam, b.log`,
			engine.Output{Kind: engine.OutputFile, Path: "x.bam"},
			func(dir string) { write(t, dir+"/a.sam", ""); write(t, dir+"/b.log", ""); write(t, dir+"/a\nb", "") }},
		{"missing in a directory", OutputMissing, `output "o": d/x.bam is not there; d has y`,
			engine.Output{Kind: engine.OutputFile, Path: "d/x.bam"}, func(dir string) { write(t, dir+"/d/y", "") }},
		{"many others", OutputMissing, " and 2 more",
			engine.Output{Kind: engine.OutputFile, Path: "x"}, func(dir string) {
				for _, n := range strings.Split("abcdefghijkl", "") {
					write(t, dir+"/"+n, "")
				}
			}},
		{"missing directory", OutputMissing, `output "o": d is not there; the directory is empty`, engine.Output{Kind: engine.OutputDirectory, Path: "d"}, nil},
		{"no match", OutputMissing, `output "o": nothing matches *.fq; the directory is empty`, engine.Output{Kind: engine.OutputFiles, Path: "*.fq"}, nil},
		{"inputs do not match", OutputMissing, `nothing matches **/in`, engine.Output{Kind: engine.OutputFiles, Path: "**/in"}, nil},
		{"only directories match", OutputMissing, `d* matches only directories; ` + "`files`" + ` lists files, such as d*/*`,
			engine.Output{Kind: engine.OutputFiles, Path: "d*"}, func(dir string) { write(t, dir+"/d1/x", "") }},
		{"bad pattern", OutputInvalid, `[ is not a pattern`, engine.Output{Kind: engine.OutputFiles, Path: "["}, nil},
		{"pattern outside", OutputInvalid, `../* is not a pattern`, engine.Output{Kind: engine.OutputFiles, Path: "../*"}, nil},
		{"file is a directory", OutputInvalid, "d is a directory; declare it with `directory`",
			engine.Output{Kind: engine.OutputFile, Path: "d"}, func(dir string) { write(t, dir+"/d/x", "") }},
		{"directory is a file", OutputInvalid, "d is a file; declare it with `file`",
			engine.Output{Kind: engine.OutputDirectory, Path: "d"}, func(dir string) { write(t, dir+"/d", "") }},
		{"link outside", OutputInvalid, `x is a link to ` + outside + `, outside the task's directory; copy the file instead (cp -L)`,
			engine.Output{Kind: engine.OutputFile, Path: "x"}, func(dir string) { link(t, outside, dir+"/x") }},
		{"link outside in a directory", OutputInvalid, `d/x is a link to `, engine.Output{Kind: engine.OutputDirectory, Path: "d"},
			func(dir string) { write(t, dir+"/d/y", ""); link(t, filepath.Dir(outside), dir+"/d/x") }},
		{"path through a link outside", OutputInvalid, `d/canary is a link to `, engine.Output{Kind: engine.OutputFile, Path: "d/canary"},
			func(dir string) {
				if err := os.Remove(dir + "/d"); err != nil {
					t.Fatal(err)
				}
				link(t, filepath.Dir(outside), dir+"/d")
			}},
		{"match is a link outside", OutputInvalid, `x1 is a link to `, engine.Output{Kind: engine.OutputFiles, Path: "x*"},
			func(dir string) { link(t, outside, dir+"/x1") }},
		{"link to nothing", OutputInvalid, `x is a link to nowhere, which is not there`, engine.Output{Kind: engine.OutputFile, Path: "x"},
			func(dir string) { link(t, "nowhere", dir+"/x") }},
		{"link to itself", OutputInvalid, `d/up is a link to a directory that it is in`, engine.Output{Kind: engine.OutputDirectory, Path: "d"},
			func(dir string) { write(t, dir+"/d/y", ""); link(t, "..", dir+"/d/up") }},
		{"fifo", OutputInvalid, `x is neither a file nor a directory`, engine.Output{Kind: engine.OutputFile, Path: "x"},
			func(dir string) {
				if err := syscall.Mkfifo(dir+"/x", 0o666); err != nil {
					t.Fatal(err)
				}
			}},
		{"no JSON", OutputInvalid, `x is not JSON: line 2, column 7: invalid character '}'`, engine.Output{Kind: engine.OutputJSON, Path: "x"},
			func(dir string) { write(t, dir+"/x", "{\n \"a\": }\n") }},
		{"empty JSON", OutputInvalid, `x is not JSON: it is empty`, engine.Output{Kind: engine.OutputJSON, Path: "x"},
			func(dir string) { write(t, dir+"/x", "\n") }},
		{"two JSON values", OutputInvalid, `x is not JSON: `, engine.Output{Kind: engine.OutputJSON, Path: "x"},
			func(dir string) { write(t, dir+"/x", "1 2") }},
		{"big text", OutputInvalid, `x has 1048577 bytes; a text output may have 1 MiB`, engine.Output{Kind: engine.OutputText, Path: "x"},
			func(dir string) { write(t, dir+"/x", strings.Repeat("x", maxValue+1)) }},
		{"binary text", OutputInvalid, `x is not UTF-8 text; declare it with `, engine.Output{Kind: engine.OutputText, Path: "x"},
			func(dir string) { write(t, dir+"/x", "\xff") }},
		{"list of a name that is no text", OutputInvalid, `the name "\xff.fq" is not UTF-8`, engine.Output{Kind: engine.OutputFiles, Path: "*.fq"},
			func(dir string) { write(t, dir+"/\xff.fq", "") }},
		{"publish to S3", PublishFailed, `output "o": cannot publish to s3://b/k: s3://b/k is on S3, and there is no S3 here`,
			engine.Output{Kind: engine.OutputFile, Path: "x", Publish: "s3://b/k"}, func(dir string) { write(t, dir+"/x", "") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.output.Name = "o"
			task := newTask(t, engine.TaskSpec{
				Inputs:  []engine.Input{{Name: "in", Paths: []string{input}}},
				Outputs: []engine.Output{tt.output},
			})
			_, err := finish(t, task, func(dir string) {
				if tt.command != nil {
					tt.command(dir)
				}
			})
			assertError(t, err, tt.class, tt.want)
			if _, err := os.Lstat(task.Dir + "/1.json"); err == nil {
				t.Error("there is a manifest")
			}
			if _, err := os.Lstat(task.Dir + "/result"); err == nil {
				t.Error("there is a result")
			}
		})
	}
}

func TestExitCodesTellFailuresApart(t *testing.T) {
	seen := map[int]string{}
	for _, class := range []string{StageIn, OutputMissing, StageOut} {
		code := (&Error{Class: class}).ExitCode()
		if other, ok := seen[code]; ok || code < 193 || code > 254 {
			t.Errorf("%s has %d, as %s", class, code, other)
		}
		seen[code] = class
	}
}

func TestFinishStops(t *testing.T) {
	task := newTask(t, engine.TaskSpec{Outputs: []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "o"}}})
	var a Agent
	at := begin(t, &a, task)
	write(t, at.Dir+"/o", "x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := at.Finish(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := os.Lstat(task.Dir + "/1.json"); err == nil {
		t.Error("there is a manifest")
	}
}

func TestManyOutputsInADirectory(t *testing.T) {
	task := newTask(t, engine.TaskSpec{Outputs: []engine.Output{{Name: "d", Kind: engine.OutputDirectory, Path: "."}}})
	m, err := finish(t, task, func(dir string) {
		for i := range 3 * manyFiles {
			write(t, dir+"/x/"+strings.Repeat("a", i+1), "x")
		}
	})
	if err != nil || len(m.Files) != 3*manyFiles {
		t.Error(m, err)
	}
}
