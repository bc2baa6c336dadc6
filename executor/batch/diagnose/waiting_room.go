package diagnose

import (
	"fmt"
	"strings"

	"flow/engine"
	"flow/executor/batch/capacity"
)

// consumables looks at the consumable resources that the job asks for (row 14).
func (d *diagnosis) consumables() {
	for _, c := range d.Consumables {
		if c.Available >= c.Wants {
			continue
		}
		f := Finding{
			Cause: ConsumableGone, Sure: true, Text: fmt.Sprintf("it waits for consumable resource %s: it wants %d, and %d of %d are free", c.Name, c.Wants, c.Available, c.Total),
			Fix: []string{"Other jobs give it back when they end; or raise total_quantity."},
		}
		switch {
		case c.Wants > c.Total:
			f.Text = fmt.Sprintf("it wants %d of consumable resource %s, and there are only %d", c.Wants, c.Name, c.Total)
			f.Fix = []string{"Raise total_quantity, or ask for less."}
		case !c.Replenishable:
			f.Fix = []string{"It is NON_REPLENISHABLE, and jobs do not give it back: add to it with aws batch update-consumable-resource --operation ADD."}
		}
		d.add(f)
	}
}

// spotPrice compares what Spot instances cost now with what the environments may pay.
func (d *diagnosis) spotPrice() {
	var evidence []string
	sure := true
	for i := range d.Environments {
		e := &d.Environments[i]
		switch {
		case !e.usable() || e.Why(d.Job.Need) != "":
			continue
		case e.Bid == 0 || e.Bid >= 100 || e.Type != engine.TypeSpot:
			return // it pays what is asked
		}
		text := fmt.Sprintf("%s pays at most %d %% of the on-demand price", e.Name, e.Bid)
		v := capacity.Ceiling(e.Bid, e.Fitting(d.Job.Need), e.Prices, d.Region, len(e.Judge(d.Job.Need).Unknown) > 0)
		switch {
		case v.Known && !v.Above:
			return
		case v.Known:
			text = fmt.Sprintf("%s costs %s an hour in %s now, and %s pays at most %s (%d %% of %s)",
				v.Best.Type, dollars(v.Best.Hour), v.Best.Zone, e.Name, dollars(v.OnDemand*engine.Money(e.Bid)/100), e.Bid, dollars(v.OnDemand))
		case d.headFor() < dwell || e.Desired == 0 || e.Listed && len(e.Instances) > 0:
			return // instances may be on their way
		}
		sure = sure && v.Sure
		evidence = append(evidence, text)
	}
	if len(evidence) == 0 {
		return
	}
	d.add(Finding{
		Cause: SpotPrice, Sure: sure, Text: "Spot instances cost more now than the compute environment may pay (bid_percentage)", Evidence: cut(evidence),
		Fix: []string{"Leave bid_percentage out: Spot never costs more than on demand, and most often far less. Or allow more instance types, or give the queue a second compute environment on demand."},
	})
}

// dollars writes an amount with four digits, as Spot prices have.
func dollars(m engine.Money) string {
	return fmt.Sprintf("$%d.%04d", m/engine.USD, m%engine.USD/100)
}

// busy looks at whether all vCPUs are in use (row 9).
func (d *diagnosis) busy() {
	total, most, need := 0, true, d.Job.Need.VCPUs
	some := false
	for i := range d.Environments {
		e := &d.Environments[i]
		if !e.usable() || e.Unmanaged || e.Why(d.Job.Need) != "" {
			continue
		}
		some = true
		total += e.MaxVCPUs
		most = most && e.MaxVCPUs > 0 && float64(e.Desired)+need > float64(e.MaxVCPUs)
	}
	running := d.runs()
	fix := []string{"Wait, raise max_vcpus of a compute environment, or give the queue another one."}
	switch {
	case !some:
	case d.InUse != nil && *d.InUse+need > float64(total):
		d.add(Finding{Cause: Busy, Sure: true, Text: fmt.Sprintf("the queue is full: its jobs have %v of the %d vCPUs that its compute environments may have, and this one needs %v", *d.InUse, total, need), Evidence: given(running, d.rank()), Fix: fix})
	case most: // also where jobs of other queues have it
		d.add(Finding{Cause: Busy, Text: fmt.Sprintf("the compute environments of the queue are as large as they may be (%d vCPUs)", total), Evidence: given(running, d.rank()), Fix: fix})
	}
}

// runs names what runs in the queue; "" if that is not known.
func (d *diagnosis) runs() string {
	r := d.Running
	if r == nil || r.Jobs == 0 {
		return ""
	}
	text := "running: " + strings.Join(r.Names, ", ")
	switch more := r.Jobs - len(r.Names); {
	case r.More:
		text += fmt.Sprintf(", and at least %d more", more)
	case more > 0:
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

// rank says where in the queue the job stands; "" if that is not known.
func (d *diagnosis) rank() string {
	switch k := d.place(); {
	case k >= 0:
		return fmt.Sprintf("it is number %d in the queue", k+1)
	case len(d.Front) >= mostFront:
		return fmt.Sprintf("at least %d jobs are before it in the queue", len(d.Front))
	}
	return ""
}

// mostFront is how many jobs a snapshot of a queue has (GetJobQueueSnapshot).
const mostFront = 100

// behind says which job is at the head of the queue, if it is another one (row 10).
func (d *diagnosis) behind() {
	k := d.place()
	if d.Head == nil || k == 0 || k < 0 && len(d.Front) < mostFront {
		return
	}
	f := Finding{
		Cause: BehindOthers, Sure: true,
		Text: fmt.Sprintf("%s: the job at its head, %s (%s), is placed first", d.rank(), d.Head.Name, d.Head.ID),
	}
	if d.Head.Reason != "" && codeOf(d.Head.Reason) == nil {
		f.Evidence = given("of that one AWS Batch says: " + d.Head.Reason)
	}
	if why := d.headStuck(); why != "" {
		f.Evidence = append(f.Evidence, why)
		f.Fix = []string{fmt.Sprintf("If that job is not wanted: aws batch terminate-job --job-id %s --reason \"...\". A state_time_limit of the queue does so by itself.", d.Head.ID)}
	}
	d.add(f)
}

// headStuck says why the job at the head can never be placed; "" if it can, as far as is
// known.
func (d *diagnosis) headStuck() string {
	if d.Head == nil {
		return ""
	}
	why := ""
	for i := range d.Environments {
		e := &d.Environments[i]
		if !e.usable() {
			continue
		}
		w := e.Why(d.Head.Need)
		if w == "" {
			return ""
		}
		why = w
	}
	if why != "" {
		why = "and that one can never be placed: " + why
	}
	return why
}

// shares tells how a queue with a scheduling policy divides itself (row 15).
func (d *diagnosis) shares() {
	if len(d.Shares) == 0 {
		return
	}
	var lines []string
	for _, s := range d.Shares {
		line := fmt.Sprintf("share %s has %v vCPUs", s.ID, s.VCPUs)
		if d.Policy != nil {
			if w, ok := d.Policy.Weights[s.ID]; ok {
				line += fmt.Sprintf(", weight %v", w)
			}
		}
		lines = append(lines, line)
	}
	f := Finding{Cause: FairShare, Sure: true, Text: "the queue is divided by shares: those that have used less come first", Evidence: cut(lines)}
	if d.Job.Share != "" {
		f.Text += fmt.Sprintf("; this job is of share %s", d.Job.Share)
	}
	if d.Policy != nil && d.Policy.Reserve > 0 {
		f.Evidence = append(f.Evidence, fmt.Sprintf("policy %s keeps %d %% for shares that are not active", d.Policy.Name, d.Policy.Reserve))
	}
	d.add(f)
}
