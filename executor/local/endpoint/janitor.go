package endpoint

import (
	"iter"
	"sync"

	"flow/executor/local/model"
)

// A janitor removes the logs of jobs that are forgotten, one job after the other, while
// nobody waits for it.
type janitor struct {
	remove func(group, stream string)

	mu    sync.Mutex
	heaps []heap
	busy  bool
	idle  sync.WaitGroup
}

// A heap is what a job left.
type heap struct {
	submission *submission
	tasks      []string
}

// forgotten is told by the model.
func (j *janitor) forgotten(r *model.Request, tasks iter.Seq[string]) {
	s, ok := r.Payload.(*submission)
	if !ok || j.remove == nil {
		return
	}
	h := heap{submission: s}
	for id := range tasks {
		h.tasks = append(h.tasks, id)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.heaps = append(j.heaps, h)
	if !j.busy {
		j.busy = true
		j.idle.Go(j.work)
	}
}

func (j *janitor) work() {
	for {
		j.mu.Lock()
		if len(j.heaps) == 0 {
			j.busy = false
			j.mu.Unlock()
			return
		}
		h := j.heaps[0]
		j.heaps = j.heaps[1:]
		j.mu.Unlock()
		for _, id := range h.tasks {
			for i := range h.submission.work.task.Containers {
				c := &h.submission.work.task.Containers[i]
				j.remove(c.LogGroup, logStream(c, id))
			}
		}
	}
}
