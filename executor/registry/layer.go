package registry

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

// A layer is a compressed layer in a file that has no name: it is gone with the process,
// whatever ends that.
type layer struct {
	file         *os.File
	size         int64 // compressed
	digest, diff v1.Hash
}

var _ v1.Layer = (*layer)(nil)

func (l *layer) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)             { return l.diff, nil }
func (l *layer) Size() (int64, error)                 { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error)  { return types.DockerLayer, nil }
func (l *layer) Compressed() (io.ReadCloser, error)   { return io.NopCloser(l.reader()), nil }
func (l *layer) Uncompressed() (io.ReadCloser, error) { return gzip.NewReader(l.reader()) }
func (l *layer) reader() io.Reader                    { return io.NewSectionReader(l.file, 0, l.size) }

// spool returns a file for much, without a name.
func spool() (*os.File, error) {
	f, err := os.CreateTemp(roomy(), "flow-image-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// roomy returns the directory where much is kept for a moment: /tmp may be memory, and
// /var/tmp may not (Filesystem Hierarchy Standard).
func roomy() string {
	dir := os.Getenv("TMPDIR")
	if dir == "" {
		dir = "/var/tmp"
		if _, err := os.Stat(dir); err != nil {
			dir = os.TempDir()
		}
	}
	return dir
}

// A layerWriter makes a layer of files that it is given one after the other. The same files
// make the same layer.
type layerWriter struct {
	ctx    context.Context
	owner  *Owner
	latest time.Time // what is younger becomes this old; zero: nothing does
	read   func(n int64)
	seen   seen

	file       *os.File
	counted    countingWriter
	sum, plain hash.Hash // of what is compressed, and of what it was
	zip        *gzip.Writer
	tar        *tar.Writer
}

// seen is what there was among the files.
type seen struct {
	files    int
	devices  int
	sockets  int
	mounts   []string       // directories where another file system begins
	programs map[string]int // by architecture, of Go's names
	newest   time.Time
}

// newLayerWriter returns a writer that has to be finished, or dropped.
func newLayerWriter(ctx context.Context, r *Root, read func(int64)) (*layerWriter, error) {
	f, err := spool()
	if err != nil {
		return nil, fmt.Errorf("no room for the layer: %w", err)
	}
	w := &layerWriter{ctx: ctx, owner: r.Owner, latest: r.Epoch, read: read, file: f, sum: sha256.New(), plain: sha256.New()}
	w.seen.programs = map[string]int{}
	w.counted.w = io.MultiWriter(f, w.sum)
	w.zip = gzip.NewWriter(&w.counted)
	w.tar = tar.NewWriter(io.MultiWriter(w.zip, w.plain))
	return w, nil
}

// drop gives up.
func (w *layerWriter) drop() { w.file.Close() }

// finish returns the layer.
func (w *layerWriter) finish() (*layer, error) {
	if err := errors.Join(w.tar.Close(), w.zip.Close()); err != nil {
		return nil, full(err)
	}
	if w.seen.files == 0 {
		return nil, errors.New("there is nothing in it")
	}
	return &layer{file: w.file, size: w.counted.n, digest: sumOf(w.sum), diff: sumOf(w.plain)}, nil
}

func sumOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// full says what may be done about a disk that is full.
func full(err error) error {
	return fmt.Errorf("cannot write the layer: %w; set TMPDIR to a directory with more room", err)
}

// A countingWriter counts what is written.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// add adds a file. Of the header it takes what a layer has, and nothing of the machine that
// the file was on. body is read if the file is regular.
func (w *layerWriter) add(h *tar.Header, body io.Reader) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	name, err := inside(h.Name)
	if err != nil || name == "" { // the root itself is made by whoever unpacks the layer
		return err
	}
	if strings.HasPrefix(path.Base(name), whiteout) {
		return fmt.Errorf("%s: a name that begins with %s deletes another file when a layer is unpacked: rename the file, or leave it out", h.Name, whiteout)
	}
	out := &tar.Header{Typeflag: h.Typeflag, Name: name, Mode: h.Mode & 0o7777, Uid: h.Uid, Gid: h.Gid, ModTime: w.clamp(h.ModTime)}
	switch h.Typeflag {
	case tar.TypeDir:
		out.Name += "/"
	case tar.TypeReg, tar.TypeGNUSparse:
		out.Typeflag, out.Size = tar.TypeReg, h.Size
	case tar.TypeSymlink:
		out.Linkname = h.Linkname
	case tar.TypeLink:
		if out.Linkname, err = inside(h.Linkname); err != nil || out.Linkname == "" {
			return fmt.Errorf("%s is a hard link to %q, which is not in the image", h.Name, h.Linkname)
		}
	case tar.TypeFifo:
	case tar.TypeChar, tar.TypeBlock:
		w.seen.devices++
		return nil
	case tar.TypeXGlobalHeader:
		return nil
	default:
		return fmt.Errorf("%s is of a kind (%q) that a layer cannot have", h.Name, h.Typeflag)
	}
	if w.owner != nil {
		out.Uid, out.Gid = w.owner.UID, w.owner.GID
	}
	if c := h.PAXRecords[capability]; c != "" && out.Typeflag == tar.TypeReg {
		out.PAXRecords = map[string]string{capability: c}
	}
	return w.write(out, body)
}

const (
	whiteout   = ".wh."                             // image specification, layer, Whiteouts
	capability = "SCHILY.xattr.security.capability" // what a program may do as if root ran it
)

// write writes a file.
func (w *layerWriter) write(h *tar.Header, body io.Reader) error {
	if err := w.tar.WriteHeader(h); err != nil {
		return full(err)
	}
	w.seen.files++
	if h.ModTime.After(w.seen.newest) {
		w.seen.newest = h.ModTime
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	p := &peeking{r: body, ctx: w.ctx, read: w.read}
	n, err := io.CopyN(w.tar, p, h.Size)
	switch {
	case p.err != nil && !errors.Is(p.err, io.EOF):
		return fmt.Errorf("%s: %w", h.Name, p.err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s changed while it was read: it had %d bytes, and now has %d", h.Name, h.Size, n)
	case err != nil:
		return full(err)
	}
	if a := architecture(p.head); a != "" && (h.Mode&0o111 != 0 || strings.Contains(path.Base(h.Name), ".so")) {
		w.seen.programs[a]++
	}
	return nil
}

// clamp returns a time as a layer has it: in whole seconds, and no younger than said.
func (w *layerWriter) clamp(t time.Time) time.Time {
	if !w.latest.IsZero() && t.After(w.latest) {
		t = w.latest
	}
	return time.Unix(max(t.Unix(), 0), 0)
}

// inside returns the name of a file in a layer; "": the root itself. A name that leads out
// of it is an error.
func inside(name string) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("%q leads out of the image", name)
		}
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), nil
}

// peeking keeps the beginning of what is read through it, and tells a failure to read from
// one to write.
type peeking struct {
	r    io.Reader
	ctx  context.Context
	read func(int64)
	head []byte
	err  error
}

func (p *peeking) Read(b []byte) (int, error) {
	if p.err = p.ctx.Err(); p.err != nil {
		return 0, p.err
	}
	n, err := p.r.Read(b)
	p.err = err
	if missing := elfHead - len(p.head); missing > 0 {
		p.head = append(p.head, b[:min(n, missing)]...)
	}
	p.read(int64(n))
	return n, err
}

// elfHead is how many bytes of a program say what it is for.
const elfHead = 20

// architecture returns the architecture that a program for Linux is for, by Go's name; "":
// it is no program, or for one that nobody has (elf(5), e_machine).
func architecture(head []byte) string {
	if len(head) < elfHead || string(head[:4]) != "\x7fELF" || head[5] != 1 {
		return ""
	}
	switch machine := int(head[18]) | int(head[19])<<8; {
	case machine == 62 && head[4] == 2:
		return "amd64"
	case machine == 183:
		return "arm64"
	case machine == 3:
		return "386"
	case machine == 40:
		return "arm"
	case machine == 243:
		return "riscv64"
	}
	return ""
}
