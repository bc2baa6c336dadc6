package engine

// counts are the children of an array job by status, as they were last seen.
type counts [NumJobStatuses]int32

// SetSummary tells the run how many children of its job n are in each status, so that the
// counts of its step show more than what is recorded: of jobs that are far away only what
// has to be known is. It is no part of the log.
func (r *Run) SetSummary(n int, summary [NumJobStatuses]int) {
	r.jobs[n-1].shown = countsOf(summary)
}

func countsOf(summary [NumJobStatuses]int) (c counts) {
	for i, n := range summary {
		c[i] = int32(n)
	}
	return c
}

// shownCounts returns the tasks of s by status: what is recorded, and what summaries say
// beyond that. A child that has succeeded may be in a summary before it is recorded; one
// that failed is looked up at once.
func (s *stepState) shownCounts() [7]int {
	c := s.counts
	for _, j := range s.live {
		if j.stray || j.shown == (counts{}) {
			continue
		}
		ended := int(j.shown[JobSucceeded] + j.shown[JobFailed])
		good := min(max(ended-(j.tasks.Len()-j.open), 0), j.open, c[Pending])
		running := min(int(j.shown[JobRunning]), j.open-good, c[Pending]-good)
		c[Pending] -= good + running
		c[Succeeded] += good
		c[Running] += running
	}
	return c
}
