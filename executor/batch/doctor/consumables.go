package doctor

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/engine"
)

// consumables tells whether the consumable resources that steps ask for are there, and as much
// of each as the step wants that wants most.
func (p *patient) consumables(ctx context.Context) []Line {
	var most []engine.Consumable
	var where []string
	for i := range p.o.Steps {
		s := &p.o.Steps[i]
		for _, c := range s.Spec.Task.Consumables {
			at := slices.IndexFunc(most, func(o engine.Consumable) bool { return o.Resource == c.Resource })
			switch {
			case at < 0:
				most, where = append(most, c), append(where, s.where("consumable_resources"))
			case c.Quantity > most[at].Quantity:
				most[at], where[at] = c, s.where("consumable_resources")
			}
		}
	}
	lines := make([]Line, len(most))
	for i, c := range most {
		lines[i] = p.consumable(ctx, c).at(where[i])
	}
	return lines
}

func (p *patient) consumable(ctx context.Context, c engine.Consumable) Line {
	name := c.Name()
	out, err := p.o.Cloud.Batch().DescribeConsumableResource(ctx, &batch.DescribeConsumableResourceInput{ConsumableResource: &c.Resource})
	switch {
	case code(err) == "ClientException": // it is not there
		fix := "make it, or correct its name"
		if p.makes(name) {
			fix = "run: " + p.apply()
		}
		return fault(name, fix, "there is no consumable resource %s in %s", name, p.o.Cloud.Region())
	case err != nil:
		return p.trouble(name, "batch:DescribeConsumableResource", err)
	}
	if total := aws.ToInt64(out.TotalQuantity); total < c.Quantity {
		return fault(name, "ask for less, or add to it", "a job wants %d of the consumable resource %s, and there are only %d: it would wait for ever", c.Quantity, name, total)
	}
	return ok(name, "the consumable resource is there, %d of %d are free", aws.ToInt64(out.AvailableQuantity), aws.ToInt64(out.TotalQuantity))
}

// makes reports whether flow makes a consumable resource for the workflow.
func (p *patient) makes(name string) bool {
	return p.o.Infra != nil && slices.ContainsFunc(p.o.Infra.Consumables, func(c *engine.ConsumableResource) bool { return c.Name == name && !c.Existing })
}
