package doctor

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/batch/capacity"
	"flow/executor/instances"
)

// spot compares the Spot prices of now with the ceilings of the environments that have one.
func (p *patient) spot(ctx context.Context) []Line {
	w, err := p.world()
	if err != nil {
		return nil // that is said of the queues
	}
	var lines []Line
	for i := range w.environments {
		e := &w.environments[i]
		r := e.ComputeResources
		if r == nil || r.Type != types.CRTypeSpot {
			continue
		}
		if bid := int(aws.ToInt32(r.BidPercentage)); bid > 0 && bid < 100 {
			lines = append(lines, p.ceiling(ctx, w, e, bid))
		}
	}
	return lines
}

// ceiling tells whether some instance type that the steps can use is to be had for so many
// per cent of its price on demand.
func (p *patient) ceiling(ctx context.Context, w *world, e *types.ComputeEnvironmentDetail, bid int) Line {
	name, region := aws.ToString(e.ComputeEnvironmentName), p.o.Cloud.Region()
	usable, unknown := p.usable(w, e)
	if len(usable) == 0 {
		return skipped(name, "flow has no prices of its instance types, so that bid_percentage = %d is not looked at", bid)
	}
	x, err := p.o.Cloud.EC2()
	if err != nil {
		return p.trouble(name, "ec2:DescribeSpotPriceHistory", err)
	}
	prices, err := capacity.SpotPrices(ctx, x, usable, p.o.Now())
	if err != nil {
		return p.trouble(name, "ec2:DescribeSpotPriceHistory", err)
	}
	v := capacity.Ceiling(bid, usable, prices, region, unknown)
	switch {
	case !v.Known:
		return skipped(name, "there are no prices of its instance types in %s to compare bid_percentage = %d with", region, bid)
	case v.Percent <= bid:
		return ok(name, "Spot is within bid_percentage = %d: %s costs %d%% of its price on demand now", bid, v.Best.Type, v.Percent)
	case !v.Above:
		return ok(name, "Spot may be within bid_percentage = %d: %s costs %d%% now of its price on demand in %s, which is dearer in %s", bid, v.Best.Type, v.Percent, instances.Region, region)
	}
	fix := p.mend(name, fmt.Sprintf("bid_percentage = 100 (the price on demand; at least %d)", v.Percent), "--compute-resources bidPercentage=100")
	text := fmt.Sprintf("the Spot ceiling is too low: bid_percentage is %d, and the cheapest of its instance types, %s, costs %d%% of its price on demand now (%s of %s an hour, %s)",
		bid, v.Best.Type, v.Percent, v.Best.Hour, v.OnDemand, instances.Source)
	switch {
	case v.Sure:
		return fault(name, fix, "%s", text)
	case region != instances.Region:
		return warning(name, fix, "%s; the prices on demand of %s may be higher", text, region)
	}
	return warning(name, fix, "%s; it may have other types, whose prices flow does not know", text)
}

// usable returns the instance types of an environment that can hold what the steps ask for;
// without steps all of them. unknown is whether it may have others, which flow knows nothing
// of.
func (p *patient) usable(w *world, e *types.ComputeEnvironmentDetail) (list []instances.Type, unknown bool) {
	of := capacity.FromDetail(*e)
	all, others := instances.Expand(of.InstanceTypes)
	steps := p.usedBy(w, e)
	if len(steps) == 0 {
		return all, len(others) > 0
	}
	for _, s := range steps {
		for _, d := range s.demands() {
			for _, t := range of.Fitting(d.Need) {
				if !slices.Contains(list, t) {
					list = append(list, t)
				}
			}
		}
	}
	return list, len(others) > 0
}
