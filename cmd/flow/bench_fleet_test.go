package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"flow/engine"
	"flow/state"
)

var (
	fleetRuns  = flag.Int("fleet.runs", 100, "how many runs BenchmarkFleet drives at once")
	fleetTasks = flag.Int("fleet.tasks", 1000, "how many tasks each of them has")
)

// BenchmarkFleet has a service drive many runs at once, each with many tasks that do nothing, and
// asks it for pages meanwhile. It measures the memory of the service, how long pages take, and
// how many tasks of others begin at most between two of a run.
func BenchmarkFleet(b *testing.B) {
	flow := buildBinary(b)
	for b.Loop() {
		f := newFleetBench(b)
		f.flags.noCache = true
		var ids []engine.RunID
		for range *fleetRuns {
			ids = append(ids, f.create(fmt.Sprintf(loadWorkflow, f.dir+"/go", *fleetTasks)))
		}
		write(b, filepath.Join(f.dir, "go"), "")
		cmd := exec.Command(flow, "serve", "--port", "0", "-q")
		cmd.Dir, cmd.Stderr = f.dir, os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		begun := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		link, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		took := f.browse(strings.TrimSpace(link), ids)
		whole := time.Since(begun)
		own, tasks := cpuTimes(b, cmd.Process.Pid)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			b.Fatal(err)
		}
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != exitInterrupted {
			b.Fatal(err)
		}
		all := f.tries(ids, "work")
		b.ReportMetric(own.Seconds()*1e6/float64(len(all)), "own-cpu-us/task")
		b.ReportMetric(tasks.Seconds()*1e6/float64(len(all)), "task-cpu-us/task")
		b.ReportMetric(float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024, "peak-MiB")
		b.ReportMetric(float64(len(all))/whole.Seconds(), "tasks/s")
		b.ReportMetric(float64(longestWait(all)), "longest-wait-tasks")
		b.ReportMetric(float64(triesAtOnce(all))/float64(runtime.NumCPU()), "at-once/CPU")
		for page, took := range took {
			slices.Sort(took)
			for name, i := range map[string]int{"p50": len(took) / 2, "p95": len(took) * 95 / 100, "p99": len(took) * 99 / 100, "max": len(took) - 1} {
				b.ReportMetric(float64(took[i].Microseconds())/1000, page+"-"+name+"-ms")
			}
		}
	}
}

// cpuTimes returns what a process has used of the CPUs so far, and what its children have that
// have ended; see proc_pid_stat(5).
func cpuTimes(b *testing.B, pid int) (own, children time.Duration) {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte(") ")) // behind the name, which may have anything in it
	var skip string
	var user, system, childUser, childSystem time.Duration
	if _, err := fmt.Sscan(string(text), &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip,
		&user, &system, &childUser, &childSystem); err != nil {
		b.Fatal(err)
	}
	const tick = time.Second / 100 // USER_HZ, which is 100 on what Go runs on
	return (user + system) * tick, (childUser + childSystem) * tick
}

// browse looks at pages of a service until all runs have ended, and returns how long those of
// each kind took.
func (b *fleetBench) browse(link string, ids []engine.RunID) (took map[string][]time.Duration) {
	b.t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		b.t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	took = map[string][]time.Duration{}
	get := func(kind, url string) {
		b.t.Helper()
		begun := time.Now()
		answer, err := client.Get(url)
		if err != nil {
			b.t.Fatal(err)
		}
		var discard [32 << 10]byte
		for err == nil {
			_, err = answer.Body.Read(discard[:])
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			b.t.Fatalf("%s: %s", url, answer.Status)
		}
		took[kind] = append(took[kind], time.Since(begun))
	}
	get("first", link) // its cookie stays
	delete(took, "first")
	base := "http://" + u.Host
	for i := 0; ; i++ {
		id := ids[i%len(ids)]
		for _, p := range [][2]string{{"runs", "/"}, {"run", "/runs/" + string(id)}, {"schedules", "/schedules"}} {
			get(p[0], base+p[1])
			time.Sleep(50 * time.Millisecond) // a person who is in a hurry
		}
		all, err := b.db.Runs(b.t.Context(), state.RunFilter{})
		if err != nil {
			b.t.Fatal(err)
		}
		if !slices.ContainsFunc(all, func(r state.Run) bool { return r.Ended.IsZero() }) {
			return took
		}
	}
}
