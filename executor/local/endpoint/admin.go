package endpoint

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"flow/engine"
	"flow/executor/local/model"
)

// The admin API makes the emulator misbehave while it runs, for tests:
//
//	GET  /_flow/calls                     how often each operation was called, and how that went
//	GET  /_flow/chaos                     the settings, as --chaos takes them
//	POST /_flow/chaos  spot=5%,seed=7     changes settings; "off" alone ends all of them
//	POST /_flow/lose   job=ID             the host of a job's try is lost
//	POST /_flow/forget job=ID             a job vanishes, as after its retention
//	POST /_flow/block  queue=Q&reason=R   nothing of a queue is placed, and its head says why; no reason ends it
//
// and tells of it what AWS would have made of it by itself (stand.go):
//
//	POST /_flow/invalidate environment=E&reason=R     it is INVALID, and nothing is placed on it; no reason ends it
//	POST /_flow/hosts      environment=E&instances=A,A  container instances that its jobs are told to run on; none ends it
//	POST /_flow/desired    environment=E&vcpus=N      desiredvCpus
const adminPath = "/_flow/"

// adminOperations are journaled as those of AWS are.
var adminOperations = []operation{
	changes("_Lose", loseHost),
	changes("_Forget", forgetJob),
	changes("_Block", blockQueue),
	changes("_Retain", retainJobs),
	changes("_Invalidate", invalidateEnvironment),
	changes("_Hosts", setHosts),
	changes("_Desired", setDesired),
}

type jobInput struct{ Job string }

type blockInput struct{ Queue, Reason string }

type done struct{ Done bool }

// lossInput names a try: Attempt 0 is the one under way.
type lossInput struct {
	Job     string
	Attempt int
}

func loseHost(t *tx, in *lossInput) (*done, error) {
	id := engine.JobID(nameOf(kindJob, in.Job))
	v, ok := t.m.Describe(id)
	if !ok || v.Size > 0 {
		return nil, refuse("There is no job or child %q", in.Job)
	}
	attempt := in.Attempt
	if attempt == 0 {
		attempt = v.Try
	}
	parent, index := id.Split()
	return &done{t.m.Lose(t.now, parent, index, attempt)}, nil
}

func forgetJob(t *tx, in *jobInput) (*done, error) {
	return &done{t.m.Forget(t.now, engine.JobID(nameOf(kindJob, in.Job)))}, nil
}

func blockQueue(t *tx, in *blockInput) (*done, error) {
	return &done{true}, t.m.Block(t.now, nameOf(kindQueue, in.Queue), in.Reason)
}

// retentionInput is how long ended jobs are to be known, in nanoseconds, and how many.
type retentionInput struct {
	Retention time.Duration
	KeepEnded int
}

func retainJobs(t *tx, in *retentionInput) (*done, error) {
	t.m.Retain(t.now, in.Retention, in.KeepEnded)
	return &done{true}, nil
}

// retain has ended jobs known for that long from now on. It is journaled, as what may be
// asked of a job depends on it.
func (s *Server) retain(keep time.Duration) error {
	want := retentionInput{keep, s.keepEnded}
	var now retentionInput
	s.batch.Look(func(m *model.Model, _ time.Time) { now.Retention, now.KeepEnded = m.Retains() })
	if now == want {
		return nil
	}
	in, err := json.Marshal(want)
	if err != nil {
		return err
	}
	_, err = s.call(operations["_Retain"], in, "")
	return err
}

// admin answers a request of the admin API.
func (s *Server) admin(r *http.Request, body []byte) (any, error) {
	what := strings.TrimPrefix(r.URL.Path, adminPath)
	if what == "chaos" && (r.Method == http.MethodGet || r.Method == http.MethodPost) {
		return s.adminChaos(r, string(body))
	}
	if what == "calls" && r.Method == http.MethodGet {
		return &struct{ Calls map[string]callCount }{s.calls.told()}, nil
	}
	if r.Method == http.MethodPost {
		switch what {
		case "lose":
			return s.adminCall(r, body, "_Lose", &lossInput{})
		case "forget":
			return s.adminCall(r, body, "_Forget", &jobInput{})
		case "block":
			return s.adminCall(r, body, "_Block", &blockInput{})
		case "invalidate":
			return s.adminCall(r, body, "_Invalidate", &invalidInput{})
		case "hosts":
			return s.adminCall(r, body, "_Hosts", &hostsInput{})
		case "desired":
			return s.adminCall(r, body, "_Desired", &desiredInput{})
		}
	}
	return nil, &apiError{http.StatusNotFound, "UnknownOperationException", "the admin API has no " + r.Method + " " + r.URL.Path}
}

func (s *Server) adminChaos(r *http.Request, settings string) (any, error) {
	if r.Method == http.MethodPost {
		now := *s.gremlin.chaos.Load()
		next := Chaos{}
		if settings = strings.TrimSpace(settings); settings != "off" {
			var err error
			if next, err = ParseChaos(now, settings); err != nil {
				return nil, refuse("%v", err)
			}
		}
		s.gremlin.set(next)
		if err := s.retain(next.retention()); err != nil {
			return nil, err
		}
	}
	return &struct{ Chaos string }{s.gremlin.chaos.Load().String()}, nil
}

// adminCall runs an operation whose input is a form.
func (s *Server) adminCall(r *http.Request, body []byte, name string, in any) (any, error) {
	r.Body = http.NoBody
	form, err := parseForm(r, body)
	if err != nil {
		return nil, err
	}
	switch in := in.(type) {
	case *lossInput:
		in.Job = form.Get("job")
		in.Attempt, _ = strconv.Atoi(form.Get("attempt"))
	case *jobInput:
		in.Job = form.Get("job")
	case *blockInput:
		in.Queue, in.Reason = form.Get("queue"), form.Get("reason")
	case *invalidInput:
		in.Environment, in.Reason = form.Get("environment"), form.Get("reason")
	case *hostsInput:
		in.Environment, in.Instances = form.Get("environment"), listOf(form.Get("instances"))
	case *desiredInput:
		in.Environment = form.Get("environment")
		if in.VCPUs, err = strconv.Atoi(form.Get("vcpus")); err != nil {
			return nil, refuse("vcpus is no number: %q", form.Get("vcpus"))
		}
	}
	b, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return s.call(operations[name], b, "")
}

// started is called when a try starts: some lose their host.
func (s *Server) started(e *model.Effect) {
	after, ok := s.gremlin.spot()
	if !ok {
		return
	}
	in, err := json.Marshal(lossInput{Job: string(e.ID()), Attempt: e.Attempt})
	if err != nil {
		return
	}
	time.AfterFunc(after, func() {
		<-s.ready
		_, _ = s.call(operations["_Lose"], in, "") // it may have ended
	})
}
