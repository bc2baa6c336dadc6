package engine

import (
	"context"
	"slices"
)

// trouble is an error of the executor that was told, and has not gone.
type trouble struct{ op, text string }

// noted tells of an error of the executor, unless it is the one last told of op, and that
// all is well again when the last one has gone. An error while ctx is done is none. It
// returns the error of ctx.
func (d *Driver) noted(ctx context.Context, op string, err error) error {
	at := slices.IndexFunc(d.troubles, func(t trouble) bool { return t.op == op })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && at < 0:
		return nil
	case err == nil:
		if d.troubles = slices.Delete(d.troubles, at, at+1); len(d.troubles) > 0 {
			return nil
		}
	case at >= 0 && d.troubles[at].text == err.Error():
		return nil
	case at >= 0:
		d.troubles[at].text = err.Error()
	default:
		d.troubles = append(d.troubles, trouble{op, err.Error()})
	}
	if d.OnTrouble != nil {
		d.OnTrouble(op, err)
	}
	return nil
}

// What the executor was asked for, in OnTrouble.
const (
	opSubmit    = "submit"
	opFind      = "find"
	opDescribe  = "describe"
	opList      = "list"
	opTerminate = "terminate"
	opFiles     = "files"    // Files or Cache, not the executor
	opProbe     = "wait_for" // Files, for what a step waits for
	opMissing   = "missing"  // no call: jobs are not known any more
)
