package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"flow/executor/executortest/fetched"
	"flow/executor/store"
)

// An object whose content has been damaged below S3 is another one, and not read.
func TestDamaged(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-amz-checksum-crc32", "AAAAAA==")
		_, _ = io.WriteString(w, "content")
	}))
	defer s.Close()
	_, _, err := open(t, s.URL).Get(t.Context(), "s3://bucket/key")
	if want := "s3://bucket/key is damaged: "; !errors.Is(err, store.ErrChanged) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s...", err, want)
	}
}

// An error says which object it is about, and what to do.
func TestErrors(t *testing.T) {
	t.Parallel()
	for code, test := range map[string]struct {
		status int
		is     error // what became of it
		want   string
	}{
		"NoSuchBucket":          {404, store.ErrNoBucket, "cannot write s3://bucket/key: there is no such bucket"},
		"AccessDenied":          {403, fs.ErrPermission, "cannot write s3://bucket/key: permission denied: S3 refuses it (AccessDenied: because); it takes s3:PutObject on it"},
		"InvalidAccessKeyId":    {403, store.ErrUnanswered, "cannot write s3://bucket/key: S3 does not know the access key: it is wrong, of another account or for another endpoint (InvalidAccessKeyId)"},
		"SignatureDoesNotMatch": {403, store.ErrUnanswered, "cannot write s3://bucket/key: the secret key does not fit the access key (SignatureDoesNotMatch)"},
		"ExpiredToken":          {400, store.ErrUnanswered, "cannot write s3://bucket/key: the credentials have expired: log in again (ExpiredToken)"},
		"RequestTimeTooSkewed":  {403, store.ErrUnanswered, "cannot write s3://bucket/key: the clock of this machine is wrong, by more than 15 minutes (RequestTimeTooSkewed)"},
		"PermanentRedirect":     {301, nil, "cannot write s3://bucket/key: its bucket is in another region than us-east-1: set AWS_REGION to that, or give -region"},
		"InternalError":         {500, store.ErrUnanswered, "api error InternalError: because"},
		"SlowDown":              {503, store.ErrUnanswered, "api error SlowDown: because"},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(test.status)
				fmt.Fprintf(w, "<Error><Code>%s</Code><Message>because</Message></Error>", code)
			}))
			defer s.Close()
			_, err := open(t, s.URL).Hasty(time.Minute).Put(t.Context(), "s3://bucket/key", []byte("content"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
			for _, known := range []error{fs.ErrNotExist, store.ErrExists, store.ErrChanged, store.ErrNoBucket, fs.ErrPermission, store.ErrUnanswered} {
				if want := errors.Is(test.is, known); errors.Is(err, known) != want {
					t.Errorf("%v is %v: %v", err, known, !want)
				}
			}
		})
	}
}

// Nothing that a server says in a hurry is taken for an object that is not there.
func TestHeadOfNobody(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 400, 403, 500, 503} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		_, err := open(t, s.URL).Hasty(time.Minute).Head(t.Context(), "s3://bucket/key")
		s.Close()
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d: %v", status, err)
		}
		if errors.Is(err, fs.ErrPermission) != (status == 403) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A bucket is followed to its region, once.
func TestRegion(t *testing.T) {
	t.Parallel()
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "/eu-west-3/s3/") {
			n++
			w.Header().Set("X-Amz-Bucket-Region", "eu-west-3")
			w.WriteHeader([]int{301, 400}[n%2])
			return
		}
		w.Header().Set("Etag", `"tag"`)
		_, _ = io.WriteString(w, "content")
	}))
	defer s.Close()
	x := open(t, s.URL)
	for range 2 {
		if err := check(t, x, "s3://bucket/key", "content"); err != nil {
			t.Error(err)
		}
		if _, err := x.Head(t.Context(), "s3://other/key"); err != nil {
			t.Error(err)
		}
	}
	if n != 2 {
		t.Errorf("asked %d times in the wrong region, want once for each bucket", n)
	}
}

// Where S3 is, and with what credentials, is said or found out; if not, an error says how.
func TestOpen(t *testing.T) {
	const near = "http://127.0.0.1:8642"
	for name, test := range map[string]struct {
		env              map[string]string
		options          store.Options
		endpoint, region string
		want             string // an error
	}{
		"AWS":                 {nil, store.Options{Region: "eu-west-1"}, "", "eu-west-1", ""},
		"no region":           {map[string]string{"AWS_REGION": ""}, store.Options{}, "", "", "S3 needs a region"},
		"MinIO":               {map[string]string{"AWS_REGION": ""}, store.Options{Endpoint: "https://minio.example.com/"}, "https://minio.example.com", "us-east-1", ""},
		"by its variable":     {map[string]string{"AWS_ENDPOINT_URL_S3": near}, store.Options{}, near, "us-east-1", ""},
		"flow emulate alone":  {map[string]string{"AWS_ENDPOINT_URL": near}, store.Options{}, "", "", "set AWS_ENDPOINT_URL_S3"},
		"beside flow emulate": {map[string]string{"AWS_ENDPOINT_URL": near, "AWS_ENDPOINT_URL_S3": near}, store.Options{}, near, "us-east-1", ""},
		"elsewhere":           {map[string]string{"AWS_ENDPOINT_URL": "https://aws.example.com"}, store.Options{}, "https://aws.example.com", "us-east-1", ""},
		"no URL":              {nil, store.Options{Endpoint: "minio"}, "", "", "is no URL"},
		"no profile":          {nil, store.Options{Profile: "nobody"}, "", "", `no AWS profile "nobody"`},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range test.env {
				t.Setenv(k, v)
			}
			x, err := store.Open(t.Context(), test.options)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %s", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if x.Endpoint() != test.endpoint || x.Region() != test.region {
				t.Errorf("endpoint %s, region %s", x.Endpoint(), x.Region())
			}
		})
	}
}

// Credentials are those of a container's role, where nothing else says; without any an error
// says so.
func TestCredentials(t *testing.T) {
	s := fetched.S3(t)
	s.MakeBucket("bucket")
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"AccessKeyId": %q, "SecretAccessKey": %q, "Token": "", "Expiration": "2099-01-01T00:00:00Z"}`, s.Key, s.Secret)
	}))
	defer role.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err := open(t, s.URL).Put(t.Context(), "s3://bucket/key", nil)
	if err == nil || !strings.Contains(err.Error(), "cannot write s3://bucket/key: there are no credentials for AWS: log in with ") || !errors.Is(err, store.ErrUnanswered) {
		t.Errorf("without credentials: %v", err)
	}
	if _, err := open(t, "http://127.0.0.1:1").Hasty(time.Minute).Put(t.Context(), "s3://bucket/key", nil); !errors.Is(err, store.ErrUnanswered) {
		t.Errorf("without a server: %v", err)
	}
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL)
	if _, err := open(t, s.URL).Put(t.Context(), "s3://bucket/key", nil); err != nil {
		t.Error(err)
	}
	if _, err := open(t, s.URL).Put(t.Context(), "s3://none/key", nil); !errors.Is(err, store.ErrNoBucket) {
		t.Error(err)
	}
}

// A store that is to be given no checksums that it does not ask for gets none, and its
// contents all the same.
func TestWithoutChecksums(t *testing.T) {
	s := fetched.S3(t)
	s.MakeBucket("bucket")
	t.Setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
	p := between(t, s.URL)
	p.fault = func(r *http.Request) fault {
		for name := range r.Header {
			if r.Method == http.MethodPut && strings.HasPrefix(name, "X-Amz-Checksum-") {
				t.Errorf("%s has %s", kind(r), name)
			}
		}
		return none
	}
	x, content := open(t, p.URL), large()
	if _, _, err := x.Upload(t.Context(), "s3://bucket/large", bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	if err := download(t, x, "s3://bucket/large"); err != nil {
		t.Error(err)
	}
	p.fault = first(1, "POST upload", lost)
	if err := upload(t, x, "s3://bucket/lost"); err != nil {
		t.Error(err)
	}
}
