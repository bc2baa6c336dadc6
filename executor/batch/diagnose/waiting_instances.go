package diagnose

import (
	"fmt"

	"flow/engine"
)

// instances looks at what the environments have started (rows 11 to 13): it is asked when
// all vCPUs are not in use, and the job fits.
func (d *diagnosis) instances() {
	for i := range d.Environments {
		e := &d.Environments[i]
		if !e.usable() || e.Unmanaged || e.Type == engine.TypeFargate || e.Type == engine.TypeFargateSpot || e.Why(d.Job.Need) != "" {
			continue
		}
		switch {
		case len(e.Instances) > 0:
			d.joined(e)
		case e.Desired > 0:
			d.absent(e)
		case e.MinVCPUs == 0 && d.headFor() >= patience:
			d.add(Finding{
				Cause: NoScaling, Text: fmt.Sprintf("compute environment %s wants no instances (desiredvCpus = 0), though a job has been at the head of its queue for %s", e.Name, span(d.headFor())),
				Fix: []string{"Look at the service role of AWS Batch (AWSServiceRoleForBatch), at the launch template and at the instance types: flow doctor."},
			})
		}
	}
}

// absent is of an environment that wants instances, and has none (row 11).
func (d *diagnosis) absent(e *Environment) {
	age := d.headFor()
	f := Finding{
		Cause: Scaling, Text: fmt.Sprintf("compute environment %s is starting instances (it wants %d vCPUs); that takes some minutes", e.Name, e.Desired),
		Evidence: []string{fmt.Sprintf("a job has been at the head of the queue for %s", span(age))},
	}
	if age >= dwell && e.Listed {
		f.Cause, f.Sure = InstancesAbsent, true
		f.Text = fmt.Sprintf("compute environment %s wants %d vCPUs, and no instance has joined its cluster", e.Name, e.Desired)
		f.Fix = []string{joinFix, "If EC2 starts none at all: a quota of the account (aws service-quotas), no capacity of these instance types, or for Spot the price."}
	} else if age >= dwell {
		f.Evidence = append(f.Evidence, "whether instances have joined its cluster could not be looked at")
		f.Fix = []string{joinFix}
	}
	d.add(f)
}

// joined is of an environment with instances (row 12).
func (d *diagnosis) joined(e *Environment) {
	need := d.Job.Need
	connected, room, logs := 0, 0, 0
	for i := range e.Instances {
		in := &e.Instances[i]
		if !in.Connected || in.Status != "" && in.Status != "ACTIVE" {
			continue
		}
		connected++
		if in.VCPUs < need.VCPUs || in.MemoryMiB < need.MemoryMiB || in.GPUs < need.GPUs {
			continue
		}
		room++
		if in.Awslogs {
			logs++
		}
	}
	have := counted(len(e.Instances), "instance", "")
	switch {
	case connected == 0:
		d.add(Finding{
			Cause: AgentsGone, Sure: d.headFor() >= dwell, Text: fmt.Sprintf("the agent of ECS is connected on none of the instances of compute environment %s (%s)", e.Name, have),
			Evidence: given("first instance: " + e.Instances[0].ID), Fix: []string{joinFix},
		})
	case room > 0 && logs == 0 && d.Job.LogDriver == "":
		d.add(Finding{
			Cause: NoLogDriver, Sure: true, Text: fmt.Sprintf("the instances of compute environment %s have room, and do not know the log driver awslogs that the job asks for", e.Name),
			Fix: []string{`Set ECS_AVAILABLE_LOGGING_DRIVERS=["json-file","awslogs"] in /etc/ecs/ecs.config of the machine image, or use AWS's own images (ec2_configuration).`},
		})
	case room > 0 && d.headFor() >= patience:
		d.add(Finding{
			Cause: NotPlaced, Text: fmt.Sprintf("%d of the instances of compute environment %s have room, and the job is not placed there", room, e.Name),
			Evidence: given(fmt.Sprintf("a job has been at the head of the queue for %s", span(d.headFor()))),
			Fix:      []string{"Look at what else the job asks of an instance: log driver, GPU image, privileged mode, network mode (attributes of the container instance)."},
		})
	case room == 0:
		d.add(Finding{Cause: Scaling, Text: fmt.Sprintf("the instances of compute environment %s (%s) have no room for %s now; AWS Batch starts more, or others end", e.Name, have, need)})
	}
}
