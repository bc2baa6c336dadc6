package batch

import (
	"context"
	"fmt"
	"time"
)

// A Place is where the jobs of a run are. Nothing is known of them elsewhere.
type Place struct {
	Region   string `json:"region,omitempty"`
	Endpoint string `json:"endpoint,omitempty"` // "": that of AWS
	Account  string `json:"account,omitempty"`  // "": not known
}

// placeTime is how long the question may take whose the account is: who has no way to STS,
// or no valid credentials, goes on without.
const placeTime = 5 * time.Second

// PlaceOf returns where jobs go with these options. What they leave open is found as the SDK
// finds it; the account is asked of AWS itself only.
func PlaceOf(ctx context.Context, o Options) (Place, error) {
	cfg, err := loadConfig(ctx, &o)
	if err != nil {
		return Place{}, err
	}
	c := connect(cfg, &o, httpClient(cfg.HTTPClient))
	p := Place{Region: c.cfg.Region, Endpoint: value(c.where)}
	if c.where == nil && p.Region != "" {
		ctx, cancel := context.WithTimeout(ctx, placeTime)
		defer cancel()
		p.Account, _ = callerAccount(ctx, c.cfg)
	}
	return p, ctx.Err()
}

// Differs returns how another place differs from p, the place of a run, as the end of a
// sentence about its jobs; "" if it does not, as far as is known.
func (p Place) Differs(other Place) string {
	switch {
	case p.Endpoint != other.Endpoint:
		return fmt.Sprintf("at %s, and the endpoint is %s now", orText(p.Endpoint, "AWS itself"), orText(other.Endpoint, "that of AWS"))
	case p.Region != other.Region:
		return fmt.Sprintf("in region %s, and the region is %s now", p.Region, other.Region)
	case p.Account != "" && other.Account != "" && p.Account != other.Account:
		return fmt.Sprintf("in AWS account %s, and the credentials are of account %s now", p.Account, other.Account)
	}
	return ""
}
