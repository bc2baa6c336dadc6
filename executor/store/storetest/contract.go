package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"flow/executor/store"
)

// Test tests that a store keeps the contract. open returns one, and a prefix, ending in "/",
// below which there is nothing.
func Test(t *testing.T, open func(t *testing.T) (store.Store, string)) {
	for name, test := range map[string]func(*testing.T, store.Store, string){
		"missing": testMissing, "put": testPut, "put new": testPutNew, "put match": testPutMatch, "range": testRange, "transfer": testTransfer,
		"copy": testCopy, "list and remove": testList, "odd keys": testOddKeys, "names": testNames, "cancelled": testCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, prefix := open(t)
			test(t, x, prefix)
		})
	}
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func is(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

func must[T any](t *testing.T, what string) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return v
	}
}

func get(t *testing.T, x store.Store, uri string) string {
	t.Helper()
	data, _, err := x.Get(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func file(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func testMissing(t *testing.T, x store.Store, prefix string) {
	ctx, uri := t.Context(), prefix+"missing"
	_, err := x.Head(ctx, uri)
	is(t, "Head", err, fs.ErrNotExist)
	_, _, err = x.Get(ctx, uri)
	is(t, "Get", err, fs.ErrNotExist)
	_, _, err = x.Range(ctx, uri, 0, 10)
	is(t, "Range", err, fs.ErrNotExist)
	_, _, err = x.Download(ctx, uri, file(t), "")
	is(t, "Download", err, fs.ErrNotExist)
	_, err = x.Copy(ctx, uri, prefix+"to")
	is(t, "Copy", err, fs.ErrNotExist)
	is(t, "Remove", x.Remove(ctx, uri), nil)
	is(t, "Remove of nothing", x.Remove(ctx), nil)
	for o, err := range x.List(ctx, uri) {
		t.Errorf("List: %v, %v", o, err)
	}
}

func testPut(t *testing.T, x store.Store, prefix string) {
	ctx, uri := t.Context(), prefix+"dir/object"
	sum := sha256.Sum256([]byte("first"))
	before := time.Now().Add(-time.Minute)
	put := must[store.Object](t, "Put")(x.Put(ctx, uri, []byte("first")))
	data, got, err := x.Get(ctx, uri)
	want(t, "Get", string(must[[]byte](t, "Get")(data, err)), "first")
	head := must[store.Object](t, "Head")(x.Head(ctx, uri))
	want(t, "Put", put, store.Object{URI: uri, Size: 5, ETag: head.ETag, SHA256: hex.EncodeToString(sum[:]), Modified: put.Modified})
	want(t, "Head", head, store.Object{URI: uri, Size: 5, ETag: put.ETag, SHA256: put.SHA256, Modified: head.Modified})
	want(t, "Get", got, store.Object{URI: uri, Size: 5, ETag: put.ETag, SHA256: got.SHA256, Modified: head.Modified})
	if head.Modified.Before(before) || head.ETag == "" {
		t.Errorf("modified %v, ETag %q", head.Modified, head.ETag)
	}
	second := must[store.Object](t, "Put")(x.Put(ctx, uri, []byte("second")))
	if second.ETag == put.ETag {
		t.Errorf("both have ETag %s", put.ETag)
	}
	want(t, "after the second Put", get(t, x, uri), "second")
	must[store.Object](t, "Put")(x.Put(ctx, prefix+"empty", nil))
	want(t, "empty", get(t, x, prefix+"empty"), "")
}

func testPutNew(t *testing.T, x store.Store, prefix string) {
	ctx, uri := t.Context(), prefix+"1.claim"
	var g errgroup.Group
	var winner atomic.Int64
	for i := range int64(8) {
		g.Go(func() error {
			_, err := x.PutNew(ctx, uri, fmt.Append(nil, i+1))
			switch {
			case errors.Is(err, store.ErrExists):
				return nil
			case err == nil && !winner.CompareAndSwap(0, i+1):
				return errors.New("two have made it")
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	want(t, "its content", get(t, x, uri), fmt.Sprint(winner.Load()))
	is(t, "Remove", x.Remove(ctx, uri), nil)
	_, err := x.PutNew(ctx, uri, []byte("again"))
	is(t, "PutNew after Remove", err, nil)
}

func testPutMatch(t *testing.T, x store.Store, prefix string) {
	ctx, uri := t.Context(), prefix+"lock"
	_, err := x.PutMatch(ctx, uri, []byte("0"), "0123456789abcdef0123456789abcdef")
	is(t, "PutMatch of nothing", err, store.ErrChanged)
	first := must[store.Object](t, "Put")(x.Put(ctx, uri, []byte("first")))
	var g errgroup.Group
	var winner atomic.Int64
	for i := range int64(8) {
		g.Go(func() error {
			_, err := x.PutMatch(ctx, uri, fmt.Append(nil, i+1), first.ETag)
			switch {
			case errors.Is(err, store.ErrChanged):
				return nil
			case err == nil && !winner.CompareAndSwap(0, i+1):
				return errors.New("two have replaced it")
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	want(t, "its content", get(t, x, uri), fmt.Sprint(winner.Load()))
	second := must[store.Object](t, "Head")(x.Head(ctx, uri))
	third := must[store.Object](t, "PutMatch")(x.PutMatch(ctx, uri, []byte("third"), second.ETag))
	want(t, "its ETag", must[store.Object](t, "Head")(x.Head(ctx, uri)).ETag, third.ETag)
	want(t, "its content", get(t, x, uri), "third")
}

func testRange(t *testing.T, x store.Store, prefix string) {
	uri := prefix + "object"
	put := must[store.Object](t, "Put")(x.Put(t.Context(), uri, []byte("0123456789")))
	for _, c := range []struct {
		at, n int64
		want  string
	}{{0, 3, "012"}, {4, 2, "45"}, {8, 5, "89"}, {9, 1, "9"}, {10, 1, ""}, {20, 5, ""}, {0, 1 << 20, "0123456789"}} {
		data, o, err := x.Range(t.Context(), uri, c.at, c.n)
		what := fmt.Sprintf("%d bytes from %d on", c.n, c.at)
		want(t, what, string(must[[]byte](t, what)(data, err)), c.want)
		want(t, what, []any{o.URI, o.Size, o.ETag}, []any{uri, int64(10), put.ETag})
	}
}

// Contents are in one part and in several, those of a client for tests at least.
func testTransfer(t *testing.T, x store.Store, prefix string) {
	random := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{0, 1, 300_000, 5<<20 + 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			content, ctx, uri := make([]byte, size), t.Context(), fmt.Sprint(prefix, size)
			_, _ = random.Read(content) // never fails
			up, sum, err := x.Upload(ctx, uri, bytes.NewReader(content), int64(size))
			want(t, "its sum", must[store.Sum](t, "Upload")(sum, err), sha256.Sum256(content))
			head := must[store.Object](t, "Head")(x.Head(ctx, uri))
			want(t, "Upload", []any{up.URI, up.Size, up.ETag}, []any{uri, int64(size), head.ETag})
			if head.SHA256 != "" {
				want(t, "its checksum", head.SHA256, hex.EncodeToString(sum[:]))
			}
			for _, match := range []string{"", head.ETag} {
				f := file(t)
				down, sum, err := x.Download(ctx, uri, f, match)
				want(t, "its sum", must[store.Sum](t, "Download")(sum, err), sha256.Sum256(content))
				want(t, "Download", []any{down.URI, down.Size, down.ETag}, []any{uri, int64(size), head.ETag})
				got, err := os.ReadFile(f.Name())
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("it has %d bytes, which are others, %v", len(got), err)
				}
			}
			_, _, err = x.Download(ctx, uri, file(t), "0123456789abcdef0123456789abcdef")
			is(t, "Download of another one", err, store.ErrChanged)
		})
	}
	_, _, err := x.Upload(t.Context(), prefix+"short", bytes.NewReader([]byte("short")), 6)
	if err == nil {
		t.Error("Upload of more than there is: no error")
	}
	_, err = x.Head(t.Context(), prefix+"short")
	is(t, "what came of it", err, fs.ErrNotExist)
}

func testCopy(t *testing.T, x store.Store, prefix string) {
	from, to := prefix+"a +b%ü/from", prefix+"to"
	for _, size := range []int{0, 10, 5<<20 + 1} {
		content := bytes.Repeat([]byte("x"), size)
		_, _, err := x.Upload(t.Context(), from, bytes.NewReader(content), int64(size))
		is(t, "Upload", err, nil)
		made := must[store.Object](t, "Copy")(x.Copy(t.Context(), from, to))
		head := must[store.Object](t, "Head")(x.Head(t.Context(), to))
		want(t, "Copy", []any{made.URI, made.Size, made.ETag}, []any{to, int64(size), head.ETag})
		if get(t, x, to) != string(content) {
			t.Errorf("the copy of %d bytes is another one", size)
		}
	}
}

// Clients of tests have pages of fewer.
func testList(t *testing.T, x store.Store, prefix string) {
	ctx, n := t.Context(), 25
	var g errgroup.Group
	g.SetLimit(32)
	all := make([]string, n)
	for i := range n {
		all[i] = fmt.Sprintf("%sd/%02d", prefix, i)
		g.Go(func() error { _, err := x.Put(ctx, all[i], []byte("x")); return err })
	}
	g.Go(func() error { _, err := x.Put(ctx, prefix+"e", []byte("other")); return err })
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	list := func(begin string) (uris []string) {
		for o, err := range x.List(ctx, begin) {
			if err != nil {
				t.Fatal(err)
			}
			if o.ETag == "" || o.Modified.IsZero() || o.Size != 1 && o.Size != 5 {
				t.Errorf("listed %+v", o)
			}
			uris = append(uris, o.URI)
		}
		return uris
	}
	want(t, "all of the directory", list(prefix+"d/"), all)
	want(t, "all", list(prefix), append(slices.Clone(all), prefix+"e"))
	want(t, "some", list(prefix+"d/0"), all[:10])
	for o, err := range x.List(ctx, prefix) {
		want(t, "the first", o.URI, all[0])
		is(t, "List", err, nil)
		break
	}
	is(t, "Remove", x.Remove(ctx, append(slices.Clone(all[1:]), prefix+"missing")...), nil)
	want(t, "what is left", list(prefix), []string{all[0], prefix + "e"})
}

func testOddKeys(t *testing.T, x store.Store, prefix string) {
	var all, listed []string
	for _, name := range []string{" a b ", "+&=%20.txt", "new\nline", "quote\"'<>", "ü€😀", "~$(x)*?[]{}", "a:b@c,d;e"} {
		uri := prefix + name
		must[store.Object](t, "Put")(x.Put(t.Context(), uri, []byte(name)))
		want(t, "Get", get(t, x, uri), name)
		must[store.Object](t, "Copy")(x.Copy(t.Context(), uri, uri+".copy"))
		want(t, "Get of the copy", get(t, x, uri+".copy"), name)
		all = append(all, uri, uri+".copy")
	}
	for o, err := range x.List(t.Context(), prefix) {
		is(t, "List", err, nil)
		listed = append(listed, o.URI)
	}
	slices.Sort(all)
	slices.Sort(listed)
	want(t, "List", listed, all)
	is(t, "Remove", x.Remove(t.Context(), all...), nil)
	for o, err := range x.List(t.Context(), prefix) {
		t.Errorf("left: %v, %v", o, err)
	}
}

func testNames(t *testing.T, x store.Store, _ string) {
	for _, uri := range []string{"", "/a/file", "s3://", "s3:///key", "https://bucket/key"} {
		if _, err := x.Head(t.Context(), uri); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

func testCancelled(t *testing.T, x store.Store, prefix string) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := x.Put(ctx, prefix+"a", nil)
	is(t, "Put", err, context.Canceled)
	_, _, err = x.Upload(ctx, prefix+"a", bytes.NewReader(make([]byte, 6<<20)), 6<<20)
	is(t, "Upload", err, context.Canceled)
	_, _, err = x.Download(ctx, prefix+"a", file(t), "")
	is(t, "Download", err, context.Canceled)
	for _, err := range x.List(ctx, prefix) {
		is(t, "List", err, context.Canceled)
	}
}
