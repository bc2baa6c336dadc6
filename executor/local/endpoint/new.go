package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"flow/executor/local"
	"flow/executor/local/model"
)

// Options say how a Server is to be made.
type Options struct {
	Region  string // "": us-east-1
	Account string // "": 123456789012

	Runner  local.Runner
	Journal string       // path of the file that keeps everything over the death of the process; "": nothing is kept
	Logs    http.Handler // of CloudWatch Logs

	// RemoveLog removes a log stream of a job that is not known any more; nil: it stays.
	RemoveLog func(group, stream string)

	Machine    model.Capacity // that all environments are on; a zero field: no limit
	Settle     time.Duration  // how long environments and queues are CREATING, UPDATING, DELETING
	Submitting time.Duration  // how long jobs are SUBMITTED at least
	Starting   time.Duration  // and STARTING
	KeepEnded  int            // so many ended jobs and children are remembered at most; 0: no limit
	Grace      time.Duration  // between SIGTERM and SIGKILL; 0: 30 s

	Chaos       Chaos
	Credentials *Credentials  // that requests must be signed with; nil: none, but on loopback only
	Delay       time.Duration // of every answer
	Trace       func(Trace)   // is told of every request; nil: nobody
	Now         func() time.Time
}

// New makes a Server. If its journal holds an earlier one's resources and jobs, they are
// there as if it had gone on all the time; see [local.OpenBatch] for what ran.
func New(o Options) (*Server, error) {
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Account == "" {
		o.Account = "123456789012"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{
		region: o.Region, account: o.Account, logs: o.Logs, catalog: newCatalog(), gremlin: newGremlin(o.Chaos, o.Now),
		credentials: o.Credentials, delay: o.Delay, keepEnded: o.KeepEnded, trace: o.Trace, now: o.Now, ready: make(chan struct{}),
		janitor: janitor{remove: o.RemoveLog},
	}
	decoders := resourceDecoders()
	decoders.Payload = func(b json.RawMessage) (any, error) { return s.catalog.submission(b) }
	var err error
	s.batch, err = local.OpenBatch(local.BatchOptions{
		Model: model.Config{
			Declared: true, Capacity: o.Machine, Grace: o.Grace, Retention: Chaos{}.retention(),
			Settle: o.Settle, Submitting: o.Submitting, Forgotten: s.janitor.forgotten,
		},
		Journal: o.Journal, Runner: o.Runner, Now: o.Now, Apply: s.replay, Save: s.save, Load: s.load, Decode: decoders, OnStart: s.started, StartDelay: o.Starting,
	})
	if err != nil {
		return nil, err
	}
	close(s.ready)
	// Only now: a journal is read as it was written, by a process that may have known of more
	// jobs, for longer.
	if err := s.retain(o.Chaos.retention()); err != nil {
		return nil, errors.Join(err, s.batch.Close(context.Background()))
	}
	return s, nil
}

// save returns what is beside the model, for load.
func (s *Server) save() []byte {
	b, err := json.Marshal(s.catalog)
	if err != nil {
		return nil // no type of it can fail
	}
	return b
}

func (s *Server) load(saved []byte) error { return json.Unmarshal(saved, s.catalog) }

// Close stops what runs; ctx bounds how long that may take. With a journal it goes on
// from there another time.
func (s *Server) Close(ctx context.Context) error {
	err := s.batch.Close(ctx)
	s.janitor.idle.Wait()
	return err
}
