package endpoint

import (
	"maps"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/local/model"
)

const (
	replenishable    = "REPLENISHABLE"
	nonReplenishable = "NON_REPLENISHABLE"
)

// A consumableDetail is what the model keeps with a consumable resource. It is never
// changed, but for the tags, which are replaced whole.
type consumableDetail struct {
	Tags    map[string]string
	Updates map[string]update // by clientToken: those of the last hours
}

// An update of a consumable resource that was carried out.
type update struct {
	At        time.Time
	Operation string
	Quantity  int64
}

// tokenLife is how long a clientToken is valid (UpdateConsumableResourceRequest).
const tokenLife = 8 * time.Hour

func createConsumableResource(t *tx, in *batch.CreateConsumableResourceInput) (*batch.CreateConsumableResourceOutput, error) {
	name := value(in.ConsumableResourceName)
	if err := firstError(checkResourceName(name), checkTags(in.Tags)); err != nil {
		return nil, err
	}
	if n := value(in.TotalQuantity); n < 0 {
		return nil, refuse("totalQuantity should not be negative, got %d", n)
	}
	kind := value(in.ResourceType)
	if kind != "" && kind != replenishable && kind != nonReplenishable {
		return nil, refuse("resourceType %s is not valid, it is one of [%s, %s]", kind, replenishable, nonReplenishable)
	}
	c := model.Consumable{Name: name, Total: value(in.TotalQuantity), Replenishes: kind != nonReplenishable, Detail: &consumableDetail{Tags: filledMap(in.Tags)}}
	if err := t.m.CreateConsumable(t.now, c); err != nil {
		return nil, err
	}
	return &batch.CreateConsumableResourceOutput{ConsumableResourceArn: new(t.arn(kindConsumable, name)), ConsumableResourceName: &name}, nil
}

// consumable returns the consumable resource of a name or ARN.
func (t *tx) consumable(ref *string) (model.ConsumableView, error) {
	if !given(ref) {
		return model.ConsumableView{}, refuse("ConsumableResource is required")
	}
	c, ok := t.m.Consumable(nameOf(kindConsumable, *ref))
	if !ok {
		return c, t.absent(kindConsumable, *ref)
	}
	return c, nil
}

func consumableDetailOf(c model.Consumable) consumableDetail {
	if d, ok := c.Detail.(*consumableDetail); ok {
		return *d
	}
	return consumableDetail{}
}

// updateConsumableResource sets, raises or lowers the total. A clientToken that was seen
// with the same update within 8 hours changes nothing again.
func updateConsumableResource(t *tx, in *batch.UpdateConsumableResourceInput) (*batch.UpdateConsumableResourceOutput, error) {
	c, err := t.consumable(in.ConsumableResource)
	if err != nil {
		return nil, err
	}
	out := &batch.UpdateConsumableResourceOutput{
		ConsumableResourceArn: new(t.arn(kindConsumable, c.Name)), ConsumableResourceName: &c.Name, TotalQuantity: &c.Total,
	}
	d := consumableDetailOf(c.Consumable)
	again, err := d.remember(t.now, in)
	if err != nil || again {
		return out, err
	}
	total, err := changed(c.Total, in)
	if err != nil {
		return nil, err
	}
	to := c.Consumable
	to.Total, to.Detail = total, &d
	if err := t.m.SetConsumable(t.now, to); err != nil {
		return nil, err
	}
	out.TotalQuantity = &total
	return out, nil
}

// changed returns the total after an update.
func changed(total int64, in *batch.UpdateConsumableResourceInput) (int64, error) {
	if in.Quantity == nil || *in.Quantity < 0 {
		return 0, refuse("quantity is required and should not be negative, got %d", value(in.Quantity))
	}
	switch q := *in.Quantity; value(in.Operation) {
	case "SET":
		return q, nil
	case "ADD":
		if q > math.MaxInt64-total {
			return 0, refuse("totalQuantity cannot exceed %d", int64(math.MaxInt64))
		}
		return total + q, nil
	case "REMOVE":
		if q > total {
			return 0, refuse("Cannot remove %d from a totalQuantity of %d", q, total)
		}
		return total - q, nil
	default:
		return 0, refuse("operation %q is not valid, it is one of [SET, ADD, REMOVE]", value(in.Operation))
	}
}

// remember enters the clientToken of an update; it reports whether that was carried out
// before.
func (d *consumableDetail) remember(now time.Time, in *batch.UpdateConsumableResourceInput) (again bool, err error) {
	if in.ClientToken == nil {
		return false, nil
	}
	key := *in.ClientToken
	if key == "" || len(key) > 64 {
		return false, refuse("clientToken should have 1 to 64 characters, got %d", len(key))
	}
	u := update{now, value(in.Operation), value(in.Quantity)}
	updates := maps.Clone(d.Updates)
	maps.DeleteFunc(updates, func(_ string, u update) bool { return now.Sub(u.At) > tokenLife })
	if old, ok := updates[key]; ok {
		if old.Operation == u.Operation && old.Quantity == u.Quantity {
			return true, nil
		}
		return false, refuse("clientToken %s was used with another update", key)
	}
	if updates == nil {
		updates = map[string]update{}
	}
	updates[key] = u
	d.Updates = updates
	return false, nil
}

// deleteConsumableResource deletes a consumable resource. That there is none is no error.
func deleteConsumableResource(t *tx, in *batch.DeleteConsumableResourceInput) (*batch.DeleteConsumableResourceOutput, error) {
	if !given(in.ConsumableResource) {
		return nil, refuse("ConsumableResource is required")
	}
	name := nameOf(kindConsumable, *in.ConsumableResource)
	if _, ok := t.m.Consumable(name); ok {
		if err := t.m.DeleteConsumable(t.now, name); err != nil {
			return nil, err
		}
	}
	return &batch.DeleteConsumableResourceOutput{}, nil
}

func describeConsumableResource(t *tx, in *batch.DescribeConsumableResourceInput) (*batch.DescribeConsumableResourceOutput, error) {
	c, err := t.consumable(in.ConsumableResource)
	if err != nil {
		return nil, err
	}
	return &batch.DescribeConsumableResourceOutput{
		ConsumableResourceArn: new(t.arn(kindConsumable, c.Name)), ConsumableResourceName: &c.Name, ResourceType: new(resourceType(c.Consumable)),
		TotalQuantity: &c.Total, InUseQuantity: &c.InUse, AvailableQuantity: new(max(c.Total-c.InUse, 0)), CreatedAt: new(c.Created.UnixMilli()),
		Tags: filledMap(consumableDetailOf(c.Consumable).Tags),
	}, nil
}

func resourceType(c model.Consumable) string {
	if c.Replenishes {
		return replenishable
	}
	return nonReplenishable
}

func listConsumableResources(t *tx, in *batch.ListConsumableResourcesInput) (*batch.ListConsumableResourcesOutput, error) {
	c, err := cursorOf(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	const byName = "CONSUMABLE_RESOURCE_NAME"
	filters, err := readFilters(in.Filters, byName)
	if err != nil {
		return nil, err
	}
	all := func(yield func(string, types.ConsumableResourceSummary) bool) {
		for r := range t.m.Consumables() {
			if filters.match(byName, r.Name) && !yield(r.Name, types.ConsumableResourceSummary{
				ConsumableResourceArn: new(t.arn(kindConsumable, r.Name)), ConsumableResourceName: &r.Name,
				InUseQuantity: &r.InUse, TotalQuantity: &r.Total, ResourceType: new(resourceType(r.Consumable)),
			}) {
				return
			}
		}
	}
	out := &batch.ListConsumableResourcesOutput{}
	out.ConsumableResources, out.NextToken = page(c, since(c.after, all))
	return out, nil
}
