package dsl

import (
	"fmt"
	"math/big"
	"time"

	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

const (
	minTimeout = time.Minute // JobTimeout.attemptDurationSeconds
	// maxDefinitionRules leaves one entry of evaluateOnExit for that what no rule names is
	// not retried.
	maxDefinitionRules = maxExitCodes - 1
)

// definition reads a job definition (RegisterJobDefinition).
func (b *infraBlock) definition(blk engine.Block) *engine.JobDefinition {
	d := &engine.JobDefinition{Block: blk, Spec: b.spec}
	if blk.Existing {
		return d
	}
	for _, a := range b.as {
		if a.spec.apply != nil {
			a.spec.apply(b.task, a)
		}
	}
	b.setRetry()
	if b.setResources(); !b.sizeKnown() {
		b.spec.Resources = nil
	}
	b.setContainer()
	b.spec.Tags = blk.Tags
	read(b, "propagate_tags", &d.PropagateTags, toTruth)
	read(b, "create_roles", &d.CreateRoles, toTruth)
	if !b.has("existing") {
		b.require(`image = "debian:13"`)
	}
	b.checkDefinition()
	return d
}

func (b *infraBlock) checkDefinition() {
	if t := b.spec.Timeout; t > 0 && (t < minTimeout || t%time.Second != 0) {
		b.wrongArg("timeout", "AWS Batch takes whole seconds, at least %d of them; this is %v. Write \"1m\" or more.", minTimeout/time.Second, t)
	}
	if n := len(b.spec.Retry.Rules); n > maxDefinitionRules {
		b.errorf(b.c.step.retry.rng, "There are %d rules, one for each exit code of a `when`. AWS Batch takes %d entries of evaluateOnExit, and the last is flow's, that nothing else is retried. Use patterns such as \"13*\".", n, maxExitCodes)
	}
}

// checkBudget reads the budget of a workflow.
func (t *task) checkBudget(b *blockConfig) *engine.Budget {
	out := &engine.Budget{}
	var given bool
	for _, a := range b.args {
		switch a.name {
		case "max_usd":
			if m, ok := value(t, a, toMoney); ok {
				out.Max, given = m, true
			}
		case "on_exceed":
			s, _ := value(t, a, oneOf("pause", "cancel"))
			out.Cancel = s == "cancel"
		}
	}
	if !given { // not known yet, or null: none
		return nil
	}
	return out
}

// maxMoney bounds a budget, so that it can be counted with.
const maxMoney = 1_000_000_000

// toMoney reads an amount of US dollars above zero.
func toMoney(v cty.Value) (engine.Money, error) {
	v, err := primitive(v, cty.Number)
	if err != nil {
		return 0, err
	}
	micros := new(big.Float).Mul(v.AsBigFloat(), big.NewFloat(float64(engine.USD)))
	n, _ := micros.Add(micros, big.NewFloat(0.5)).Int64()
	if n <= 0 || n > maxMoney*int64(engine.USD) {
		return 0, fmt.Errorf("it must be more than 0 and at most %d US dollars", maxMoney)
	}
	return engine.Money(n), nil
}
