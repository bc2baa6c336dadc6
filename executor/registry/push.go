package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"flow/executor/batch/cloud"
)

// Options say how an image is pushed.
type Options struct {
	Create   bool           // make the repository of ECR if it is not there
	Insecure bool           // the registry may be one without TLS
	Progress func(Progress) // is told how far it is, from one goroutine at a time; nil: nobody
	Note     func(string)   // is told what a person should know; nil: nobody

	transport http.RoundTripper // nil: the library's
}

// Progress is how far a push is.
type Progress struct {
	Sending bool  // it sends; before, it reads
	Read    int64 // bytes of the files that it has read
	Sent    int64 // bytes that it has sent
	There   int64 // bytes that are in the registry, those that were there before as well
	Total   int64 // bytes that are to be there, as far as is known
}

// Pushed is an image that is in a registry.
type Pushed struct {
	Image
	Reference  string // REPOSITORY:TAG@DIGEST
	Sent       int64  // bytes that were sent; what was there was not
	Repository bool   // its repository was made
}

// progress collects how far a push is.
type progress struct {
	tell func(Progress)
	note func(string)

	mu  sync.Mutex
	now Progress
}

func newProgress(o *Options) *progress {
	p := &progress{tell: o.Progress, note: o.Note}
	if p.tell == nil {
		p.tell = func(Progress) {}
	}
	if p.note == nil {
		p.note = func(string) {}
	}
	return p
}

func (p *progress) change(f func(*Progress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.now)
	p.tell(p.now)
}

func (p *progress) read(n int64) { p.change(func(now *Progress) { now.Read += n }) }

// Push puts an image into a registry, under a name with a tag; without one, it is latest. It
// sends what the registry does not have, and the name last: until all is there, the name
// means what it did. c is needed for ECR. Errors are as of [Look], of the source, or of a
// context that has ended.
func Push(ctx context.Context, c *cloud.Cloud, image string, from Source, o Options) (*Pushed, error) {
	p, err := target(image, o.Insecure)
	if err != nil {
		return nil, err
	}
	out, prog := &Pushed{}, newProgress(&o)
	if o.Create {
		if out.Repository, err = p.create(ctx, c, prog.note); err != nil {
			return nil, p.explain(err)
		}
	}
	sent := &counter{}
	access, err := p.client(ctx, c, o.Insecure, o.transport, sent)
	if err == nil {
		err = p.mayPush(ctx, access)
	}
	if err != nil {
		return nil, p.explain(err)
	}
	source, err := from.open(ctx, prog)
	if err != nil {
		return nil, err
	}
	defer source.close()
	sent.tell = func(n int64) { prog.change(func(now *Progress) { now.Sent += n }) }
	if err := p.push(source, prog, access.options(ctx)); err != nil {
		return nil, p.explain(err)
	}
	out.Sent = sent.n.Load()
	return out, out.describe(p, source.image)
}

// target reads the name that an image is to have.
func target(image string, insecure bool) (*place, error) {
	var o []name.Option
	if insecure {
		o = append(o, name.Insecure)
	}
	p, err := find(image, o...)
	if err != nil {
		return nil, err
	}
	if _, ok := p.ref.(name.Digest); ok {
		return nil, fmt.Errorf("%s has a digest, which an image gets by itself: give REPOSITORY:TAG", image)
	}
	// A short name is one on Docker Hub for Docker, and more often than not is meant as
	// one of the registry that somebody has in mind.
	first, _, rest := strings.Cut(image, "/")
	if !rest || !strings.ContainsAny(first, ".:") && first != "localhost" {
		return nil, fmt.Errorf("%s does not say which registry is meant: give 123456789012.dkr.ecr.REGION.amazonaws.com/%[1]s, or docker.io/YOU/%[1]s", image)
	}
	return p, nil
}

// mayPush finds out whether an image may be pushed before one is made, which may take long.
func (p *place) mayPush(ctx context.Context, c *client) error {
	done := make(chan error, 1)
	go func() { done <- remote.CheckPushPermission(p.ref, c.keys, c.transport) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// push sends a source.
func (p *place) push(source *opened, prog *progress, access []remote.Option) error {
	updates := make(chan v1.Update, 64)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for u := range updates {
			if u.Error == nil {
				prog.change(func(now *Progress) { now.There, now.Total = u.Complete, u.Total })
			}
		}
	}()
	prog.change(func(now *Progress) { now.Sending = true })
	err := remote.Push(p.ref, source.image, append(access, remote.WithProgress(updates))...)
	<-told
	return err
}

// describe says what was pushed.
func (out *Pushed) describe(p *place, image remote.Taggable) error {
	out.Name = p.String()
	raw, err := image.RawManifest()
	if err != nil {
		return err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	out.Digest = digest.String()
	out.Reference = out.Name + "@" + out.Digest
	if _, err := out.manifest("", raw); err != nil {
		return err
	}
	if one, ok := image.(v1.Image); ok {
		f, err := one.ConfigFile()
		if err != nil {
			return err
		}
		out.config(f)
	}
	return nil
}

// A counter counts what is sent of layers and configurations.
type counter struct {
	n    atomic.Int64
	tell func(int64)
}

func (c *counter) add(n int64) {
	c.n.Add(n)
	if c.tell != nil {
		c.tell(n)
	}
}

// counting counts the body of a request.
func (c *counter) counting(r *http.Request) *http.Request {
	if c == nil || r.Body == nil || r.Method != http.MethodPatch {
		return r
	}
	r = r.Clone(r.Context())
	r.Body = &countedBody{ReadCloser: r.Body, c: c}
	return r
}

type countedBody struct {
	io.ReadCloser
	c *counter
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.c.add(int64(n))
	return n, err
}
