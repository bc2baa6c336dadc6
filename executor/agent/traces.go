package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"flow/engine"
	"flow/executor/store"
)

var _ engine.Tracer = (*Files)(nil)

// Traces implements engine.Tracer: an attempt that was claimed, or of which there is a
// directory, a log, a failure or a manifest, has left something.
func (f *Files) Traces(ctx context.Context, workDir string, run engine.RunID, step engine.StepName) (map[string]int, error) {
	dir := strings.TrimRight(workDir, "/") + "/" + string(run) + "/" + string(step)
	highest := map[string]int{}
	note := func(key, name string) { highest[key] = max(highest[key], attemptOf(name)) }
	var err error
	if store.Is(workDir) {
		err = f.tracesFar(ctx, dir+"/", note)
	} else {
		err = tracesHere(dir, note)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for what step %s has left: %w (%w)", step, err, engine.ErrLater)
	}
	return highest, nil
}

func (f *Files) tracesFar(ctx context.Context, prefix string, note func(key, name string)) error {
	st, err := f.open(ctx, prefix)
	if err != nil {
		return err
	}
	for o, err := range st.List(ctx, prefix) {
		if err != nil {
			return err
		}
		key, rest, _ := strings.Cut(strings.TrimPrefix(o.URI, prefix), "/")
		name, _, _ := strings.Cut(rest, "/")
		note(key, name)
	}
	return nil
}

func tracesHere(dir string, note func(key, name string)) error {
	tasks, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, t := range tasks {
		attempts, err := os.ReadDir(dir + "/" + t.Name())
		if err != nil {
			return err
		}
		for _, a := range attempts {
			note(t.Name(), a.Name())
		}
	}
	return nil
}

// attemptOf returns the attempt of which a name in the directory of a task is: 3, 3.log,
// 3.claim; 0: of none.
func attemptOf(name string) int {
	number, _, _ := strings.Cut(name, ".")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > 1<<15 { // no more are counted
		return 0
	}
	return n
}
