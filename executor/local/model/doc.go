// Package model is AWS Batch as a pure state machine: jobs, array jobs, dependencies,
// retries, timeouts and the packing of jobs on one instance, and nothing else. It does
// no I/O, reads no clock, draws no random number, starts no goroutine and never lets
// the order of a map decide. The same inputs give the same states and effects.
//
// Its caller tells it what happened, and when, with [Model.Submit], [Model.Started],
// [Model.Exited], [Model.Terminate], [Model.Cancel] and [Model.Restart]; lets its
// scheduler work with [Model.Tick]; and carries out the effects that Tick returns:
//
//	m := model.New(model.Config{Capacity: model.Capacity{VCPUs: 2, MemoryMiB: 8192}})
//	m.Submit(now, id, &model.Request{Name: "hello", Payload: whatToRun})
//	for _, e := range m.Tick(now) {
//		switch e.Kind {
//		case model.Start: // run e.Request.Payload; then m.Started(...), m.Exited(...), m.Tick(...)
//		case model.Stop:  // SIGTERM, and SIGKILL after e.Grace; then m.Exited(...), m.Tick(...)
//		}
//	}
//	sleepUntil(m.Wake()) // and m.Tick(now) again
//
// Unless told otherwise there is one compute environment, and a queue is there when a job
// names it; that is the Batch of `flow run`. With [Config.Declared] environments, queues,
// scheduling policies and consumable resources are created, changed and deleted as on AWS.
//
// A million jobs are no burden: [Model.Submit] costs the same beside them, a listing looks
// at the jobs it yields and no others, and ended jobs can be bounded by age and number.
// [Model.Save] and [Restore] let a journal of inputs begin anew.
//
// Where the documents of AWS Batch leave a point open, docs/local.md says which side
// the model takes. Comments cite the Batch User Guide by the name of the page.
package model
