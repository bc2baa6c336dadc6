// Package local is an embedded AWS Batch: it runs jobs on this machine with the states,
// arrays, dependencies, retries and timeouts of the real one. docs/local.md says where
// it differs, and which side it takes where the documents of AWS are silent.
//
//	x, err := local.Open(local.Options{Journal: ".flow/work/journal"})
//	id, err := x.Submit(ctx, spec)       // PENDING or RUNNABLE, and STARTING if it fits
//	<-x.Changed()                        // something happened: ask with x.Describe
//	err = x.Close(ctx)                   // stops what runs; the next Open goes on from there
//
// Three parts make it up, each of which knows nothing of the next:
//
//	Executor            one lock; turns calls into inputs of the model, and its effects into work
//	  model.Model       decides: pure, with the clock it is given
//	  journal           every input, one line each, so that the jobs outlive the process
//	  workers           take tries one after the other, and hand them to the
//	    Runner          runs one try as a process or a container, with flow's agent around it
//
// The way of a try: the model starts a child ([model.Start]); a worker takes it and calls
// [Runner.Run]; what the Runner reports becomes a line of the journal, then an input of
// the model, whose scheduler then starts what fits next; and the same worker takes that.
package local
