package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"flow/cmd/flow/internal/view"
	"flow/dsl"
	"flow/engine"
	"flow/state"
)

// detachFlags say to come back while a run goes on.
type detachFlags struct {
	detach  bool
	driver  bool
	service *state.TermHeldError // that can drive what is left; nil: there is none
}

// find looks for a service that can drive what is left.
func (d *detachFlags) find(ctx context.Context, db *state.DB) (err error) {
	if d.detach {
		d.service, err = db.TermHolder(ctx, state.ServiceTerm)
	}
	return err
}

// entrusts reports whether the run of a program is left to the service. One that has sensitive
// variables is not: their values are kept nowhere.
func (d *detachFlags) entrusts(p *dsl.Program) bool { return d.service != nil && sensitiveOf(p) == "" }

// sensitiveOf returns the first sensitive variable of a program; "": it has none.
func sensitiveOf(p *dsl.Program) string {
	for _, v := range p.Variables {
		if v.Sensitive {
			return v.Name
		}
	}
	return ""
}

func (d *detachFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&d.detach, "detach", false, "hand over to AWS Batch what can be, leave the rest to flow serve if it is there, and return")
	flags.BoolVar(&d.driver, "driver", false, "with --detach: leave a process in the background that drives the run on, unless flow serve does")
}

func (d *detachFlags) check(cmd string) error {
	if d.driver && !d.detach {
		return errUsage(cmd, "-driver goes with -detach: without it, this process is the driver")
	}
	return nil
}

// possible says why a run of a program on an executor cannot be left alone.
func (d *detachFlags) possible(executor string, p *dsl.Program) error {
	switch {
	case !d.detach || d.driver || executor != localExecutor || d.entrusts(p):
		return nil
	case d.service != nil:
		return fmt.Errorf("-detach: the value of the sensitive variable %s is kept nowhere, so the service (process %d on %s) could not drive the run. Leave a process in the background that does, with -detach -driver", sensitiveOf(p), d.service.Owner.PID, d.service.Owner.Host)
	}
	return errors.New("-detach: tasks on this machine end with the process that runs them. Have flow serve drive the run, which is not there now; or leave a process in the background with -detach -driver; or run on AWS Batch (-executor batch)")
}

// detach hands over what can be, has the service go on, or a process in the background if that
// was asked for, and says how things are.
func (s *session) detach(ctx context.Context, f *runFlags, title string) error {
	run, err := s.handOver(ctx, title)
	if err != nil {
		return err
	}
	goes := !run.Ended() && !run.Rests()
	switch {
	case goes && f.leave.entrusts(s.program):
		if err := s.db.Entrust(ctx, s.id); err != nil {
			return err
		}
		return s.a.left(run, &driverJSON{Host: f.leave.service.Owner.Host, PID: f.leave.service.Owner.PID, Service: true}, "")
	case goes && f.leave.driver:
		owner, err := s.background(ctx, f)
		if err != nil {
			return err
		}
		if owner != nil {
			return s.a.left(run, &driverJSON{Host: owner.Host, PID: owner.PID}, s.driverLog())
		}
	}
	return s.a.left(run, nil, "")
}

// handOver drives the run until nothing more can be handed over to its executor without
// knowing how jobs end, and gives the lease back. Nothing can be handed over to this machine.
func (s *session) handOver(ctx context.Context, title string) (run *engine.Run, err error) {
	if s.executor == batchExecutor {
		s.untilHanded = true
		return s.drive(ctx, title)
	}
	defer s.giveBack(&err)
	driver := s.driver(nil)
	if s.prepare != nil {
		if err := s.prepare(ctx, driver); err != nil {
			return nil, err
		}
	}
	return driver.Load(ctx, s.id)
}

// A leftJSON says how things are with a run that was left alone.
type leftJSON struct {
	Run    string        `json:"run"`
	Status engine.Status `json:"status"`
	Jobs   int           `json:"jobs"`  // that go on
	Tasks  int           `json:"tasks"` // in them
	Held   []heldJSON    `json:"held"`  // steps that are not handed over
	Driver *driverJSON   `json:"driver"`
}

// left prints the id of a run that goes on without us, and says on stderr how. driver is
// the process that drives it, nil: none; log is where that one writes.
func (a *app) left(run *engine.Run, driver *driverJSON, log string) error {
	jobs, tasks := run.Alive()
	data := leftJSON{Run: string(run.ID()), Status: run.Status(), Jobs: jobs, Tasks: tasks, Held: heldData(run, a.now()), Driver: driver}
	if data.Held == nil {
		data.Held = []heldJSON{}
	}
	code := exitOK
	if run.Rests() {
		return a.sumUp(run)
	}
	if run.Ended() { // so soon: all of it was known, or nothing could be submitted
		code = exitCodeOf(run.Status(), run.Cause())
		if !a.quiet || code != exitOK {
			fmt.Fprint(a.stderr, summary(run, a.errTerm(), a.now(), false))
		}
		a.github().ends(run, a.now())
	} else {
		a.say("%s", strings.Join(leftLines(&data, run, log), "\n"))
	}
	if a.asJSON() {
		return errors.Join(a.printJSON(data), exit(code))
	}
	_, err := fmt.Fprintln(a.stdout, run.ID())
	return errors.Join(err, exit(code))
}

func leftLines(d *leftJSON, run *engine.Run, log string) (lines []string) {
	batch := run.Info().Executor == batchExecutor
	if batch {
		jobs := "1 job was"
		if d.Jobs != 1 {
			jobs = view.Plural(d.Jobs, "job") + " were"
		}
		lines = append(lines, fmt.Sprintf("%s handed over to AWS Batch, with %s", jobs, view.Plural(d.Tasks, "task")))
		for _, h := range d.Held[:min(len(d.Held), shownInSummary)] {
			lines = append(lines, fmt.Sprintf("held: %s: %s", view.Clean(h.Step), view.Clean(h.Reason)))
		}
		if more := len(d.Held) - shownInSummary; more > 0 {
			lines = append(lines, fmt.Sprintf("… and %s more are held", view.Count(more)))
		}
	}
	switch {
	case d.Driver != nil && d.Driver.Service:
		lines = append(lines, fmt.Sprintf("the service, process %d on %s, drives the run", d.Driver.PID, view.Clean(d.Driver.Host)))
	case d.Driver != nil:
		lines = append(lines, fmt.Sprintf("process %d drives the run; what it says is in %s", d.Driver.PID, log))
	case len(d.Held) > 0:
		lines = append(lines, fmt.Sprintf("what is held needs a driver: flow resume %s, or with --detach --driver", d.Run))
	}
	return append(lines, fmt.Sprintf("look at it: flow status %s. Wait for its end and its outputs: flow wait %[1]s. End it: flow cancel %[1]s", d.Run))
}
