package engine

// Attempt returns which job made attempt n, from 1, of task i of a step, and which attempt
// of that job it was. It is not ok if no job did, as far as is known. It panics if there
// is no such task.
func (r *Run) Attempt(name StepName, i, n int) (id JobID, attempt int, ok bool) {
	s := r.step(name)
	_ = s.task[i]
	for k := len(r.jobs) - 1; k >= 0 && n > 0; k-- {
		j := r.jobs[k]
		if j.step != s || j.id == "" || j.plan.Attempt > n || !j.tasks.Contains(i) {
			continue // a later job went on where an earlier one stopped
		}
		id = j.id
		if j.tasks.Len() > 1 {
			id = id.Child(j.tasks.Rank(i))
		}
		return id, n - j.plan.Attempt + 1, true
	}
	return "", 0, false
}

// InDoubt counts the tasks in jobs of which nobody knows whether the executor has accepted
// them: they are looked for.
func (r *Run) InDoubt() (tasks int) {
	for _, j := range r.liveJobs() {
		if j.state == jobInDoubt {
			tasks += j.tasks.Len()
		}
	}
	return tasks
}

// Alive counts the jobs of the run that an executor has accepted and that have not ended,
// as far as is known, and their tasks that have not.
func (r *Run) Alive() (jobs, tasks int) {
	for _, j := range r.liveJobs() {
		switch {
		case j.state != jobAccepted:
		case j.stray:
			jobs, tasks = jobs+1, tasks+j.tasks.Len()
		case j.open > 0:
			jobs, tasks = jobs+1, tasks+j.open
		}
	}
	return jobs, tasks
}
