package store

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Whatever the order in which pieces of a content come, some of them twice, the sum is that of
// the content.
func TestSink(t *testing.T) {
	t.Parallel()
	content := make([]byte, 3*block+17)
	random := rand.NewChaCha8([32]byte{2})
	_, _ = random.Read(content) // never fails
	for range 20 {
		f, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		_, cancel := context.WithCancelCause(t.Context())
		s := newSink(f, cancel)
		const piece = 50_000
		n := (len(content) + piece - 1) / piece
		order := rand.New(random).Perm(n)
		for _, i := range append(order, order[0], order[n/2]) {
			at := i * piece
			if _, err := s.WriteAt(content[at:min(at+piece, len(content))], int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		sum, size, err := s.finish()
		if err != nil || sum != sha256.Sum256(content) || size != int64(len(content)) {
			t.Errorf("%v, %d bytes from the beginning on, or another sum", err, size)
		}
		f.Close()
	}
}

// What has a hole is no content.
func TestSinkWithAHole(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, cancel := context.WithCancelCause(t.Context())
	s := newSink(f, cancel)
	for _, at := range []int64{0, 2000} {
		if _, err := s.WriteAt(make([]byte, 1000), at); err != nil {
			t.Fatal(err)
		}
	}
	if _, size, err := s.finish(); err != nil || size != 1000 {
		t.Errorf("%d bytes from the beginning on, %v", size, err)
	}
}

// Keys in lists are as S3 encodes them, or as they are.
func TestDecoded(t *testing.T) {
	for _, test := range []struct {
		key     string
		encoded types.EncodingType
		want    string
	}{{"a+b%2Bc%0Ad", types.EncodingTypeUrl, "a b+c\nd"}, {"a+b%2Bc", "", "a+b%2Bc"}} {
		if got, err := decoded(test.key, test.encoded); err != nil || got != test.want {
			t.Errorf("%q: %q, %v, want %q", test.key, got, err, test.want)
		}
	}
	if got, err := decoded("100%", types.EncodingTypeUrl); err == nil {
		t.Errorf("%q, want an error", got)
	}
}

// No object has more parts than S3 takes, up to the largest there are.
func TestPartSize(t *testing.T) {
	for size := int64(1); size < 50<<40; size = size*3 + 1 {
		if n := partSize(size, usual.part); (size+n-1)/n > mostParts || n < usual.part {
			t.Errorf("%d bytes in parts of %d", size, n)
		}
	}
}
