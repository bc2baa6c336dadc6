package diagnose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"flow/engine"
)

const (
	// dwell is how long a job has to be at the head of its queue before what AWS Batch says
	// while it starts instances, MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT among it, is
	// called the cause: it is said for some minutes when an environment scales from zero,
	// and then the job runs.
	dwell = 10 * time.Minute
	// patience is how long an environment may take to want instances.
	patience = 5 * time.Minute
)

// Diagnose says why a job waits: what is sure, else what may be. The first finding is the
// first to look into. A job that runs or has ended has none. It is pure.
func Diagnose(f Facts, now time.Time) []Finding {
	d := &diagnosis{Facts: f, now: now}
	switch j := &f.Job; {
	case j.Status.Ended() || j.Status == engine.JobRunning:
		return nil
	case j.Size > 0:
		d.array()
	case j.Status == engine.JobPending:
		d.pending()
	case j.Status == engine.JobSubmitted:
		d.submitted()
	case j.Status == engine.JobStarting:
		d.starting()
	default:
		d.runnable()
	}
	if j := &f.Job; j.Size == 0 && (j.Status == engine.JobSubmitted || j.Status == engine.JobRunnable) && !d.sure() {
		d.disabled()
	}
	return d.ordered()
}

// A diagnosis is one that is being made.
type diagnosis struct {
	Facts
	now   time.Time
	found []Finding
}

// ordered returns what was found: guesses only where nothing is sure.
func (d *diagnosis) ordered() []Finding {
	if !d.sure() {
		return d.found
	}
	return slices.DeleteFunc(d.found, func(f Finding) bool { return !f.Sure })
}

func (d *diagnosis) add(f Finding) { d.found = append(d.found, f) }

func (d *diagnosis) some() bool { return len(d.found) > 0 }

// sure reports whether a cause is known. That others are before the job is none: they wait
// as well.
func (d *diagnosis) sure() bool {
	return slices.ContainsFunc(d.found, func(f Finding) bool { return f.Sure && f.Cause != BehindOthers })
}

// array is of an array parent, which is PENDING while its children run (row 2).
func (d *diagnosis) array() {
	j := &d.Job
	s := &j.Summary
	done := s[engine.JobSucceeded] + s[engine.JobFailed]
	running := s[engine.JobRunning] + s[engine.JobStarting]
	if done+running+s[engine.JobRunnable] == 0 && len(j.DependsOn) > 0 {
		d.pending()
		if d.some() {
			return
		}
	}
	text := fmt.Sprintf("the array is not stuck: %d of %d done", done, j.Size)
	if n := s[engine.JobFailed]; n > 0 {
		text += fmt.Sprintf(" (%d failed)", n)
	}
	text += fmt.Sprintf(", %d running", running)
	if n := s[engine.JobRunnable]; n > 0 {
		text += fmt.Sprintf(", %d in the queue", n)
	}
	f := Finding{Cause: ArrayGoesOn, Sure: true, Text: text}
	if running == 0 && s[engine.JobRunnable] > 0 {
		f.Text = fmt.Sprintf("none of the array runs: %d of %d done, %d in the queue", done, j.Size, s[engine.JobRunnable])
		f.Fix = []string{"Ask of one of its tasks: flow explain RUN/STEP[KEY]."}
	}
	d.add(f)
}

// pending is of a job that waits for others, or for a consumable resource (rows 1 and 14).
func (d *diagnosis) pending() {
	waits := make([]string, 0, len(d.Depends))
	for i := range d.Depends {
		if slices.Contains(d.Job.DependsOn, d.Depends[i].ID) {
			waits = append(waits, d.dependency(&d.Depends[i]))
		}
	}
	if len(waits) > 0 {
		f := Finding{Cause: Dependencies, Sure: true, Text: "it waits for " + counted(len(waits), "job", "to succeed"), Evidence: cut(waits)}
		if root := d.root(); root != nil {
			f.Evidence = append(f.Evidence, fmt.Sprintf("at the beginning of what it waits for is %s", d.dependency(root)))
		}
		d.add(f)
		return
	}
	d.consumables()
	if d.some() {
		return
	}
	if d.Job.Status == engine.JobPending || d.Job.Size > 0 {
		d.add(Finding{Cause: Scheduler, Text: "what it depends on has ended, and AWS Batch has not moved it on yet"})
	}
}

const mostShown = 4

// dependency describes a job that another one waits for.
func (d *diagnosis) dependency(j *Job) string {
	text := fmt.Sprintf("%s (%s) is %s", j.Name, j.ID, j.Status)
	if s := &j.Summary; j.Size > 0 {
		text += fmt.Sprintf(": %d of %d done, %d running", s[engine.JobSucceeded]+s[engine.JobFailed], j.Size, s[engine.JobRunning]+s[engine.JobStarting])
	} else if j.Reason != "" {
		text += ": " + j.Reason
	}
	return text
}

// root returns the first of the jobs behind those that are waited for which waits for none,
// if it is another one than they.
func (d *diagnosis) root() *Job {
	known := func(id string) bool {
		return slices.ContainsFunc(d.Depends, func(j Job) bool { return j.ID == id })
	}
	for i := range d.Depends {
		j := &d.Depends[i]
		if !slices.ContainsFunc(j.DependsOn, known) && !slices.Contains(d.Job.DependsOn, j.ID) {
			return j
		}
	}
	return nil
}

// submitted is of a job that the scheduler has not looked at.
func (d *diagnosis) submitted() {
	if d.queue(); d.sure() {
		return
	}
	text := "AWS Batch has taken it, and has not looked at it yet"
	if waited := d.waited(); waited > patience {
		text += fmt.Sprintf(", after %s", span(waited))
	}
	d.add(Finding{Cause: Scheduler, Text: text})
}

// waited is how long the job waits: since it was submitted, or since its last attempt.
func (d *diagnosis) waited() time.Duration {
	if d.Job.Since.IsZero() {
		return 0
	}
	return d.now.Sub(d.Job.Since)
}

// starting is of a job that has a place, and whose container does not run yet.
func (d *diagnosis) starting() {
	image := d.Job.Image
	if image == "" {
		image = "its image"
	}
	if waited := d.waited(); waited >= dwell {
		d.add(Finding{
			Cause: SlowStart, Sure: false,
			Text: fmt.Sprintf("it has a place, and its container has not started, %s after it was submitted", span(waited)),
			Evidence: []string{
				"STARTING is the pull of " + image + ", and on Fargate the making of a network interface; since when it is STARTING AWS Batch does not say",
			},
			Fix: []string{
				"A large image takes long: a smaller one, or one in ECR of the same region, is faster. A registry that cannot be reached is waited for as well: flow doctor looks for the way there.",
				"On Fargate the subnets must have free addresses.",
			},
		})
		return
	}
	d.add(Finding{Cause: Starts, Text: "it has a place, and is being started: " + image + " is pulled"})
}

// runnable is of a job that waits for a place.
func (d *diagnosis) runnable() {
	d.queue()
	d.environments()
	if d.sure() {
		d.behind()
		return
	}
	if d.placement(); d.sure() {
		return
	}
	d.code()
	d.consumables()
	d.spotPrice()
	if d.sure() {
		d.behind()
		return
	}
	if d.busy(); !d.sure() || d.headStuck() != "" { // else its rank is told already
		d.behind()
	}
	if d.sure() {
		d.shares()
		return
	}
	d.instances()
	if !d.some() && d.Near && d.InUse != nil && *d.InUse > 0 {
		d.add(Finding{Cause: Busy, Sure: true, Text: fmt.Sprintf("this machine, which stands in for AWS Batch, has no room: %v vCPUs are in use, and the job needs %s", *d.InUse, d.Job.Need), Evidence: given(d.runs())})
	}
	if !d.some() {
		d.add(Finding{Cause: Scaling, Text: "it waits for a place; AWS Batch starts instances within some minutes" + d.waitedText()})
	}
}

// waitedText says how long it has waited.
func (d *diagnosis) waitedText() string {
	if w := d.waited(); w > 0 {
		return fmt.Sprintf(" (it waits for %s)", span(w))
	}
	return ""
}

// place returns where the job stands in its queue, from 0; -1: not among the first. Of a
// child it may be its array that stands there: no document says which.
func (d *diagnosis) place() int {
	parent, _ := engine.JobID(d.Job.ID).Split()
	return slices.IndexFunc(d.Front, func(f Front) bool { return f.ID == d.Job.ID || f.ID == string(parent) })
}

// headFor is how long the head of the queue has been that.
func (d *diagnosis) headFor() time.Duration {
	if len(d.Front) > 0 && !d.Front[0].Since.IsZero() {
		return d.now.Sub(d.Front[0].Since)
	}
	return d.waited()
}

// head returns the job at the head of the queue, as far as it is known: itself, if nothing
// else is.
func (d *diagnosis) head() *Job {
	if d.Head != nil {
		return d.Head
	}
	return &d.Job
}

func counted(n int, noun, rest string) string {
	if n != 1 {
		noun += "s"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", n, noun, rest))
}

// cut keeps the first lines and counts the others.
func cut(lines []string) []string {
	if len(lines) <= mostShown {
		return lines
	}
	return append(slices.Clone(lines[:mostShown]), fmt.Sprintf("and %d more", len(lines)-mostShown))
}
