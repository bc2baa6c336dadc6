package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"flow/executor/batch/cloud"
)

// An Image is what a registry knows of an image.
type Image struct {
	Name      string     // in full, with its registry: docker.io is index.docker.io
	Digest    string     // sha256:..., of the list if it is one of several platforms
	Size      int64      // bytes that are pulled; 0: not known, as of a list
	Platforms []Platform // what it is for, in the order of the list; none: not known
	Created   time.Time  // when it was built; zero: not known
}

// A Platform is what an image runs on, in the words of Go and of Docker.
type Platform struct {
	OS           string `json:"os"`           // linux
	Architecture string `json:"architecture"` // amd64, arm64
	Variant      string `json:"variant,omitempty"`
}

func (p Platform) String() string {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return text
}

// On reports whether the image runs on linux of an architecture of Go's, such as arm64;
// it is true if nobody knows.
func (i *Image) On(architecture string) bool {
	return len(i.Platforms) == 0 || slices.ContainsFunc(i.Platforms, func(p Platform) bool { return p.OS == "linux" && p.Architecture == architecture })
}

// Look asks for an image where it is: Amazon ECR by its API, with the credentials of c, and
// every other registry by the protocol of registries, with those of docker login or podman
// login. c may be nil for these. An error is an [Error] of the kinds [ErrNoImage],
// [ErrNoRepository] or [ErrDenied], or one of another kind, or, of an image in ECR with AWS
// Batch on this machine and no ECR beside it, a [cloud.AbsentError].
func Look(ctx context.Context, c *cloud.Cloud, image string) (*Image, error) {
	p, err := find(image)
	if err != nil {
		return nil, err
	}
	if p.ecr != nil && c != nil {
		found, err := p.lookAWS(ctx, c)
		return found, p.explain(err)
	}
	found, err := p.look(ctx, c)
	return found, p.explain(err)
}

// look asks a registry.
func (p *place) look(ctx context.Context, c *cloud.Cloud) (*Image, error) {
	access, err := p.client(ctx, c, false, nil, nil)
	if err != nil {
		return nil, err
	}
	o := access.options(ctx)
	d, err := remote.Get(p.ref, o...)
	if err != nil {
		return nil, err
	}
	found := &Image{Name: p.String(), Digest: d.Digest.String()}
	config, err := found.manifest(d.MediaType, d.Manifest)
	if err != nil || config == nil {
		return found, err
	}
	layer, err := remote.Layer(p.ref.Context().Digest(config.Digest.String()), o...)
	if err != nil {
		return nil, err
	}
	blob, err := layer.Compressed() // as it is
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	file, err := v1.ParseConfigFile(io.LimitReader(blob, configLimit)) // whoever runs the registry decides how much comes
	if err != nil {
		return nil, fmt.Errorf("the configuration of %s is not one: %w", p, err)
	}
	found.config(file)
	return found, nil
}

// manifest takes over what a manifest says. It returns where the configuration is, which
// says the rest; nil: it is a list, or of a kind that has none.
func (i *Image) manifest(kind types.MediaType, raw []byte) (*v1.Descriptor, error) {
	var m struct {
		Config    *v1.Descriptor  `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("the manifest of %s is not one: %w", i.Name, err)
	}
	if kind.IsIndex() || len(m.Manifests) > 0 {
		for _, d := range m.Manifests {
			// What says unknown/unknown is no image but says how one was built.
			if p := d.Platform; p != nil && p.OS != "unknown" {
				i.add(p.OS, p.Architecture, p.Variant)
			}
		}
		return nil, nil
	}
	for _, l := range m.Layers {
		i.Size += l.Size
	}
	if m.Config != nil {
		i.Size += m.Config.Size
	}
	return m.Config, nil
}

// config takes over what the configuration of an image says.
func (i *Image) config(f *v1.ConfigFile) {
	i.Created = f.Created.Time
	if f.OS != "" && f.Architecture != "" {
		i.add(f.OS, f.Architecture, f.Variant)
	}
}

func (i *Image) add(os, architecture, variant string) {
	if p := (Platform{os, architecture, variant}); !slices.Contains(i.Platforms, p) {
		i.Platforms = append(i.Platforms, p)
	}
}
