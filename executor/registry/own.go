package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"flow/executor/trust"
)

// Own is a [Source]: the image of flow itself, which puts the agent beside a task's own
// program. It has flow at /usr/local/bin/flow, where PATH finds it, and the certificates
// that TLS needs. It has no entrypoint, since AWS Batch replaces the command only, and runs
// as root, who may write to a volume that is new.
type Own struct {
	Binary   string // flow for Linux, linked statically; "": this very program
	Version  string
	Platform *Platform // nil: that of the binary
	Epoch    time.Time // how old everything is; zero: the beginning of 1970
}

func (o *Own) open(ctx context.Context, p *progress) (*opened, error) {
	binary := o.Binary
	if binary == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("cannot find this program: %w; give -binary FILE", err)
		}
		binary = self
	}
	f, err := os.Open(binary)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	platform, err := static(f)
	if err != nil {
		return nil, fmt.Errorf("%s %w", binary, err)
	}
	if o.Platform != nil && o.Platform.Architecture != platform.Architecture {
		return nil, fmt.Errorf("%s is for %s, and not for %s: give -binary FILE, flow for that platform", binary, platform, o.Platform)
	}
	root := Root{
		Platform: platform, Epoch: o.Epoch, Cmd: []string{"flow", "version"},
		Labels: map[string]string{"org.opencontainers.image.title": "flow", "org.opencontainers.image.version": o.Version},
	}
	if root.Epoch.IsZero() {
		root.Epoch = time.Unix(0, 0)
	}
	return root.build(ctx, p, func(w *layerWriter) error { return addOwn(w, f, p.note) })
}

// addOwn adds the files of flow's image.
func addOwn(w *layerWriter, flow *os.File, note func(string)) error {
	info, err := flow.Stat()
	if err != nil {
		return err
	}
	type file struct {
		name string
		mode int64
		size int64
		body io.Reader // nil: a directory
	}
	files := []file{
		{name: "etc", mode: 0o755}, {name: "etc/ssl", mode: 0o755}, {name: "etc/ssl/certs", mode: 0o755},
		{name: "tmp", mode: 0o1777},
		{name: "usr", mode: 0o755}, {name: "usr/local", mode: 0o755}, {name: "usr/local/bin", mode: 0o755},
		{name: "usr/local/bin/flow", mode: 0o755, size: info.Size(), body: io.NewSectionReader(flow, 0, info.Size())},
	}
	if certificates := trust.Authorities(); certificates != nil {
		files = append(files, file{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, size: int64(len(certificates)), body: bytes.NewReader(certificates)})
	} else {
		note("this machine has no certificates of authorities (Debian: ca-certificates), and so the image has none: flow cannot reach AWS from within it")
	}
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeDir, Name: f.name, Mode: f.mode, Size: f.size, ModTime: w.latest}
		if f.body != nil {
			h.Typeflag = tar.TypeReg
		}
		if err := w.add(h, f.body); err != nil {
			return err
		}
	}
	return nil
}

// static returns what a program is for. It has to be one for Linux that needs no library and
// no loader, since an image of flow has nothing else.
func static(r io.ReaderAt) (*Platform, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, errors.New("is no program for Linux: give -binary FILE, flow for Linux")
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return nil, errors.New("is linked dynamically, and would not start in an image without a C library: build it with CGO_ENABLED=0 (make build does), or give -binary FILE")
		}
	}
	switch f.Machine {
	case elf.EM_X86_64:
		return &Platform{OS: "linux", Architecture: "amd64"}, nil
	case elf.EM_AARCH64:
		return &Platform{OS: "linux", Architecture: "arm64"}, nil
	}
	return nil, fmt.Errorf("is for %s, which AWS Batch does not have: it has amd64 and arm64", f.Machine)
}
