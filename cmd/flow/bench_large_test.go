package main

import (
	"bufio"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"flow/executor/executortest/fetched"
)

var largeBytes = flag.Int64("large.bytes", 5_000_000_000, "the size of the file of BenchmarkLargeFile")

// BenchmarkLargeFile has flow's agent stage a large file in and out again, in turn with what
// `aws s3 cp` does with the same file. The ratios are those of the speeds, of flow's to that of
// aws. It takes three times the size of the file on the disk.
func BenchmarkLargeFile(b *testing.B) {
	aws := fetched.Need(b, fetched.Path("py", "bin", "aws"))
	server := fetched.S3(b)
	server.MakeBucket("lab")
	var disk syscall.Statfs_t
	if err := syscall.Statfs(server.Dir, &disk); err != nil {
		b.Fatal(err)
	}
	if free, need := int64(disk.Bavail)*int64(disk.Bsize), *largeBytes*7/2; free < need {
		b.Fatalf("%d bytes are free on the disk of %s, want %d: -large.bytes is for less", free, server.Dir, need)
	}
	dir := b.TempDir()
	cp := func(from, to string) float64 {
		b.Helper()
		cmd := exec.Command(aws, "s3", "cp", "--quiet", from, to)
		cmd.Env = append(os.Environ(), server.Env()...)
		syscall.Sync() // what went before
		begun := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%s: %v\n%s", cmd, err, out)
		}
		return time.Since(begun).Seconds()
	}
	file, uri := filepath.Join(dir, "file"), "s3://lab/large"
	spec := oneFile("run", uri, "sh", "-c", `echo; sync; echo; ln "$in" "$out"`)
	var up, down, in, out, peak float64
	for b.Loop() {
		sum := randomFile(b, file, *largeBytes)
		up += cp(file, uri)
		if err := os.Remove(file); err != nil {
			b.Fatal(err)
		}
		i, o, rss := staged(b, agentOf(b, server, spec, b.TempDir(), 1))
		in, out, peak = in+i, out+o, max(peak, rss)
		made := filepath.Join(server.Dir, "lab/flow/run")
		if got := sumOf(b, filepath.Join(made, "copy/_/1/out")); got != sum {
			b.Errorf("the output is %s, want %s", got, sum)
		}
		if err := os.RemoveAll(made); err != nil {
			b.Fatal(err)
		}
		down += cp(uri, file)
	}
	mb := float64(*largeBytes) / 1e6 * float64(b.N)
	b.ReportMetric(down/in, "in-ratio")
	b.ReportMetric(up/out, "out-ratio")
	b.ReportMetric(mb/in, "in-MB/s")
	b.ReportMetric(mb/out, "out-MB/s")
	b.ReportMetric(peak, "peak-MiB")
}

// staged runs an agent whose command prints a line when its input is there, and another one
// before it makes its output. It returns the seconds that staging in and out took, and the
// most memory that the agent had, in MiB.
func staged(b *testing.B, cmd *exec.Cmd) (in, out, peak float64) {
	b.Helper()
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	syscall.Sync() // what went before
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	_, err = lines.ReadString('\n')
	in = time.Since(begun).Seconds()
	if err == nil {
		_, err = lines.ReadString('\n')
	}
	begun = time.Now()
	_, _ = lines.WriteTo(os.Stderr)
	if werr := cmd.Wait(); err != nil || werr != nil {
		b.Fatal(err, werr)
	}
	out = time.Since(begun).Seconds()
	return in, out, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
}
