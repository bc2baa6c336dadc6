package export

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"

	"flow/cmd/flow/internal/runstat"
	"flow/cmd/flow/internal/view"
	"flow/engine"
)

// traceColumns are the columns of a trace. Those that Nextflow has in its trace file mean what
// they mean there with trace.raw (docs.seqera.io/nextflow/reports, trace file): times are
// milliseconds since 1970, spans milliseconds, sizes bytes. The last ones are flow's own.
var traceColumns = []string{
	"task_id", "native_id", "process", "tag", "name", "status", "exit", "container", "cpus", "time", "disk", "memory", "attempt",
	"submit", "start", "complete", "duration", "realtime", "queue", "%cpu", "%mem", "peak_rss", "workdir",
	"index", "cpu_time", "outcome", "reason", "cached_from",
}

// none stands for what is not known, as in Nextflow's trace.
const none = "-"

// Trace writes a row for each try of each task as tab-separated values: first the tries that
// ended, as they did; then the tasks whose result was known, whose job was refused, and those that
// have not ended.
func Trace(w io.Writer, r *Run) error {
	t := tracer{w: bufio.NewWriter(w)}
	t.row(traceColumns)
	for i := range r.Tries {
		t.row(r.triedRow(&r.Tries[i], t.rows))
	}
	tried := r.triesByTask()
	for task := range r.eachTask() {
		switch task.Status {
		case engine.Failed:
			if len(tried[task.Step][task.Index]) > 0 {
				continue
			}
			fallthrough
		case engine.Cached, engine.Pending, engine.Running:
			t.row(r.taskRow(&task, t.rows))
		}
	}
	return t.w.Flush()
}

type tracer struct {
	w    *bufio.Writer
	rows int
}

func (t *tracer) row(cells []string) {
	_, _ = t.w.WriteString(strings.Join(cells, "\t")) // Flush returns the error
	_ = t.w.WriteByte('\n')
	t.rows++
}

// A row is the cells of a trace by column.
type row map[string]string

// cells returns the cells in the order of the columns. Texts keep no tab and no line break.
func (c row) cells() []string {
	out := make([]string, len(traceColumns))
	for i, name := range traceColumns {
		if out[i] = plainCell(view.Clean(c[name])); out[i] == "" {
			out[i] = none
		}
	}
	return out
}

// plainCell puts an apostrophe before text that a spreadsheet would take for a formula. A number
// is none, whatever its sign.
func plainCell(text string) string {
	if text == "" || !strings.ContainsRune("=+-@", rune(text[0])) {
		return text
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return text
	}
	return "'" + text
}

// triedRow returns the row of a try.
func (r *Run) triedRow(t *runstat.Try, id int) []string {
	task := r.Task(t.Step, t.Index)
	peak := t.Memory
	if t.AtMost { // a bound is no peak
		peak = 0
	}
	c := row{
		"status": traceStatus(t.Outcome), "outcome": string(t.Outcome), "reason": t.Reason, "attempt": strconv.Itoa(t.Attempt),
		"submit": instant(r.Log.Submitted(t.Job)), "start": number(t.Started), "complete": number(t.Stopped),
		"peak_rss": number(peak), "cpu_time": number(t.CPU),
	}
	r.describe(c, &task, t.Job, id)
	if t.ExitCode != nil {
		c["exit"] = strconv.Itoa(*t.ExitCode)
	} else if ok(t) {
		c["exit"] = "0"
	}
	took := t.Stopped - t.Started
	if t.Started == 0 || t.Stopped == 0 || took < 0 {
		return c.cells()
	}
	c["realtime"] = strconv.FormatInt(took, 10)
	if at := r.Log.Submitted(t.Job); !at.IsZero() && t.Stopped >= at.UnixMilli() {
		c["duration"] = strconv.FormatInt(t.Stopped-at.UnixMilli(), 10)
	}
	if t.CPU > 0 && took > 0 {
		c["%cpu"] = strconv.FormatFloat(100*float64(t.CPU)/float64(took), 'f', 1, 64)
	}
	if res, known := r.Asked(t.Job); known && peak > 0 && res.MemoryMiB > 0 {
		c["%mem"] = strconv.FormatFloat(100*float64(peak)/float64(int64(res.MemoryMiB)<<20), 'f', 1, 64)
	}
	return c.cells()
}

// taskRow returns the row of a task of which no try has ended, or whose result was known.
func (r *Run) taskRow(task *engine.TaskStatus, id int) []string {
	c := row{"status": "NEW", "attempt": strconv.Itoa(task.Attempts + 1)}
	job := r.jobOf(task)
	switch {
	case task.Hit != nil:
		c["status"], c["attempt"], c["exit"] = "CACHED", "", "0"
		c["cached_from"] = string(task.Hit.Run) + "/" + engine.TaskName(task.Hit.Step, task.Hit.Task != "", task.Hit.Task)
	case task.Status == engine.Failed: // its job was refused
		c["status"], c["outcome"], c["reason"] = "FAILED", string(engine.TaskFailed), task.Reason
	case task.Status == engine.Running:
		c["status"], c["start"] = "RUNNING", instant(task.Started)
	case r.waits(task, job):
		c["status"] = "SUBMITTED"
	default:
		job = 0
	}
	c["submit"] = instant(r.Log.Submitted(job))
	r.describe(c, task, job, id)
	return c.cells()
}

// waits reports whether a task waits in a job: no try of it has ended there, or it would have left.
func (r *Run) waits(task *engine.TaskStatus, job int) bool {
	j := r.job(job)
	return j != nil && !j.Over && j.ID != "" && task.Attempts < j.Plan.Attempt
}

// jobOf returns the number of the last job of a task; 0: it has none.
func (r *Run) jobOf(task *engine.TaskStatus) int {
	c := r.Columns(task.Step)
	return int(c.Job[task.Index])
}

// describe fills in what is known of a task, and of a job that it is in.
func (r *Run) describe(c row, task *engine.TaskStatus, job, id int) {
	c["task_id"], c["native_id"] = strconv.Itoa(id), string(r.jobID(job, task.Index))
	c["process"], c["tag"], c["name"] = string(task.Step), task.Key, task.Name
	c["index"], c["workdir"], c["container"] = strconv.Itoa(task.Index), task.Dir, r.image(task.Step, task.Index)
	if spec := r.Spec(task.Step, task.Index); spec != nil && spec.Timeout > 0 {
		c["time"] = number(spec.Timeout.Milliseconds())
	}
	if j := r.job(job); j != nil {
		c["queue"] = j.Plan.Queue
	}
	if res, known := r.Asked(job); known {
		c["cpus"] = strconv.FormatFloat(res.VCPUs, 'f', -1, 64)
		c["memory"], c["disk"] = number(int64(res.MemoryMiB)<<20), number(int64(res.DiskGiB)<<30)
	}
}

// traceStatus returns Nextflow's word for the end of a try.
func traceStatus(o engine.Outcome) string {
	switch o {
	case engine.TaskSucceeded:
		return "COMPLETED"
	case engine.TaskCancelled:
		return "ABORTED"
	}
	return "FAILED"
}

// number writes a number of which 0 means that it is not known.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}
