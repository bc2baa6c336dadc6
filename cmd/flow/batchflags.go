package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"flow/dsl"
)

// The executors, as RunInfo.Executor names them.
const (
	localExecutor = "local" // the embedded one
	batchExecutor = "batch" // AWS Batch
)

// batchFlags say where on AWS Batch tasks run; what is given counts before the site. They
// are kept with a run.
type batchFlags struct {
	Executor   string        `json:"-"` // that of a run is in its RunInfo
	Queue      string        `json:"queue,omitempty"`
	Image      string        `json:"image,omitempty"`
	Region     string        `json:"region,omitempty"`
	Profile    string        `json:"profile,omitempty"`
	Endpoint   string        `json:"endpoint,omitempty"`
	AgentImage string        `json:"agent_image,omitempty"`
	Poll       time.Duration `json:"poll,omitempty"`  // the shortest time between two looks; 0: the default
	Doubt      time.Duration `json:"doubt,omitempty"` // how long a submission in doubt is looked for; 0: the default
}

// register adds the flags of commands that start a run.
func (b *batchFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&b.Executor, "executor", "", "run tasks here (`local`) or on AWS Batch (batch)")
	b.registerPlace(flags)
}

// registerPlace adds the flags of commands that also go on with a run.
func (b *batchFlags) registerPlace(flags *pflag.FlagSet) {
	flags.StringVar(&b.Queue, "queue", "", "job `QUEUE` of tasks that the workflow gives none")
	flags.StringVar(&b.Image, "image", "", "container `IMAGE` of tasks that the workflow gives none")
	flags.StringVar(&b.Region, "region", "", "AWS `REGION` (default: as AWS's own tools find it)")
	flags.StringVar(&b.Profile, "profile", "", "`PROFILE` of AWS's shared configuration (default: as AWS's own tools find it)")
	flags.StringVar(&b.Endpoint, "endpoint", "", "`URL` of AWS Batch, such as that of flow emulate (also AWS_ENDPOINT_URL)")
	flags.StringVar(&b.AgentImage, "agent-image", "", "container `IMAGE` with flow in it, for tasks on AWS Batch that have inputs or outputs")
	flags.DurationVar(&b.Poll, "poll", 0, "look at AWS Batch at most every `TIME` (default: 2s, or 250ms if it is on this machine)")
	flags.DurationVar(&b.Doubt, "doubt", 0, "look so long for a job whose submission is in doubt (default: 2m)")
	flags.Lookup("doubt").Hidden = true // it has to exceed the time after which AWS Batch surely lists a job
}

func (b *batchFlags) check(cmd string) error {
	checks := []struct {
		flag, value string
		check       func(string) error
	}{
		{"queue", b.Queue, dsl.CheckQueue}, {"image", b.Image, dsl.CheckImage}, {"region", b.Region, dsl.CheckRegion},
		{"endpoint", b.Endpoint, dsl.CheckEndpoint}, {"agent-image", b.AgentImage, dsl.CheckImage},
	}
	for _, c := range checks {
		if c.value == "" {
			continue
		}
		if err := c.check(c.value); err != nil {
			return errUsage(cmd, "-%s: %w", c.flag, err)
		}
	}
	switch {
	case b.Executor != "" && b.Executor != localExecutor && b.Executor != batchExecutor:
		return errUsage(cmd, "-executor takes local or batch, and not %q", b.Executor)
	case b.Poll < 0 || b.Doubt < 0:
		return errUsage(cmd, "-poll takes a time such as 5s")
	}
	return nil
}

// over returns b with what was given in flags put over it.
func (b batchFlags) over(flags batchFlags) batchFlags {
	return batchFlags{
		Executor: cmp.Or(flags.Executor, b.Executor), Queue: cmp.Or(flags.Queue, b.Queue), Image: cmp.Or(flags.Image, b.Image),
		Region: cmp.Or(flags.Region, b.Region), Profile: cmp.Or(flags.Profile, b.Profile), Endpoint: cmp.Or(flags.Endpoint, b.Endpoint),
		AgentImage: cmp.Or(flags.AgentImage, b.AgentImage), Poll: cmp.Or(flags.Poll, b.Poll), Doubt: cmp.Or(flags.Doubt, b.Doubt),
	}
}

// overSite returns the site with what was given in flags put over it.
func (b *batchFlags) overSite(s dsl.Site) dsl.Site {
	s.Executor = cmp.Or(b.Executor, s.Executor)
	s.Defaults.Queue = cmp.Or(b.Queue, s.Defaults.Queue)
	s.Defaults.Image = cmp.Or(b.Image, s.Defaults.Image)
	s.Region = cmp.Or(b.Region, s.Region)
	s.Profile = cmp.Or(b.Profile, s.Profile)
	s.Endpoint = cmp.Or(b.Endpoint, s.Endpoint)
	s.AgentImage = cmp.Or(b.AgentImage, s.AgentImage)
	return s
}

// misplaced says that a flag was given that means nothing where the tasks run. Files on S3
// have a region and a profile wherever that is.
func (f *runFlags) misplaced(executor string) error {
	type flag struct {
		name  string
		given bool
	}
	b, m := &f.batch, &f.machine
	flags := []flag{
		{"endpoint", b.Endpoint != ""}, {"agent-image", b.AgentImage != ""}, {"poll", b.Poll > 0},
	}
	why := "it is for AWS Batch, and this run is on this machine (-executor batch)"
	if executor == batchExecutor {
		flags = []flag{{"containers", m.Containers != ""}, {"vcpus", m.VCPUs > 0}, {"memory", m.MemoryMiB > 0}, {"gpus", m.GPUs > 0}}
		why = "it is for tasks on this machine, and this run is on AWS Batch"
	}
	for _, fl := range flags {
		if fl.given {
			return fmt.Errorf("-%s: %s", fl.name, why)
		}
	}
	return nil
}
