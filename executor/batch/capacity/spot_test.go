package capacity_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"

	"flow/engine"
	"flow/executor/batch/capacity"
	"flow/executor/instances"
)

// TestSpotPrices asks of a hundred types at once, reads all pages, and keeps the cheapest
// zone of each type.
func TestSpotPrices(t *testing.T) {
	var asked []int
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := 0
		for r.FormValue(fmt.Sprintf("InstanceType.%d", n+1)) != "" {
			n++
		}
		asked = append(asked, n)
		item := func(name, zone, price string) string {
			return "<item><instanceType>" + name + "</instanceType><availabilityZone>" + zone + "</availabilityZone><spotPrice>" + price + "</spotPrice></item>"
		}
		items, next := item("m5.large", "a", "0.0401")+item("m5.large", "b", "none"), "<nextToken>x</nextToken>"
		if r.FormValue("NextToken") != "" {
			items, next = item("m5.large", "c", "0.040000")+item("m5.xlarge", "a", "0.09")+item("m5.large", "d", "0.05"), ""
		}
		if r.FormValue("StartTime") != r.FormValue("EndTime") || r.FormValue("StartTime") == "" {
			t.Errorf("from %s to %s", r.FormValue("StartTime"), r.FormValue("EndTime"))
		}
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprint(w, `<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><spotPriceHistorySet>`+items+"</spotPriceHistorySet>"+next+"</DescribeSpotPriceHistoryResponse>")
	}))
	t.Cleanup(s.Close)
	x := awsec2.New(awsec2.Options{Region: "us-east-1", BaseEndpoint: &s.URL, Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider("a", "b", ""))})
	of, _ := instances.Expand([]string{"m5", "m5d", "m5a", "c5", "c5d", "r5", "r5d", "m6i", "c6i", "r6i", "c7i", "m7i"})
	got, err := capacity.SpotPrices(t.Context(), x, of, time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]capacity.Price{{Type: "m5.large", Zone: "c", Hour: 40_000}, {Type: "m5.xlarge", Zone: "a", Hour: 90_000}}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]int{100, 100, len(of) - 100, len(of) - 100}, asked); len(of) <= 100 || len(of) > 200 || d != "" {
		t.Errorf("%d types (-want +got):\n%s", len(of), d)
	}
}

func TestCeiling(t *testing.T) {
	const home = instances.Region
	large, _ := instances.Find("m5.large")    // $0.096
	xlarge, _ := instances.Find("m5.xlarge")  // $0.192
	dear, _ := instances.Find("p5e.48xlarge") // no price
	of := []instances.Type{large, xlarge, dear}
	price := func(large, xlarge engine.Money) []capacity.Price {
		return []capacity.Price{{Type: "m5.large", Zone: "a", Hour: large}, {Type: "m5.xlarge", Zone: "a", Hour: xlarge}}
	}
	type said struct {
		Known, Above, Sure bool
		Best               string
		Percent            int
	}
	for name, test := range map[string]struct {
		bid     int
		of      []instances.Type
		prices  []capacity.Price
		region  string
		unknown bool
		want    said
	}{
		"exactly so much":           {50, of, price(48_000, 192_000), home, false, said{true, false, false, "m5.large", 50}},
		"a millionth more":          {50, of, price(48_001, 192_000), home, false, said{true, true, true, "m5.large", 51}},
		"the larger is cheaper":     {50, of, price(60_000, 96_000), home, false, said{true, false, false, "m5.xlarge", 50}},
		"as cheap, for less":        {20, of, price(48_000, 96_000), home, false, said{true, true, true, "m5.large", 50}},
		"all are above":             {10, of, price(48_000, 97_000), home, false, said{true, true, true, "m5.large", 50}},
		"given away":                {1, of, price(10, 192_000), home, false, said{true, false, false, "m5.large", 1}},
		"others are not known":      {10, of, price(48_000, 97_000), home, true, said{true, true, false, "m5.large", 50}},
		"one has no list price":     {10, of, append(price(48_000, 97_000), capacity.Price{Type: "p5e.48xlarge", Zone: "a", Hour: 1}), home, false, said{true, true, false, "m5.large", 50}},
		"no prices":                 {10, of, nil, home, false, said{}},
		"in yuan":                   {10, of, price(48_000, 97_000), "cn-north-1", false, said{}},
		"elsewhere, within a doubt": {50, of, price(76_000, 192_000), "eu-west-1", false, said{true, false, false, "m5.large", 80}},
		"elsewhere, above it":       {50, of, price(78_000, 192_000), "eu-west-1", false, said{true, true, false, "m5.large", 82}},
	} {
		v := capacity.Ceiling(test.bid, test.of, test.prices, test.region, test.unknown)
		if d := cmp.Diff(test.want, said{v.Known, v.Above, v.Sure, v.Best.Type, v.Percent}); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}
