package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"flow/engine"
	awscloud "flow/executor/batch/cloud"
	"flow/executor/batch/cost"
)

// pricesTimeout is how long a driver waits to learn what queues cost, before it drives.
const pricesTimeout = 10 * time.Second

// pricedQueues returns the queues whose prices matter: those that steps name, and the one of
// steps that name none.
func (s *session) pricedQueues() []string {
	queue := s.site.Defaults.Queue
	if queue == "" || slices.Contains(s.used.Queues, queue) {
		return s.used.Queues
	}
	return append([]string{queue}, s.used.Queues...)
}

// learnPrices finds out where the jobs of the session's run will be, to reckon what they
// cost: from the workflow, and of queues that are not its own from AWS Batch, with two
// calls. tell is told if that matters and cannot be known.
func (s *session) learnPrices(ctx context.Context, tell func(string)) {
	if s.executor != batchExecutor || s.workflow == nil {
		return
	}
	s.prices = cost.FromBlocks(s.workflow.Infra)
	queues := s.pricedQueues()
	if len(queues) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pricesTimeout)
	defer cancel()
	o := s.batchOptions()
	c, err := awscloud.Open(ctx, awscloud.Options{Region: o.Region, Profile: o.Profile, Endpoint: o.Endpoint})
	if err == nil {
		defer c.Close()
		err = s.prices.Learn(ctx, c.Batch(), queues)
	}
	if err != nil && s.workflow.Budget != nil {
		tell(fmt.Sprintf("the budget is kept with assumed prices, since nobody knows where jobs run: %s", firstLineOf(err)))
	}
}

// pricer returns what reckons the cost of jobs; nil: nothing does.
func (s *session) pricer() engine.Pricer {
	if s.prices == nil {
		return nil
	}
	// Many jobs in a row are of the same kind.
	type question struct {
		task  *engine.TaskSpec
		queue string
		r     engine.Resources
	}
	var last question
	var rate *engine.Rate
	return func(task *engine.TaskSpec, queue string, r engine.Resources) *engine.Rate {
		if q := (question{task, queue, r}); q != last {
			quote := s.prices.Quote(task, queue, r)
			last, rate = q, quote.Rate()
		}
		return rate
	}
}

// grant lets a run cost more that is over its budget, or that max is given for.
func (s *session) grant(ctx context.Context, d *engine.Driver, max engine.Money) error {
	run, err := d.Load(ctx, s.id)
	if err != nil || run.Ended() {
		return err
	}
	events, err := allow(run, max)
	if err != nil || len(events) == 0 {
		return err
	}
	spent := run.Spent()
	if err := d.Record(ctx, events...); err != nil {
		return err
	}
	s.a.say("it may cost %s in all, of which %s is spent", run.Allowance(), spent)
	return nil
}

// allow is [engine.Run.Allow] for what -max-usd says.
func allow(run *engine.Run, max engine.Money) ([]engine.Event, error) {
	events, err := run.Allow(max)
	if err != nil {
		return nil, errUsage("flow resume", "-max-usd: %w", err)
	}
	return events, nil
}

// pausedLines say what becomes of a run that is paused.
func pausedLines(b *strings.Builder, run *engine.Run) {
	if jobs, tasks := run.Alive(); jobs > 0 {
		fmt.Fprintf(b, "  %s; nothing more is submitted\n", goOn(jobs, tasks))
	}
	more := ""
	if budget := run.Workflow().Budget; budget != nil {
		more = fmt.Sprintf("flow resume %s (grants another %s), or ", run.ID(), budget.Max)
	}
	p, _ := run.Paused()
	total := max(5, (2*max(p.Allowance, run.Spent())+engine.USD-1)/engine.USD)
	fmt.Fprintf(b, "  go on:  %sflow resume %s -max-usd %d\n", more, run.ID(), total)
}

// A pausedJSON is why a run goes no further until somebody resumes it.
type pausedJSON struct {
	Reason     string    `json:"reason"`
	SpentUSD   float64   `json:"spent_usd"`
	AllowedUSD float64   `json:"allowed_usd"`
	At         time.Time `json:"at"`
}

func pausedData(run *engine.Run) *pausedJSON {
	p, paused := run.Paused()
	if !paused {
		return nil
	}
	return &pausedJSON{p.Reason, usd(p.Spent), usd(p.Allowance), p.At}
}

// usd is an amount as programs read it.
func usd(m engine.Money) float64 { return float64(m) / float64(engine.USD) }

// priced reports whether something of a run has a price.
func priced(run *engine.Run) bool {
	for _, j := range run.Jobs() {
		if j.Plan.Rate != nil {
			return true
		}
	}
	return false
}

// costLine says what a run has cost so far; "" if nothing of it has run that has a price.
func costLine(run *engine.Run) string {
	var retried, lost engine.Money
	ran := false
	for _, u := range run.Usage() {
		retried += u.Retried
		lost += u.Lost
		ran = ran || len(u.Rates) > 0
	}
	if !ran {
		return ""
	}
	text := fmt.Sprintf("cost: about %s", run.Spent())
	var of []string
	if retried > 0 {
		of = append(of, fmt.Sprintf("%s for tries that failed", retried))
	}
	if lost > 0 {
		of = append(of, fmt.Sprintf("%s for tries that were lost", lost))
	}
	if len(of) > 0 {
		text += ", of it " + strings.Join(of, " and ")
	}
	return text + fmt.Sprintf("; see flow cost %s", run.ID())
}

func costData(run *engine.Run) *float64 {
	if !priced(run) {
		return nil
	}
	spent := usd(run.Spent())
	return &spent
}

// money writes an amount that lies between two; one if they are the same.
func money(low, high engine.Money) string {
	return cmp.Or(sameText(low.String(), high.String()), low.String()+" to "+high.String())
}

// sameText returns a text if the other is the same, else "".
func sameText(a, b string) string {
	if a == b {
		return a
	}
	return ""
}
