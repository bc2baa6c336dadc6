package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"flow/executor/batch/cloud"
)

// lookAWS asks Amazon ECR by the calls that a pull makes as well, so that whoever may pull
// may look.
func (p *place) lookAWS(ctx context.Context, c *cloud.Cloud) (*Image, error) {
	x, err := c.ECR(p.ecr.region)
	if err != nil {
		return nil, err
	}
	var id ecrtypes.ImageIdentifier
	switch ref := p.ref.(type) {
	case name.Digest:
		id.ImageDigest = aws.String(ref.DigestStr())
	default:
		id.ImageTag = aws.String(ref.Identifier())
	}
	out, err := x.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RegistryId: &p.ecr.account, RepositoryName: aws.String(p.repository()), ImageIds: []ecrtypes.ImageIdentifier{id},
		// Without them it answers with a manifest that it makes for old clients.
		AcceptedMediaTypes: []string{string(types.OCIImageIndex), string(types.DockerManifestList), string(types.OCIManifestSchema1), string(types.DockerManifestSchema2)},
	})
	if err != nil {
		return nil, err
	}
	if len(out.Images) == 0 {
		for _, f := range out.Failures {
			if f.FailureCode != ecrtypes.ImageFailureCodeImageNotFound {
				return nil, fmt.Errorf("%s: %s", f.FailureCode, aws.ToString(f.FailureReason))
			}
		}
		return nil, p.noImage()
	}
	got := out.Images[0]
	found := &Image{Name: p.String()}
	if got.ImageId != nil {
		found.Digest = aws.ToString(got.ImageId.ImageDigest)
	}
	config, err := found.manifest(types.MediaType(aws.ToString(got.ImageManifestMediaType)), []byte(aws.ToString(got.ImageManifest)))
	if err != nil || config == nil {
		return found, err
	}
	// Its platform is in a file in S3, which may not be reached from here: then it is
	// not known.
	if file, err := p.fetchConfig(ctx, c, x, config); err == nil {
		found.config(file)
	}
	return found, nil
}

// configLimit is more than a configuration has, in bytes.
const configLimit = 8 << 20

// fetchConfig gets the configuration of an image from ECR.
func (p *place) fetchConfig(ctx context.Context, c *cloud.Cloud, x *ecr.Client, config *v1.Descriptor) (*v1.ConfigFile, error) {
	out, err := x.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{
		RegistryId: &p.ecr.account, RepositoryName: aws.String(p.repository()), LayerDigest: aws.String(config.Digest.String()),
	}, func(o *ecr.Options) { o.RetryMaxAttempts = 1 })
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, aws.ToString(out.DownloadUrl), nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.Config().HTTPClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, configLimit))
	if err != nil {
		return nil, err
	}
	if sum, _, err := v1.SHA256(bytes.NewReader(body)); err != nil || sum != config.Digest || answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it is not what it should be")
	}
	return v1.ParseConfigFile(bytes.NewReader(body))
}
