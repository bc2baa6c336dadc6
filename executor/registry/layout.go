package registry

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// layoutName are the files of an image layout.
var layoutName = regexp.MustCompile(`^(oci-layout|index\.json|blobs/sha256/[0-9a-f]{64})$`)

// unpack writes the image layout in a tar into a directory.
func (t *tarFile) unpack(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o700); err != nil {
		return full(err)
	}
	r, err := t.open()
	if err != nil {
		return err
	}
	defer r.Close()
	files := tar.NewReader(r)
	for {
		h, err := files.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("the tar is damaged: %w", err)
		}
		base := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || !layoutName.MatchString(base) {
			continue
		}
		if err := t.write(filepath.Join(dir, base), files); err != nil {
			return err
		}
	}
}

// write writes a file of a tar.
func (t *tarFile) write(path string, r io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return full(err)
	}
	p := &peeking{r: r, ctx: t.ctx, read: func(int64) {}}
	_, err = io.Copy(f, p)
	if err = errors.Join(err, f.Close()); err == nil {
		return nil
	}
	if p.err != nil && !errors.Is(p.err, io.EOF) {
		return fmt.Errorf("the tar is damaged: %w", p.err)
	}
	return full(err)
}

// refName is the annotation with the name of an image in a layout (image specification,
// annotations).
const refName = "org.opencontainers.image.ref.name"

// layout opens an image layout: the one image in it, or list of images, or that of -select.
func (f *From) layout(dir string, remove func()) (*opened, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("the image layout is damaged: %w", err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("the image layout is damaged: %w", err)
	}
	chosen, err := f.chooseIn(m)
	if err != nil {
		return nil, err
	}
	var image remote.Taggable
	switch {
	case chosen.MediaType.IsIndex():
		image, err = index.ImageIndex(chosen.Digest)
	case chosen.MediaType.IsImage():
		image, err = index.Image(chosen.Digest)
	default:
		err = fmt.Errorf("what is in it is no image: %s", chosen.MediaType)
	}
	if err != nil {
		return nil, fmt.Errorf("the image layout is damaged: %w", err)
	}
	if remove == nil {
		remove = func() {}
	}
	return &opened{image: image, close: remove}, nil
}

// chooseIn finds the one image of a layout, or the one that -select names.
func (f *From) chooseIn(m *v1.IndexManifest) (*v1.Descriptor, error) {
	var names []string
	for i := range m.Manifests {
		d := &m.Manifests[i]
		tag := d.Annotations[refName]
		if f.Select == "" && len(m.Manifests) == 1 || f.Select != "" && (sameName(tag, f.Select) || d.Digest.String() == f.Select) {
			return d, nil
		}
		if tag == "" {
			tag = d.Digest.String()
		}
		names = append(names, tag)
	}
	if len(m.Manifests) == 0 {
		return nil, errors.New("there is no image in it")
	}
	return nil, f.ambiguous(len(m.Manifests), names)
}
