package main

import (
	"context"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/web"
	"flow/state"
)

// fresh has a run looked at that goes on in AWS Batch and that a page is about, and says how
// new what is known of it is; nil: there is nothing to say, since all of it is recorded here.
func (s *site) fresh(ctx context.Context, p *past, r web.Request) *page.Fresh {
	if p.run.Ended() {
		return nil
	}
	st := s.looks.want(&p.row, r.Open)
	if p.row.Executor != batchExecutor {
		return nil
	}
	f := &page.Fresh{At: st.At, Why: st.Why, Looking: st.Looking}
	if f.At.IsZero() {
		f.At = p.row.Created
		if e, err := p.db.Event(ctx, p.row.ID, p.run.Seq()); err == nil {
			f.At = e.At
		}
	}
	return f
}

// freshRow is fresh for a row of a list: it says only why a run cannot be looked at.
func (s *site) freshRow(row *state.Run, open bool) string {
	return s.looks.want(row, open).Why
}
