package agent

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"flow/engine"
	"flow/executor/store"
)

// bulkAtOnce is how many requests wait for their answers at the same time.
const bulkAtOnce = 64

// Manifests implements engine.BulkFiles.
func (f *Files) Manifests(ctx context.Context, taskDirs []string) []engine.ManifestAnswer {
	answers := make([]engine.ManifestAnswer, len(taskDirs))
	eachOf(len(taskDirs), bulkAtOnce, func(i int) {
		answers[i].Manifest, answers[i].Err = f.Manifest(ctx, taskDirs[i])
	})
	return answers
}

// Attempts implements engine.Attempter.
func (f *Files) Attempts(ctx context.Context, taskDirs []string) []engine.AttemptAnswer {
	answers := make([]engine.AttemptAnswer, len(taskDirs))
	eachOf(len(taskDirs), bulkAtOnce, func(i int) {
		a := &answers[i]
		r, err := f.records(ctx, taskDirs[i])
		if err == nil {
			a.Attempt, err = r.result(ctx)
		}
		a.Err = later(err)
	})
	return answers
}

// Identities implements engine.BulkIdentifier. Files of this machine, which are read, are
// looked at as many at the same time as there are processors.
func (f *Files) Identities(ctx context.Context, paths []string) []engine.IdentityAnswer {
	answers := make([]engine.IdentityAnswer, len(paths))
	var far, here []int
	for i, path := range paths {
		if uriScheme(path) != "" {
			far = append(far, i)
		} else {
			here = append(here, i)
		}
	}
	r := &resolver{files: f}
	var wg sync.WaitGroup
	wg.Go(func() {
		eachOf(len(far), bulkAtOnce, func(i int) {
			a := &answers[far[i]]
			a.ID, a.Err = f.identify(ctx, r, paths[far[i]])
		})
	})
	eachOf(len(here), runtime.GOMAXPROCS(0), func(i int) {
		a := &answers[here[i]]
		a.ID, a.Err = f.identify(ctx, r, paths[here[i]])
	})
	wg.Wait()
	return answers
}

// publishAtOnce is how many files are published at the same time.
const publishAtOnce = 16

// PublishAll implements engine.BulkPublisher.
func (f *Files) PublishAll(ctx context.Context, all []engine.Publication) []error {
	errs := make([]error, len(all))
	var order []string
	byTarget := map[string][]int{}
	for i := range all {
		target := targetOf(all[i].Source, all[i].Target)
		if byTarget[target] == nil {
			order = append(order, target)
		}
		byTarget[target] = append(byTarget[target], i)
	}
	eachOf(len(order), publishAtOnce, func(n int) {
		for _, i := range byTarget[order[n]] {
			errs[i] = f.Publish(ctx, all[i].Source, all[i].Target)
		}
	})
	return errs
}

// targetOf returns where source is published to: target itself, or in it if it ends in a
// slash.
func targetOf(source, target string) string {
	if base := baseName(source); strings.HasSuffix(target, "/") && base != "." {
		target += base
	}
	if store.Is(target) {
		return strings.TrimRight(target, "/")
	}
	return filepath.Clean(target)
}

// eachOf calls do with 0 to n-1, some at the same time.
func eachOf(n, atOnce int, do func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
