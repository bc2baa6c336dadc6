package registry

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// A file is what tests say of one in a layer.
type file struct {
	Kind     byte
	Name     string
	Link     string
	Mode     int64
	UID, GID int
	Time     int64
	Text     string
	PAX      map[string]string
}

// filesOf reads a layer.
func filesOf(t *testing.T, l v1.Layer) (files []file) {
	t.Helper()
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return readTar(t, r)
}

func readTar(t *testing.T, r io.Reader) (files []file) {
	t.Helper()
	for reader := tar.NewReader(r); ; {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uname != "" || h.Gname != "" || !h.AccessTime.IsZero() || !h.ChangeTime.IsZero() {
			t.Errorf("%s tells of the machine it was on: %+v", h.Name, h)
		}
		files = append(files, file{h.Typeflag, h.Name, h.Linkname, h.Mode, h.Uid, h.Gid, h.ModTime.Unix(), string(text), h.PAXRecords})
	}
}

// made returns the only layer and the configuration of what a source is.
func made(t *testing.T, from Source, notes *[]string) (v1.Layer, *v1.ConfigFile) {
	t.Helper()
	o := Options{}
	if notes != nil {
		o.Note = func(s string) { *notes = append(*notes, s) }
	}
	got, err := from.open(t.Context(), newProgress(&o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(got.close)
	img := got.image.(v1.Image)
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	return layers[0], configOf(t, img)
}

// elf returns the beginning of a program for a machine, by its number.
func elfOf(machine byte) []byte {
	return append([]byte("\x7fELF\x02\x01\x01"), append(make([]byte, 11), machine, 0, 0, 0)...)
}

var then = time.Date(2026, 3, 1, 12, 0, 0, 5000, time.UTC)

// tree makes a directory with files of every kind.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, content []byte, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		check(os.MkdirAll(filepath.Dir(path), 0o755))
		check(os.WriteFile(path, content, mode))
		check(os.Chmod(path, mode))
	}
	write("bin/tool", elfOf(183), 0o755)
	write("bin/set", []byte("x"), os.ModeSetuid|0o755)
	write("etc/a b\xff", []byte("odd"), 0o600)
	write("etc/motd", []byte("hello"), 0o644)
	write("lib/"+strings.Repeat("long/", 60)+"name", []byte("deep"), 0o644)
	check(os.Symlink("/etc/motd", filepath.Join(dir, "absolute")))
	check(os.Symlink("../../..", filepath.Join(dir, "etc", "up")))
	check(os.Link(filepath.Join(dir, "etc/motd"), filepath.Join(dir, "etc/motd2")))
	check(syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	check(os.Mkdir(filepath.Join(dir, "tmp"), 0o777))
	check(os.Chmod(filepath.Join(dir, "tmp"), os.ModeSticky|0o777))
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	check(err)
	defer syscall.Close(socket)
	t.Chdir(dir) // the name of a socket is short
	check(syscall.Bind(socket, &syscall.SockaddrUnix{Name: "socket"}))
	check(filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.Mode()&os.ModeSymlink != 0 {
			return err
		}
		return os.Chtimes(path, then, then)
	}))
	return dir
}

func TestDirectory(t *testing.T) {
	dir := tree(t)
	root := os.Getuid() == 0
	if root {
		if err := unix.Mknod(filepath.Join(dir, "null"), syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
			root = false // not in this container
		}
	}
	if err := os.Chtimes(dir, then, then); err != nil {
		t.Fatal(err)
	}
	from := &From{Path: dir, Root: Root{Owner: &Owner{7, 8}, Cmd: []string{"tool"}, Env: []string{"A=b"}, User: "1000"}}
	var notes []string
	l, config := made(t, from, &notes)
	var got []file
	for _, f := range filesOf(t, l) {
		if f.UID != 7 || f.GID != 8 || f.Time != then.Unix() && f.Kind != tar.TypeSymlink {
			t.Errorf("%+v", f)
		}
		f.UID, f.GID, f.Time, f.PAX = 0, 0, 0, nil
		if !strings.HasPrefix(f.Name, "lib/") || f.Kind == tar.TypeReg {
			got = append(got, f)
		}
	}
	want := []file{
		{Kind: '2', Name: "absolute", Link: "/etc/motd", Mode: 0o777},
		{Kind: '5', Name: "bin/", Mode: 0o755},
		{Kind: '0', Name: "bin/set", Mode: 0o4755, Text: "x"},
		{Kind: '0', Name: "bin/tool", Mode: 0o755, Text: string(elfOf(183))},
		{Kind: '5', Name: "etc/", Mode: 0o755},
		{Kind: '0', Name: "etc/a b\xff", Mode: 0o600, Text: "odd"},
		{Kind: '0', Name: "etc/motd", Mode: 0o644, Text: "hello"},
		{Kind: '1', Name: "etc/motd2", Mode: 0o644, Link: "etc/motd"},
		{Kind: '2', Name: "etc/up", Link: "../../..", Mode: 0o777},
		{Kind: '0', Name: "lib/" + strings.Repeat("long/", 60) + "name", Mode: 0o644, Text: "deep"},
		{Kind: '6', Name: "pipe", Mode: 0o600},
		{Kind: '5', Name: "tmp/", Mode: 0o1777},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if config.OS != "linux" || config.Architecture != "arm64" {
		t.Errorf("it is for %s/%s", config.OS, config.Architecture)
	}
	if diff := cmp.Diff(v1.Config{Cmd: []string{"tool"}, Env: []string{defaultPath, "A=b"}, User: "1000"}, config.Config); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantNotes := []string{"sockets are left out (1)"}
	if root {
		wantNotes = append([]string{"device nodes are left out (1): a container gets its own /dev"}, wantNotes...)
	}
	if diff := cmp.Diff(wantNotes, notes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, _ := made(t, from, nil)
	if a, b := digestOf(t, l), digestOf(t, again); a != b {
		t.Errorf("the same directory is %s, and then %s", a, b)
	}
}

// TestDirectoryTimes makes the same image of what was made at different times, if it is
// asked to.
func TestDirectoryTimes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	digest := func(mtime, epoch time.Time) string {
		t.Helper()
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
		from := &From{Path: dir, Root: Root{Epoch: epoch, Platform: &Platform{OS: "linux", Architecture: "amd64"}}}
		got, err := from.open(t.Context(), newProgress(&Options{}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(got.close)
		return digestOf(t, got.image.(v1.Image))
	}
	first, later := digest(then, time.Time{}), digest(then.Add(time.Hour), time.Time{})
	if first == later {
		t.Error("files have no times")
	}
	epoch := then.Add(-time.Hour)
	if digest(then, epoch) != digest(then.Add(time.Hour), epoch) {
		t.Error("SOURCE_DATE_EPOCH does not make it the same")
	}
	if digest(then.Add(-2*time.Hour), epoch) == digest(then, epoch) {
		t.Error("a file becomes younger")
	}
}

// TestCapabilities keeps what a program may do.
func TestCapabilities(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ping")
	if err := os.WriteFile(path, elfOf(62), 0o755); err != nil {
		t.Fatal(err)
	}
	netRaw := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	if err := unix.Setxattr(path, "security.capability", []byte(netRaw), 0); err != nil {
		t.Skipf("capabilities cannot be set here: %v", err)
	}
	l, _ := made(t, &From{Path: dir}, nil)
	files := filesOf(t, l)
	if len(files) != 1 || files[0].PAX[capability] != netRaw {
		t.Errorf("%+v", files)
	}
	// And out of a tar.
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "ping", PAXRecords: map[string]string{capability: netRaw, "SCHILY.xattr.security.selinux": "x"}}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	l, _ = made(t, &From{Path: "-", Stdin: &b}, nil)
	if diff := cmp.Diff(map[string]string{capability: netRaw}, filesOf(t, l)[0].PAX); diff != "" {
		t.Error(diff)
	}
}

func TestInside(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"a/b": "a/b", "./a": "a", "/etc/passwd": "etc/passwd", "": "", ".": "", "./": "", "/": "", "a//b/": "a/b", "..a/b..": "..a/b..", "a/./b": "a/b",
		"../a": "!", "a/../../b": "!", "a/..": "!", "..": "!", "/..": "!",
	} {
		got, err := inside(name)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%q is %q, and not %q", name, got, want)
		}
	}
}

// tarOf returns a tar.
func tarOf(t *testing.T, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode, h.ModTime = 0o644, then
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write(make([]byte, h.Size)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHostileTars(t *testing.T) {
	t.Parallel()
	regular := func(name string) *tar.Header { return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 3} }
	good := tarOf(t, regular("a"))
	tests := map[string]struct {
		tar  []byte
		want string
	}{
		"out":             {tarOf(t, regular("../../etc/cron.d/x")), `"../../etc/cron.d/x" leads out of the image`},
		"out in between":  {tarOf(t, regular("a/../../b")), `"a/../../b" leads out of the image`},
		"linked out":      {tarOf(t, regular("a"), &tar.Header{Typeflag: tar.TypeLink, Name: "b", Linkname: "../../etc/shadow"}), `b is a hard link to "../../etc/shadow", which is not in the image`},
		"whiteout":        {tarOf(t, regular("etc/.wh.passwd")), "etc/.wh.passwd: a name that begins with .wh. deletes another file when a layer is unpacked: rename the file, or leave it out"},
		"opaque whiteout": {tarOf(t, regular("etc/.wh..wh..opq")), "etc/.wh..wh..opq: a name"},
		"cut":             {tarOf(t, regular("bin/a"))[:514], "bin/a: unexpected EOF"},
		"cut archive":     {append(good[:1024:1024], 'x'), "the tar is damaged: unexpected EOF"},
		"no tar":          {[]byte("hello, world"), "it is no tar: give a directory with a root file system, a tar of one, or what docker save or podman save writes"},
		"empty":           {nil, "there is nothing in it"},
		"empty tar":       {tarOf(t), "there is nothing in it"},
		"only the root":   {tarOf(t, &tar.Header{Typeflag: tar.TypeDir, Name: "./"}), "there is nothing in it"},
		"xz":              {[]byte("\xfd7zXZ\x00rest"), "it is compressed with xz, which flow does not read: unpack it with xz -d"},
		"no gzip":         {[]byte("\x1f\x8bnonsense........"), "gzip: invalid header"},
		"no manifest":     {tarOf(t, regular("manifest.json")), "its manifest.json is damaged: invalid character '\\x00' looking for beginning of value"},
		"no index":        {tarOf(t, regular("oci-layout")), "the image layout is damaged: "},
	}
	for name, test := range tests {
		got, err := (&From{Path: "-", Stdin: bytes.NewReader(test.tar)}).open(t.Context(), newProgress(&Options{}))
		if err == nil {
			got.close()
			t.Errorf("%s is taken", name)
		} else if !strings.HasPrefix(err.Error(), "standard input: "+test.want) {
			t.Errorf("%s:\n got %v\nwant standard input: %s", name, err, test.want)
		}
	}
}

// TestTarOfRoot takes a tar over as it takes over a directory.
func TestTarOfRoot(t *testing.T) {
	t.Parallel()
	b := tarOf(t,
		&tar.Header{Typeflag: tar.TypeDir, Name: "./"},
		&tar.Header{Typeflag: tar.TypeDir, Name: "./dev/"},
		&tar.Header{Typeflag: tar.TypeChar, Name: "./dev/null"},
		&tar.Header{Typeflag: tar.TypeReg, Name: "/etc/passwd", Size: 2, Uid: 5, Uname: "games", AccessTime: then, Format: tar.FormatPAX},
		&tar.Header{Typeflag: tar.TypeLink, Name: "./etc/again", Linkname: "./etc/passwd"},
		&tar.Header{Typeflag: tar.TypeSymlink, Name: "./etc/up", Linkname: "../../../x"},
	)
	var notes []string
	l, _ := made(t, &From{Path: "-", Stdin: bytes.NewReader(b), Root: Root{Platform: &Platform{OS: "linux", Architecture: "arm64"}}}, &notes)
	want := []file{
		{Kind: '5', Name: "dev/", Mode: 0o644, Time: then.Unix()},
		{Kind: '0', Name: "etc/passwd", Mode: 0o644, UID: 5, Time: then.Unix(), Text: "\x00\x00"},
		{Kind: '1', Name: "etc/again", Link: "etc/passwd", Mode: 0o644, Time: then.Unix()},
		{Kind: '2', Name: "etc/up", Link: "../../../x", Mode: 0o644, Time: then.Unix()},
	}
	if diff := cmp.Diff(want, filesOf(t, l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"device nodes are left out (1): a container gets its own /dev"}, notes); diff != "" {
		t.Error(diff)
	}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	arm := &Platform{OS: "linux", Architecture: "arm64"}
	tests := []struct {
		programs map[string]int
		given    *Platform
		want     string
		notes    int
	}{
		{map[string]int{"arm64": 1}, nil, "linux/arm64", 0},
		{map[string]int{"amd64": 3, "arm64": 2}, nil, "linux/amd64", 0},
		{map[string]int{"amd64": 2, "arm64": 2}, nil, "linux/amd64", 0},
		{map[string]int{"amd64": 3}, arm, "linux/arm64", 1},
		{nil, arm, "linux/arm64", 0},
	}
	for _, test := range tests {
		notes := 0
		got := (&Root{Platform: test.given}).platform(&seen{programs: test.programs}, func(string) { notes++ })
		if got.String() != test.want || notes != test.notes {
			t.Errorf("%v, %v: %s with %d notes", test.programs, test.given, got, notes)
		}
	}
	for machine, want := range map[byte]string{62: "amd64", 183: "arm64", 8: ""} {
		if got := architecture(elfOf(machine)); got != want {
			t.Errorf("machine %d is %q", machine, got)
		}
	}
	if architecture([]byte("#!/bin/sh, and more of it")) != "" || architecture(nil) != "" {
		t.Error("a script is a program for some architecture")
	}
}

// TestChangingFile fails when a file becomes shorter while it is read.
func TestChangingFile(t *testing.T) {
	t.Parallel()
	w, err := newLayerWriter(t.Context(), &Root{}, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	defer w.drop()
	err = w.add(&tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 5}, strings.NewReader("abc"))
	if want := "a changed while it was read: it had 5 bytes, and now has 3"; err == nil || err.Error() != want {
		t.Errorf("%v, and not %s", err, want)
	}
}

// Of an archive of a layout only the files of a layout are unpacked, and none outside of it.
func TestUnpackedNames(t *testing.T) {
	t.Parallel()
	blob := "blobs/sha256/" + strings.Repeat("a", 64)
	regular := func(name string) *tar.Header { return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 3} }
	file, err := os.Create(filepath.Join(t.TempDir(), "oci.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(tarOf(t, regular("./oci-layout"), regular(blob), regular("../out"), regular("blobs/sha256/../../../out"), regular("/out"), regular("extra"),
		&tar.Header{Typeflag: tar.TypeSymlink, Name: "index.json", Linkname: "/etc/passwd"})); err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	if err := (&tarFile{ctx: t.Context(), file: file}).unpack(filepath.Join(parent, "in")); err != nil {
		t.Fatal(err)
	}
	var got []string
	err = filepath.WalkDir(parent, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got = append(got, strings.TrimPrefix(path, parent+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"in/" + blob, "in/oci-layout"}, got); diff != "" {
		t.Errorf("unpacked (-want +got):\n%s", diff)
	}
}

// Times are in whole seconds, which every tar has, and none is before 1970 or after the latest.
func TestClamp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ latest, at, want time.Time }{
		{time.Time{}, time.Unix(5, 900_000_000), time.Unix(5, 0)}, {time.Time{}, time.Unix(-5, 0), time.Unix(0, 0)},
		{time.Unix(3, 0), time.Unix(5, 0), time.Unix(3, 0)}, {time.Unix(3, 0), time.Unix(2, 1), time.Unix(2, 0)},
	} {
		if got := (&layerWriter{latest: c.latest}).clamp(c.at); !got.Equal(c.want) {
			t.Errorf("%v with the latest %v is %v, and not %v", c.at, c.latest, got, c.want)
		}
	}
}
