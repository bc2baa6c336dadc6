package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// outcome is what a workflow's outputs are.
type outcome struct {
	made []Result // with results as their ResultPath, which is checked when they are published
	told []Result // as everybody can use them: on S3 a ResultPath names no object
}

// results evaluates the workflow's outputs.
func (d *Driver) results(ctx context.Context) (outcome, error) {
	far := map[string]bool{}
	made, err := d.Template.Results(scope{r: d.run, far: far})
	if err != nil {
		return outcome{}, err
	}
	dirs := resultDirs(made, far)
	if len(dirs) == 0 {
		return outcome{made, made}, nil
	}
	attempts := make(map[string]int, len(dirs))
	for some := range slices.Chunk(dirs, manifestsAtOnce) {
		for i, a := range attemptsOf(ctx, d.Files, some) {
			switch {
			case a.Err == nil:
				attempts[some[i]] = a.Attempt
			case ctx.Err() != nil:
				return outcome{}, ctx.Err()
			case !errors.Is(a.Err, ErrNotFound): // nobody can use one that is gone
				return outcome{}, fmt.Errorf("looking for the results that the outputs name: %w (%w)", a.Err, ErrLater)
			}
		}
	}
	told, err := d.Template.Results(scope{r: d.run, attempts: attempts})
	return outcome{made, told}, err
}

// attemptsOf returns which attempts the results in task directories are of.
func attemptsOf(ctx context.Context, files Files, dirs []string) []AttemptAnswer {
	if a, ok := files.(Attempter); ok {
		if answers := a.Attempts(ctx, dirs); len(answers) == len(dirs) {
			return answers
		}
	}
	out := make([]AttemptAnswer, len(dirs))
	for i, a := range manifestsOf(ctx, files, dirs) {
		if out[i].Err = a.Err; a.Err == nil {
			out[i].Attempt = a.Manifest.Attempt
		}
	}
	return out
}

// resultDirs returns those of task directories on S3 that values name results in, sorted.
func resultDirs(results []Result, far map[string]bool) []string {
	const mark = "/" + ResultDir + "/"
	named := map[string]bool{}
	text := func(s string) {
		for at := 0; ; {
			next := strings.Index(s[at:], mark)
			if next < 0 {
				return
			}
			at += next
			if dir := s[max(strings.LastIndex(s[:at], "s3://"), 0):at]; far[dir] {
				named[dir] = true
			}
			at++
		}
	}
	for i := range results {
		var value any
		if len(far) > 0 && json.Unmarshal(results[i].Value, &value) == nil {
			eachText(value, text)
		}
	}
	return slices.Sorted(maps.Keys(named))
}

// eachText calls do with all texts of a value of JSON.
func eachText(value any, do func(string)) {
	switch v := value.(type) {
	case string:
		do(v)
	case []any:
		for _, e := range v {
			eachText(e, do)
		}
	case map[string]any:
		for k, e := range v {
			do(k)
			eachText(e, do)
		}
	}
}
