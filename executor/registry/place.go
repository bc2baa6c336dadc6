package registry

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// A place is where an image is, or is to be: what its name says.
type place struct {
	ref name.Reference
	ecr *ecrHost // nil: it is not in Amazon ECR
}

// An ecrHost is a private registry of Amazon ECR, by its name.
type ecrHost struct{ account, region string }

// ecrName is the name of a private registry of Amazon ECR: of every partition, of FIPS, and
// of dual-stack endpoints (General Reference, Amazon ECR endpoints and quotas).
var ecrName = regexp.MustCompile(`^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn))$`)

// find reads the name of an image as Docker does: without a registry it is on Docker Hub,
// without a tag it has the tag latest.
func find(image string, options ...name.Option) (*place, error) {
	ref, err := name.ParseReference(image, options...)
	if err != nil {
		return nil, fmt.Errorf("%q is not the name of an image: %s", image, whyName(image, err))
	}
	p := &place{ref: ref}
	if m := ecrName.FindStringSubmatch(ref.Context().RegistryStr()); m != nil {
		p.ecr = &ecrHost{account: m[1], region: m[2]}
	}
	return p, nil
}

// whyName says what is wrong with the name of an image.
func whyName(image string, err error) string {
	switch {
	case strings.Contains(image, "://"):
		return "leave out what is before its host"
	case image != strings.TrimSpace(image) || strings.ContainsAny(image, " \t\n"):
		return "there is white space in it"
	case strings.ToLower(image) != image && !strings.Contains(image, "@"):
		return "a repository has small letters, digits and . _ - / only, and a tag no / (" + err.Error() + ")"
	}
	return err.Error()
}

// Region returns the region of an image that is in a private registry of Amazon ECR, and the
// account that the registry is of. ok is false if it is elsewhere, or is no name of an image.
func Region(image string) (region, account string, ok bool) {
	p, err := find(image)
	if err != nil || p.ecr == nil {
		return "", "", false
	}
	return p.ecr.region, p.ecr.account, true
}

// repository is the repository's name within its registry.
func (p *place) repository() string { return p.ref.Context().RepositoryStr() }

// String is the name as it was given, in full.
func (p *place) String() string { return p.ref.Name() }

// where names the registry for people.
func (p *place) where() string {
	if p.ecr != nil {
		return "Amazon ECR of account " + p.ecr.account + " in " + p.ecr.region
	}
	host := p.ref.Context().RegistryStr()
	if host == name.DefaultRegistry {
		return "Docker Hub"
	}
	return host
}
