package capacity

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"flow/engine"
	"flow/executor/instances"
)

// A Price is what a Spot instance costs an hour, in the cheapest zone.
type Price struct {
	Type string
	Zone string
	Hour engine.Money
}

// pricedAtOnce is how many instance types a call asks of: with six zones their prices are
// less than a page of 1,000.
const pricedAtOnce = 100

// SpotPrices returns what Spot instances with Linux of these types cost now, of each type in
// the cheapest zone. A type that EC2 gives no price of is not in the region. An answer whose
// period is a moment has the prices of then (EC2 API reference, DescribeSpotPriceHistory).
func SpotPrices(ctx context.Context, x *ec2.Client, of []instances.Type, now time.Time) ([]Price, error) {
	var prices []Price
	for some := range slices.Chunk(of, pricedAtOnce) {
		in := &ec2.DescribeSpotPriceHistoryInput{StartTime: &now, EndTime: &now, ProductDescriptions: []string{"Linux/UNIX", "Linux/UNIX (Amazon VPC)"}}
		for _, t := range some {
			in.InstanceTypes = append(in.InstanceTypes, ec2types.InstanceType(t.Name))
		}
		pages := ec2.NewDescribeSpotPriceHistoryPaginator(x, in)
		for pages.HasMorePages() {
			out, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, h := range out.SpotPriceHistory {
				if hour, ok := usd(aws.ToString(h.SpotPrice)); ok {
					prices = cheaper(prices, Price{string(h.InstanceType), aws.ToString(h.AvailabilityZone), hour})
				}
			}
		}
	}
	return prices, nil
}

// cheaper keeps of each type the price of the cheapest zone.
func cheaper(prices []Price, p Price) []Price {
	at := slices.IndexFunc(prices, func(q Price) bool { return q.Type == p.Type })
	if at < 0 {
		return append(prices, p)
	}
	if p.Hour < prices[at].Hour {
		prices[at] = p
	}
	return prices
}

// usd reads an amount of dollars: 0.034500.
func usd(text string) (engine.Money, bool) {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || v < 0 || v > 1e6 {
		return 0, false
	}
	return engine.Money(v*float64(engine.USD) + 0.5), true
}

// A SpotVerdict says whether an environment can have Spot instances for a job now, which pays
// at most some per cent of the price on demand (ComputeResource.bidPercentage).
type SpotVerdict struct {
	// Known says that the prices of some type are known; else nothing else is.
	Known bool
	// Above says that every type costs more than the environment pays.
	Above bool
	// Sure says that Above is certain: the types are all known, and the prices on demand
	// are those of the region.
	Sure bool
	// Best is the type that costs least of its price on demand, and Percent how much of it,
	// rounded up.
	Best     Price
	OnDemand engine.Money // the price of Best on demand
	Percent  int
}

// dearest is how much more than in the table a price on demand may be in another region, in
// per cent.
const dearest = 60 // sa-east-1

// Ceiling compares what the types that can do cost now with what the environment pays.
// unknown is whether it may have types that no prices are known of.
func Ceiling(bid int, of []instances.Type, prices []Price, region string, unknown bool) SpotVerdict {
	var v SpotVerdict
	if strings.HasPrefix(region, "cn-") {
		return v // prices are in yuan there
	}
	for _, t := range of {
		at := slices.IndexFunc(prices, func(p Price) bool { return p.Type == t.Name })
		switch {
		case at < 0: // it is not in the region
			continue
		case t.Hour == 0:
			unknown = true
			continue
		}
		p := prices[at]
		percent := max(1, int((p.Hour*100+t.Hour-1)/t.Hour))
		if !v.Known || cmp.Or(cmp.Compare(percent, v.Percent), cmp.Compare(p.Hour, v.Best.Hour)) < 0 {
			v.Known, v.Best, v.OnDemand, v.Percent = true, p, t.Hour, percent
		}
	}
	home := region == instances.Region
	most := bid
	if !home {
		most += bid * dearest / 100
	}
	v.Above = v.Known && v.Percent > most
	v.Sure = v.Above && home && !unknown
	return v
}
