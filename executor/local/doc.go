// Package local is an embedded AWS Batch: it runs jobs on this machine with the states,
// arrays, dependencies, retries and timeouts of the real one. docs/local.md says where
// it differs, and which side it takes where the documents of AWS are silent.
//
//	x, err := local.Open(local.Options{Journal: ".flow/work/journal"})
//	id, err := x.Submit(ctx, spec)       // PENDING or RUNNABLE, and STARTING if it fits
//	<-x.Changed()                        // something happened: ask with x.Describe
//	err = x.Close(ctx)                   // stops what runs; the next Open goes on from there
//
// These parts make it up, each of which knows nothing of those above it:
//
//	Executor            the Batch as flow run sees it: jobs are engine.JobSpecs, with flow's agent around
//	endpoint            the Batch as AWS's clients see it: jobs are Tasks
//	  Batch             one lock; turns calls into inputs of the model, and its effects into work
//	    model.Model     decides: pure, with the clock it is given
//	    journal         every input, one line each, so that the jobs outlive the process
//	    workers         take tries one after the other, and hand them to the
//	      Runner        runs one try: as processes, as containers, or not at all
//
// The way of a try: the model starts a child ([model.Start]); a worker takes it and calls
// [Runner.Run]; what the Runner reports becomes a line of the journal, then an input of
// the model, whose scheduler then starts what fits next; and the same worker takes that.
//
// A Runner runs a job of flow as one program: see begin and finish of processes. A [Task]
// it runs as its containers, each of them a program, in the order that a crew decides; a
// container with mounts or limits that is run as a process gets its view of the machine
// by [RunSandboxed].
package local
