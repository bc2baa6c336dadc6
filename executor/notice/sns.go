// Package notice sends messages by services of AWS.
package notice

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/smithy-go"

	"flow/executor/awsconfig"
)

// maxSubject is how long the subject of a message may be, which must be ASCII (Publish of the
// API of SNS).
const maxSubject = 99

// Publish sends a message to a topic of Amazon SNS, in the region that its ARN names, with the
// credentials of profile; "": those that the SDK finds. id is kept with the message, as its
// attribute flow_notice, so that who gets it twice can tell.
func Publish(ctx context.Context, profile, topic, id, subject, text string) error {
	place, err := arn.Parse(topic)
	if err != nil {
		return fmt.Errorf("topic %q: %w", topic, err)
	}
	cfg, err := awsconfig.Load(ctx, awsconfig.Options{Region: place.Region, Profile: profile})
	if err != nil {
		return err
	}
	client := sns.NewFromConfig(cfg, func(o *sns.Options) { o.RetryMaxAttempts = 1 }) // who calls tries again
	_, err = client.Publish(ctx, &sns.PublishInput{
		TopicArn: &topic, Subject: aws.String(ascii(subject)), Message: &text,
		MessageAttributes: attributes(id),
	})
	var said smithy.APIError
	if errors.As(err, &said) {
		return fmt.Errorf("SNS says %s: %s", said.ErrorCode(), said.ErrorMessage())
	}
	return err
}

// ascii returns what of a text may be a subject.
func ascii(s string) string {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		if r < ' ' || r > '~' {
			r = '?'
		}
		out = append(out, byte(r))
	}
	return string(out[:min(len(out), maxSubject)])
}

func attributes(id string) map[string]types.MessageAttributeValue {
	return map[string]types.MessageAttributeValue{"flow_notice": {DataType: aws.String("String"), StringValue: &id}}
}
