package local

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flow/engine"
	"flow/executor/local/model"
)

// After a crash, ended jobs are ended, queued ones go on, and what ran has lost its
// host: it is retried if its strategy says so.
func TestCrash(t *testing.T) {
	r := newGateRunner()
	x := openTest(t, Options{Runner: r, Journal: journalPath(t), VCPUs: 2, MemoryMiB: 1 << 20})
	again := spec("again", 3)
	again.Attempts, again.Attempt = 2, 4
	again.Evaluate = []engine.EvaluateOn{{StatusReason: "Host EC2*", Retry: true}, {Reason: "*"}}
	a := submit(t, x, again)
	r.wait(t, 2)
	r.end(a.Child(0), 0)
	until(t, x, a.Child(0), engine.JobSucceeded)
	r.wait(t, 3)
	r.end(a.Child(1), 7)
	until(t, x, a.Child(1), engine.JobFailed)
	b := submit(t, x, spec("b", 0))
	r.wait(t, 4)
	follow := spec("follow", 0)
	follow.DependsOn = []engine.Dependency{{Job: b}}
	c := submit(t, x, follow)
	d := submit(t, x, spec("d", 0))
	if err := x.Terminate(t.Context(), d, "not this"); err != nil {
		t.Fatal(err)
	}
	before := describe(t, x, a.Child(0), a.Child(1), d)
	instance := x.instance(t)

	r2 := newGateRunner()
	y := openTest(t, Options{Runner: r2, Journal: crash(t, x), VCPUs: 1, MemoryMiB: 1 << 20})
	if diff := cmp.Diff(before, describe(t, y, a.Child(0), a.Child(1), d)); diff != "" {
		t.Errorf("what had ended has changed (-before +after):\n%s", diff)
	}
	if want := []string{string(a.Child(2)) + "#4", string(b) + "#1"}; !cmp.Equal(r2.left, want) {
		t.Errorf("leftovers were looked for of %v, want %v", r2.left, want)
	}
	lost := model.HostLost(instance)
	if j := describe(t, y, b)[0]; j.Status != engine.JobFailed || j.StatusReason != lost || j.ExitCode != nil || len(j.Attempts) != 1 {
		t.Errorf("what ran without retries is %+v", j)
	}
	if j := describe(t, y, c)[0]; j.StatusReason != engine.ReasonDependency {
		t.Errorf("what depended on it is %+v", j)
	}
	r2.wait(t, 1)
	if j := describe(t, y, a.Child(2))[0]; len(j.Attempts) != 1 || j.Attempts[0].StatusReason != lost || j.Attempts[0].Started.IsZero() {
		t.Errorf("what ran with retries is %+v", j)
	}
	if want := []string{string(a.Child(2)) + "#5"}; !cmp.Equal(r2.ran, want) {
		t.Errorf("%v was run, want %v", r2.ran, want)
	}
	r2.end(a.Child(2), 0)
	until(t, y, a, engine.JobFailed)
	e := submit(t, y, spec("e", 0)) // numbers of new jobs go on where the old ones ended
	r2.wait(t, 2)
	r2.end(e, 0)
	until(t, y, e, engine.JobSucceeded)

	z := openTest(t, Options{Runner: newGateRunner(), Journal: crash(t, y)})
	all := []engine.JobID{a, a.Child(0), a.Child(1), a.Child(2), b, c, d, e}
	if diff := cmp.Diff(describe(t, y, all...), describe(t, z, all...)); diff != "" {
		t.Errorf("a second crash changed something:\n%s", diff)
	}
}

func (x *Executor) instance(t *testing.T) string {
	t.Helper()
	instance := ""
	if _, err := replay(x.b.journal.f, func(r *record) error {
		if r.kind == 'o' {
			instance = r.instance
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return instance
}

// What had ended well when the driver died, though nobody wrote it down, is not run
// again, and starts nothing before the host is back.
func TestFinishedAcrossCrash(t *testing.T) {
	r := newGateRunner()
	x := openTest(t, Options{Runner: r, Journal: journalPath(t), VCPUs: 1, MemoryMiB: 1 << 20})
	a := submit(t, x, spec("a", 3))
	r.wait(t, 1)

	r2 := newGateRunner()
	r2.finished[a.Child(0)] = Exit{ExitCode: new(0), StatusReason: engine.ReasonExited}
	y := openTest(t, Options{Runner: r2, Journal: crash(t, x), VCPUs: 1, MemoryMiB: 1 << 20})
	r2.wait(t, 1)
	jobs := describe(t, y, a.Child(0), a.Child(1), a.Child(2))
	if jobs[0].Status != engine.JobSucceeded || jobs[0].Started.IsZero() {
		t.Errorf("the finished child is %+v", jobs[0])
	}
	if len(jobs[1].Attempts) != 0 || jobs[2].Status != engine.JobRunnable {
		t.Errorf("the others are %+v", jobs[1:])
	}
	z := openTest(t, Options{Runner: newGateRunner(), Journal: crash(t, y)})
	if j := describe(t, z, a.Child(0))[0]; !cmp.Equal(j, jobs[0]) {
		t.Errorf("after one more crash the finished child is %+v", j)
	}
	if j := describe(t, z, a.Child(1))[0]; len(j.Attempts) != 1 || j.Attempts[0].Started.IsZero() {
		t.Errorf("after one more crash the child that ran then is %+v", j)
	}
}

func TestLeftoversThatStay(t *testing.T) {
	r := newGateRunner()
	x := openTest(t, Options{Runner: r, Journal: journalPath(t)})
	submit(t, x, spec("a", 0))
	r.wait(t, 1)
	r2 := newGateRunner()
	r2.leftErr = errors.New("process 77 does not end")
	path := crash(t, x)
	if y, err := Open(Options{Runner: r2, Journal: path}); err == nil || !strings.Contains(err.Error(), "process 77") {
		t.Errorf("Open = %v, %v", y, err)
	}
	r2.leftErr = nil
	openTest(t, Options{Runner: r2, Journal: path}) // the failed Open holds no lock
}

// Close is no end of the jobs: the next Open finds a lost host, and goes on.
func TestCloseAndOpen(t *testing.T) {
	path := journalPath(t)
	r := newGateRunner()
	x, err := Open(Options{Runner: r, Journal: path, VCPUs: 1, MemoryMiB: 1 << 20, Grace: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	s := spec("a", 2)
	s.Attempts = 2
	a := submit(t, x, s)
	r.wait(t, 1)
	closeTest(t, x)
	closeTest(t, x)
	if !cmp.Equal(r.graces, []time.Duration{time.Minute}) {
		t.Errorf("stopped with %v, want once with the grace", r.graces)
	}
	if _, err := x.Submit(t.Context(), spec("late", 0)); !errors.Is(err, engine.ErrRefused) {
		t.Errorf("Submit to a closed executor: %v", err)
	}
	if err := x.Terminate(t.Context(), a, "late"); err == nil {
		t.Error("Terminate by a closed executor says nothing")
	}

	r2 := newGateRunner()
	y := openTest(t, Options{Runner: r2, Journal: path, VCPUs: 2, MemoryMiB: 1 << 20})
	r2.wait(t, 2)
	jobs := describe(t, y, a.Child(0), a.Child(1))
	if len(jobs[0].Attempts) != 1 || !strings.HasPrefix(jobs[0].Attempts[0].StatusReason, engine.ReasonHostLost) || len(jobs[1].Attempts) != 0 {
		t.Errorf("children are %+v", jobs)
	}
}

// Close does not wait longer than its context.
func TestCloseInAHurry(t *testing.T) {
	r := newGateRunner()
	x, err := Open(Options{Runner: deafRunner{r}, Grace: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	submit(t, x, spec("a", 0))
	r.wait(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Close(ctx); err != nil {
		t.Error(err)
	}
	if n := len(r.graces); n == 0 || r.graces[n-1] != 0 {
		t.Errorf("stopped with %v, want no grace at the end", r.graces)
	}
}

// A deafRunner's tries end by SIGKILL only.
type deafRunner struct{ *gateRunner }

func (r deafRunner) Stop(id engine.JobID, grace time.Duration) {
	if grace == 0 {
		r.gateRunner.Stop(id, 0)
	}
}

func TestLock(t *testing.T) {
	path := journalPath(t)
	openTest(t, Options{Runner: newGateRunner(), Journal: path})
	_, err := Open(Options{Runner: newGateRunner(), Journal: path})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || !strings.Contains(err.Error(), path) {
		t.Errorf("a second Open: %v", err)
	}
}

func TestJournalOfSomethingElse(t *testing.T) {
	path := journalPath(t)
	if err := os.WriteFile(path, []byte("SQLite format 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Runner: newGateRunner(), Journal: path}); err == nil || !strings.Contains(err.Error(), "no journal") {
		t.Errorf("Open of another file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "SQLite format 3\n" {
		t.Errorf("the other file is %q now, %v", b, err)
	}
	if _, err := Open(Options{Runner: newGateRunner(), Journal: filepath.Join(path, "x")}); err == nil {
		t.Error("Open in no directory succeeded")
	}
}

// A journal that ends anywhere is read as far as it is whole, and can be written on.
func TestTornJournal(t *testing.T) {
	r := newGateRunner()
	x := openTest(t, Options{Runner: r, Journal: journalPath(t), VCPUs: 1, MemoryMiB: 1 << 20})
	a := submit(t, x, spec("a", 2))
	r.wait(t, 1)
	r.end(a.Child(0), 3)
	r.wait(t, 2)
	whole, err := os.ReadFile(crash(t, x))
	if err != nil {
		t.Fatal(err)
	}
	for _, junk := range []string{"", "\x00\x00\x00\x00", "x 12 0 0\n", "s 12 id {\"name\":\n", "z 1\n", "r 1 0 0 1 9\n", "\n"} {
		for n := 0; n <= len(whole); n += 1 + n%7 {
			torn := append(bytes.Clone(whole[:n]), junk...)
			if n < len(journalHeader)+1 {
				torn = whole[:n]
			}
			path := journalPath(t)
			if err := os.WriteFile(path, torn, 0o644); err != nil {
				t.Fatal(err)
			}
			y, err := Open(Options{Runner: newGateRunner(), Journal: path})
			if err != nil {
				t.Fatalf("%d bytes and %q: %v", n, junk, err)
			}
			b := submit(t, y, spec("b", 0))
			closeTest(t, y)
			z, err := Open(Options{Runner: newGateRunner(), Journal: path})
			if err != nil {
				t.Fatal(err)
			}
			describe(t, z, b)
			closeTest(t, z)
		}
	}
}

// A journal that cannot be written takes no more jobs; what runs goes on.
func TestJournalThatFails(t *testing.T) {
	r := newGateRunner()
	x := openTest(t, Options{Runner: r, Journal: journalPath(t)})
	a := submit(t, x, spec("a", 0))
	r.wait(t, 1)
	x.b.mu.Lock()
	real := x.b.journal.f
	broken, err := os.Open(real.Name()) // for reading only
	if err != nil {
		t.Fatal(err)
	}
	x.b.journal.f = broken
	x.b.mu.Unlock()
	t.Cleanup(func() { real.Close() })
	if _, err := x.Submit(t.Context(), spec("b", 0)); err == nil || errors.Is(err, engine.ErrRefused) {
		t.Errorf("Submit without a journal: %v, want an error of unknown outcome", err)
	}
	r.end(a, 0)
	until(t, x, a, engine.JobSucceeded)
}

func TestJournalRoundTrip(t *testing.T) {
	f, err := os.Create(journalPath(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	j := newJournal(f)
	s := spec("a", 2)
	s.Keys = []string{"a b", "\n\"ü"}
	want := []*record{
		{kind: 'o', ms: 1, instance: "i-0123", pid: os.Getpid(), capacity: model.Capacity{VCPUs: 0.25, MemoryMiB: 77, GPUs: 1}},
		{kind: 's', ms: 2, id: "id", spec: s},
		{kind: 'r', ms: 3, index: -1, attempt: 1},
		{kind: 'n', ms: 4, id: "other"},
		{kind: 'x', ms: 4, job: 1, index: 6, attempt: 7, exit: Exit{ExitCode: new(137), Reason: "a \"b\"\n", StatusReason: "c  d", Used: engine.Used{PeakMemory: 3 << 30, AtMost: true, CPUMillis: 12}}},
		{kind: 'f', ms: 5, index: 1, attempt: 2, exit: Exit{Used: engine.Used{CPUMillis: 1}, Containers: []engine.ContainerResult{{Name: "a", ExitCode: new(3), Reason: "b c"}, {Name: "d"}}}},
		{kind: 't', ms: 6, job: 1, index: -1, reason: "because \x00\xff of ü"},
		{kind: 'k', ms: 7},
		{kind: 'a', ms: 8, op: "submit", body: []byte(`{"id": "x y"}`)},
		{kind: 'a', ms: 8, op: "lines", body: []byte("a\n\"b\xff\n")},
		{kind: 'a', ms: 8, op: "quote", body: []byte(`"a" b`)},
		{kind: 'a', ms: 8, op: "empty", body: []byte{}},
		{kind: 'g', ms: 9, job: 1, index: 6},
		{kind: 'o', ms: 10, instance: "i-0123", pid: os.Getpid(), capacity: model.Capacity{VCPUs: 2, MemoryMiB: 77}, shared: true},
	}
	line := []byte(`{"name":"a","run":"01jtest","step":"a","fan_out":true,"array_size":2,"task":{"command":["true"]},"tasks":"0-1","keys":["a b","\n\"ü"],"work_dir":"/nowhere","attempt":0,"attempts":1,"vcpus":0,"memory_mib":0}`)
	if err := errors.Join(
		j.resume(0),
		j.opened(1, "i-0123", model.Capacity{VCPUs: 0.25, MemoryMiB: 77, GPUs: 1}, false),
		j.submitted(2, "id", line),
	); err != nil {
		t.Fatal(err)
	}
	j.started(3, "id", -1, 1)
	j.exited('x', 4, "other", 6, 7, want[4].exit)
	j.exited('f', 5, "id", 1, 2, want[5].exit)
	if err := j.terminated(6, "other", -1, want[6].reason); err != nil {
		t.Fatal(err)
	}
	j.ticked(7)
	for _, r := range want[8:12] {
		j.applied(8, r.op, r.body)
	}
	j.granted(9, "other", 6)
	if err := j.opened(10, "i-0123", model.Capacity{VCPUs: 2, MemoryMiB: 77}, true); err != nil {
		t.Fatal(err)
	}
	var got []*record
	good, err := replay(f, func(r *record) error {
		got = append(got, r)
		return nil
	})
	if err != nil || good != j.size {
		t.Errorf("replay: %d bytes of %d, %v", good, j.size, err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("records differ (-want +got):\n%s", diff)
	}
}

// A line that is not all that it should be, and no more, is none.
func TestParseRecordRefuses(t *testing.T) {
	for _, line := range []string{
		"", " ", "r", "rr 1 2 3 4", "z 1", "r 1 2 3", "r 1 2 3 4 5", "r 1 2 3 x", "r  1 2 3 4",
		`x 1 2 3 4 0 "a"`, `x 1 2 3 4 0 "a" "b" c`, `x 1 2 3 4 x "a" "b"`, `x 1 2 3 4 0 a "b"`, `x 1 2 3 4 0 "a "b"`,
		"o 1 i-1 2 x 3 4", "o 1 i-1 2 0.5 3", `t 1 2 -1`, `t 1 2 -1 x`, `t 1 2 -1 "x" y`, "k", "k x", "k 1 2",
		"s 1 id", `s 1 id {"name":`, `s 1 id {} x`, "s 1 id []", "n 1", "n 1 id x", "a 1", `a 1 op "x`, `a 1 op "x" y`,
	} {
		if r, ok := parseRecord(line); ok {
			t.Errorf("parseRecord(%q) = %+v", line, r)
		}
	}
}

// Whatever a line holds, reading it does not crash.
func FuzzParseRecord(f *testing.F) {
	for _, line := range []string{
		"o 1 i-1 2 0.5 3 4", `s 1 id {"name":"a"}`, "r 1 2 3 4", `x 1 2 3 4 - "a b" ""`, `t 1 2 -1 "x"`, "k 1", "n 1 id", `a 1 op {"b":1}`, `a 1 op "b"`, "", "x", "x  ", `x 1 2 3 4 5 "`,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, ok := parseRecord(line)
		if ok && (r == nil || r.kind != line[0]) {
			t.Errorf("parseRecord(%q) = %+v", line, r)
		}
	})
}
