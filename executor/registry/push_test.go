package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"flow/executor/executortest/fetched"
)

// busybox makes a root file system that prints a file of its own by itself.
func busybox(t *testing.T) string {
	t.Helper()
	program, err := os.ReadFile(fetched.Need(t, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, sub := range []string{"bin", "etc", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "bin/busybox"), program, 0o755),
		os.WriteFile(filepath.Join(dir, "etc/motd"), []byte("hello from a layer\n"), 0o644),
		os.Symlink("busybox", filepath.Join(dir, "bin/sh")), os.Symlink("busybox", filepath.Join(dir, "bin/cat")), os.Symlink("busybox", filepath.Join(dir, "bin/true")),
	)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var printMotd = Root{Cmd: []string{"cat", "/etc/motd"}}

// packed writes a tar of a directory, as tar does.
func packed(t *testing.T, dir string, wrap func(io.Writer) io.WriteCloser) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "root.tar"))
	if err != nil {
		t.Fatal(err)
	}
	w := wrap(f)
	out := tar.NewWriter(w)
	if err := errors.Join(out.AddFS(os.DirFS(dir)), out.Close(), w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }

// pulled reads an image back and returns the files of all its layers, as a container has
// them.
func pulled(t *testing.T, reference string) (map[string]string, *v1.ConfigFile) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	r := mutate.Extract(img)
	defer r.Close()
	files := map[string]string{}
	for _, f := range readTar(t, r) {
		files[strings.TrimSuffix(f.Name, "/")] = string(f.Kind) + f.Link + f.Text
	}
	return files, configOf(t, img)
}

// TestPush pushes every kind of source to a registry, twice, and pulls it back.
func TestPush(t *testing.T) {
	t.Parallel()
	host := fetched.Registry(t)
	dir := busybox(t)
	root, err := mutate.Time(imageOf(t, dir), built)
	if err != nil {
		t.Fatal(err)
	}
	tag, _ := name.NewTag("lab/saved:1")
	archive := filepath.Join(t.TempDir(), "docker.tar")
	if err := tarball.WriteToFile(archive, tag, root); err != nil {
		t.Fatal(err)
	}
	two := filepath.Join(t.TempDir(), "two.tar")
	other, _ := name.NewTag("lab/other:1")
	if err := tarball.MultiWriteToFile(two, map[name.Tag]v1.Image{tag: root, other: testImage(t, "amd64")}); err != nil {
		t.Fatal(err)
	}
	oci := filepath.Join(t.TempDir(), "oci")
	if _, err := layout.Write(oci, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: root})); err != nil {
		t.Fatal(err)
	}
	zipped := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	zstandard := func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }
	asIs := func(w io.Writer) io.WriteCloser { return plain{w} }
	tests := map[string]*From{
		"directory": {Path: dir, Root: printMotd},
		"tar":       {Path: packed(t, dir, asIs), Root: printMotd},
		"tar.gz":    {Path: packed(t, dir, zipped), Root: printMotd},
		"tar.zst":   {Path: packed(t, dir, zstandard), Root: printMotd},
		"docker":    {Path: archive},
		"choice":    {Path: two, Select: "docker.io/lab/saved:1"},
		"layout":    {Path: oci},
		"oci":       {Path: packed(t, oci, asIs)},
		"oci.gz":    {Path: packed(t, oci, zipped)},
	}
	want, _ := pulled(t, mustPush(t, host+"/lab/want:1", &From{Path: dir, Root: printMotd}).Reference)
	if len(want) != 8 || want["etc/motd"] != "0hello from a layer\n" {
		t.Fatalf("%d files", len(want))
	}
	for name, from := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := host + "/lab/" + name + ":1"
			first := mustPush(t, image, from)
			if first.Sent == 0 || first.Reference != image+"@"+first.Digest {
				t.Errorf("%+v", first)
			}
			files, config := pulled(t, first.Reference)
			if diff := cmp.Diff(want, files); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(printMotd.Cmd, config.Config.Cmd); diff != "" {
				t.Error(diff)
			}
			if looked, err := Look(t.Context(), nil, image); err != nil || !cmp.Equal(*looked, first.Image) {
				t.Errorf("%v\n%+v\n%+v", err, looked, first.Image)
			}
			again := mustPush(t, image, from)
			if again.Sent != 0 || again.Reference != first.Reference {
				t.Errorf("again: %+v", again)
			}
			moved := mustPush(t, host+"/lab/"+name+":2", from)
			if moved.Sent != 0 || moved.Digest != first.Digest {
				t.Errorf("with another tag: %+v", moved)
			}
		})
	}
}

func imageOf(t *testing.T, dir string) v1.Image {
	t.Helper()
	got, err := (&From{Path: dir, Root: printMotd}).open(t.Context(), newProgress(&Options{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(got.close)
	return got.image.(v1.Image)
}

func mustPush(t *testing.T, image string, from Source) *Pushed {
	t.Helper()
	got, err := Push(t.Context(), nil, image, from, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestPushList pushes a list of images of several platforms.
func TestPushList(t *testing.T) {
	t.Parallel()
	host := fetched.Registry(t)
	oci := t.TempDir()
	index := testIndex(t)
	if _, err := layout.Write(oci, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index})); err != nil {
		t.Fatal(err)
	}
	got := mustPush(t, host+"/both:1", &From{Path: oci})
	want := Image{Name: host + "/both:1", Digest: digestOf(t, index), Platforms: bothPlatforms}
	if diff := cmp.Diff(want, got.Image); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	looked, err := Look(t.Context(), nil, host+"/both:1")
	if diff := cmp.Diff(&want, looked); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	several := filepath.Join(t.TempDir(), "several.tar")
	a, _ := name.NewTag("lab/a:1")
	b, _ := name.NewTag("lab/b:1")
	if err := tarball.MultiWriteToFile(several, map[name.Tag]v1.Image{a: testImage(t, "amd64"), b: testImage(t, "arm64")}); err != nil {
		t.Fatal(err)
	}
	oci := t.TempDir()
	named := func(s string) v1.Descriptor { return v1.Descriptor{Annotations: map[string]string{refName: s}} }
	list := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: testImage(t, "amd64"), Descriptor: named("x:1")}, mutate.IndexAddendum{Add: testImage(t, "arm64"), Descriptor: named("y:1")})
	if _, err := layout.Write(oci, list); err != nil {
		t.Fatal(err)
	}
	none := t.TempDir()
	if _, err := layout.Write(none, empty.Index); err != nil {
		t.Fatal(err)
	}
	nothing := t.TempDir()
	gone := filepath.Join(nothing, "gone")
	tests := []struct {
		from From
		want string
	}{
		{From{Path: several, Select: "lab/a:1"}, ""},
		{From{Path: several}, "there are 2 images in it: choose one with -select NAME ("},
		{From{Path: several, Select: "lab/c:1"}, "there is no image lab/c:1 in it: "},
		{From{Path: oci, Select: "y:1"}, ""},
		{From{Path: oci}, "there are 2 images in it: choose one with -select NAME (x:1, y:1)"},
		{From{Path: oci, Root: Root{User: "1"}, Select: "y:1"}, "it is an image layout, which is pushed as it is: -cmd,"},
		{From{Path: several, Root: Root{User: "1"}}, "it is a saved image, which is pushed as it is: -cmd,"},
		{From{Path: none}, "there is no image in it"},
		{From{Path: nothing}, "there is nothing in it"},
		{From{Path: nothing, Select: "x"}, "-select is for archives and layouts"},
		{From{Path: gone}, "no such file or directory"},
		{From{Path: os.DevNull}, "it is no directory and no file; give - for standard input"},
	}
	for _, test := range tests {
		got, err := test.from.open(t.Context(), newProgress(&Options{}))
		switch {
		case err == nil && test.want != "":
			t.Errorf("%+v is taken", test.from)
		case err != nil && (test.want == "" || !strings.HasPrefix(err.Error(), test.from.Path+": "+test.want)):
			t.Errorf("got %v\nwant %s", err, test.want)
		}
		if err == nil {
			got.close()
		}
	}
}

func TestPushNames(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"tools:1":                             "tools:1 does not say which registry is meant: give 123456789012.dkr.ecr.REGION.amazonaws.com/tools:1, or docker.io/YOU/tools:1",
		"lab/tools":                           "lab/tools does not say which registry is meant: give 123456789012.dkr.ecr.REGION.amazonaws.com/lab/tools, or docker.io/YOU/lab/tools",
		"a.b/c@sha256:" + string(make64('a')): "a.b/c@sha256:" + string(make64('a')) + " has a digest, which an image gets by itself: give REPOSITORY:TAG",
		"a.b/Tools:1":                         `"a.b/Tools:1" is not the name of an image: a repository has small letters,`,
	} {
		_, err := Push(t.Context(), nil, image, &From{}, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", image, err, want)
		}
	}
}

// TestProgress is told of what is read and sent, to the end.
func TestProgress(t *testing.T) {
	t.Parallel()
	host := fetched.Registry(t)
	var last Progress
	begun := false
	got, err := Push(t.Context(), nil, host+"/a:1", &From{Path: busybox(t)}, Options{Progress: func(p Progress) {
		if p.Read < last.Read || p.Sent < last.Sent || begun && !p.Sending {
			t.Errorf("%+v after %+v", p, last)
		}
		last, begun = p, p.Sending
	}})
	if err != nil {
		t.Fatal(err)
	}
	if last.Read < 100_000 || last.Sent != got.Sent || last.There != last.Total || last.Total < got.Size {
		t.Errorf("%+v of %+v", last, got)
	}
}

// TestDockerLogin pushes with the credentials that docker login has left.
func TestDockerLogin(t *testing.T) {
	passwords := filepath.Join(t.TempDir(), "htpasswd")
	// That of me is s3cret.
	if err := os.WriteFile(passwords, []byte("me:$2b$04$XYkYEX/5gtqfqvIWARpln.vd3EAwk5zJ3GQJduBEyD7J3V9yK5HSG\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := fetched.Registry(t, "REGISTRY_AUTH_HTPASSWD_REALM=test", "REGISTRY_AUTH_HTPASSWD_PATH="+passwords)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("DOCKER_CONFIG", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("REGISTRY_AUTH_FILE", "")
	push := func() error {
		_, err := Push(t.Context(), nil, host+"/a:1", &From{Path: busybox(t)}, Options{})
		return err
	}
	login := func(path, password string) {
		t.Helper()
		text := `{"auths":{"` + host + `":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("me:"+password)) + `"}}}`
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	podman, docker := filepath.Join(home, ".config/containers/auth.json"), filepath.Join(home, ".docker/config.json")
	if err := push(); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "log in with: podman login "+host) {
		t.Errorf("nobody is taken: %v", err)
	}
	login(podman, "wr0ng")
	if err := push(); !errors.Is(err, ErrDenied) || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("a wrong password is taken, or told: %v", err)
	}
	login(podman, "s3cret")
	if err := push(); err != nil {
		t.Errorf("podman's: %v", err)
	}
	os.Remove(podman)
	login(docker, "s3cret")
	if err := push(); err != nil {
		t.Errorf("docker's: %v", err)
	}
	_, err := Look(t.Context(), nil, host+"/a:1")
	if err != nil {
		t.Errorf("looking: %v", err)
	}
}

// TestPushToECR makes a repository by ECR's API and pushes with the login that ECR gives,
// to a registry behind TLS that has ECR's name.
func TestPushToECR(t *testing.T) {
	c := motoCloud(t, "http://127.0.0.1:1")
	x, err := c.ECR("eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	backend, _ := url.Parse("http://" + fetched.Registry(t))
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backend)
		r.Out.Host = r.In.Host
		r.Out.Header.Set("X-Forwarded-Proto", "https")
	}}
	var strangers atomic.Int64
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "AWS" || password != testAccount+"-auth-token" {
			strangers.Add(1)
			w.Header().Set("WWW-Authenticate", `Basic realm="ecr"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		repository := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs")[0]
		if _, err := x.DescribeRepositories(r.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{repository}}); strings.Contains(r.URL.Path, "/blobs/") && err != nil {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, `{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name '%s' does not exist"}]}`, repository)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	transport := front.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.ServerName = "example.com" // that of the certificate
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != testECR+":443" {
			return nil, fmt.Errorf("%s is called", addr)
		}
		return new(net.Dialer).DialContext(ctx, network, front.Listener.Addr().String())
	}
	image := testECR + "/lab/tools:1"
	o := Options{transport: transport}
	from := &From{Path: busybox(t)}
	_, err = Push(t.Context(), c, image, from, o)
	want := "there is no repository lab/tools in Amazon ECR of account 123456789012 in eu-central-1: make it with flow image push -create, or with: aws ecr create-repository --repository-name lab/tools --region eu-central-1"
	if !errors.Is(err, ErrNoRepository) || err.Error() != want {
		t.Errorf("without a repository:\n got %v\nwant %s", err, want)
	}
	o.Create = true
	for _, makes := range []bool{true, false} {
		got, err := Push(t.Context(), c, image, from, o)
		if err != nil || got.Repository != makes || (got.Sent > 0) != makes {
			t.Fatalf("%v: %+v", err, got)
		}
	}
	if strangers.Load() == 0 {
		t.Error("nobody was asked who it is")
	}
	out, err := x.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil || len(out.Repositories) != 1 || out.Repositories[0].ImageTagMutability != "MUTABLE" {
		t.Fatalf("%v: %+v", err, out)
	}
	tags, err := x.ListTagsForResource(t.Context(), &ecr.ListTagsForResourceInput{ResourceArn: out.Repositories[0].RepositoryArn})
	if err != nil || len(tags.Tags) != 1 || aws.ToString(tags.Tags[0].Key) != TagMade {
		t.Errorf("%v: %+v", err, tags)
	}
}

// TestImmutable says so when a tag cannot be moved.
func TestImmutable(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v2/":
		case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/"):
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists in the 'a' repository and cannot be overwritten because the tag is immutable."}]}`)
		case r.Method == http.MethodPost:
			w.Header().Set("Location", "/v2/a/blobs/uploads/1")
			w.WriteHeader(http.StatusAccepted)
		case r.Method == http.MethodPatch:
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Location", "/v2/a/blobs/uploads/1")
			w.WriteHeader(http.StatusAccepted)
		case r.Method == http.MethodPut:
			w.WriteHeader(http.StatusCreated)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	host := s.Listener.Addr().String()
	_, err := Push(t.Context(), nil, host+"/a:1", &From{Path: busybox(t)}, Options{})
	want := host + "/a:1 is there already, and tags of this repository cannot be moved (TAG_INVALID: The image tag '1' already exists in the 'a' repository and cannot be overwritten because the tag is immutable.): give another tag"
	if err == nil || err.Error() != want {
		t.Errorf(" got %v\nwant %s", err, want)
	}
}

// TestInsecure sends nothing without TLS over a network, unless it may.
func TestInsecure(t *testing.T) {
	t.Parallel()
	var called atomic.Int64
	next := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme == "https" {
			return nil, errors.New("http: server gave HTTP response to HTTPS client")
		}
		called.Add(1)
		return &http.Response{StatusCode: http.StatusForbidden, Body: io.NopCloser(&bytes.Buffer{}), Request: r}, nil
	})
	_, err := Push(t.Context(), nil, "10.0.0.1:5000/a:1", &From{}, Options{transport: next})
	if want := "10.0.0.1:5000 does not speak https: give -insecure if passwords and images may go there unprotected"; err == nil || err.Error() != want || called.Load() > 0 {
		t.Errorf("%v, called %d times", err, called.Load())
	}
	if _, err = Push(t.Context(), nil, "10.0.0.1:5000/a:1", &From{}, Options{transport: next, Insecure: true}); !errors.Is(err, ErrDenied) || called.Load() == 0 {
		t.Errorf("%v, called %d times", err, called.Load())
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
