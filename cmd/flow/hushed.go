package main

import (
	"errors"
	"io"
	"strings"

	"flow/cmd/flow/internal/view"
)

// A hush is an app that prints nothing: what it would complain about is the text of an error.
type hush struct {
	*app
	said sharedBuffer
}

// hushed returns an app like this one for work that nobody watches.
func (a *app) hushed() *hush {
	h := &hush{}
	h.app = &app{
		stdin: strings.NewReader(""), stdout: io.Discard, stderr: &h.said, now: a.now, unseen: true,
		dir: a.dir, state: a.state, quiet: true, noColor: true,
	}
	return h
}

// spoken returns an error with what was said of it: the error of mistakes in a workflow has no
// text, since they are printed.
func (h *hush) spoken(err error) error {
	text := strings.TrimSpace(h.said.String())
	if _, quiet := asExit(err); err == nil || !quiet || text == "" {
		return err
	}
	return errors.New(view.CleanLines(text))
}
