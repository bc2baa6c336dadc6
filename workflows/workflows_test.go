// Package workflows_test runs the example workflows on their real data, with the
// real tools, through the flow command.
package workflows_test

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow/executor/executortest/fetched"
)

// flowBinary is the command under test, built once.
var flowBinary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "flow-workflows-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	flowBinary = filepath.Join(dir, "flow")
	build := exec.Command("go", "build", "-o", flowBinary, "flow/cmd/flow")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build flow/cmd/flow: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A bench is a copy of a workflow's folder with a state of its own, so that what it
// publishes and remembers is gone after the test.
type bench struct {
	t    *testing.T
	file string // the copied workflow
	dir  string // its folder, where it publishes
	temp string // state and task files
	on   place
}

// A place is where runs go; the zero value is the embedded executor.
type place struct {
	flags   []string
	env     []string // of flow
	workDir string   // "": a directory of the bench
}

// few returns all of some variants of a workflow, or where each takes longer the last one.
func (p place) few(variants ...string) []string {
	if p.workDir != "" {
		return variants[len(variants)-1:]
	}
	return variants
}

// Where tests run: on the embedded executor, on AWS Batch as flow emulate has it, with its
// jobs as processes, and there with all files on S3.
const (
	local = "local"
	batch = "batch"
	s3    = "s3"
)

// onEach runs a test in several places: the same workflow, and the same results. What takes
// long is on AWS Batch only with its files on S3.
func onEach(t *testing.T, test func(t *testing.T, on place), places ...string) {
	t.Parallel()
	for _, name := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, placeOf(t, name))
		})
	}
}

func placeOf(t *testing.T, name string) place {
	t.Helper()
	switch name {
	case batch:
		return place{flags: batchFlags(emulate(t, nil))}
	case s3:
		server := fetched.S3(t)
		server.MakeBucket("lab")
		// The server is reached as the agent is told; who may use it, a role would say.
		url := emulate(t, server.Env(), "--task-env", "AWS_ACCESS_KEY_ID", "--task-env", "AWS_SECRET_ACCESS_KEY")
		return place{flags: batchFlags(url), env: server.Env(), workDir: "s3://lab/flow"}
	}
	return place{}
}

func batchFlags(url string) []string {
	return []string{"--executor", "batch", "--endpoint", url, "--queue", "q", "--image", "debian:12", "--poll", "100ms"}
}

// emulate starts a flow emulate with a queue "q" and returns its URL.
func emulate(t *testing.T, env []string, more ...string) string {
	t.Helper()
	cmd := exec.Command(flowBinary, append([]string{"emulate", "--listen", "127.0.0.1:0", "--queue", "q"}, more...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("flow emulate says %q: %v", line, err)
	}
	return url
}

// setUp copies the folder of workflow name and links its data. It fails if a file of
// data.sha256 that the test wants, or a tool, is missing.
func setUp(t *testing.T, name string, data, tools []string) *bench {
	t.Helper()
	fetch := fmt.Sprintf("run workflows/%s/fetch.sh first", name)
	for _, file := range data {
		if _, err := os.Stat(filepath.Join(name, file)); err != nil {
			t.Fatalf("%v: %s", err, fetch)
		}
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: %s", err, fetch)
		}
	}

	dir := filepath.Join(t.TempDir(), name)
	entries, err := os.ReadDir(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(name, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, e.Name()), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	abs, err := filepath.Abs(filepath.Join(name, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(abs, filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, file: filepath.Join(dir, name+".hcl"), dir: dir, temp: t.TempDir()}
}

// flow runs the flow command with its own state and returns its standard output. The
// test fails if it does not end with exit code want.
func (b *bench) flow(want int, args ...string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Minute)
	defer cancel()
	args = append(args, "--state", filepath.Join(b.temp, "flow.db"))
	if args[0] == "run" || args[0] == "plan" {
		workDir := b.on.workDir
		if workDir == "" {
			workDir = filepath.Join(b.temp, "work")
		}
		args = append(append(args, "--work-dir", workDir), b.on.flags...)
	}
	cmd := exec.CommandContext(ctx, flowBinary, args...)
	cmd.Env = append(os.Environ(), b.on.env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = time.Minute
	cmd.Dir = b.temp
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		b.t.Fatalf("flow %s: %v", strings.Join(args, " "), err)
	}
	if code != want {
		b.t.Fatalf("flow %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, &stdout, &stderr)
	}
	return stdout.String()
}

// run runs the workflow with these variables ("name=value") to success.
func (b *bench) run(vars ...string) {
	b.t.Helper()
	args := []string{"run", b.file}
	for _, v := range vars {
		args = append(args, "-var", v)
	}
	b.flow(0, args...)
}

// published returns a file that the workflow published.
func (b *bench) published(path string) string {
	b.t.Helper()
	content, err := os.ReadFile(filepath.Join(b.dir, "results", path))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(content)
}

func sumOf(content string) string {
	sum := md5.Sum([]byte(content))
	return hex.EncodeToString(sum[:])
}

// outputs returns the values of the outputs of the last run.
func (b *bench) outputs() map[string]json.RawMessage {
	b.t.Helper()
	var outputs map[string]struct{ Value json.RawMessage }
	if err := json.Unmarshal([]byte(b.flow(0, "outputs", "@last", "-json")), &outputs); err != nil {
		b.t.Fatal(err)
	}
	values := make(map[string]json.RawMessage, len(outputs))
	for name, o := range outputs {
		values[name] = o.Value
	}
	return values
}

// statuses returns how many tasks of the last run ended how.
func (b *bench) statuses() map[string]int {
	b.t.Helper()
	text := b.flow(0, "status", "@last", "-json")
	var status struct {
		Tasks map[string]int `json:"tasks"`
	}
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		b.t.Fatalf("%v in %s", err, text)
	}
	return status.Tasks
}

var (
	genomeTools  = []string{"bowtie2", "minimap2", "samtools", "wgsim", "bcftools", "seqtk", "jq"}
	lambdaData   = []string{"data/lambda/genome.fa.gz", "data/lambda/reads_1.fq.gz", "data/lambda/reads_2.fq.gz"}
	saureusData  = []string{"data/saureus/genome.fa", "data/saureus/COL.fasta.gz", "data/saureus/JKD6008.fasta.gz", "data/saureus/RF122.fasta.gz", "data/saureus/USA300_FPR3757.fasta.gz"}
	videoTools   = []string{"ffmpeg", "ffprobe", "jq"}
	cityData     = []string{"data/city.mpg"}
	nightlyTools = []string{"node", "sqlite3", "jq", "awk"}
	nightlyData  = []string{"data/flights-3m.parquet", "data/airports.csv", "data/node_modules/hyparquet", "data/node_modules/hyparquet-compressors"}
)

func TestValidateAndPlan(t *testing.T) {
	for name, data := range map[string][]string{
		"genome":  lambdaData,
		"video":   cityData,
		"nightly": nightlyData,
	} {
		t.Run(name, func(t *testing.T) {
			b := setUp(t, name, data, nil)
			b.flow(0, "validate", b.file)
			b.flow(0, "plan", b.file)
		})
	}
}

// The variants were found the same with one process per step and no engine at all.
func TestGenomeLambda(t *testing.T) { onEach(t, checkGenomeLambda, local, s3) }

func checkGenomeLambda(t *testing.T, on place) {
	b := setUp(t, "genome", lambdaData, genomeTools)
	b.on = on
	want := read(t, "genome/expected/lambda.txt")
	for _, known := range []string{"88 (34 SNPs, 54 indels)", "2d7c0190a864419a7ff9310028dcbc4d"} {
		if !strings.Contains(want, known) {
			t.Fatalf("expected/lambda.txt lacks %s", known)
		}
	}

	vcfs := map[string]string{}
	for _, shards := range on.few("1", "8") {
		b.run("shards=" + shards)
		if diff := cmp.Diff(want, b.published("lambda/summary.txt")); diff != "" {
			t.Errorf("%s shards: summary (-want +got):\n%s", shards, diff)
		}
		if got := string(b.outputs()["variants"]); got != "88" {
			t.Errorf("%s shards: %s variants, want 88", shards, got)
		}
		vcfs[shards] = sumOf(b.published("lambda/variants.vcf.gz"))
	}
	if one, ok := vcfs["1"]; ok && one != vcfs["8"] {
		t.Errorf("the VCF is %s of one shard, and %s of eight", vcfs["1"], vcfs["8"])
	}

	// The steps that the shards do not concern were known already: the index, the
	// reads, and the regions.
	first := b.statuses()
	if len(vcfs) > 1 && first["CACHED"] != 3 {
		t.Errorf("8 shards after 1: tasks %v, want 3 CACHED", first)
	}

	total := 0
	for _, n := range first {
		total += n
	}
	begin := time.Now()
	b.run("shards=8")
	if diff := cmp.Diff(map[string]int{"CACHED": total - first["SKIPPED"], "SKIPPED": first["SKIPPED"]}, b.statuses()); diff != "" {
		t.Errorf("second run: tasks (-want +got):\n%s", diff)
	}
	t.Logf("second run: %v", time.Since(begin))
}

func TestGenomeSAureus(t *testing.T) {
	if testing.Short() {
		t.Skip("aligns 560,000 pairs of reads: half a minute")
	}
	b := setUp(t, "genome", saureusData, genomeTools)
	want := read(t, "genome/expected/saureus.txt")
	for _, known := range []string{"54814 (53570 SNPs, 1244 indels)", "bd1459fad71cb9becdae1caf58f4508f", "6274d151dec86133a194e936acb28f95"} {
		if !strings.Contains(want, known) {
			t.Fatalf("expected/saureus.txt lacks %s", known)
		}
	}
	b.run("dataset=saureus")
	if diff := cmp.Diff(want, b.published("saureus/summary.txt")); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	// COL and USA300 are of one clonal complex, RF122 is from a cow.
	distances := strings.Split(b.published("saureus/distances.tsv"), "\n")
	if want := "COL\t0\t8768\t"; len(distances) < 2 || !strings.HasPrefix(distances[1], want) || !strings.HasSuffix(distances[1], "\t817") {
		t.Errorf("distances of COL: %q, want 8768 SNPs from JKD6008, 817 from USA300", distances)
	}
}

// The workflow compares frames and SSIM itself: without that it does not succeed.
func TestVideo(t *testing.T) { onEach(t, checkVideo, local, s3) }

func checkVideo(t *testing.T, on place) {
	b := setUp(t, "video", cityData, videoTools)
	b.on = on
	b.run()

	var quality []struct {
		Rendition string
		Frames    int
		SSIM      float64
	}
	if err := json.Unmarshal(b.outputs()["quality"], &quality); err != nil {
		t.Fatal(err)
	}
	if len(quality) != 3 {
		t.Fatalf("quality of %d renditions, want 3", len(quality))
	}
	for i, want := range []string{"240p", "360p", "480p"} {
		if q := quality[i]; q.Rendition != want || q.Frames != 190 || q.SSIM < 0.95 {
			t.Errorf("quality %d: %+v, want 190 frames of %s with SSIM 0.95 or more", i, q, want)
		}
	}
	master := b.published("city/hls/master.m3u8")
	for _, size := range []string{"426x240", "640x360", "854x480"} {
		if !strings.Contains(master, "RESOLUTION="+size+"\n") {
			t.Errorf("master playlist lacks %s:\n%s", size, master)
		}
	}
	if playlist := b.published("city/hls/480p/index.m3u8"); !strings.Contains(playlist, "#EXT-X-ENDLIST") {
		t.Errorf("480p playlist is not complete:\n%s", playlist)
	}
	if sheet := b.published("city/contact-sheet.png"); !strings.HasPrefix(sheet, "\x89PNG") {
		t.Error("the contact sheet is no PNG")
	}
}

// A rendition that is not similar enough must fail the run, and publish nothing.
func TestVideoRejectsBadQuality(t *testing.T) {
	b := setUp(t, "video", cityData, videoTools)
	b.flow(4, "run", b.file, "-var", "renditions=[240]", "-var", "min_ssim=0.999")
	if _, err := os.Stat(filepath.Join(b.dir, "results")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("results of a failed run: %v", err)
	}
}

func TestNightly(t *testing.T) { onEach(t, checkNightly, local, batch, s3) }

func checkNightly(t *testing.T, on place) {
	b := setUp(t, "nightly", nightlyData, nightlyTools)
	b.on = on
	for _, parts := range on.few("1", "24") {
		b.run("parts=" + parts)
		if got, want := sumOf(b.published("2001-03-15/report.csv")), "923bd44cf0e968cef3ac2916c8855e3f"; got != want {
			t.Errorf("%s files: md5 of report.csv is %s, want %s", parts, got, want)
		}
		var totals map[string]float64
		if err := json.Unmarshal(b.outputs()["totals"], &totals); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]float64{"flights": 17089, "airports": 224, "delay_sum": 293720, "late": 5883, "rejected": 0, "missing_files": 0} {
			if totals[name] != want {
				t.Errorf("%s files: %s is %v, want %v", parts, name, totals[name], want)
			}
		}
	}
	page := b.published("2001-03-15/report.html")
	for _, want := range []string{"17,089", "Dallas-Fort Worth, TX", "43.5 min"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, load := range []string{"http://", "https://", "src=", "@import", "<script"} {
		if strings.Contains(page, load) {
			t.Errorf("the page has %q: it must stand alone", load)
		}
	}
}

// On this day a flight is in the data as 1,116 minutes early.
func TestNightlyRejects(t *testing.T) {
	b := setUp(t, "nightly", nightlyData, nightlyTools)
	b.run("day=2001-02-27", "parts=4")
	rejects, err := filepath.Glob(filepath.Join(b.dir, "results/2001-02-27/rejects/*.csv"))
	if err != nil || len(rejects) != 4 {
		t.Fatalf("files of rejects: %q, %v; want 4", rejects, err)
	}
	var all string
	for _, file := range rejects {
		all += read(t, file)
	}
	if !strings.Contains(all, ",-1116,") || !strings.HasSuffix(all, ",MIA,STL,delay out of range\n") || strings.Count(all, "\n") != 1 {
		t.Errorf("rejects: %q, want the flight from MIA to STL alone", all)
	}
}

// One file that cannot be validated is tolerated, and missing in the report; two are not.
func TestNightlyTolerates(t *testing.T) { onEach(t, checkNightlyTolerates, local, batch) }

func checkNightlyTolerates(t *testing.T, on place) {
	b := setUp(t, "nightly", nightlyData, nightlyTools)
	b.on = on
	rules := read(t, "nightly/validate.awk")
	breakOn := func(parts string) {
		rule := fmt.Sprintf("BEGIN { if (ARGV[1] ~ /part-000[%s].csv$/) exit 1 }\n", parts)
		if err := os.WriteFile(filepath.Join(b.dir, "validate.awk"), []byte(rule+rules), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	breakOn("3")
	b.run()
	if diff := cmp.Diff(map[string]int{"SUCCEEDED": 18, "FAILED": 1, "SKIPPED": 1}, b.statuses()); diff != "" {
		t.Errorf("one file broken: tasks (-want +got):\n%s", diff)
	}
	if page := b.published("2001-03-15/report.html"); !strings.Contains(page, "7 of 8") {
		t.Error("the page does not say that a file is missing")
	}

	breakOn("35")
	b.flow(4, "run", b.file)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
