package executortest

import (
	"slices"

	"flow/engine"
)

// A parent is only ever SUBMITTED, PENDING, SUCCEEDED or FAILED, and its summary counts
// every child (Batch User Guide, array_jobs).
func arrayIndices(s *suite) {
	const n = 5
	id := s.submit("colours", `echo child $AWS_BATCH_JOB_ARRAY_INDEX`, array(n))
	done := 0
	j := s.until(id, "ended", func(j *engine.Job) bool {
		switch j.Status {
		case engine.JobRunnable, engine.JobStarting, engine.JobRunning:
			s.Errorf("the parent is %v", j.Status)
		}
		sum := 0
		for _, c := range j.Summary {
			sum += c
		}
		if sum != n || j.Size != n {
			s.Errorf("summary %v of size %d, want %d children", j.Summary, j.Size, n)
		}
		if now := j.Summary[engine.JobSucceeded]; now < done {
			s.Errorf("ended children became fewer: %d, then %d", done, now)
		} else {
			done = now
		}
		return j.Status.Ended()
	})
	if j.Status != engine.JobSucceeded || j.Summary != [engine.NumJobStatuses]int{engine.JobSucceeded: n} {
		s.Fatalf("parent is %+v", j)
	}
	if len(j.Attempts) != 0 || j.ExitCode != nil {
		s.Errorf("the parent has attempts of its own: %+v", j)
	}
	for i := range n {
		c := s.succeeded(id.Child(i))
		if c.Name != j.Name || c.Size != 0 || len(c.Attempts) != 1 {
			s.Errorf("child %d is %+v", i, c)
		}
		if got, want := s.lines(id.Child(i), engine.LogOptions{}), "child "+string('0'+rune(i)); !slices.Equal(got, []string{want}) {
			s.Errorf("log of child %d is %q, want %q", i, got, want)
		}
	}
}

// A child that fails stops no other, and the parent fails once all have ended.
func arrayWithFailure(s *suite) {
	id := s.submit("one", `test "$AWS_BATCH_JOB_ARRAY_INDEX" != 1`, array(4))
	j := s.failed(id, engine.ReasonArrayChild)
	if want := [engine.NumJobStatuses]int{engine.JobSucceeded: 3, engine.JobFailed: 1}; j.Summary != want {
		s.Errorf("summary is %v, want %v", j.Summary, want)
	}
	for i := range 4 {
		c := s.ended(id.Child(i))
		if (c.Status == engine.JobFailed) != (i == 1) {
			s.Errorf("child %d is %v", i, c.Status)
		}
		if c.Stopped.After(j.Stopped) {
			s.Errorf("child %d ended at %v, after its parent at %v", i, c.Stopped, j.Stopped)
		}
	}
}

func childrenByStatus(s *suite) {
	id := s.submit("even", `exit $((AWS_BATCH_JOB_ARRAY_INDEX % 2))`, array(7))
	s.ended(id)
	if got, want := s.children(id, engine.JobSucceeded), []int{0, 2, 4, 6}; !slices.Equal(got, want) {
		s.Errorf("SUCCEEDED: %v, want %v", got, want)
	}
	if got, want := s.children(id, engine.JobFailed), []int{1, 3, 5}; !slices.Equal(got, want) {
		s.Errorf("FAILED: %v, want %v", got, want)
	}
	for _, status := range []engine.JobStatus{engine.JobSubmitted, engine.JobPending, engine.JobRunnable, engine.JobStarting, engine.JobRunning} {
		if got := s.children(id, status); len(got) > 0 {
			s.Errorf("%v: %v, want none", status, got)
		}
	}
	for j, err := range s.x.Children(s.ctx, id, engine.JobFailed) {
		if err != nil || code(j.ExitCode) != "1" || j.StatusReason != engine.ReasonExited || j.Stopped.IsZero() {
			s.Errorf("failed child is %+v with exit code %s, %v", j, code(j.ExitCode), err)
		}
		break // an iteration can be left
	}
	if got := s.children("00000000-0000-4000-8000-000000000000", engine.JobFailed); len(got) > 0 {
		s.Errorf("children of an unknown job: %v", got)
	}
}

func dependsOnPlain(s *suite) {
	a := s.submit("a", "true")
	b := s.submit("b", "true", after(a))
	c := s.submit("c", "true", after(a), after(b))
	s.succeeded(c)
	s.inOrder(a, b)
	s.inOrder(b, c)
}

// inOrder checks that a succeeded before b started.
func (s *suite) inOrder(a, b engine.JobID) {
	s.Helper()
	first, second := s.succeeded(a), s.succeeded(b)
	if second.Started.Before(first.Stopped) {
		s.Errorf("%s started at %v, before %s had ended at %v", b, second.Started, a, first.Stopped)
	}
}

func dependsOnWholeArray(s *suite) {
	a := s.submit("a", "true", array(3))
	b := s.submit("b", "true", after(a))
	c := s.submit("c", "true", after(a), array(2))
	s.succeeded(b)
	s.succeeded(c)
	for i := range 3 {
		s.inOrder(a.Child(i), b)
		s.inOrder(a.Child(i), c.Child(0))
	}
}

// A failed dependency fails what depends on it, and so on (job_dependencies).
func dependsOnFailure(s *suite) {
	a := s.submit("a", `test "$AWS_BATCH_JOB_ARRAY_INDEX" = 0`, array(2))
	b := s.submit("b", "true", after(a))
	c := s.submit("c", "true", after(b), array(3))
	d := s.submit("d", "true", after(c))
	s.failed(a, engine.ReasonArrayChild)
	s.failed(b, engine.ReasonDependency)
	j := s.ended(c)
	if j.Status != engine.JobFailed || j.Summary[engine.JobFailed] != 3 {
		s.Errorf("the array is %+v, want all of it FAILED", j)
	}
	if j := s.failed(d, engine.ReasonDependency); len(j.Attempts) != 0 || !j.Started.IsZero() || j.Terminated {
		s.Errorf("the last one is %+v, want no attempt", j)
	}
}

func dependsOnEnded(s *suite) {
	good, bad := s.submit("good", "true"), s.submit("bad", "false")
	s.succeeded(good)
	s.failed(bad, engine.ReasonExited)
	s.succeeded(s.submit("after", "true", after(good)))
	s.failed(s.submit("after", "true", after(bad)), engine.ReasonDependency)
}

// Child i waits for child i (array_jobs, N_TO_N).
func nToN(s *suite) {
	a := s.submit("a", `test "$AWS_BATCH_JOB_ARRAY_INDEX" != 1`, array(4))
	b := s.submit("b", "true", array(4), depends(a, engine.DependNToN))
	c := s.submit("c", "true", array(4), depends(b, engine.DependNToN))
	s.failed(c, engine.ReasonArrayChild)
	for i := range 4 {
		if i == 1 {
			s.failed(b.Child(i), engine.ReasonDependency)
			s.failed(c.Child(i), engine.ReasonDependency)
			continue
		}
		s.inOrder(a.Child(i), b.Child(i))
		s.inOrder(b.Child(i), c.Child(i))
	}
}

// Child i waits for child i-1 of its own array (array_jobs, SEQUENTIAL).
func sequential(s *suite) {
	id := s.submit("seq", "true", array(4), depends("", engine.DependSequential))
	s.succeeded(id)
	for i := 1; i < 4; i++ {
		s.inOrder(id.Child(i-1), id.Child(i))
	}
}

func sequentialWithFailure(s *suite) {
	id := s.submit("seq", `test "$AWS_BATCH_JOB_ARRAY_INDEX" != 1`, array(4), depends("", engine.DependSequential))
	s.failed(id, engine.ReasonArrayChild)
	s.succeeded(id.Child(0))
	s.failed(id.Child(1), engine.ReasonExited)
	s.failed(id.Child(2), engine.ReasonDependency)
	s.failed(id.Child(3), engine.ReasonDependency)
}

// A jobId and SEQUENTIAL together (example_array_job, JobE).
func jobAndSequential(s *suite) {
	a := s.submit("a", "true", array(2))
	b := s.submit("b", "true", array(3), after(a), depends("", engine.DependSequential))
	s.succeeded(b)
	s.inOrder(a.Child(1), b.Child(0))
	s.inOrder(b.Child(0), b.Child(1))
	s.inOrder(b.Child(1), b.Child(2))
}

// Each child has its own attempts.
func retryOfChildren(s *suite) {
	id := s.submit("retry", `test "$AWS_BATCH_JOB_ATTEMPT" -gt "$AWS_BATCH_JOB_ARRAY_INDEX"`, array(3), attempts(2))
	s.failed(id, engine.ReasonArrayChild)
	for i, want := range []int{1, 2, 2} {
		c := s.ended(id.Child(i))
		if len(c.Attempts) != want || (c.Status == engine.JobFailed) != (i == 2) {
			s.Errorf("child %d is %v after %d attempts, want %d", i, c.Status, len(c.Attempts), want)
		}
	}
}

func terminateArray(s *suite) {
	id := s.submit("many", "exec sleep 600", array(50))
	next := s.submit("next", "true", array(50), depends(id, engine.DependNToN))
	s.running(id.Child(0))
	s.terminate(id, "all of it")
	j := s.failed(id, "all of it")
	if !j.Terminated || j.Summary[engine.JobFailed] != 50 {
		s.Errorf("parent is %+v, want terminated with 50 FAILED", j)
	}
	for _, i := range []int{0, 1, 49} {
		if c := s.failed(id.Child(i), "all of it"); !c.Terminated {
			s.Errorf("child %d is %+v, want terminated", i, c)
		}
	}
	s.failed(next.Child(49), engine.ReasonDependency)
	s.ended(next)
}

func terminateChild(s *suite) {
	id := s.submit("some", `test "$AWS_BATCH_JOB_ARRAY_INDEX" != 0 || exec sleep 600`, array(3))
	s.running(id.Child(0))
	s.terminate(id.Child(0), "this one")
	s.failed(id, engine.ReasonArrayChild)
	s.failed(id.Child(0), "this one")
	s.succeeded(id.Child(1))
	s.succeeded(id.Child(2))
}
