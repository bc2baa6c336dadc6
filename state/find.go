package state

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"flow/engine"
)

// A RefError says that a reference to a run names none, or several.
type RefError struct {
	Ref        string
	Candidates []Run // what it may mean: those it fits, or the last runs
	Ambiguous  bool
	more       bool
}

func (e *RefError) Error() string {
	var b strings.Builder
	switch {
	case e.Ambiguous:
		fmt.Fprintf(&b, "%q is the beginning of several runs:", e.Ref)
	case len(e.Candidates) == 0:
		return fmt.Sprintf("no run %q: there are no runs yet", e.Ref)
	default:
		fmt.Fprintf(&b, "no run %q; the last ones are:", e.Ref)
	}
	for _, r := range e.Candidates {
		fmt.Fprintf(&b, "\n  %s  %s  %s  %s", r.ID, r.Workflow, r.Created.Local().Format("2006-01-02 15:04:05"), r.Status)
	}
	if e.more {
		b.WriteString("\n  ...")
	}
	return b.String()
}

// Unwrap returns engine.ErrNotFound unless the reference is ambiguous.
func (e *RefError) Unwrap() error {
	if e.Ambiguous {
		return nil
	}
	return engine.ErrNotFound
}

const maxCandidates = 10

// FindRun returns the run that ref names: its id, the beginning of its id if no other
// run's begins so, "@last" for the newest run, "@last~1" for the one before, or
// "WORKFLOW@last" likewise among the runs of a workflow. *RefError if there is none, or
// more than one.
func (db *DB) FindRun(ctx context.Context, ref string) (Run, error) {
	if r, err := db.Run(ctx, engine.RunID(strings.ToLower(ref))); !errors.Is(err, engine.ErrNotFound) {
		return r, err
	}
	var w where
	limit, skip := maxCandidates+1, 0
	workflow, last, relative := strings.Cut(ref, "@last")
	if relative {
		back, counted := strings.CutPrefix(last, "~")
		n, err := strconv.Atoi(back)
		if last != "" && (!counted || err != nil || n < 0) {
			return Run{}, fmt.Errorf("bad run %q: write @last, @last~1 for the run before it, or WORKFLOW@last", ref)
		}
		if workflow != "" {
			w.add("workflow = ?", workflow)
		}
		limit, skip = 1, n
	} else {
		id := strings.ToLower(ref)
		w.add("id >= ? AND id < ?", id, id+"\x7f") // ids are of letters and digits
	}
	var found []Run
	var err error
	if ref != "" {
		if found, err = db.runsWhere(ctx, w, "num DESC", limit, skip); err != nil {
			return Run{}, err
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	e := &RefError{Ref: ref, Candidates: found, Ambiguous: len(found) > 1}
	if !e.Ambiguous {
		if e.Candidates, err = db.Runs(ctx, RunFilter{Workflow: workflowOf(workflow, relative), Limit: maxCandidates + 1}); err != nil {
			return Run{}, err
		}
	}
	if e.more = len(e.Candidates) > maxCandidates; e.more {
		e.Candidates = e.Candidates[:maxCandidates]
	}
	return Run{}, e
}

func workflowOf(workflow string, relative bool) string {
	if relative {
		return workflow
	}
	return ""
}
