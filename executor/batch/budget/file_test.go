package budget

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// Whatever is in the file, calls go on at no more than their rates.
func TestForeignFile(t *testing.T) {
	var good state
	l, _ := Rates{}.limits()
	good.reset(start.UnixNano(), &l)
	good.Classes[Submit].Next += int64(time.Hour)
	torn := good.encode()
	copy(torn[20:40], make([]byte, 20))
	other := good
	other.Magic[7]++
	for name, content := range map[string][]byte{
		"empty": {}, "short": good.encode()[:50], "torn": torn, "another version": other.encode(),
		"long": append(good.encode(), 0), "foreign": []byte(strings.Repeat("What is this?\n", 1000)),
	} {
		t.Run(name, func(t *testing.T) {
			c := &clock{start}
			o := Options{Dir: t.TempDir(), Now: c.Now}
			path, _ := o.path()
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			var got []time.Duration
			for range 3 {
				b := open(t, o)
				d, err := b.take(t.Context(), Submit)
				if err != nil || !b.Shared() {
					t.Fatal(err, b.Shared())
				}
				got = append(got, d)
			}
			g := time.Duration(gap(45))
			if diff := cmp.Diff([]time.Duration{0, g, 2 * g}, got); diff != "" {
				t.Error(diff)
			}
			if info, err := os.Stat(path); err != nil || info.Size() != int64(size) {
				t.Error(err, info.Size())
			}
		})
	}
}

// A clock that is set back, or far ahead, neither holds calls up nor lets all of them go.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-24 * time.Hour, -time.Second, time.Hour} {
		c := &clock{start}
		b := open(t, Options{Dir: t.TempDir(), Now: c.Now})
		var got []time.Duration
		for i := range 30 {
			if i == 20 {
				c.now = c.now.Add(jump)
			}
			d, err := b.take(t.Context(), Submit)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, d)
		}
		g := time.Duration(gap(45))
		want := 29 * g
		if jump > 0 {
			want = 5 * g // 10 calls, 5 of which are a burst
		}
		if got[29] != want {
			t.Errorf("%v: the last of 30 calls is due in %v, want %v", jump, got[29], want)
		}
	}
}

// Where there is no file to be had, the budget is that of one process.
func TestNotShared(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, o *Options){
		"no directory": func(t *testing.T, o *Options) {
			f := filepath.Join(o.Dir, "f")
			if err := os.WriteFile(f, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			o.Dir = filepath.Join(f, "d")
		},
		"no file": func(t *testing.T, o *Options) {
			path, _ := o.path()
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"a pipe": func(t *testing.T, o *Options) {
			path, _ := o.path()
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"no home": func(t *testing.T, o *Options) {
			o.Dir = ""
			t.Setenv("HOME", "")
			t.Setenv("XDG_CACHE_HOME", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &clock{start}
			o := Options{Dir: t.TempDir(), Now: c.Now}
			spoil(t, &o)
			b := open(t, o)
			if b.Shared() {
				t.Error("it says that it is shared")
			}
			var got []time.Duration
			for range 3 {
				d, err := b.take(t.Context(), Submit)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, d)
			}
			g := time.Duration(gap(45))
			if diff := cmp.Diff([]time.Duration{0, g, 2 * g}, got); diff != "" {
				t.Error(diff)
			}
			b.Throttled(Submit)
			if got := b.last.Classes[Submit].Rate; got != 22.5 {
				t.Error(got)
			}
		})
	}
}

// Who holds the lock for ever is waited for a second, and asked again in a minute.
func TestLockHeld(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := Options{Dir: dir}
		b := open(t, o)
		path, _ := o.path()
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		wait := func(want time.Duration, shared bool) {
			t.Helper()
			began := time.Now()
			if err := b.Wait(t.Context(), Poll); err != nil {
				t.Error(err)
			}
			if got := time.Since(began); got != want || b.Shared() != shared {
				t.Errorf("it took %v, shared: %v", got, b.Shared())
			}
		}
		wait(lockTries*lockPause, false)
		time.Sleep(aside - time.Second)
		wait(0, false)
		// A caller who gives up meanwhile, does.
		time.Sleep(aside)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/4)
		defer cancel()
		if err := b.Wait(ctx, Poll); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		f.Close() // as when its holder dies
		wait(0, true)
	})
}

// Somebody clears the cache while flow runs.
func TestFileRemoved(t *testing.T) {
	c := &clock{start}
	dir := filepath.Join(t.TempDir(), "d")
	a := open(t, Options{Dir: dir, Now: c.Now})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	b := open(t, Options{Dir: dir, Now: c.Now})
	var got []time.Duration
	for _, b := range []*Budget{b, a, b, a} {
		d, err := b.take(t.Context(), Submit)
		if err != nil || !b.Shared() {
			t.Fatal(err, b.Shared())
		}
		got = append(got, d)
	}
	g := time.Duration(gap(45))
	if diff := cmp.Diff([]time.Duration{0, g, 2 * g, 3 * g}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPrivate(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	a, b := open(t, Options{Key: "a/eu-west-1/secret"}), open(t, Options{Key: "b"})
	if !a.Shared() || !b.Shared() {
		t.Fatal("not shared")
	}
	files := 0
	err := filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == cache || !strings.Contains(path, "flow") {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Error(path, info.Mode())
		}
		if !d.IsDir() {
			files++
		}
		if strings.Contains(path, "secret") {
			t.Error("the key is in the name:", path)
		}
		return err
	})
	if err != nil || files != 2 {
		t.Error(err, files)
	}
}

// Real processes take tokens at one moment of a clock that stands still: together they get
// those that one process would.
func TestProcesses(t *testing.T) {
	const processes, each = 4, 500
	if dir := os.Getenv("FLOW_TEST_BUDGET"); dir != "" {
		b := open(t, Options{Dir: dir, Now: (&clock{start}).Now, Wait: func(_ context.Context, d time.Duration) error {
			fmt.Println("due", int64(d))
			return nil
		}})
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin) // until all are ready
		for range each {
			if err := b.Wait(t.Context(), Submit); err != nil {
				t.Fatal(err)
			}
		}
		if !b.Shared() {
			t.Fatal("not shared")
		}
		return
	}
	dir := t.TempDir()
	first := open(t, Options{Dir: dir, Now: (&clock{start}).Now})
	if d, err := first.take(t.Context(), Submit); d != 0 || err != nil {
		t.Fatal(d, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var outputs []*bufio.Scanner
	for range processes {
		cmd := exec.Command(os.Args[0], "-test.run=^TestProcesses$")
		cmd.Env = append(os.Environ(), "FLOW_TEST_BUDGET="+dir)
		cmd.Stdin, cmd.Stderr = r, os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		outputs = append(outputs, bufio.NewScanner(out))
	}
	r.Close()
	for _, out := range outputs {
		if !out.Scan() || out.Text() != "ready" {
			t.Fatal(out.Text(), out.Err())
		}
	}
	w.Close()
	var got, want []int64
	for _, out := range outputs {
		for out.Scan() {
			due, ok := strings.CutPrefix(out.Text(), "due ")
			if !ok {
				continue
			}
			n, err := strconv.ParseInt(due, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, n)
		}
	}
	slices.Sort(got)
	for i := range processes * each {
		want = append(want, int64(i+1)*gap(45))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
