package executortest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"flow/engine"
)

// Names are not unique (SubmitJob), and Find takes them exactly.
func findByName(s *suite) {
	spec := s.job("find", "true")
	first := s.send(spec)
	alike := func(name, step string) engine.JobID {
		other := *spec
		other.Name, other.Step = name, spec.Step+engine.StepName(step) // each has a directory of its own
		return s.send(&other)
	}
	second := alike(spec.Name, "-second")
	alike(strings.ToUpper(spec.Name), "-upper")
	alike(spec.Name+"-b", "-longer")
	s.succeeded(first)
	s.succeeded(second)

	var got []engine.JobID
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for len(got) < 2 { // a very young job may be missing
		jobs, err := s.x.Find(s.ctx, spec.Queue, spec.Name)
		if err != nil {
			s.Fatalf("Find: %v", err)
		}
		got = nil
		for i, j := range jobs {
			got = append(got, j.ID)
			if j.Name != spec.Name {
				s.Errorf("Find(%q) has a job %q", spec.Name, j.Name)
			}
			if i > 0 && j.Created.Before(jobs[i-1].Created) {
				s.Errorf("Find is not in order of age: %v", jobs)
			}
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.Fatalf("Find(%q) = %v, want 2 jobs", spec.Name, got)
		}
	}
	slices.Sort(got)
	want := []engine.JobID{first, second}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.Errorf("Find(%q) = %v, want %v", spec.Name, got, want)
	}
	begin := spec.Name[:len(spec.Name)-1] + "*" // both are of the same name: others may begin so too
	jobs, err := s.x.Find(s.ctx, spec.Queue, begin)
	for _, id := range want {
		if !slices.ContainsFunc(jobs, func(j engine.Job) bool { return j.ID == id }) {
			s.Errorf("Find(%q) = %v, %v, without %s", begin, jobs, err, id)
		}
	}
	for i, j := range jobs {
		if !strings.HasPrefix(j.Name, strings.TrimSuffix(begin, "*")) || i > 0 && j.Created.Before(jobs[i-1].Created) {
			s.Errorf("Find(%q) has a job %q, or is not in order of age", begin, j.Name)
		}
	}
	if jobs, err := s.x.Find(s.ctx, spec.Queue, "flow-nobody"); err != nil || len(jobs) > 0 {
		s.Errorf("Find of a name that nothing has = %v, %v", jobs, err)
	}
}

// Ids that are unknown are left out (DescribeJobs).
func describeUnknown(s *suite) {
	id := s.submit("known", "true", array(2))
	s.succeeded(id)
	jobs, err := s.x.Describe(s.ctx, []engine.JobID{"00000000-0000-4000-8000-000000000000", id.Child(1), id.Child(7), id, "nonsense:x"})
	if err != nil {
		s.Fatalf("Describe: %v", err)
	}
	var got []engine.JobID
	for _, j := range jobs {
		got = append(got, j.ID)
	}
	slices.Sort(got)
	if want := []engine.JobID{id, id.Child(1)}; !slices.Equal(got, want) {
		s.Errorf("Describe found %v, want %v", got, want)
	}
	if jobs, err := s.x.Describe(s.ctx, nil); err != nil || len(jobs) > 0 {
		s.Errorf("Describe of nothing = %v, %v", jobs, err)
	}
	// More than one call of Batch takes.
	ids := slices.Repeat([]engine.JobID{id.Child(0), id.Child(1), id}, 70)
	if jobs, err := s.x.Describe(s.ctx, ids); err != nil || len(jobs) < 3 {
		s.Errorf("Describe of %d ids found %d, %v", len(ids), len(jobs), err)
	}
}

func logs(s *suite) {
	id := s.submit("log", `i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo line $i; done; printf 'no end'`)
	s.succeeded(id)
	var want []string
	for i := 1; i <= 100; i++ {
		want = append(want, fmt.Sprint("line ", i))
	}
	want = append(want, "no end")
	if got := s.lines(id, engine.LogOptions{}); !slices.Equal(got, want) {
		s.Errorf("log has %d lines %q, want %d", len(got), got, len(want))
	}
	if got := s.lines(id, engine.LogOptions{Tail: 3}); !slices.Equal(got, want[98:]) {
		s.Errorf("last 3 lines are %q, want %q", got, want[98:])
	}
	if got := s.lines(id, engine.LogOptions{Tail: 1000}); !slices.Equal(got, want) {
		s.Errorf("last 1000 lines are %d, want all %d", len(got), len(want))
	}
	for _, err := range s.x.Logs(s.ctx, id, engine.LogOptions{}) {
		if err != nil {
			s.Error(err)
		}
		break // an iteration can be left
	}
	if got := s.lines("00000000-0000-4000-8000-000000000000", engine.LogOptions{}); len(got) > 0 {
		s.Errorf("log of an unknown job: %q", got)
	}
	silent := s.submit("silent", "true")
	s.succeeded(silent)
	if got := s.lines(silent, engine.LogOptions{}); len(got) > 0 {
		s.Errorf("log of a job that wrote nothing: %q", got)
	}
}

func logsOfAttempts(s *suite) {
	id := s.submit("tries", `echo try $AWS_BATCH_JOB_ATTEMPT; test "$AWS_BATCH_JOB_ATTEMPT" = 3`, attempts(3))
	s.succeeded(id)
	for attempt, want := range map[int][]string{0: {"try 3"}, 1: {"try 1"}, 2: {"try 2"}, 3: {"try 3"}, 4: nil} {
		if got := s.lines(id, engine.LogOptions{Attempt: attempt}); !slices.Equal(got, want) {
			s.Errorf("log of attempt %d is %q, want %q", attempt, got, want)
		}
	}
}

// A log that is followed ends with its job.
func logsFollowed(s *suite) {
	id := s.submit("follow", `echo first; sleep 0.3; echo second`)
	if got, want := s.lines(id, engine.LogOptions{Follow: true}), []string{"first", "second"}; !slices.Equal(got, want) {
		s.Errorf("followed log is %q, want %q", got, want)
	}
	if j, ok := s.describe(id); !ok || !j.Status.Ended() {
		s.Errorf("the log ended before its job: %+v", j)
	}
}

func refused(s *suite) {
	other := s.submit("other", "true", array(3))
	plain := s.submit("plain", "true")
	change := func(f func(*engine.JobSpec)) *engine.JobSpec {
		spec := s.job("refused", "true")
		f(spec)
		return spec
	}
	dependencies := func(d ...engine.Dependency) option {
		return func(spec *engine.JobSpec) { spec.DependsOn = d }
	}
	rules := func(n int, e ...engine.EvaluateOn) *engine.JobSpec { return change(attempts(n, e...)) }
	s.refuses("name with a blank", change(func(j *engine.JobSpec) { j.Name = "a b" }), "Job name should match valid pattern")
	s.refuses("no name", change(func(j *engine.JobSpec) { j.Name = "" }), "Job name should match valid pattern")
	s.refuses("long name", change(func(j *engine.JobSpec) { j.Name = strings.Repeat("a", 129) }), "Job name should match valid pattern")
	s.refuses("array of 1", change(array(1)), "")
	s.refuses("array of 10,001", change(array(10_001)), "")
	s.refuses("21 dependencies", change(dependencies(slices.Repeat([]engine.Dependency{{Job: plain}}, 21)...)), "Job cannot have more than 20 dependencies")
	s.refuses("N_TO_N of a plain job", change(dependencies(engine.Dependency{Job: other, Type: engine.DependNToN})), "")
	s.refuses("SEQUENTIAL of a plain job", change(dependencies(engine.Dependency{Type: engine.DependSequential})), "")
	s.refuses("N_TO_N of unequal sizes", s.job("refused", "true", array(4), depends(other, engine.DependNToN)), "")
	s.refuses("N_TO_N on a plain job", s.job("refused", "true", array(3), depends(plain, engine.DependNToN)), "")
	s.refuses("dependency type", s.job("refused", "true", array(3), depends(other, "SOMEHOW")), "")
	s.refuses("11 attempts", rules(11), "")
	s.refuses("6 entries", rules(2, slices.Repeat([]engine.EvaluateOn{{ExitCode: "1"}}, 6)...), "Up to 5 evaluateOnExit condition can be specified.")
	s.refuses("empty entry", rules(2, engine.EvaluateOn{}), "EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason")
	s.refuses("* within", rules(2, engine.EvaluateOn{Reason: "a*b"}), "Evaluate on exit condition contains restricted characters.")
	s.refuses("parenthesis", rules(2, engine.EvaluateOn{StatusReason: "Host EC2 (instance*"}), "Evaluate on exit condition contains restricted characters.")
	s.refuses("letters in an exit code", rules(2, engine.EvaluateOn{ExitCode: "1a"}), "Evaluate on exit condition contains restricted characters.")
	s.refuses("long condition", rules(2, engine.EvaluateOn{Reason: strings.Repeat("a", 513)}), "Evaluate on exit condition cannot exceed 512 characters.")
	s.succeeded(plain) // what was refused did no harm
	s.succeeded(other)
}

// A Notifier tells of a change, and when nothing runs any more.
func notifies(s *suite) {
	n, ok := s.x.(engine.Notifier)
	if !ok {
		s.Log("this executor is no engine.Notifier")
		return
	}
	id := s.submit("news", "true")
	for {
		j, _ := s.describe(id)
		if j.Status.Ended() {
			break
		}
		select {
		case <-n.Changed():
		case <-s.ctx.Done():
			s.Fatalf("no change was told, and the job is %+v", j)
		}
	}
	if !n.Idle() {
		s.Error("not idle, though the only job has ended")
	}
}
