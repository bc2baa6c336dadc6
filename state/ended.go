package state

import (
	"fmt"

	"flow/engine"
)

// taskStatuses are what a try's outcome makes of its task.
var taskStatuses = map[engine.Outcome]engine.Status{
	engine.TaskSucceeded: engine.Succeeded,
	engine.TaskFailed:    engine.Failed,
	engine.TaskLost:      engine.Failed,
	engine.TaskCancelled: engine.Cancelled,
	engine.TaskRetrying:  engine.Pending,
	engine.TaskUnstarted: engine.Pending,
	engine.TaskRecovered: engine.Pending,
}

func (p *projection) applyEnded(t *tx, s *stepState, e *engine.Event, at int64) error {
	n := e.Tasks.Len()
	if (len(e.Attempts) > 1 && len(e.Attempts) != n) || (e.Outputs != nil && len(e.Outputs) != n) ||
		(e.Started != nil && len(e.Started) != n) || (e.Stopped != nil && len(e.Stopped) != n) ||
		(e.Memory != nil && len(e.Memory) != n) || (e.CPU != nil && len(e.CPU) != n) {
		return fmt.Errorf("the lists of step %s do not fit its tasks", s.name)
	}
	to, known := taskStatuses[e.Outcome]
	if !known {
		return fmt.Errorf("unknown outcome %q", e.Outcome)
	}
	if to == engine.Succeeded {
		if err := p.readKeys(t, s); err != nil {
			return err
		}
		if s.family != nil {
			p.families = append(p.families, familyRow{*s.family, p.seq, s.n, e.Tasks})
		}
	}
	k := -1
	for i := range e.Tasks.All() {
		k++
		row := s.row(i)
		if row.status.Ended() {
			return fmt.Errorf("%s had ended already", s.taskName(i))
		}
		row.status, row.reason, row.cause = to, e.Reason, e.Cause
		row.exited, row.exit = e.ExitCode != nil, 0
		if row.exited {
			row.exit = int32(*e.ExitCode)
		}
		if len(e.Attempts) > 0 {
			row.attempts = int32(e.Attempts[min(k, len(e.Attempts)-1)])
		}
		if e.Started != nil {
			row.started = e.Started[k]
			s.begins(row.started)
			used := e.Used(k)
			row.memory, row.cpu = used.Memory(), used.CPUMillis
		}
		if e.Stopped != nil {
			row.stopped = e.Stopped[k]
		}
		p.set(s, i, row)
		if to == engine.Succeeded && s.family == nil {
			r := result{key: s.cacheKeys.Key(i), step: s.n, idx: i, task: s.key(i), at: at}
			if e.Outputs != nil {
				r.outputs = e.Outputs[k]
			}
			if r.key != (engine.CacheKey{}) {
				p.results = append(p.results, r)
			}
		}
	}
	return nil
}
