package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"flow/executor/batch/cloud"
	"flow/executor/executortest/fetched"
)

// built is when the images of the tests were built.
var built = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testImage returns an image of a platform, with a layer.
func testImage(t *testing.T, architecture string) v1.Image {
	t.Helper()
	img, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: architecture, Created: v1.Time{Time: built}, RootFS: configOf(t, img).RootFS})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// testIndex returns a list of two images, and of what says how one was built.
func testIndex(t *testing.T) v1.ImageIndex {
	add := func(os, architecture, variant string) mutate.IndexAddendum {
		return mutate.IndexAddendum{Add: testImage(t, architecture), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: os, Architecture: architecture, Variant: variant}}}
	}
	return mutate.AppendManifests(empty.Index, add("linux", "amd64", ""), add("linux", "arm64", "v8"), add("unknown", "unknown", ""))
}

func configOf(t *testing.T, img v1.Image) *v1.ConfigFile {
	t.Helper()
	f, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

type digester interface{ Digest() (v1.Hash, error) }

func digestOf(t *testing.T, x digester) string {
	t.Helper()
	h, err := x.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

// sizeOf is what is pulled of an image.
func sizeOf(t *testing.T, img v1.Image) int64 {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	n := m.Config.Size
	for _, l := range m.Layers {
		n += l.Size
	}
	return n
}

var bothPlatforms = []Platform{{"linux", "amd64", ""}, {"linux", "arm64", "v8"}}

func TestLookInRegistry(t *testing.T) {
	t.Parallel()
	host := fetched.Registry(t)
	img, index := testImage(t, "arm64"), testIndex(t)
	put := func(tag string, x remote.Taggable) {
		t.Helper()
		ref, err := name.ParseReference(host + "/lab/tools:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Push(ref, x); err != nil {
			t.Fatal(err)
		}
	}
	put("1", img)
	put("both", index)
	endless, err := mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: "arm64", RootFS: configOf(t, img).RootFS, Author: strings.Repeat("x", configLimit)})
	if err != nil {
		t.Fatal(err)
	}
	put("endless", endless)
	at := host + "/lab/tools"
	one := &Image{Name: at + ":1", Digest: digestOf(t, img), Size: sizeOf(t, img), Platforms: []Platform{{"linux", "arm64", ""}}, Created: built}
	byDigest := *one
	byDigest.Name = at + "@" + one.Digest
	for image, want := range map[string]*Image{
		at + ":1":             one,
		at + "@" + one.Digest: &byDigest,
		at + ":both":          {Name: at + ":both", Digest: digestOf(t, index), Platforms: bothPlatforms},
	} {
		got, err := Look(t.Context(), nil, image)
		if err != nil {
			t.Errorf("%s: %v", image, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", image, diff)
		}
	}
	if !one.On("arm64") || one.On("amd64") || !(&Image{}).On("amd64") {
		t.Error("On is wrong")
	}
	if _, err := Look(t.Context(), nil, at+":endless"); err == nil || !strings.Contains(err.Error(), "is not one: unexpected EOF") {
		t.Errorf("a configuration without end: %v", err)
	}
	for image, want := range map[string]error{at + ":2": ErrNoImage, host + "/lab/nothing:1": ErrNoImage} {
		if _, err := Look(t.Context(), nil, image); !errors.Is(err, want) {
			t.Errorf("%s: %v, and not %v", image, err, want)
		}
	}
}

// motoCloud returns an account of moto's, with AWS Batch at batch.
func motoCloud(t *testing.T, batch string) *cloud.Cloud {
	t.Helper()
	url := fetched.Moto(t)
	for key, value := range map[string]string{
		"AWS_ENDPOINT_URL_ECR": url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none", "AWS_REGION": "eu-west-1",
	} {
		t.Setenv(key, value)
	}
	return openCloud(t, batch)
}

func openCloud(t *testing.T, batch string) *cloud.Cloud {
	t.Helper()
	c, err := cloud.Open(t.Context(), cloud.Options{Endpoint: batch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const (
	testAccount = "123456789012" // moto's
	testECR     = testAccount + ".dkr.ecr.eu-central-1.amazonaws.com"
)

func TestLookInECR(t *testing.T) {
	c := motoCloud(t, "http://127.0.0.1:1")
	x, err := c.ECR("eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("lab/tools")}); err != nil {
		t.Fatal(err)
	}
	put := func(tag string, m interface {
		digester
		RawManifest() ([]byte, error)
		MediaType() (types.MediaType, error)
	}) {
		t.Helper()
		raw, err := m.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		kind, _ := m.MediaType()
		_, err = x.PutImage(t.Context(), &ecr.PutImageInput{
			RepositoryName: aws.String("lab/tools"), ImageTag: &tag, ImageManifest: aws.String(string(raw)), ImageManifestMediaType: aws.String(string(kind)), ImageDigest: aws.String(digestOf(t, m)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	img, index := testImage(t, "amd64"), testIndex(t)
	put("1", img)
	put("both", index)
	at := testECR + "/lab/tools"
	for _, want := range []*Image{
		{Name: at + ":1", Digest: digestOf(t, img), Size: sizeOf(t, img)}, // moto has no configurations
		{Name: at + "@" + digestOf(t, img), Digest: digestOf(t, img), Size: sizeOf(t, img)},
		{Name: at + ":both", Digest: digestOf(t, index), Platforms: bothPlatforms},
	} {
		got, err := Look(t.Context(), c, want.Name)
		if err != nil {
			t.Errorf("%s: %v", want.Name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
	}
	for image, want := range map[string]error{at + ":2": ErrNoImage, testECR + "/lab/nothing:1": ErrNoRepository} {
		if _, err := Look(t.Context(), c, image); !errors.Is(err, want) {
			t.Errorf("%s: %v, and not %v", image, err, want)
		}
	}
	t.Setenv("AWS_ENDPOINT_URL_ECR", "")
	var absent *cloud.AbsentError
	if _, err := Look(t.Context(), openCloud(t, "http://127.0.0.1:1"), at+":1"); !errors.As(err, &absent) {
		t.Errorf("ECR that is nowhere: %v", err)
	}
}

// TestLookECRConfig reads the platform of an image from where ECR says that its
// configuration is, and does without when that is not what it should be.
func TestLookECRConfig(t *testing.T) {
	img := testImage(t, "arm64")
	raw, _ := img.RawManifest()
	config, _ := img.RawConfigFile()
	var url string
	damaged := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Amz-Target") {
		case "AmazonEC2ContainerRegistry_V20150921.BatchGetImage":
			_ = json.NewEncoder(w).Encode(map[string]any{"images": []any{map[string]any{
				"imageManifest": string(raw), "imageManifestMediaType": types.DockerManifestSchema2, "imageId": map[string]string{"imageDigest": digestOf(t, img)},
			}}})
		case "AmazonEC2ContainerRegistry_V20150921.GetDownloadUrlForLayer":
			_ = json.NewEncoder(w).Encode(map[string]any{"downloadUrl": url + "/config?signature=1"})
		default:
			_, _ = w.Write(config)
			if damaged {
				_, _ = w.Write([]byte("\n"))
			}
		}
	}))
	t.Cleanup(server.Close)
	url = server.URL
	for key, value := range map[string]string{"AWS_ENDPOINT_URL_ECR": url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"} {
		t.Setenv(key, value)
	}
	c := openCloud(t, "")
	want := &Image{Name: testECR + "/lab/tools:1", Digest: digestOf(t, img), Size: sizeOf(t, img), Platforms: []Platform{{"linux", "arm64", ""}}, Created: built}
	got, err := Look(t.Context(), c, want.Name)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	damaged = true
	want.Platforms, want.Created = nil, time.Time{}
	got, err = Look(t.Context(), c, want.Name)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestLookErrors(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	said := func(code, message string) string {
		return `{"errors":[{"code":"` + code + `","message":"` + message + `"}]}`
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	slow, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	denied, noRepo := answer(403, said("DENIED", "not yours")), answer(404, said("NAME_UNKNOWN", "x"))
	unauthorized := answer(401, said("UNAUTHORIZED", "authentication required"))
	closed := gone.Listener.Addr().String()
	tests := []struct {
		ctx         context.Context
		image, want string
		kind        error
	}{
		{t.Context(), denied + "/a:1", "access to " + denied + "/a is denied (DENIED: not yours): log in with: podman login " + denied + " (or docker login)", ErrDenied},
		{t.Context(), unauthorized + "/a:1", "access to " + unauthorized + "/a is denied; it may as well not be there (UNAUTHORIZED: authentication required): log in with: podman login " + unauthorized + " (or docker login)", ErrDenied},
		{t.Context(), noRepo + "/a:1", "there is no repository a in " + noRepo, ErrNoRepository},
		{t.Context(), closed + "/a:1", "nothing listens at " + closed + " (connection refused): is the registry running, and is that its port?", nil},
		{slow, denied + "/a:1", denied + " does not answer in time (context deadline exceeded)", nil},
		{t.Context(), "https://example.com/a", `"https://example.com/a" is not the name of an image: leave out what is before its host`, nil},
		{t.Context(), "a b", `"a b" is not the name of an image: there is white space in it`, nil},
	}
	for _, test := range tests {
		_, err := Look(test.ctx, nil, test.image)
		if err == nil || err.Error() != test.want || test.kind != nil && !errors.Is(err, test.kind) {
			t.Errorf("%s:\n got %v\nwant %s", test.image, err, test.want)
		}
	}
}

func TestRegion(t *testing.T) {
	for image, want := range map[string]string{
		testECR + "/a/b:1": "eu-central-1",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a":                                    "cn-north-1",
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a@sha256:" + string(make64('a')): "us-gov-west-1",
		"123456789012.dkr-ecr.us-east-2.on.aws/a":                                               "us-east-2",
		"public.ecr.aws/lab/tools:1":                                                            "",
		"busybox":                                                                               "",
		"12345678901.dkr.ecr.eu-central-1.amazonaws.com/a":                                      "",
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.org/a:1":                          "",
	} {
		region, account, ok := Region(image)
		if region != want || ok != (want != "") || ok && account != testAccount {
			t.Errorf("%s: %q %q %v", image, region, account, ok)
		}
	}
}

func make64(c byte) []byte {
	b := make([]byte, 64)
	for i := range b {
		b[i] = c
	}
	return b
}
