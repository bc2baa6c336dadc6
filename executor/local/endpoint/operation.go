package endpoint

import (
	"encoding/json"
	"time"

	"flow/executor/local/model"
)

// An operation of the service: one that looks, or one that changes something.
type operation struct {
	name    string
	changes bool
	patient bool                           // waits a moment for what is settling; see Server.wait
	limit   int                            // of bytes of a request; 0: the server's
	decode  func(body []byte) (any, error) // into its Input type
	run     func(t *tx, in any) (out any, err error)
}

// A tx is what one call of an operation may use. It ends with the call: whatever the
// operation returns belongs to the caller.
type tx struct {
	*Server
	m   *model.Model
	now time.Time
	id  string // new, for what the operation makes
}

// looks returns an operation that changes nothing.
func looks[In, Out any](name string, run func(*tx, *In) (*Out, error)) operation {
	return newOperation(name, false, run)
}

// changes returns an operation that changes something. run is to refuse before it
// changes anything, and to depend on nothing but the tx and its input: it is run again
// when a journal is read.
func changes[In, Out any](name string, run func(*tx, *In) (*Out, error)) operation {
	return newOperation(name, true, run)
}

func newOperation[In, Out any](name string, changes bool, run func(*tx, *In) (*Out, error)) operation {
	return operation{
		name: name, changes: changes,
		decode: func(body []byte) (any, error) {
			in := new(In)
			return in, decode(body, in)
		},
		run: func(t *tx, in any) (any, error) {
			out, err := run(t, in.(*In))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// limited returns op with a limit on the bytes of its request.
func limited(op operation, limit int) operation {
	op.limit = limit
	return op
}

// patiently returns ops with patience.
func patiently(ops ...operation) []operation {
	for i := range ops {
		ops[i].patient = ops[i].changes
	}
	return ops
}

// An input is a call as it is written into the journal.
type input struct {
	ID   string          `json:"id"`
	Body json.RawMessage `json:"body,omitempty"`
}

// call carries an operation out. id is new.
func (s *Server) call(op *operation, body []byte, id string) (out any, err error) {
	if op.limit > 0 && len(body) > op.limit {
		return nil, refuse("%s requests should have at most %d bytes, got %d", op.name, op.limit, len(body))
	}
	in, err := op.decode(body)
	if err != nil {
		return nil, err
	}
	if !op.changes {
		s.batch.Look(func(m *model.Model, now time.Time) {
			out, err = op.run(&tx{Server: s, m: m, now: now}, in)
		})
		return out, err
	}
	if op.patient {
		s.wait()
	}
	line, err := json.Marshal(input{ID: id, Body: body})
	if err != nil {
		return nil, err
	}
	err = s.batch.Do(op.name, line, func(m *model.Model, now time.Time) (err error) {
		out, err = op.run(&tx{Server: s, m: m, now: now, id: id}, in)
		return err
	})
	return out, err
}

// patience is how long a call waits for environments and queues that are about to settle:
// calls of AWS take longer themselves.
const patience = 100 * time.Millisecond

// wait lets pass what is left of the CREATING, UPDATING and DELETING of environments and
// queues if it is short, so that whoever makes an environment and then a queue on it need
// not look in between.
func (s *Server) wait() {
	var left time.Duration
	for began := time.Now(); time.Since(began) < patience; time.Sleep(left) {
		s.batch.Look(func(m *model.Model, now time.Time) {
			at := m.Settles()
			if left = at.Sub(now); at.IsZero() {
				left = 0
			}
		})
		if left <= 0 || left > patience {
			return
		}
	}
}

// replay carries an operation of an earlier process out again. What is refused now, and
// was not then, is unknown from here on.
func (s *Server) replay(m *model.Model, now time.Time, name string, line []byte) {
	op := operations[name]
	var in input
	if op == nil || json.Unmarshal(line, &in) != nil {
		return
	}
	if v, err := op.decode(in.Body); err == nil {
		_, _ = op.run(&tx{Server: s, m: m, now: now, id: in.ID}, v)
	}
}
