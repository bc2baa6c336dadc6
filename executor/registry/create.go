package registry

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"flow/executor/batch/cloud"
)

// TagMade is the tag of a repository that flow has made.
const TagMade = "flow:made"

// create makes the repository of p if it is not there, as ECR makes one of which nothing is
// said: tags can be moved, and whether images are scanned is a matter of the registry. It
// reports whether it did.
func (p *place) create(ctx context.Context, c *cloud.Cloud, note func(string)) (bool, error) {
	if p.ecr == nil {
		note("a repository in " + p.where() + " is made by a push, not by -create")
		return false, nil
	}
	if c == nil {
		return false, errors.New("nothing is known of AWS")
	}
	x, err := c.ECR(p.ecr.region)
	if err != nil {
		return false, err
	}
	// Whoever may push need not be one who may create.
	_, err = x.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RegistryId: &p.ecr.account, RepositoryNames: []string{p.repository()}})
	var missing *types.RepositoryNotFoundException
	if !errors.As(err, &missing) {
		return false, err
	}
	_, err = x.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RegistryId: &p.ecr.account, RepositoryName: aws.String(p.repository()), Tags: []types.Tag{{Key: aws.String(TagMade), Value: aws.String("image push")}},
	})
	var there *types.RepositoryAlreadyExistsException
	if errors.As(err, &there) {
		return false, nil // another one was faster
	}
	return err == nil, err
}
