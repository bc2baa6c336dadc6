package fetched

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// An S3Server is an S3 server on this machine, of region us-east-1.
type S3Server struct {
	URL, Key, Secret string
	// Dir has a directory for each bucket, and in it a file for each object.
	Dir string

	t testing.TB
}

// How often a server is started until it answers, and how long that may take. Another
// process may take the port in between.
const (
	s3Starts = 3
	s3Answer = 10 * time.Second
)

var s3Runs = regexp.MustCompile(`(http://127\.0\.0\.1:\d+)`)

// S3 starts an S3 server, versitygw, until the test has ended.
func S3(t testing.TB) *S3Server {
	t.Helper()
	return S3Of(t, "key", "secret")
}

// S3Of is S3 with an access key and a secret key of the test's own.
func S3Of(t testing.TB, key, secret string) *S3Server {
	t.Helper()
	server := Need(t, Path("bin", "versitygw"))
	s := &S3Server{Key: key, Secret: secret, Dir: t.TempDir(), t: t}
	env := []string{"ROOT_ACCESS_KEY=" + s.Key, "ROOT_SECRET_KEY=" + s.Secret}
	for range s3Starts {
		health := fmt.Sprintf("/health-%x", rand.Uint64()) // of no other server on the port
		s.URL = serve(t, s3Runs, env, server, "--port", freePort(), "--keep-alive", "--health", health, "posix", s.Dir)
		if answers(s.URL + health) {
			return s
		}
	}
	t.Fatal("versitygw does not answer")
	return nil
}

// freePort returns an address whose port is free, and none of those that the kernel gives to
// connections.
func freePort() string {
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
}

// answers waits until a server answers. It says that it runs a little before it does.
func answers(url string) bool {
	for end := time.Now().Add(s3Answer); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		answer, err := http.Get(url)
		if err != nil {
			continue
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return true
		}
	}
	return false
}

// Env returns the variables by which the AWS SDK and CLI find the server, and nothing else
// of the configuration of this machine.
func (s *S3Server) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL_S3=" + s.URL, "AWS_ACCESS_KEY_ID=" + s.Key, "AWS_SECRET_ACCESS_KEY=" + s.Secret,
		"AWS_REGION=us-east-1", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
	}
}

// MakeBucket makes a bucket.
func (s *S3Server) MakeBucket(name string) {
	s.t.Helper()
	if err := os.Mkdir(filepath.Join(s.Dir, name), 0o755); err != nil {
		s.t.Fatal(err)
	}
}
