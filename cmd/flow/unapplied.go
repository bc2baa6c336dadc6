package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"flow/cmd/flow/internal/view"
	"flow/dsl"
	awscloud "flow/executor/batch/cloud"
	"flow/executor/batch/infra"
)

// unappliedTimeout is how long is waited for an answer to what of a workflow is not made yet.
const unappliedTimeout = 10 * time.Second

// namesUsed returns the queues and job definitions that steps name, as far as that is known
// before anything has run.
func (s *session) namesUsed(f *runFlags, stored map[string]string) (used infra.Used) {
	_, sketches := s.program.Sketch(s.input(f, stored), dsl.RunContext{ID: s.id, Time: s.created, Defaults: s.site.Defaults, PublishTo: s.site.PublishTo})
	add := func(list *[]string, name string) {
		if name != "" && !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	for _, step := range s.program.Workflow.Steps {
		spec := sketches[step.Name]
		if spec == nil {
			continue // it does not run
		}
		add(&used.Definitions, spec.JobDefinition)
		add(&used.Queues, spec.Queue)
		for i := range spec.Retry.Rules {
			add(&used.Queues, spec.Retry.Rules[i].Queue)
		}
	}
	return used
}

// applied returns an error if AWS Batch does not have a job queue or a job definition that
// steps use and that blocks of the workflow are about: every task would fail. path is that of
// the workflow. Where it cannot be looked, nothing is known to be wrong.
func (s *session) applied(ctx context.Context, path string) error {
	if s.executor != batchExecutor || s.workflow == nil || s.workflow.Infra.Empty() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, unappliedTimeout)
	defer cancel()
	o := s.batchOptions()
	c, err := awscloud.Open(ctx, awscloud.Options{Region: o.Region, Profile: o.Profile, Endpoint: o.Endpoint})
	if err != nil {
		return nil //nolint:nilerr // who cannot look cannot say that something is missing
	}
	defer c.Close()
	missing, err := infra.Missing(ctx, c.Batch(), s.workflow.Infra, s.used)
	if err != nil {
		return nil //nolint:nilerr // likewise: the run itself says what is wrong with the account
	}
	var lines []string
	for i := range missing {
		m := &missing[i]
		lines = append(lines, fmt.Sprintf("%s: there is no %s %s yet", m.Pos, kindWords(m.Kind), view.Clean(m.Name)))
	}
	how := "run " + s.applyCommand(path)
	switch len(lines) {
	case 0:
		return nil
	case 1:
		return errors.New(lines[0] + ": " + how)
	}
	return errors.New(strings.Join(append(lines, how), "\n"))
}

// applyCommand is the command that makes what the blocks of the workflow at path say.
func (s *session) applyCommand(path string) string {
	command := withPath("flow infra apply", path)
	if s.site.Region+s.site.Profile+s.site.Endpoint != "" && s.site.Name != "" { // they say where
		command += " -site " + shellWord(s.site.Name)
	}
	return command
}

// kindWords writes a kind as people do.
func kindWords(k infra.Kind) string { return strings.ReplaceAll(string(k), "_", " ") }

// withPath adds the PATH of a workflow to a command, unless it is where we are.
func withPath(command, path string) string {
	if path == "" || path == "." {
		return command
	}
	return command + " " + shellWord(path)
}

// pathOfRun returns where the workflow of the session's run was read from, as a PATH.
func (s *session) pathOfRun() string {
	path := s.program.Workflow.Dir
	if len(s.program.Files) == 1 {
		for name := range s.program.Files {
			path = filepath.Join(path, filepath.Base(name))
		}
	}
	if here, err := filepath.Abs("."); err == nil {
		if near, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(near, "..") {
			return near
		}
	}
	return path
}
