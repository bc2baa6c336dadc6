package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSideBySide runs 10,000 tasks that do nothing, with a log file each, by flow,
// by xargs and by make, two at a time, in turn in one run, since only ratios between
// neighbours mean anything on a noisy machine. flow keeps every result in its ledger.
func BenchmarkSideBySide(b *testing.B) {
	const tasks, rounds = 10_000, 5
	flow := buildBinary(b)
	dir := b.TempDir()
	write(b, filepath.Join(dir, "noop.hcl"), fmt.Sprintf("step \"noop\" {\n  for_each = range(%d)\n  command  = [\"true\"]\n}\n", tasks))
	makefile := "all:"
	for i := range tasks {
		makefile += fmt.Sprintf(" t%d", i)
	}
	write(b, filepath.Join(dir, "Makefile"), makefile+"\nt%:\n\t@true >$(LOGS)/$@ 2>&1\n")
	times, memory := map[string][]float64{}, 0.0
	for b.Loop() {
		for round := range rounds {
			logs := filepath.Join(dir, fmt.Sprint("logs", round))
			for _, d := range []string{logs + "x", logs + "m"} {
				if err := os.MkdirAll(d, 0o700); err != nil {
					b.Fatal(err)
				}
			}
			state := filepath.Join(dir, fmt.Sprint("state", round))
			cmd := exec.Command(flow, "run", "noop.hcl", "--no-cache", "-q", "--state", filepath.Join(state, "flow.db"), "--work-dir", filepath.Join(state, "work"))
			memory = max(memory, timed(b, times, "flow", dir, cmd))
			timed(b, times, "xargs", dir, exec.Command("sh", "-c", fmt.Sprintf("seq %d | xargs -P2 -I{} sh -c 'true >%s/{} 2>&1'", tasks, logs+"x")))
			timed(b, times, "xargs-exec", dir, exec.Command("sh", "-c", fmt.Sprintf("seq %d | xargs -P2 -I{} sh -c 'exec /bin/true >%s/{} 2>&1'", tasks, logs+"x")))
			timed(b, times, "make", dir, exec.Command("make", "-s", "-j2", "LOGS="+logs+"m"))
		}
	}
	median := func(name string) float64 {
		t := slices.Clone(times[name])
		slices.Sort(t)
		return t[len(t)/2]
	}
	for _, name := range []string{"flow", "xargs", "xargs-exec", "make"} {
		b.ReportMetric(median(name), name+"-s")
		if name != "flow" {
			b.ReportMetric(median("flow")/median(name), "flow/"+name)
		}
	}
	b.ReportMetric(memory, "flow-peak-MB")
}

// BenchmarkPlan plans a chain of 1,000 steps, and a fan-out of 10,000 with a gather.
func BenchmarkPlan(b *testing.B) {
	flow := buildBinary(b)
	var chain strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&chain, "step \"s%d\" {\n", i)
		if i > 0 {
			fmt.Fprintf(&chain, "  inputs = { before = step.s%d.outputs.out }\n", i-1)
		}
		chain.WriteString("  script = \"echo hello > $out\"\n  output \"out\" { file = \"out.txt\" }\n}\n")
	}
	for name, text := range map[string]string{
		"chain of 1000": chain.String(),
		"10000 and a gather": `step "fan" {
  for_each = range(10000)
  script   = "echo ${each.key} > $out"
  output "out" { file = "${each.key}.txt" }
}
step "gather" {
  inputs = { all = step.fan.outputs.out }
  script = "cat $all/* > $sum"
  output "sum" { file = "sum.txt" }
}
`} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			write(b, filepath.Join(dir, "w.hcl"), text)
			for b.Loop() {
				cmd := exec.Command(flow, "plan", "w.hcl", "--state", filepath.Join(dir, "flow.db"))
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
		})
	}
}

func timed(b *testing.B, times map[string][]float64, name, dir string, cmd *exec.Cmd) (megabytes float64) {
	b.Helper()
	cmd.Dir = dir
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", name, err, out)
	}
	times[name] = append(times[name], time.Since(start).Seconds())
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		megabytes = float64(u.Maxrss) / 1024
	}
	return megabytes
}

func buildBinary(tb testing.TB) string {
	tb.Helper()
	bin := filepath.Join(tb.TempDir(), "flow")
	if out, err := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", bin, ".").CombinedOutput(); err != nil {
		tb.Fatalf("building flow: %v\n%s", err, out)
	}
	return bin
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}
