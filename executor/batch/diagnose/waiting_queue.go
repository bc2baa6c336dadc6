package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"flow/executor/batch/capacity"
)

const (
	enabled  = "ENABLED"
	valid    = "VALID"
	updating = "UPDATING"
)

// queue looks at the queue itself (row 4).
func (d *diagnosis) queue() {
	q := d.Queue
	if q == nil {
		return
	}
	switch {
	case q.Status == "INVALID":
		d.add(Finding{
			Cause: QueueInvalid, Sure: true, Text: fmt.Sprintf("job queue %s is INVALID", q.Name), Evidence: given(q.Reason),
			Fix: []string{"Mend its compute environments, or make it again: flow infra apply."},
		})
	case q.Status != valid && q.Status != updating:
		d.add(Finding{Cause: QueueInvalid, Sure: q.Status != "CREATING", Text: fmt.Sprintf("job queue %s is %s", q.Name, q.Status), Evidence: given(q.Reason)})
	}
}

// disabled says if the queue takes no new jobs. Those that are in it go on (API reference,
// UpdateJobQueue): it is a hint, and not why this one waits.
func (d *diagnosis) disabled() {
	if q := d.Queue; q != nil && q.State != enabled && q.Status != "INVALID" {
		d.add(Finding{
			Cause: QueueDisabled, Text: fmt.Sprintf("job queue %s is DISABLED: it takes no new jobs, and those that it has go on", q.Name),
			Fix: []string{fmt.Sprintf("aws batch update-job-queue --job-queue %s --state ENABLED, or state = \"ENABLED\" in its block and flow infra apply.", q.Name)},
		})
	}
}

func given(texts ...string) (out []string) {
	for _, t := range texts {
		if t != "" {
			out = append(out, t)
		}
	}
	return out
}

// usable reports whether an environment takes jobs.
func (e *Environment) usable() bool {
	return e.State == enabled && (e.Status == valid || e.Status == updating)
}

// environments looks at whether any environment of the queue takes jobs (row 5).
func (d *diagnosis) environments() {
	if d.Queue != nil && len(d.Environments) == 0 {
		d.add(Finding{
			Cause: NoEnvironment, Sure: true, Text: fmt.Sprintf("job queue %s has no compute environment that is there", d.Queue.Name),
			Fix: []string{"Give it one: compute_environments = [...] in its block, and flow infra apply."},
		})
		return
	}
	var out Finding
	for i := range d.Environments {
		e := &d.Environments[i]
		if e.usable() {
			return
		}
		text, fix := e.broken()
		out.Evidence = append(out.Evidence, text)
		out.Fix = append(out.Fix, fix)
		if out.Cause == "" || e.State == enabled {
			out.Cause = EnvInvalid
			if e.State != enabled && e.Status != "INVALID" {
				out.Cause = EnvDisabled
			}
		}
	}
	if len(out.Evidence) == 0 {
		return
	}
	out.Sure = true
	if out.Text = out.Evidence[0]; len(d.Environments) == 1 {
		out.Evidence = given(d.Environments[0].Reason)
	} else {
		out.Text = "none of the compute environments of the queue takes jobs"
	}
	d.add(out)
}

// broken says why an environment takes no jobs, and what to do.
func (e *Environment) broken() (text, fix string) {
	switch {
	case e.Status == "INVALID":
		means, fix := capacity.Invalid(e.Reason)
		text = fmt.Sprintf("compute environment %s is INVALID", e.Name)
		if means != "" {
			text += ": " + means
		}
		return text, sentence(fix)
	case e.State != enabled:
		return fmt.Sprintf("compute environment %s is DISABLED", e.Name),
			fmt.Sprintf("aws batch update-compute-environment --compute-environment %s --state ENABLED, or state = \"ENABLED\" in its block and flow infra apply.", e.Name)
	}
	return fmt.Sprintf("compute environment %s is %s", e.Name, e.Status), "Wait until it is VALID: flow infra status."
}

// placement is own arithmetic: whether an environment that takes jobs can ever hold the job
// (rows 6 to 8), and if not, one that is broken counts as well.
func (d *diagnosis) placement() {
	var verdicts []capacity.Verdict
	for i := range d.Environments {
		e := &d.Environments[i]
		if !e.usable() {
			continue
		}
		v := e.Judge(d.Job.Need)
		if v.Why == "" {
			return // it fits, or nobody can tell
		}
		verdicts = append(verdicts, v)
	}
	if len(verdicts) == 0 {
		return
	}
	f := Finding{Cause: causeOf(&verdicts[0]), Sure: true, Text: verdicts[0].Why}
	for i := range verdicts {
		v := &verdicts[i]
		if i > 0 {
			f.Text = "no compute environment of the queue can ever hold it"
			f.Cause = mixed(f.Cause, causeOf(v))
		}
		f.Evidence = append(f.Evidence, v.Why)
		f.Fix = append(f.Fix, sentence(v.Fix))
	}
	if len(verdicts) == 1 {
		f.Evidence = nil
	}
	if c := codeOf(d.Job.Reason); c != nil {
		f.Evidence = append(f.Evidence, "AWS Batch says so as well: "+d.Job.Reason)
	}
	d.add(f)
}

func causeOf(v *capacity.Verdict) Cause {
	switch v.Code {
	case capacity.CodeMaxResource:
		return MaxVCPUs
	case capacity.CodeJobRequirement:
		return TooLarge
	}
	return Misplaced
}

func mixed(a, b Cause) Cause {
	if a != b {
		return TooLarge
	}
	return a
}

// sentence makes a sentence of words.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// code goes by what AWS Batch says of the head of the queue (row 3).
func (d *diagnosis) code() {
	head := d.head()
	c := codeOf(head.Reason)
	if c == nil {
		return
	}
	f := Finding{Cause: c.cause, Sure: c.sure, Text: c.means, Evidence: []string{"AWS Batch says: " + head.Reason}, Fix: c.fix}
	if head != &d.Job {
		f.Evidence[0] = fmt.Sprintf("AWS Batch says of the job at the head of the queue, %s (%s): %s", head.Name, head.ID, head.Reason)
	}
	if c.sure {
		d.add(f)
		return
	}
	types := d.fitting()
	if age := d.headFor(); age >= dwell {
		// What flow's own arithmetic speaks against is not sure, however long it is said.
		f.Sure = c.cause != Undetermined && (c.cause != TooLarge || types == "")
		f.Evidence = append(f.Evidence, fmt.Sprintf("the job has been at the head of the queue for %s", span(age)))
	} else {
		f.Evidence = append(f.Evidence, fmt.Sprintf("that is said while the first instances start, too; the job has been at the head of the queue for %s, and it is believed after %s", span(age), span(dwell)))
	}
	if types != "" && c.cause == TooLarge {
		f.Evidence = append(f.Evidence, "by flow's own arithmetic it fits on "+types)
		f.Fix = append(slices.Clone(f.Fix), "If it stays so, such instances have less with their machine image than by their type, or do not start: flow doctor.")
	}
	d.add(f)
}

// fitting names instance types on which the head of the queue fits.
func (d *diagnosis) fitting() string {
	var names []string
	for i := range d.Environments {
		e := &d.Environments[i]
		if e.usable() {
			for _, t := range e.Fitting(d.head().Need) {
				names = append(names, t.Name)
			}
		}
	}
	return strings.Join(cut(names), ", ")
}
