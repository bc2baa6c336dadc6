package agent

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/executortest/fetched"
	"flow/executor/store"
)

// TestFilesOnAServer: odd names and contents on a server of S3: uploaded, identified, matched,
// staged in as files and as a directory, and published.
func TestFilesOnAServer(t *testing.T) {
	server := fetched.S3(t)
	server.MakeBucket("bucket")
	for _, kv := range server.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	ctx := context.Background()
	st, err := store.Open(ctx, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	a := &Agent{}
	a.Files.Store = func(context.Context) (store.Store, error) { return st, nil }
	f := &a.Files
	src, want := t.TempDir(), map[string]string{}
	var locals, uris []string
	for _, name := range oddKeys {
		want[name] = "content of " + name
		locals = append(locals, write(t, src+"/"+name, want[name]))
	}
	if err := f.Publish(ctx, src, "s3://bucket/some dir/%41+#?"); err != nil {
		t.Fatal(err)
	}
	prefix := "s3://bucket/some dir/%41+#?/"
	for _, name := range oddKeys {
		uris = append(uris, prefix+name)
	}
	got, err := f.Match(ctx, `s3://bucket/some dir/%41+#\?/*`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(uris)), got); diff != "" {
		t.Error(diff)
	}
	for i := range uris {
		// The identity may be the ETag, as of an object that S3 has no sha256 of.
		if here, there := identify(t, f, locals[i]), identify(t, f, uris[i]); here != there && !strings.HasPrefix(there, "etag:") {
			t.Errorf("%s is %s here and %s there", uris[i], here, there)
		}
	}
	put, err := f.Upload(ctx, "s3://bucket/w", append(slices.Clone(locals), src), nil)
	if err != nil {
		t.Fatal(err)
	}
	var paths, ids []string
	for _, path := range locals {
		paths, ids = append(paths, put[path]), append(ids, identify(t, f, path))
	}
	task := farTask(t,
		engine.Input{Name: "dir", Paths: []string{prefix}, IDs: []string{identify(t, f, prefix)}}, engine.Input{Name: "list", List: true, Paths: paths, IDs: ids},
		engine.Input{Name: "up", Paths: []string{put[src]}, IDs: []string{identify(t, f, src)}})
	task.Dir = "s3://bucket/w/run/step/k"
	at, err := a.Begin(ctx, task)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dir", "list", "up"} {
		if diff := cmp.Diff(want, contents(t, env(t, at, name))); diff != "" {
			t.Error(name, diff)
		}
	}
	back := t.TempDir() + "/back"
	if err := f.Publish(ctx, prefix, back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, contents(t, back)); diff != "" {
		t.Error(diff)
	}
	if err := f.Publish(ctx, prefix, "s3://bucket/copy"); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Match(ctx, "s3://bucket/copy/**"); err != nil || len(got) != len(want) {
		t.Error(got, err)
	}
}
