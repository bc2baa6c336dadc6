package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/store"
	"flow/executor/store/storetest"
)

// What becomes of one call of an agent: it ends there, before or behind the call, or it is
// told that the call has failed, and it had not, or had.
var faults = map[string]storetest.Fault{
	"death": storetest.Death, "death after": storetest.DeathAfter, "refused": storetest.Refused, "lost": storetest.Lost,
}

// Whatever becomes of whatever call, there is a whole result or none, and the next attempt
// goes on from there: Batch's own, or that of a later job.
func TestFaultAtEveryCall(t *testing.T) {
	every := func(name string, fault storetest.Fault, later bool) {
		t.Run(name, func(t *testing.T) {
			for n, done := 1, false; !done; n++ {
				done = faultAt(t, n, fault, later)
			}
		})
	}
	for name, fault := range faults {
		every(name, fault, false)
	}
	every("death before a later job", storetest.Death, true)
}

// faultAt has one fault at call n of the first attempt; true: there was no such call.
func faultAt(t *testing.T, n int, fault storetest.Fault, later bool) (done bool) {
	s := newS3Test(t, `read x < "$in/a"; echo "$x" > "$out"; : > part-1; : > part-2; echo '{"a": 1}' > n.json`, allOutputs[0], allOutputs[2], allOutputs[3])
	s.input("content\n")
	calls, at := 0, ""
	s.mem.Fault = func(op, uri string) storetest.Fault {
		if calls++; calls == n {
			at = op + " " + uri
			return fault
		}
		return storetest.Fault{}
	}
	code, _ := s.run(s.mem, "job", 1)
	first, err := s.result()
	switch {
	case err != nil && !errors.Is(err, engine.ErrNotFound):
		t.Fatal(err)
	case (code == 0) != (err == nil) && !errors.Is(fault.Err, storetest.ErrDead):
		t.Errorf("at %s the attempt ended with %d, and its result: %v", at, code, err)
	case code != 0 && code != ExitStageIn && code != ExitStageOut:
		t.Errorf("at %s the attempt ended with %d", at, code)
	}
	job, attempt := "job", 2
	if later && first == nil {
		s.spec.Attempt, job, attempt = 2, "later", 1
		s.write()
	}
	if code, said := s.run(s.mem.Again(), job, attempt); code != 0 {
		t.Errorf("after %s the next attempt ended with %d: %s", at, code, said)
	}
	m, err := s.result()
	if err != nil {
		t.Fatalf("after %s: %v", at, err)
	}
	if first != nil && m.Attempt != 1 {
		t.Errorf("after %s the result is that of attempt %d", at, m.Attempt)
	}
	if got := string(s.mem.Objects()[fmt.Sprintf("%s/%d/sub/out", s.dir(), m.Attempt)]); got != "content\n" {
		t.Errorf("after %s the output is %q", at, got)
	}
	for attempt, times := range s.starts() {
		if times > 1 || attempt != "1" && attempt != "2" {
			t.Errorf("after %s the command of attempt %s was started %d times", at, attempt, times)
		}
	}
	return at == ""
}

// The very attempt once more, after its host was lost in the midst of it: what the first
// process has left is not in the way.
func TestSameAttemptOnS3(t *testing.T) {
	for n := 1; ; n++ {
		s := newS3Test(t, `echo "$FLOW_RUN_ID" > "$out"; mkdir dir; touch "dir/$NAME"`,
			fileOutput, engine.Output{Name: "dir", Kind: engine.OutputDirectory, Path: "dir"})
		s.mem.DieAt(n)
		first, _ := s.run(s.mem, "job", 1, "NAME=first")
		code, said := s.run(s.mem.Again(), "job", 1, "NAME=second")
		m, err := s.result()
		if code != 0 || err != nil {
			t.Fatalf("after call %d: exit code %d, %s; result: %v", n, code, said, err)
		}
		for uri := range s.mem.Objects() {
			rel, ok := strings.CutPrefix(uri, s.dir()+"/1/")
			if ok && !slices.ContainsFunc(m.Files, func(f engine.ManifestFile) bool { return f.Path == rel }) {
				t.Errorf("after call %d there still is %s", n, uri)
			}
		}
		if first == 0 {
			return
		}
	}
}

// That nobody knows whether an attempt has succeeded is no reason to run its command again.
func TestUnknownIsNotAbsent(t *testing.T) {
	s := newS3Test(t, `echo > "$out"`, fileOutput)
	s.must("job", 1, 0, "")
	mem := s.mem.Again()
	mem.Fault = func(op, uri string) storetest.Fault {
		if uri == ManifestPath(s.dir(), 1) {
			return storetest.Refused
		}
		return storetest.Fault{}
	}
	code, said := s.run(mem, "job", 2)
	if code != ExitStageIn || !strings.HasPrefix(said, "flow: StageInError: cannot tell whether attempt 1 has succeeded already: ") {
		t.Errorf("exit code %d, %q", code, said)
	}
	if got, _ := s.mem.Objects()[failurePath(s.dir(), 2)]; got == nil {
		f := s.files(s.mem.Again())
		t.Errorf("it was not written down: %q", f.Failure(t.Context(), s.dir(), 2))
	}
	if diff := cmp.Diff(map[string]int{"1": 1}, s.starts()); diff != "" {
		t.Error(diff)
	}
}

func TestFailureOnS3(t *testing.T) {
	s := newS3Test(t, `test ! -e sub/out`, fileOutput)
	want := `OutputMissing: output "out": sub/out is not there; sub is empty`
	s.must("job", 1, ExitOutput, "flow: "+want+"\n")
	f := s.files(s.mem)
	if got := f.Failure(t.Context(), s.dir(), 1); got != want {
		t.Errorf("the failure is %q", got)
	}
	if _, err := s.result(); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("its result: %v", err)
	}
}

// damage changes a content: it cuts it at a place, or turns a bit there.
func damage(data []byte, at int, cut bool) []byte {
	if cut {
		return data[:at]
	}
	data[at] ^= 1
	return data
}

// A manifest or a result pointer that was cut or changed anywhere is noticed.
func TestDamagedRecords(t *testing.T) {
	s := newS3Test(t, allScript, allOutputs...)
	s.must("job", 1, 0, "")
	want, err := s.result()
	if err != nil {
		t.Fatal(err)
	}
	path := ManifestPath(s.dir(), 1)
	data := s.mem.Objects()[path]
	for at := range data {
		for _, cut := range []bool{false, true} {
			for _, needSum := range []bool{false, true} {
				if m, err := decodeManifest(path, damage(bytes.Clone(data), at, cut), 1, needSum); !errors.Is(err, engine.ErrNotFound) {
					t.Fatalf("with byte %d changed (cut: %t) there is %+v (%v)", at, cut, m, err)
				}
			}
		}
	}
	old := []byte(`{"version":1,"run":"run","step":"step","task":"","attempt":1,"exit_code":0,"outputs":{"n":"1"}}` + "\n")
	for _, needSum := range []bool{false, true} { // former releases wrote none, on file systems only
		if _, err := decodeManifest(path, old, 1, needSum); (err != nil) != needSum {
			t.Errorf("without a sum (needed: %t): %v", needSum, err)
		}
	}
	pointer := s.dir() + "/" + engine.ResultDir
	for at := range s.mem.Objects()[pointer] {
		for _, cut := range []bool{false, true} {
			whole := s.mem.Objects()[pointer]
			s.mem.Corrupt(pointer, true, func(b []byte) []byte { return damage(b, at, cut) })
			if m, err := s.result(); !errors.Is(err, engine.ErrNotFound) {
				if diff := cmp.Diff(want, m); diff != "" || err != nil {
					t.Errorf("with the pointer %q: %v %s", s.mem.Objects()[pointer], err, diff)
				}
			}
			s.must("job", 2, 0, "flow: attempt 1 has succeeded already, though its end was not seen\n")
			if got := s.mem.Objects()[pointer]; !bytes.Equal(got, whole) {
				t.Errorf("the pointer is not mended: %q", got)
			}
		}
	}
}

// What has been cut or changed by others: the agent that comes next notices, and its
// command runs if it may.
func TestDamagedObjects(t *testing.T) {
	for _, tt := range []struct {
		what   string
		uri    func(s *s3Test) string
		silent bool
		cut    bool
		code   int // of the next attempt
		said   string
	}{
		{"an output", func(s *s3Test) string { return s.dir() + "/1/sub/out" }, false, false, 0, ""},
		{"an output, cut by the disk", func(s *s3Test) string { return s.dir() + "/1/dir/x" }, true, true, 0, ""},
		{"the manifest", func(s *s3Test) string { return ManifestPath(s.dir(), 1) }, true, false, 0, ""},
		{"the job file", func(s *s3Test) string { return s.path() }, true, false, ExitStageIn, "is no whole job file"},
		{"the job file, cut", func(s *s3Test) string { return s.path() }, true, true, ExitStageIn, "is no whole job file"},
		{"the claim", func(s *s3Test) string { return ClaimPath(s.dir(), 1) }, true, false, ExitClaimed, "another job (joc) runs attempt 1"},
		{"the claim, cut", func(s *s3Test) string { return ClaimPath(s.dir(), 1) }, true, true, ExitClaimed, "another job (its claim names none) runs attempt 1"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s := newS3Test(t, allScript, allOutputs...)
			s.must("job", 1, 0, "")
			s.mem.Corrupt(tt.uri(s), tt.silent, func(b []byte) []byte { return damage(b, len(b)-min(2, len(b)), tt.cut) })
			if _, err := s.result(); (err == nil) != (tt.code != 0) {
				t.Errorf("the result: %v", err)
			}
			code, said := s.run(s.mem.Again(), "job", 2)
			if code != tt.code || !strings.Contains(said, tt.said) || tt.said == "" && said != "" {
				t.Errorf("exit code %d, %q", code, said)
			}
			if m, err := s.result(); tt.code == 0 && (err != nil || m.Attempt != 2) {
				t.Errorf("the new result: %+v (%v)", m, err)
			}
		})
	}
}

// A blocked store waits at an object for the end of the context.
type blocked struct {
	store.Store
	at      string // how the URI ends
	reached func()
}

func (b *blocked) wait(ctx context.Context, uri string) {
	if strings.HasSuffix(uri, b.at) {
		b.reached()
		<-ctx.Done()
	}
}

func (b *blocked) PutNew(ctx context.Context, uri string, data []byte) (store.Object, error) {
	b.wait(ctx, uri)
	return b.Store.PutNew(ctx, uri, data)
}

func (b *blocked) Download(ctx context.Context, uri string, w store.File, match string) (store.Object, store.Sum, error) {
	b.wait(ctx, uri)
	return b.Store.Download(ctx, uri, w, match)
}

func (b *blocked) Upload(ctx context.Context, uri string, r io.ReaderAt, size int64) (store.Object, store.Sum, error) {
	b.wait(ctx, uri)
	return b.Store.Upload(ctx, uri, r, size)
}

func (b *blocked) Range(ctx context.Context, uri string, at, n int64) ([]byte, store.Object, error) {
	b.wait(ctx, uri)
	return b.Store.Range(ctx, uri, at, n)
}

// SIGTERM while files come or go ends the agent as it would have ended the command.
func TestSignalWhileStaging(t *testing.T) {
	for _, at := range []string{".job", "1.claim", "in/a", "sub/out", "part-1"} {
		s := newS3Test(t, allScript, allOutputs...)
		s.input("x")
		signals := make(chan os.Signal, 1)
		st := &blocked{s.mem, at, func() { signals <- syscall.SIGTERM }}
		p := s.program(st, "job", 1)
		p.Signals = signals
		if code := p.Run(t.Context(), s.path()); code != 128+int(syscall.SIGTERM) {
			t.Errorf("stopped at %s: exit code %d, %s", at, code, s.said.String())
		}
		for uri := range s.mem.Objects() {
			if strings.HasSuffix(uri, ".json") && !strings.Contains(uri, "/1/") || strings.HasSuffix(uri, "/result") || strings.HasSuffix(uri, ".error") {
				t.Errorf("stopped at %s there is %s", at, uri)
			}
		}
		s.must("job", 2, 0, "")
	}
}

// A signalling store sends SIGTERM when the manifest is about to be written.
type signalling struct {
	store.Store
	signals chan os.Signal
	seen    error // of the context, when the signal had been heeded
}

func (s *signalling) PutNew(ctx context.Context, uri string, data []byte) (store.Object, error) {
	if strings.HasSuffix(uri, "1.json") {
		s.signals <- syscall.SIGTERM
		s.signals <- syscall.SIGTERM // is only taken when the first one has been dealt with
		s.seen = ctx.Err()
	}
	return s.Store.PutNew(ctx, uri, data)
}

// A result that is being recorded is recorded.
func TestSignalWhileRecording(t *testing.T) {
	s := newS3Test(t, `: > "$out"`, fileOutput)
	st := &signalling{Store: s.mem, signals: make(chan os.Signal)}
	p := s.program(st, "job", 1)
	p.Signals = st.signals
	code := p.Run(t.Context(), s.path())
	if _, err := s.result(); code != 0 || err != nil || st.seen != nil {
		t.Errorf("exit code %d, its result: %v, the context: %v", code, err, st.seen)
	}
}

// A writing store writes to a file while it is uploaded.
type writing struct {
	store.Store
	path  string
	after bool // when its content has been taken, or before
}

func (w *writing) Upload(ctx context.Context, uri string, r io.ReaderAt, size int64) (o store.Object, sum store.Sum, err error) {
	if w.after {
		o, sum, err = w.Store.Upload(ctx, uri, r, size)
	}
	f, ferr := os.OpenFile(w.path, os.O_WRONLY, 0)
	if ferr == nil {
		_, ferr = f.WriteAt([]byte("2"), 0)
		ferr = errors.Join(ferr, os.Chtimes(w.path, time.Time{}, time.Now().Add(time.Hour)), f.Close())
	}
	if !w.after {
		o, sum, err = w.Store.Upload(ctx, uri, r, size)
	}
	return o, sum, errors.Join(err, ferr)
}

// An output that is still written while it is uploaded is none; nor is a value that is not
// what was read before.
func TestChangedWhileUploaded(t *testing.T) {
	for _, o := range []engine.Output{{Name: "o", Kind: engine.OutputFile, Path: "o"}, {Name: "o", Kind: engine.OutputText, Path: "o"}} {
		for _, after := range []bool{false, true} {
			s := newS3Test(t, `echo 1 > o`, o)
			st := &writing{Store: s.mem, after: after}
			p := s.program(st, "job", 1)
			st.path = engine.TaskDir(p.Scratch, "run", "step", engine.NoKeyDir) + "/1/o"
			code := p.Run(t.Context(), s.path())
			want := "flow: OutputInvalid: output \"o\": o changed while it was read: something that the command started is still writing it\n"
			if got := s.said.String(); code != ExitOutput || got != want {
				t.Errorf("exit code %d, %s", code, got)
			}
		}
	}
	s := newS3Test(t, "", engine.Output{Name: "o", Kind: engine.OutputText, Path: "o"})
	task := &Task{Run: "run", Step: "step", Attempt: 1, Spec: s.spec.Task, Dir: s.dir(), Scratch: t.TempDir()}
	a := Agent{Files: Files{Store: always(s.mem)}}
	at, err := a.Begin(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	write(t, at.Dir+"/o", "1")
	c, err := at.collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.root.Close()
	write(t, at.Dir+"/o", "2")
	assertError(t, c.upload(), OutputInvalid, "o changed while it was read")
}
