package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/store"
	"flow/executor/store/storetest"
)

var (
	fileF = engine.Output{Name: "f", Kind: engine.OutputFile, Path: "f"}
	dirD  = engine.Output{Name: "d", Kind: engine.OutputDirectory, Path: "d"}
)

func TestMatch(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://in/a/1.fq", "", "s3://in/a/2.fq", "", "s3://in/a/b/3.fq", "", "s3://in/a/x.txt", "", "s3://in/a/dir.fq/", "", "s3://in/a/[x].fq", "", "s3://in/z", "")
	tests := []struct {
		pattern string
		want    []string
	}{
		{"s3://in/a/*.fq", []string{"s3://in/a/1.fq", "s3://in/a/2.fq", "s3://in/a/[x].fq"}},
		{"s3://in/a/?.fq", []string{"s3://in/a/1.fq", "s3://in/a/2.fq"}},
		{"s3://in/a/[13].fq", []string{"s3://in/a/1.fq"}},
		{"s3://in/**/*.fq", []string{"s3://in/a/1.fq", "s3://in/a/2.fq", "s3://in/a/[x].fq", "s3://in/a/b/3.fq"}},
		{`s3://in/a/\[x\].fq`, []string{"s3://in/a/[x].fq"}},
		{"s3://in/*", []string{"s3://in/z"}},
		{"s3://in/none*", []string{}},
	}
	for _, tt := range tests {
		got, err := filesOn(m).Match(context.Background(), tt.pattern)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Error(tt.pattern, diff)
		}
	}
	for pattern, want := range map[string]string{"s3://*/a": "cannot be a pattern", "s3://in/[a": "is no pattern", "/x/*": "is no URI"} {
		if _, err := filesOn(m).Match(context.Background(), pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", pattern, err)
		}
	}
	own := m.Again()
	own.DieAt(1)
	if _, err := filesOn(own).Match(context.Background(), "s3://in/*"); !errors.Is(err, storetest.ErrDead) {
		t.Error("no match instead of an error:", err)
	}
}

// TestManifestsOnS3: a result counts just if its files are there as they were, and nothing
// that S3 does not tell makes one not count.
func TestManifestsOnS3(t *testing.T) {
	m := storetest.New()
	var dirs []string
	many := []string{}
	for i := range 2 * fewFiles {
		many = append(many, fmt.Sprintf("d/%d", i), "x")
	}
	for i := range 7 {
		dir := fmt.Sprintf("s3://work/w/run/make/%d", i)
		dirs = append(dirs, dir)
		succeed(t, m, dir, []engine.Output{fileF, dirD}, append(many[:max(2, 2*fewFiles*(i%2)*2):max(2, 2*fewFiles*(i%2)*2)], "f", "hello")...)
	}
	remove := func(uri string) {
		if err := m.Again().Remove(context.Background(), uri); err != nil {
			t.Fatal(err)
		}
	}
	remove(dirs[0] + "/1/f")
	remove(dirs[1] + "/1/d/3")
	m.Corrupt(dirs[2]+"/1/f", false, func([]byte) []byte { return []byte("HELLO") })
	m.Corrupt(dirs[3]+"/1/d/7", false, func([]byte) []byte { return []byte("xx") })
	remove(dirs[4] + "/result")
	dirs = append(dirs, "s3://work/w/run/make/none")
	want := []bool{false, false, false, false, false, true, true, false}
	check := func(m *storetest.Mem, transient bool) {
		t.Helper()
		for i, a := range filesOn(m).Manifests(context.Background(), dirs) {
			switch {
			case transient && a.Err != nil && !errors.Is(a.Err, engine.ErrNotFound):
			case a.Err == nil && want[i] && a.Manifest.Step == "make":
			case errors.Is(a.Err, engine.ErrNotFound) && !want[i]:
			default:
				t.Errorf("%s: %v", dirs[i], a.Err)
			}
		}
	}
	check(m, false)
	for n := range 40 {
		own := m.Again()
		calls := 0
		own.Fault = func(string, string) storetest.Fault {
			if calls++; calls%7 == n%7 {
				return storetest.Refused
			}
			return storetest.Fault{}
		}
		check(own, true)
	}
}

func TestIndex(t *testing.T) {
	m := storetest.New()
	key := func(i int) (k engine.CacheKey) { k[0], k[1] = byte(i), byte(i>>8); return k }
	dir := func(i int) string { return fmt.Sprintf("s3://work/w/run/make/%d", i) }
	for i := 1; i <= 3; i++ {
		task := farTask(t)
		task.Dir, task.Step, task.CacheKey, task.Spec = dir(i), "make", key(i), &engine.TaskSpec{Outputs: []engine.Output{{Name: "n", Kind: engine.OutputText, Path: "n"}}}
		at, err := beginOn(m, task)
		if err != nil {
			t.Fatal(err)
		}
		write(t, at.Dir+"/n", fmt.Sprint(i))
		if _, err := at.Finish(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	entry := m.Objects()[IndexPath("s3://work/w", key(1))]
	put(t, m, IndexPath("s3://work/w", key(4)), string(entry), IndexPath("s3://work/w", key(5)), "{", IndexPath("s3://work/w", key(6)), "{}") // lies
	if err := m.Again().Remove(context.Background(), ManifestPath(dir(3), 1)); err != nil {
		t.Fatal(err)
	}
	keys := []engine.CacheKey{key(2), {}, key(1), key(3), key(4), key(5), key(6), key(7)}
	want := make([]engine.Hit, len(keys))
	for i, n := range map[int]int{0: 2, 2: 1} {
		want[i] = engine.Hit{Run: "run", Step: "make", Task: "k", Dir: dir(n), Outputs: engine.Values{"n": []byte(fmt.Sprintf("%q", fmt.Sprint(n)))}}
	}
	x := &Index{Files: filesOn(m), WorkDir: "s3://work/w/"}
	got, err := x.Lookup(context.Background(), keys)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for n := 1; n <= 4; n++ {
		own := m.Again()
		own.DieAt(n)
		if _, err := (&Index{Files: filesOn(own), WorkDir: "s3://work/w"}).Lookup(context.Background(), keys[2:3]); (err == nil) != (n == 4) {
			t.Errorf("death at call %d: %v", n, err)
		}
	}
	before := m.Calls()
	if _, err := x.Lookup(context.Background(), slices.Repeat([]engine.CacheKey{key(7)}, maxIndexed+5)); err != nil || m.Calls()-before != maxIndexed {
		t.Errorf("%d calls: %v", m.Calls()-before, err)
	}
}

// Of a task without files nothing is looked for: it has no entry.
func TestIndexOfPlainTasks(t *testing.T) {
	m := storetest.New()
	hits, err := (&Index{Files: filesOn(m), WorkDir: "s3://work/w"}).LookupPlain(context.Background(), make([]engine.CacheKey, 3))
	if len(hits) != 3 || err != nil || m.Calls() != 0 {
		t.Errorf("%v %v, with %d calls", hits, err, m.Calls())
	}
}

// What is there under the very name of a pattern is what is meant: an object, or a file of a
// task's result.
func TestMatchOfAName(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://b/x[1].fq", "", "s3://b/x1.fq", "", "s3://b/x2.fq", "")
	succeed(t, m, "s3://b/run/make/_", []engine.Output{{Name: "g", Kind: engine.OutputFile, Path: "y[1].fq"}}, "y[1].fq", "")
	for pattern, want := range map[string][]string{
		"s3://b/x[1].fq":                   {"s3://b/x[1].fq"},
		"s3://b/x[12].fq":                  {"s3://b/x1.fq", "s3://b/x2.fq"},
		"s3://b/run/make/_/result/y[1].fq": {"s3://b/run/make/_/result/y[1].fq"},
		"s3://b/run/make/_/1/y[1].fq":      {"s3://b/run/make/_/1/y[1].fq"},
		`s3://b/run/make/_/1/y\[?\].[f]q`:  {"s3://b/run/make/_/1/y[1].fq"},
	} {
		got, err := filesOn(m).Match(context.Background(), pattern)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", pattern, err, diff)
		}
	}
}

// TestAttempts: one call tells which attempt a result is of.
func TestAttempts(t *testing.T) {
	m := storetest.New()
	succeed(t, m, "s3://b/run/make/_", []engine.Output{{Name: "g", Kind: engine.OutputFile, Path: "g"}}, "g", "")
	before := m.Calls()
	got := filesOn(m).Attempts(context.Background(), []string{"s3://b/run/make/_", "s3://b/run/none/_"})
	if got[0].Attempt != 1 || got[0].Err != nil || !errors.Is(got[1].Err, engine.ErrNotFound) || m.Calls() != before+2 {
		t.Errorf("%v, with %d calls", got, m.Calls()-before)
	}
}

// When S3 does not answer, nothing is known of what is there: that is engine.ErrLater of
// whatever the driver asks.
func TestNoAnswerIsNoNews(t *testing.T) {
	m := storetest.New()
	put(t, m, "s3://b/x", "")
	m.Fault = func(string, string) storetest.Fault { return storetest.Refused }
	f, ctx := filesOn(m), context.Background()
	for what, ask := range map[string]func() error{
		"identity": func() error { _, err := f.Identify(ctx, "s3://b/x"); return err },
		"pattern":  func() error { _, err := f.Match(ctx, "s3://b/*"); return err },
		"manifest": func() error { _, err := f.Manifest(ctx, "s3://b/run/make/_"); return err },
		"attempt":  func() error { return f.Attempts(ctx, []string{"s3://b/run/make/_"})[0].Err },
		"publish":  func() error { return f.Publish(ctx, "s3://b/x", "s3://b/y") },
		"fetch":    func() error { return f.Publish(ctx, "s3://b/x", t.TempDir()+"/y") },
		"index": func() error {
			_, err := (&Index{Files: f, WorkDir: "s3://b"}).Lookup(ctx, []engine.CacheKey{{1}})
			return err
		},
	} {
		if err := ask(); !errors.Is(err, engine.ErrLater) || errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestDiscard: the files of temporary outputs go, but those that belong to another output as
// well; the manifest fits at any moment, and the input of a task that comes too late says why.
func TestDiscard(t *testing.T) {
	outputs := []engine.Output{
		{Name: "d", Kind: engine.OutputDirectory, Path: "d", Temporary: true}, {Name: "f", Kind: engine.OutputFile, Path: "d/keep"},
		{Name: "l", Kind: engine.OutputFiles, Path: "l*", Temporary: true}, {Name: "g", Kind: engine.OutputFile, Path: "g"},
	}
	files := []string{"d/x", "1", "d/sub/y", "2", "d/keep", "3", "l1", "4", "l2", "5", "g", "6"}
	want := []string{"d/keep", "g"}
	ctx := context.Background()
	t.Run("on S3", func(t *testing.T) {
		dir := "s3://work/w/run/make/_"
		for n := 1; ; n++ {
			m := storetest.New()
			succeed(t, m, dir, outputs, files...)
			own := m.Again()
			own.DieAt(n)
			err := filesOn(own).Discard(ctx, dir, []string{"d", "l", "none"})
			f := filesOn(m.Again())
			if _, merr := f.Manifest(ctx, dir); merr != nil {
				t.Errorf("death at call %d: %v", n, merr)
			}
			if err := f.Discard(ctx, dir, []string{"d", "l"}); err != nil {
				t.Error(err)
			}
			var left []string
			for uri := range m.Objects() {
				if rel, ok := strings.CutPrefix(uri, dir+"/1/"); ok {
					left = append(left, rel)
				}
			}
			slices.Sort(left)
			if diff := cmp.Diff(want, left); diff != "" {
				t.Error(diff)
			}
			man, merr := f.Manifest(ctx, dir)
			if merr != nil || len(man.Files) != 6 || !slices.Equal(man.Gone, []string{"d", "l"}) {
				t.Error(man, merr)
			}
			_, berr := beginOn(m, farTask(t, engine.Input{Name: "in", Paths: []string{engine.ResultPath(dir, "d/x")}}))
			assertError(t, berr, StageIn, "was temporary and has been removed")
			if err == nil {
				return
			}
		}
	})
	t.Run("here", func(t *testing.T) {
		a := &Agent{}
		task := newTask(t, engine.TaskSpec{Outputs: outputs})
		at := begin(t, a, task)
		for i := 0; i < len(files); i += 2 {
			write(t, at.Dir+"/"+files[i], files[i+1])
		}
		if _, err := at.Finish(ctx); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := a.Files.Discard(ctx, task.Dir, []string{"d", "l"}); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(map[string]string{"d/keep": "3", "g": "6"}, contents(t, at.Dir)); diff != "" {
			t.Error(diff)
		}
		if m, err := a.Files.Manifest(ctx, task.Dir); err != nil || len(m.Gone) != 2 {
			t.Error(m, err)
		}
	})
	t.Run("links", func(t *testing.T) {
		src := t.TempDir()
		write(t, src+"/in/x", "1")
		a := &Agent{}
		task := newTask(t, engine.TaskSpec{
			Inputs: []engine.Input{{Name: "in", Paths: []string{src + "/in"}}},
			Outputs: []engine.Output{
				{Name: "a", Kind: engine.OutputDirectory, Path: "a", Temporary: true}, {Name: "b", Kind: engine.OutputDirectory, Path: "b", Temporary: true},
				{Name: "kept", Kind: engine.OutputDirectory, Path: "kept"},
			},
		})
		at := begin(t, a, task)
		write(t, at.Dir+"/kept/y", "2")
		link(t, "kept", at.Dir+"/a")
		link(t, "inputs/in/in", at.Dir+"/b")
		if _, err := at.Finish(ctx); err != nil {
			t.Fatal(err)
		}
		if err := a.Files.Discard(ctx, task.Dir, []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		if read(t, src+"/in/x") != "1" || read(t, at.Dir+"/kept/y") != "2" {
			t.Error("what a link leads to is gone")
		}
		if _, err := os.Lstat(at.Dir + "/a"); err == nil {
			t.Error("the link is still there")
		}
	})
	t.Run("not temporary then", func(t *testing.T) {
		m := storetest.New()
		succeed(t, m, "s3://work/w/run/make/_", []engine.Output{fileF}, "f", "1")
		if err := filesOn(m).Discard(ctx, "s3://work/w/run/make/_", []string{"f"}); err != nil {
			t.Error(err)
		}
		if _, ok := m.Objects()["s3://work/w/run/make/_/1/f"]; !ok {
			t.Error("it is gone, and its manifest does not say so")
		}
	})
	t.Run("cleaned away", func(t *testing.T) {
		if err := filesOn(storetest.New()).Discard(ctx, "s3://work/w/run/make/_", []string{"f"}); err != nil {
			t.Error(err)
		}
	})
}

// TestFetch: what a task has left is fetched as it was, from S3 and from here, once.
func TestFetch(t *testing.T) {
	ctx := context.Background()
	outputs := []engine.Output{dirD, fileF}
	files := []string{"d/a b", "1", "d/sub/x.sh", "#!", "f", ""}
	m := storetest.New()
	a := &Agent{}
	task := newTask(t, engine.TaskSpec{Outputs: outputs})
	at := begin(t, a, task)
	for i := 0; i < len(files); i += 2 {
		write(t, at.Dir+"/"+files[i], files[i+1])
	}
	if _, err := at.Finish(ctx); err != nil {
		t.Fatal(err)
	}
	far := "s3://work/w/run/make/_"
	succeed(t, m, far, outputs, files...)
	for dir, f := range map[string]*Files{task.Dir: &a.Files, far: filesOn(m)} {
		man, err := f.Left(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		to := t.TempDir() + "/to"
		for range 2 {
			var told []string
			if err := f.Fetch(ctx, dir, man, nil, to, func(f engine.ManifestFile) { told = append(told, f.Path) }); err != nil {
				t.Fatal(err)
			}
			if len(told) != 3 {
				t.Error(told)
			}
			if diff := cmp.Diff(map[string]string{"d/a b": "1", "d/sub/x.sh": "#!", "f": ""}, contents(t, to)); diff != "" {
				t.Error(diff)
			}
		}
		one := func(path string) bool { return strings.HasPrefix(path, "d/a") }
		write(t, to+"/d/a b", "2")
		if err := f.Fetch(ctx, dir, man, one, to, nil); err == nil || !strings.Contains(err.Error(), "is another file") || read(t, to+"/d/a b") != "2" {
			t.Error(err)
		}
		if err := os.Remove(to + "/d/a b"); err != nil {
			t.Fatal(err)
		}
		before := m.Calls()
		if err := f.Fetch(ctx, dir, man, one, to, nil); err != nil || read(t, to+"/d/a b") != "1" {
			t.Error(err)
		}
		if dir == far && m.Calls() != before+1 {
			t.Errorf("%d calls for one file", m.Calls()-before)
		}
		if err := os.RemoveAll(to + "/d"); err != nil {
			t.Fatal(err)
		}
		out := t.TempDir()
		link(t, out, to+"/d")
		if err := f.Fetch(ctx, dir, man, nil, to, nil); err == nil || len(contents(t, out)) > 0 {
			t.Error("it writes through a link that leads away:", err)
		}
		evil := *man
		evil.Files = []engine.ManifestFile{{Path: "../evil", Size: 0, SHA256: hexSum("")}}
		if err := f.Fetch(ctx, dir, &evil, nil, to, nil); err == nil || !strings.Contains(err.Error(), "is no name for a file") {
			t.Error(err)
		}
	}
	m.Corrupt(far+"/1/d/a b", true, func([]byte) []byte { return []byte("!") })
	write(t, at.Dir+"/d/a b", "!")
	for dir, f := range map[string]*Files{task.Dir: &a.Files, far: filesOn(m)} {
		man, err := f.Left(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		to := t.TempDir()
		if err := f.Fetch(ctx, dir, man, nil, to, nil); err == nil {
			t.Error("a damaged file was fetched")
		}
		if _, err := os.Lstat(to + "/d/a b"); err == nil {
			t.Error("a damaged file is there")
		}
	}
}

// TestPublishDirections: from here and from S3, to here and to S3, files and directories.
func TestPublishDirections(t *testing.T) {
	ctx := context.Background()
	m := storetest.New()
	far := "s3://work/w/run/make/_"
	files := []string{"d/a b", "1", "d/sub/%41.sh", "#!", "f", "hello"}
	succeed(t, m, far, []engine.Output{dirD, fileF}, files...)
	here := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		write(t, here+"/"+files[i], files[i+1])
		age(t, here+"/"+files[i])
	}
	put(t, m, "s3://plain/f", "hello", "s3://plain/d/a b", "1", "s3://plain/d/sub/%41.sh", "#!")
	f := filesOn(m)
	below := func(prefix string) map[string]string {
		found := map[string]string{}
		if !store.Is(prefix) {
			return contents(t, prefix)
		}
		for uri, data := range m.Objects() {
			if rel, ok := strings.CutPrefix(uri, prefix+"/"); ok {
				found[rel] = string(data)
			}
		}
		return found
	}
	want := map[string]string{"d/a b": "1", "d/sub/%41.sh": "#!", "f": "hello", "other": "hello"}
	for i, source := range []string{here, far + "/result", far + "/1", "s3://plain"} {
		for k, target := range []string{t.TempDir() + "/new/dir", fmt.Sprintf("s3://out/%d/a b", i)} {
			for round := range 2 {
				before := m.Calls()
				ops := map[string]int{}
				m.Fault = func(op, _ string) storetest.Fault { ops[op]++; return storetest.Fault{} }
				for _, p := range [][2]string{{"/f", "/"}, {"/d", "/d"}, {"/d", "/"}, {"/f", "/other"}} {
					if err := f.Publish(ctx, source+p[0], target+p[1]); err != nil {
						t.Fatalf("%s to %s: %v", source+p[0], target+p[1], err)
					}
				}
				m.Fault = nil
				if diff := cmp.Diff(want, below(target)); diff != "" {
					t.Error(source, target, diff)
				}
				if k == 1 && round == 1 && ops["Upload"]+ops["Copy"]+ops["Download"] > 0 {
					t.Errorf("%s to %s: %d calls, %v: what is there is sent again", source, target, m.Calls()-before, ops)
				}
				if k == 1 && i > 0 && ops["Upload"]+ops["Download"] > 0 {
					t.Errorf("%s to %s: %v: the content comes by here", source, target, ops)
				}
			}
		}
	}
}

// TestBulk: many identities and publications at the same time are those of one by one; of two
// with one target the last is there.
func TestBulk(t *testing.T) {
	ctx := context.Background()
	m := storetest.New()
	f := filesOn(m)
	here := t.TempDir()
	paths := []string{here + "/none", "s3://in/none"}
	var all []engine.Publication
	out := t.TempDir()
	for i := range 40 {
		uri := fmt.Sprintf("s3://in/%d/f", i)
		put(t, m, uri, fmt.Sprint(i))
		paths = append(paths, uri, write(t, fmt.Sprintf("%s/%d/f", here, i), fmt.Sprint(i)))
		all = append(all, engine.Publication{Source: uri, Target: out + "/"}, engine.Publication{Source: uri, Target: fmt.Sprintf("%s/%d", out, i)},
			engine.Publication{Source: paths[len(paths)-1], Target: "s3://out/"})
	}
	all = append(all, engine.Publication{Source: "s3://in/none", Target: out + "/none"})
	answers := f.Identities(ctx, paths)
	for i, a := range answers {
		id, err := f.Identify(ctx, paths[i])
		if a.ID != id || errors.Is(a.Err, engine.ErrNotFound) != errors.Is(err, engine.ErrNotFound) || (err != nil) != (i < 2) {
			t.Errorf("%s: %v, and by itself %s, %v", paths[i], a, id, err)
		}
	}
	for i, err := range f.PublishAll(ctx, all) {
		if (err != nil) != (i == len(all)-1) {
			t.Errorf("%+v: %v", all[i], err)
		}
	}
	if got := read(t, out+"/f") + string(m.Objects()["s3://out/f"]); got != "3939" || read(t, out+"/7") != "7" {
		t.Errorf("the last one is %q", got)
	}
}

func TestPublishFarErrors(t *testing.T) {
	ctx := context.Background()
	m := storetest.New()
	far := "s3://work/w/run/make/_"
	succeed(t, m, far, []engine.Output{dirD, fileF}, "f", "hello", "d/x", "1")
	m.Corrupt(far+"/1/f", false, func([]byte) []byte { return []byte("HELLO") })
	m.Corrupt(far+"/1/d/x", true, func([]byte) []byte { return []byte("2") })
	here := t.TempDir()
	write(t, here+"/dir/x", "")
	t.Setenv("HOME", here+"/dir")
	old := write(t, here+"/old", "old")
	tests := []struct{ source, target, want string }{
		{far + "/result/none", here + "/x", "has no such file"},
		{far + "/result/f", here + "/old", "changed since the run looked at it"},
		{far + "/result/f", "s3://out/f", "has been changed"},
		{far + "/result/d", here + "/d", "has other content than it had"},
		{far + "/result/f", here + "/dir", "a directory is there"},
		{far + "/result/d", here + "/dir", "your home directory"},
		{far + "/result/f", "s3://out", "is a bucket"},
		{far + "/result/f", "https://out/x", "neither a path nor the URI of an object"},
		{far + "/result/f", "x", "is not an absolute path"},
		{"https://h/x", here + "/x", "https is not known here"},
		{here + "/none", "s3://out/x", "/none: no such file"},
	}
	for _, tt := range tests {
		if err := filesOn(m).Publish(ctx, tt.source, tt.target); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s to %s: %v", tt.source, tt.target, err)
		}
	}
	if read(t, old) != "old" {
		t.Error("what was there is gone")
	}
	for uri := range m.Objects() {
		if strings.HasPrefix(uri, "s3://out/") {
			t.Error("published:", uri)
		}
	}
	entries, err := os.ReadDir(here)
	if err != nil || len(entries) != 2 {
		t.Error("left behind:", entries)
	}
}

func TestIsFileName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "a/b": true, "a/": true, " ": true, "\n": true, "...": true, "": false, "/": false, ".": false, "./a": false,
		"..": false, "a/../b": false, "a//b": false, "/a": false, "a//": false, "a\x00": false,
	} {
		if got := isFileName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if hex.EncodeToString([]byte("\xff")) != strings.TrimPrefix(objectName("\xff"), "%-") {
		t.Error(objectName("\xff"))
	}
}
