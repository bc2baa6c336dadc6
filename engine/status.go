package engine

// A Status is the state of a run, of a step or of a task.
type Status uint8

const (
	Pending   Status = iota // not begun
	Running                 // begun, not ended
	Succeeded               // ended well
	Failed                  // ended badly
	Skipped                 // will not run: `when` is false, or something it needs failed
	Cancelled               // will not run, or was stopped, because somebody or a limit said so
	Cached                  // not run, because its result is known
)

var statusNames = [...]string{"PENDING", "RUNNING", "SUCCEEDED", "FAILED", "SKIPPED", "CANCELLED", "CACHED"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "UNKNOWN"
}

// Ended reports whether s is final.
func (s Status) Ended() bool { return s >= Succeeded }

// OK reports whether the result of something with status s is there.
func (s Status) OK() bool { return s == Succeeded || s == Cached }

// MarshalText writes the name of the status.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name of a status.
func (s *Status) UnmarshalText(b []byte) error {
	for i, n := range statusNames {
		if n == string(b) {
			*s = Status(i)
			return nil
		}
	}
	return errUnknownName("status", string(b))
}

// A JobStatus is the state of a job, exactly as AWS Batch has it
// (Batch User Guide, job_states).
type JobStatus uint8

const (
	JobSubmitted JobStatus = iota
	JobPending
	JobRunnable
	JobStarting
	JobRunning
	JobSucceeded
	JobFailed
	NumJobStatuses = 7
)

var jobStatusNames = [...]string{"SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"}

func (s JobStatus) String() string {
	if int(s) < len(jobStatusNames) {
		return jobStatusNames[s]
	}
	return "UNKNOWN"
}

// Ended reports whether s is final: SUCCEEDED or FAILED.
func (s JobStatus) Ended() bool { return s >= JobSucceeded }

// MarshalText writes the name of the status.
func (s JobStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name of a job status.
func (s *JobStatus) UnmarshalText(b []byte) error {
	for i, n := range jobStatusNames {
		if n == string(b) {
			*s = JobStatus(i)
			return nil
		}
	}
	return errUnknownName("job status", string(b))
}
