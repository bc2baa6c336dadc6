package registry

import (
	"encoding/binary"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"flow/executor/executortest/fetched"
)

func TestOwn(t *testing.T) {
	certificates := filepath.Join(t.TempDir(), "ca.pem")
	const pem = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"
	if err := os.WriteFile(certificates, []byte(pem), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", certificates)
	static := fetched.Need(t, "busybox") // of Debian's busybox-static
	own := &Own{Binary: static, Version: "1.2.3"}
	l, config := made(t, own, nil)
	var names []string
	for _, f := range filesOf(t, l) {
		names = append(names, f.Name)
		if f.Name == "etc/ssl/certs/ca-certificates.crt" && f.Text != pem {
			t.Error("it has other certificates")
		}
		if f.UID != 0 || f.GID != 0 || f.Time != 0 || f.Name == "usr/local/bin/flow" && f.Mode != 0o755 || f.Name == "tmp/" && f.Mode != 0o1777 {
			t.Errorf("%s: %+v", f.Name, f.Mode)
		}
	}
	want := []string{"etc/", "etc/ssl/", "etc/ssl/certs/", "tmp/", "usr/", "usr/local/", "usr/local/bin/", "usr/local/bin/flow", "etc/ssl/certs/ca-certificates.crt"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantConfig := v1.Config{
		Cmd: []string{"flow", "version"}, Env: []string{defaultPath},
		Labels: map[string]string{"org.opencontainers.image.title": "flow", "org.opencontainers.image.version": "1.2.3"},
	}
	if diff := cmp.Diff(wantConfig, config.Config); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !config.Created.Equal(time.Unix(0, 0)) {
		t.Errorf("it is of %s", config.Created)
	}
	again, _ := made(t, own, nil)
	if a, b := digestOf(t, l), digestOf(t, again); a != b {
		t.Errorf("the same flow is %s, and then %s", a, b)
	}
}

func TestOwnRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// program writes a program of 64 bits without sections, and perhaps with a loader.
	program := func(name string, machine uint16, loader bool) string {
		b := make([]byte, 64+56)
		copy(b, "\x7fELF\x02\x01\x01")
		binary.LittleEndian.PutUint16(b[16:], 2)
		binary.LittleEndian.PutUint16(b[18:], machine)
		binary.LittleEndian.PutUint32(b[20:], 1)
		binary.LittleEndian.PutUint64(b[32:], 64)
		binary.LittleEndian.PutUint16(b[52:], 64)
		binary.LittleEndian.PutUint16(b[54:], 56)
		if loader {
			binary.LittleEndian.PutUint16(b[56:], 1)
			binary.LittleEndian.PutUint32(b[64:], 3)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	arm := &Platform{OS: "linux", Architecture: "arm64"}
	for _, test := range []struct {
		own  Own
		want string
	}{
		{Own{Binary: program("arm", 183, false), Platform: arm}, ""},
		{Own{Binary: program("amd", 62, false), Platform: arm}, " is for linux/amd64, and not for linux/arm64: give -binary FILE, flow for that platform"},
		{Own{Binary: program("dynamic", 62, true)}, " is linked dynamically, and would not start in an image without a C library: build it with CGO_ENABLED=0"},
		{Own{Binary: program("s390", 22, false)}, " is for EM_S390, which AWS Batch does not have"},
		{Own{Binary: script}, " is no program for Linux: give -binary FILE, flow for Linux"},
	} {
		got, err := test.own.open(t.Context(), newProgress(&Options{}))
		switch {
		case err == nil:
			got.close()
			if test.want != "" {
				t.Errorf("%s is taken", test.own.Binary)
			}
		case test.want == "" || !strings.HasPrefix(err.Error(), test.own.Binary+test.want):
			t.Errorf("got %v\nwant %s%s", err, test.own.Binary, test.want)
		}
	}
}

// TestECRErrors says for people what ECR's API answers.
func TestECRErrors(t *testing.T) {
	code := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"` + code + `","message":"it is so"}`))
	}))
	t.Cleanup(s.Close)
	for key, value := range map[string]string{
		"AWS_ENDPOINT_URL_ECR": s.URL, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none", "AWS_REGION": "eu-west-1",
	} {
		t.Setenv(key, value)
	}
	c := openCloud(t, "")
	const where = "Amazon ECR of account 123456789012 in eu-central-1"
	for of, test := range map[string]struct {
		kind error
		want string
	}{
		"ExpiredTokenException":       {ErrDenied, "AWS does not take these credentials for " + where + " (ExpiredTokenException: it is so): log in with aws sso login, "},
		"UnrecognizedClientException": {ErrDenied, "AWS does not take these credentials for " + where},
		"AccessDeniedException":       {ErrDenied, "these credentials may not do that in " + where + " (AccessDeniedException: it is so): the policy AmazonEC2ContainerRegistryReadOnly is enough to look, "},
		"RepositoryNotFoundException": {ErrNoRepository, "there is no repository a in " + where + ": make it with flow image push -create, or with: aws ecr create-repository --repository-name a --region eu-central-1"},
		"InvalidParameterException":   {nil, where + " refuses (InvalidParameterException: it is so)"},
	} {
		code = of
		_, err := Look(t.Context(), c, testECR+"/a:1")
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || test.kind != nil && !errors.Is(err, test.kind) {
			t.Errorf("%s:\n got %v\nwant %s", of, err, test.want)
		}
		_, err = Push(t.Context(), c, testECR+"/a:1", &From{Path: t.TempDir()}, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("pushing, %s:\n got %v\nwant %s", of, err, test.want)
		}
	}
}
