package dsl

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// expectBlock decodes by when a run of the workflow should be over.
func (d *decoder) expectBlock(b *hcl.Block) *blockConfig {
	as, _, diags := d.block(b.Body, expectArgs)
	incomplete := diags.HasErrors() || d.isBroken(bodyRange(b))
	switch {
	case incomplete:
	case as.get("finish_by") == nil && as.get("max_duration") == nil:
		d.errorf(b.DefRange, "Missing required argument", "Say by when a run should be over, finish_by = \"06:00\", or how long it may take, max_duration = \"3h\".")
	case as.get("time_zone") != nil && as.get("finish_by") == nil:
		d.errorf(as.get("time_zone").nameRange, "Missing required argument", "time_zone says whose clock finish_by is of, and there is no finish_by.")
	}
	return &blockConfig{b.DefRange, as}
}

// checkExpect reads the expect block of a workflow; nil: nothing is known of it.
func (t *task) checkExpect(b *blockConfig) *engine.Expect {
	out := &engine.Expect{}
	zone := ""
	for _, a := range b.args {
		switch a.name {
		case "finish_by":
			if at, ok := value(t, a, toTimeOfDay); ok {
				out.FinishBy = &at
			}
		case "max_duration":
			out.MaxDuration, _ = value(t, a, atLeast(time.Second))
		case "time_zone":
			zone, _ = value(t, a, toZone)
		}
	}
	if out.FinishBy != nil {
		out.FinishBy.TimeZone = zone
	}
	if out.FinishBy == nil && out.MaxDuration == 0 {
		return nil
	}
	return out
}

// toTimeOfDay reads the time on a clock of 24 hours.
func toTimeOfDay(v cty.Value) (engine.TimeOfDay, error) {
	s, err := toText(v)
	if err != nil {
		return engine.TimeOfDay{}, err
	}
	at, err := time.Parse("15:04", s)
	if err != nil {
		return engine.TimeOfDay{}, fmt.Errorf("%q is no time of the day, such as \"06:00\" or \"18:30\"", s)
	}
	return engine.TimeOfDay{Hour: at.Hour(), Minute: at.Minute()}, nil
}
