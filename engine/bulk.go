package engine

import "context"

// manifestsAtOnce is how many results are looked at together.
const manifestsAtOnce = 1000

// manifestsOf looks for the manifests of task directories: side by side if files can.
func manifestsOf(ctx context.Context, files Files, dirs []string) []ManifestAnswer {
	if bulk, ok := files.(BulkFiles); ok && len(dirs) > 1 {
		if answers := bulk.Manifests(ctx, dirs); len(answers) == len(dirs) {
			return answers
		}
	}
	out := make([]ManifestAnswer, len(dirs))
	for i, dir := range dirs {
		out[i].Manifest, out[i].Err = files.Manifest(ctx, dir)
	}
	return out
}

// manifest returns the manifest of task i, which may have been fetched already.
func (g *gathered) manifest(ctx context.Context, i int) (*Manifest, error) {
	if a, ok := g.fetched[i]; ok {
		return a.Manifest, a.Err
	}
	return g.d.Files.Manifest(ctx, g.d.run.dir(g.j.step, i))
}

// fetch looks for the manifests of those of tasks that must have one, if that can be done
// for all of them together. What was fetched before is forgotten.
func (g *gathered) fetch(ctx context.Context, tasks []int) {
	clear(g.fetched)
	if _, bulk := g.d.Files.(BulkFiles); !bulk {
		return
	}
	var dirs []string
	var at []int
	for _, i := range tasks {
		if len(g.j.step.spec(i).Outputs) > 0 {
			dirs, at = append(dirs, g.d.run.dir(g.j.step, i)), append(at, i)
		}
	}
	if len(dirs) < 2 {
		return
	}
	if g.fetched == nil {
		g.fetched = make(map[int]ManifestAnswer, len(dirs))
	}
	for k, a := range manifestsOf(ctx, g.d.Files, dirs) {
		g.fetched[at[k]] = a
	}
}

// A listing is children of an array job that have ended, gathered until their results are
// looked at together.
type listing struct {
	g     *gathered
	jobs  []Job
	tasks []int // of jobs
}

// add adds the job of task i.
func (l *listing) add(ctx context.Context, i int, job *Job) error {
	l.jobs, l.tasks = append(l.jobs, *job), append(l.tasks, i)
	if len(l.jobs) < manifestsAtOnce {
		return nil
	}
	return l.flush(ctx)
}

// flush tells how those gathered have ended, in their order.
func (l *listing) flush(ctx context.Context) error {
	good := make([]int, 0, len(l.tasks))
	for k, i := range l.tasks {
		if l.jobs[k].Status == JobSucceeded {
			good = append(good, i)
		}
	}
	l.g.fetch(ctx, good)
	for k, i := range l.tasks {
		if err := l.g.add(ctx, i, &l.jobs[k]); err != nil {
			return err
		}
	}
	clear(l.jobs)
	l.jobs, l.tasks = l.jobs[:0], l.tasks[:0]
	return nil
}
