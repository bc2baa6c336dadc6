package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// TestSpotCeiling: a ceiling is a fault only where the list prices hold and all types have one.
func TestSpotCeiling(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprint(w, `<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><spotPriceHistorySet>
			<item><instanceType>m5.large</instanceType><availabilityZone>a</availabilityZone><spotPrice>0.048</spotPrice></item></spotPriceHistorySet></DescribeSpotPriceHistoryResponse>`)
	}))
	t.Cleanup(s.Close)
	for _, test := range []struct {
		region string
		bid    int32
		types  []string
		want   want
	}{
		{"us-east-1", 50, []string{"m5.large"}, want{OK, "Spot is within bid_percentage = 50: m5.large costs 50%", ""}},
		{"us-east-1", 49, []string{"m5.large"}, want{Fault, "the Spot ceiling is too low: bid_percentage is 49, and the cheapest of its instance types, m5.large, costs 50% of its price on demand now ($0.05 of $0.10 an hour", "bidPercentage=100"}},
		{"us-east-1", 49, []string{"m5.large", "zz9.large"}, want{Warning, "it may have other types", "bidPercentage=100"}},
		{"us-east-1", 49, []string{"m5.xlarge"}, want{Skipped, "there are no prices of its instance types", ""}},
		{"us-east-1", 49, []string{"zz9.large"}, want{Skipped, "flow has no prices", ""}},
		{"eu-west-1", 40, []string{"m5.large"}, want{OK, "Spot may be within bid_percentage = 40", ""}},
		{"eu-west-1", 30, []string{"m5.large"}, want{Warning, "the prices on demand of eu-west-1 may be higher", "bidPercentage=100"}},
		{"cn-north-1", 1, []string{"m5.large"}, want{Skipped, "in cn-north-1 to compare", ""}},
	} {
		isolate(t, "AWS_ENDPOINT_URL_EC2", s.URL, "AWS_REGION", test.region)
		p := at(t, "http://127.0.0.1:1")
		w := &world{environments: []types.ComputeEnvironmentDetail{environment("spot", func(d *types.ComputeEnvironmentDetail) {
			d.ComputeResources.Type, d.ComputeResources.BidPercentage, d.ComputeResources.InstanceTypes = types.CRTypeSpot, aws.Int32(test.bid), test.types
		})}}
		p.world = func() (*world, error) { return w, nil }
		judge(t, fmt.Sprint(test.region, test.bid, test.types), p.spot(t.Context()), test.want)
	}
}

// TestFailed: what AWS Batch did not answer is said once, of the queues.
func TestFailed(t *testing.T) {
	isolate(t)
	p := at(t, "http://127.0.0.1:1")
	err := fmt.Errorf("batch:DescribeJobQueues: %w", http.ErrNoCookie)
	judge(t, "queues", p.failed("queues", err), want{Fault, "batch:DescribeJobQueues: ", ""})
	judge(t, "environments", p.failed("environments", err), want{Skipped, "batch:DescribeJobQueues: ", ""})
	judge(t, "network", p.failed("network", fmt.Errorf("ec2:DescribeSubnets: %w", http.ErrNoCookie)), want{Fault, "ec2:DescribeSubnets: ", ""})
}
