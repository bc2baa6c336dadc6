package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/google/go-cmp/cmp"

	"flow/executor/whole"
)

func newClient(t *testing.T, s *service) *cloudwatchlogs.Client {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return cloudwatchlogs.New(cloudwatchlogs.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Transport: whole.Transport{}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
	})
}

// The client of the SDK for Go pages through groups, streams and events, and knows errors.
func TestSDK(t *testing.T) {
	s := newService(t)
	client, ctx := newClient(t, s), t.Context()
	group := aws.String("/aws/batch/job")
	var want, streams []string
	for i := range 120 {
		stream := fmt.Sprintf("d/default/%032x", i)
		streams = append(streams, stream)
		s.write(stream, fmt.Sprintf("line %d <&>\n", i))
		s.end(stream)
		want = append(want, fmt.Sprintf("line %d <&>", i))
		s.add(1)
	}

	for i := range 60 {
		_, err := client.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(fmt.Sprint("group", i))})
		s.check(err)
	}
	groups := 0
	for p := cloudwatchlogs.NewDescribeLogGroupsPaginator(client, &cloudwatchlogs.DescribeLogGroupsInput{}); p.HasMorePages(); {
		out, err := p.NextPage(ctx)
		s.check(err)
		groups += len(out.LogGroups)
	}
	if groups != 61 {
		t.Error(groups)
	}

	var got []string
	for p := cloudwatchlogs.NewDescribeLogStreamsPaginator(client, &cloudwatchlogs.DescribeLogStreamsInput{
		LogGroupName: group, OrderBy: types.OrderByLastEventTime}); p.HasMorePages(); {
		out, err := p.NextPage(ctx)
		s.check(err)
		for _, st := range out.LogStreams {
			got = append(got, *st.LogStreamName)
		}
	}
	if diff := cmp.Diff(streams, got); diff != "" {
		t.Error(diff)
	}

	got = nil
	for p := cloudwatchlogs.NewFilterLogEventsPaginator(client, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: group, Limit: aws.Int32(7)}); p.HasMorePages(); {
		out, err := p.NextPage(ctx)
		s.check(err)
		for _, e := range out.Events {
			got = append(got, *e.Message)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	_, err := client.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: aws.String("none")})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) || missing.ErrorMessage() != "The specified log stream does not exist." {
		t.Error(err)
	}
	_, err = client.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})
	var exists *types.ResourceAlreadyExistsException
	if !errors.As(err, &exists) || exists.ErrorMessage() != "The specified log group already exists" {
		t.Error(err)
	}
	_, err = client.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String("group1")})
	s.check(err)
}

// The paginator of GetLogEvents ends when a token is repeated, if it is told to.
func TestSDKGetLogEvents(t *testing.T) {
	s := newService(t)
	client := newClient(t, s)
	var want, got []string
	for i := range 25 {
		s.write("s", fmt.Sprintf("%d\n", i))
		s.add(300)
		want = append(want, fmt.Sprint(i))
	}
	p := cloudwatchlogs.NewGetLogEventsPaginator(client, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String("/aws/batch/job"), LogStreamName: aws.String("s"), Limit: aws.Int32(10), StartFromHead: aws.Bool(true),
	}, func(o *cloudwatchlogs.GetLogEventsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for p.HasMorePages() {
		out, err := p.NextPage(t.Context())
		s.check(err)
		for _, e := range out.Events {
			got = append(got, *e.Message)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
