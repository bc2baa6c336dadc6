package logstore

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

// A clock stands still until it is told to go on.
type clock struct{ time.Time }

func (c *clock) now() time.Time         { return c.Time }
func (c *clock) add(ms int)             { c.Time = c.Time.Add(time.Duration(ms) * time.Millisecond) }
func newClock() *clock                  { return &clock{time.UnixMilli(1_000_000)} }
func (c *clock) open(dir string) *Store { return must(Open(dir, c.now, Every(0))) }
func must[T any](v T, err error) T      { check(err); return v }
func collect[T any](s iter.Seq2[T, error]) (all []T) {
	for v, err := range s {
		check(err)
		all = append(all, v)
	}
	return all
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// line is an event, as tests compare it.
type line struct {
	Time int64 // since the clock's beginning
	Text string
}

func lines(l *Log) (all []line) {
	for e, err := range l.Forward(0, l.End()) {
		check(err)
		all = append(all, line{e.Time - 1_000_000, string(e.Text)})
	}
	return all
}

func read(s *Store, group, stream string) []line {
	l := must(s.Log(group, stream))
	defer l.Close()
	return lines(l)
}

func TestEscapesNames(t *testing.T) {
	tests := []struct{ name, group, stream string }{
		{"/aws/batch/job", "+aws+batch+job.group", "+/aws+/ba/tch+/jo/b"},
		{"align/default/0123456789abcdef", "align+default+0123456789abcdef.group", "align+/default+/01/23456789abcdef"},
		{"a", "a.group", "a"},
		{"a/", "a+.group", "a+"},
		{"a/b/cd", "a+b+cd.group", "a+/b+/cd"},
		{"a/b/cd/e", "a+b+cd+e.group", "a+/b+/cd/+/e"},
		{"../..", "%2e%2e+%2e%2e.group", "%2e%2e+/%2e%2e"},
		{"Ä.log", "%c3%84%2elog.group", "%c3%84%2elog"},
		{strings.Repeat("x", 200), strings.Repeat("x", 80) + "/" + strings.Repeat("x", 80) + "/" + strings.Repeat("x", 40) + ".group",
			strings.Repeat("x", 80) + "/" + strings.Repeat("x", 80) + "/" + strings.Repeat("x", 40)},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.group, groupPath(test.name)); diff != "" {
			t.Errorf("group %q: %s", test.name, diff)
		}
		if diff := cmp.Diff("g.group/"+test.stream, streamPath("g", test.name)); diff != "" {
			t.Errorf("stream %q: %s", test.name, diff)
		}
	}
}

func TestGroups(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := c.open(dir)
	long := strings.Repeat("G", maxName)
	c.add(5)
	for _, name := range []string{"z", "/aws/batch", long} {
		check(s.CreateGroup(Group{Name: name, Class: "STANDARD"}))
	}
	check(s.SetRetention("z", 7))
	want := []Group{
		{Name: "/aws/batch", Created: 1_000_005, Class: "STANDARD"},
		{Name: DefaultGroup, Created: 1_000_000},
		{Name: long, Created: 1_000_005, Class: "STANDARD"},
		{Name: "z", Created: 1_000_005, Class: "STANDARD", Retention: 7},
	}
	for range 2 {
		if diff := cmp.Diff(want, s.Groups("")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want[:2], s.Groups("/aws/batch")); diff != "" {
			t.Error(diff)
		}
		check(s.Close())
		s = c.open(dir)
	}
	f := must(s.Open("z", "stream", false))
	if err := s.CreateGroup(Group{Name: "z"}); !errors.Is(err, ErrGroupExists) {
		t.Error(err)
	}
	check(s.DeleteGroup("z"))
	must(f.WriteString("lost"))
	for _, err := range []error{s.DeleteGroup("z"), s.SetRetention("z", 1), s.Remove("z", "stream")} {
		if !errors.Is(err, ErrNoGroup) {
			t.Error(err)
		}
	}
	check(s.CreateGroup(Group{Name: "z"}))
	if got := collect(s.Streams("z", "", "")); len(got) > 0 {
		t.Error(got)
	}
	for _, name := range []string{"", long + "G"} {
		if err := s.CreateGroup(Group{Name: name}); !errors.Is(err, ErrName) {
			t.Error(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	s := newClock().open(t.TempDir())
	_, err := s.Open("none", "a/b/c", false)
	if !errors.Is(err, ErrNoGroup) || err.Error() != "ResourceNotFoundException: The specified log group does not exist." {
		t.Error(err)
	}
	for _, name := range []string{"", strings.Repeat("x", 513)} {
		if _, err := s.Open(DefaultGroup, name, false); !errors.Is(err, ErrName) {
			t.Error(err)
		}
	}
	if _, err := s.Log("none", "a"); !errors.Is(err, ErrNoGroup) {
		t.Error(err)
	}
	if _, err := s.Log(DefaultGroup, "a"); !errors.Is(err, ErrNoStream) {
		t.Error(err)
	}
	must(s.Open("new", "a/b/c", true)).Close()
	check(s.CreateStream("new", "empty"))
	if err := s.CreateStream("new", "empty"); !errors.Is(err, ErrStreamExists) {
		t.Error(err)
	}
	if err := s.CreateStream("none", "empty"); !errors.Is(err, ErrNoGroup) {
		t.Error(err)
	}
	want := []Stream{{Name: "a/b/c", Last: 1_000_000, Even: true}, {Name: "empty", Last: 1_000_000, Even: true}}
	if diff := cmp.Diff(want, collect(s.Streams("new", "", ""))); diff != "" {
		t.Error(diff)
	}
}

// No name and no link lead out of the directory.
func TestStaysInside(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	s := newClock().open(dir)
	for _, name := range []string{"../../../x", "..", ".", "/", "/etc/passwd", "a/../../b", "\x00"} {
		must(s.Open(DefaultGroup, name, false)).Close()
	}
	check(os.Symlink(outside, filepath.Join(dir, groupPath(DefaultGroup), "link+")))
	if f, err := s.Open(DefaultGroup, "link/x", false); err == nil {
		t.Error("wrote to", f.Name())
	}
	if left := must(os.ReadDir(outside)); len(left) > 0 {
		t.Error(left)
	}
}

func TestTimesOfLines(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := c.open(dir)
	f := must(s.Open(DefaultGroup, "s", false))
	write := func(text string) { must(f.WriteString(text)) }

	c.add(10)
	write("one\ntwo\nthr")
	s.Look()
	c.add(1000)
	write("ee\nfour\n")
	s.Look()
	c.add(1000)
	s.Look() // nothing new
	c.add(-5000)
	write("five\n") // the clock went back: time does not
	s.Look()
	c.add(10_000)
	write("six")
	want := []line{{10, "one"}, {10, "two"}, {1010, "three"}, {1010, "four"}, {1010, "five"}}
	if diff := cmp.Diff(want, read(s, DefaultGroup, "s")); diff != "" {
		t.Error(diff)
	}
	s.Ended(DefaultGroup, "s")
	want = append(want, line{7010, "six"}) // it was looked at by the reading
	for range 2 {
		if diff := cmp.Diff(want, read(s, DefaultGroup, "s")); diff != "" {
			t.Error(diff)
		}
		check(s.Close())
		s = c.open(dir)
	}
	l := must(s.Log(DefaultGroup, "s"))
	defer l.Close()
	if l.Created != 1_000_000 || l.Last() != 1_007_010 {
		t.Error(l.Created, l.Last())
	}
	for since, want := range map[int64]int64{0: 0, 10: 0, 11: 8, 1010: 8, 1011: 24, 7010: 24, 7011: 27} {
		if got := must(l.Since(1_000_000 + since)); got != want {
			t.Errorf("since %d: %d, not %d", since, got, want)
		}
	}
}

// A stream that was written to once has no file beside it, and its time all the same.
func TestOneMarkNeedsNoFile(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := c.open(dir)
	f := must(s.Open(DefaultGroup, "s", false))
	c.add(50)
	must(f.WriteString("one\ntwo"))
	s.Look()
	c.add(1000)
	s.Ended(DefaultGroup, "s")
	for range 2 {
		if diff := cmp.Diff([]line{{50, "one"}, {50, "two"}}, read(s, DefaultGroup, "s")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]Stream{{Name: "s", Size: 7, Last: 1_000_050, Even: true}}, collect(s.Streams(DefaultGroup, "", ""))); diff != "" {
			t.Error(diff)
		}
		check(s.Close())
		s = c.open(dir)
	}
	if left := must(filepath.Glob(filepath.Join(dir, "*", "*"+marksSuffix))); len(left) > 0 {
		t.Error(left)
	}
}

// What a crash left reads as it did; a stream that is opened again goes on.
func TestGoesOnAfterCrash(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := c.open(dir)
	f := must(s.Open(DefaultGroup, "s", false))
	for _, text := range []string{"one\n", "two\n"} {
		c.add(500)
		must(f.WriteString(text))
		s.Look()
	}
	want := []line{{500, "one"}, {1000, "two"}}
	c.Time = time.Now().Add(time.Hour)
	s = c.open(dir)
	if diff := cmp.Diff(want, read(s, DefaultGroup, "s")); diff != "" {
		t.Error(diff)
	}
	marksFile := filepath.Join(dir, streamPath(DefaultGroup, "s")+marksSuffix)
	torn := must(os.OpenFile(marksFile, os.O_APPEND|os.O_WRONLY, 0))
	must(torn.WriteString("torn"))
	f = must(s.Open(DefaultGroup, "s", false))
	must(f.WriteString("three\n"))
	s.Ended(DefaultGroup, "s")
	got := read(s, DefaultGroup, "s")
	if diff := cmp.Diff(append(want, line{got[2].Time, "three"}), got); diff != "" {
		t.Error(diff)
	}
	if got[2].Time < 1000 {
		t.Error("time went back:", got)
	}
}

func TestRemove(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := c.open(dir)
	for _, name := range []string{"d/default/aaaa", "d/default/aabb"} {
		f := must(s.Open(DefaultGroup, name, false))
		c.add(1000)
		must(f.WriteString("x\n"))
		s.Ended(DefaultGroup, name)
	}
	check(s.Remove(DefaultGroup, "d/default/aaaa"))
	check(s.Remove(DefaultGroup, "d/default/aaaa"))
	if got := collect(s.Streams(DefaultGroup, "", "")); len(got) != 1 || got[0].Name != "d/default/aabb" {
		t.Error(got)
	}
	f := must(s.Open(DefaultGroup, "d/default/aabb", false))
	check(s.Remove(DefaultGroup, "d/default/aabb"))
	must(f.WriteString("y\n"))
	s.Look()
	s.Ended(DefaultGroup, "d/default/aabb")
	if left := must(os.ReadDir(filepath.Join(dir, groupPath(DefaultGroup)))); len(left) != 1 {
		t.Error("left:", left)
	}
}

func TestTickerLooksWhileStreamsAreOpen(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	s := must(Open(t.TempDir(), time.Now, Every(time.Millisecond)))
	f := must(s.Open(DefaultGroup, "s", false))
	o := s.liveAt(streamPath(DefaultGroup, "s"))
	must(f.WriteString("x\n"))
	for seen := int64(0); seen == 0; {
		o.mu.Lock()
		seen = o.last.size
		o.mu.Unlock()
	}
	s.Ended(DefaultGroup, "s")
	goleak.VerifyNone(t, leaks) // it ends by itself
	must(s.Open(DefaultGroup, "t", false)).Close()
	check(s.Close())
	check(s.Close())
	goleak.VerifyNone(t, leaks)
}

// Listings are in the order of the bytes of names, whatever these are.
func TestStreamsInOrder(t *testing.T) {
	names := rapid.OneOf(
		rapid.StringMatching(`[ab/-]{1,8}`),
		rapid.StringMatching(`(a|b|A)/default/[0-2a]{1,4}(/x?)?`),
		rapid.StringMatching(`[a/]{78,82}[ab/]{0,3}`),
		rapid.StringN(1, 20, 512),
	)
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		s := newClock().open(outer.TempDir())
		defer s.Close()
		all := rapid.SliceOfNDistinct(names, 0, 30, rapid.ID[string]).Draw(t, "names")
		for _, name := range all {
			check(s.CreateStream(DefaultGroup, name))
		}
		slices.Sort(all)
		bound := rapid.OneOf(names, rapid.Just(""), rapid.SampledFrom(append(all, "")))
		prefix := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[ab/]{1,3}`)).Draw(t, "prefix")
		after, before := bound.Draw(t, "after"), bound.Draw(t, "before")
		up, down := []string{}, []string{}
		for _, name := range all {
			if strings.HasPrefix(name, prefix) && name > after {
				up = append(up, name)
			}
			if strings.HasPrefix(name, prefix) && (before == "" || name < before) {
				down = append(down, name)
			}
		}
		slices.Reverse(down)
		if diff := cmp.Diff(up, namesOf(s.Streams(DefaultGroup, prefix, after))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(down, namesOf(s.StreamsDown(DefaultGroup, prefix, before))); diff != "" {
			t.Error(diff)
		}
	})
}

func namesOf(s iter.Seq2[Stream, error]) []string {
	all := []string{}
	for _, st := range collect(s) {
		all = append(all, st.Name)
	}
	return all
}

// Streams come and go while others are written and listed.
func TestManyAtATime(t *testing.T) {
	s := must(Open(t.TempDir(), time.Now, Every(time.Millisecond)))
	defer s.Close()
	one := func(name string) error {
		f, err := s.Open(DefaultGroup, name, false)
		if err != nil {
			return err
		}
		must(f.WriteString("hello\n"))
		s.Ended(DefaultGroup, name)
		if got := read(s, DefaultGroup, name); len(got) != 1 || got[0].Text != "hello" {
			return fmt.Errorf("read %v", got)
		}
		return errors.Join(f.Close(), s.Remove(DefaultGroup, name))
	}
	done := make(chan error)
	for worker := range 8 {
		go func() {
			for i := range 50 {
				name := fmt.Sprintf("d/default/aa%d%d", worker, i)
				if err := one(name); err != nil {
					done <- fmt.Errorf("%s: %w", name, err)
					return
				}
				collect(s.Streams(DefaultGroup, "", ""))
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s := must(Open(b.TempDir(), time.Now))
	defer s.Close()
	names := make([]string, b.N)
	for i := range names {
		names[i] = fmt.Sprintf("definition/default/%08x%024d", uint32(i)*2654435761, i)
	}
	b.ResetTimer()
	for _, name := range names {
		must(s.Open(DefaultGroup, name, false)).Close()
	}
	b.StopTimer()
	start := time.Now()
	for _, name := range names {
		s.Ended(DefaultGroup, name)
	}
	b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(b.N), "ns/Ended")
	start = time.Now()
	if n := len(collect(s.Streams(DefaultGroup, "", ""))); n != b.N {
		b.Fatal(n)
	}
	b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(b.N), "ns/listed")
}
