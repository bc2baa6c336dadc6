// Package engine holds the vocabulary of flow and the pure core that decides
// what a run does next.
//
// The data's way through flow is one line:
//
//	bytes -> Workflow -> Plan -> Run -> Jobs -> Events -> State -> views
//
// A [Workflow] is a validated program. A [Run] is the fold of the [Event]s of one
// execution of it; it does no I/O, reads no clock, draws no random number and
// starts no goroutine. Asked with [Run.Ready], it answers with the events that
// must be made durable and the commands to carry out afterwards. A [Driver] is
// the one caller that does so:
//
//	run := engine.NewRun(wf)
//	for ev := range log.Events(ctx, id, 0) {      // a start is the resume of an empty log
//		run.Apply(ev)
//	}
//	for !run.Ended() {
//		events := observe(executor, run)            // what jobs did since we last looked
//		append(log, events); run.Apply(events...)   // recorded before anybody sees it
//		ready := run.Ready(now)                     // decided from the state alone
//		append(log, ready.Events); run.Apply(...)   // intents are durable BEFORE
//		act(executor, ready.Commands)               // any command is carried out
//		wait(ready.Wake)
//	}
//
// The package declares the interfaces it consumes ([Executor], [Log], [Template],
// [Files], [Cache]) and imports none of the packages that implement them.
package engine
