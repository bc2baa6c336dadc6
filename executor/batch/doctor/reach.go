package doctor

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor/registry"
)

// publicRegistries are on the internet and nowhere else. An image without a registry is of
// the first.
var publicRegistries = []string{"docker.io", "index.docker.io", "registry-1.docker.io", "public.ecr.aws", "quay.io", "ghcr.io", "gcr.io", "registry.k8s.io", "mcr.microsoft.com", "nvcr.io"}

// registryOf returns the host in the name of an image, as Docker reads it.
func registryOf(image string) string {
	host, _, found := strings.Cut(image, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return publicRegistries[0]
	}
	return host
}

// outOfReach says if an image is pulled in a subnet that reaches nothing but the VPC
// endpoints of this region, among them those of its ECR (ECR User Guide, vpc-endpoints).
// nil: it is not, as far as is known.
func (p *patient) outOfReach(w *world, i *image) *Line {
	region, _, ofECR := registry.Region(i.name)
	if ofECR && region == p.o.Cloud.Region() {
		return nil
	}
	n, err := p.net()
	if err != nil {
		return nil // that is said of the network
	}
	for k := range w.environments {
		e := &w.environments[k]
		if e.ComputeResources == nil || !slices.ContainsFunc(i.steps, func(s *Step) bool { return slices.Contains(p.usedBy(w, e), s) }) {
			continue
		}
		if id := p.onlyEndpoints(w, n, e); id != "" {
			fix := "copy it into ECR of " + p.o.Cloud.Region() + " (flow image push, or a pull-through cache), or give the subnet a route 0.0.0.0/0 to a NAT gateway"
			name, host := aws.ToString(e.ComputeEnvironmentName), registryOf(i.name)
			l := fault(i.name, fix, "it cannot be pulled in environment %s: its subnet %s reaches only VPC endpoints, and %s is on the internet", name, id, host)
			if !slices.Contains(publicRegistries, host) {
				l = warning(i.name, fix, "it can be pulled in environment %s only if %s is in its network: its subnet %s reaches only VPC endpoints", name, host, id)
			}
			return &l
		}
	}
	return nil
}

// onlyEndpoints returns a subnet of an environment that reaches VPC endpoints and nothing
// else; "": there is none.
func (p *patient) onlyEndpoints(w *world, n *network, e *types.ComputeEnvironmentDetail) string {
	for _, id := range e.ComputeResources.Subnets {
		s, there := n.subnets[id]
		if !there {
			continue
		}
		if way, wrong := p.route(w, n, e, &s); wrong == nil && way == byEndpoints && otherWay(n.table(&s)) == "" {
			return id
		}
	}
	return ""
}
