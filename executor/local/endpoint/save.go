package endpoint

import (
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// What the endpoint keeps beside the model is saved with it when a journal is made
// short: the catalog, and of each job its submission.

// savedCatalog is a catalog as JSON.
type savedCatalog struct {
	Definitions map[string][]*definition `json:"definitions,omitempty"`
	Hosts       map[string][]hosts       `json:"hosts,omitempty"`
}

// MarshalJSON writes the catalog.
func (c *catalog) MarshalJSON() ([]byte, error) {
	return json.Marshal(savedCatalog{c.definitions, c.hosts})
}

// UnmarshalJSON reads what MarshalJSON has written.
func (c *catalog) UnmarshalJSON(b []byte) error {
	var s savedCatalog
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*c = *newCatalog()
	if s.Definitions != nil {
		c.definitions = s.Definitions
	}
	c.hosts = s.Hosts
	return nil
}

// savedSubmission is a submission as JSON. Container and ECS are left out where they are
// those of the definition.
type savedSubmission struct {
	Definition string                              // name:revision
	Container  *types.ContainerProperties          `json:",omitempty"`
	ECS        *types.EcsProperties                `json:",omitempty"`
	DependsOn  []types.JobDependency               `json:",omitempty"`
	Parameters map[string]string                   `json:",omitempty"`
	Retry      *types.RetryStrategy                `json:",omitempty"`
	Timeout    *types.JobTimeout                   `json:",omitempty"`
	Tags       map[string]string                   `json:",omitempty"`
	Propagate  *bool                               `json:",omitempty"`
	Priority   *int32                              `json:",omitempty"`
	Needs      *types.ConsumableResourceProperties `json:",omitempty"`
}

// MarshalJSON writes the submission.
func (s *submission) MarshalJSON() ([]byte, error) {
	d := s.definition
	out := savedSubmission{
		Definition: fmt.Sprint(*d.JobDefinitionName, ":", *d.Revision), DependsOn: s.dependsOn, Parameters: s.parameters,
		Retry: s.retry, Timeout: s.timeout, Tags: s.tags, Propagate: s.propagate, Priority: s.priority, Needs: s.needs,
	}
	if s.work != d.plain {
		out.Container, out.ECS = s.work.container, s.work.ecs
	}
	return json.Marshal(out)
}

// submission reads what MarshalJSON has written, with the definitions of the catalog.
func (c *catalog) submission(b []byte) (*submission, error) {
	var in savedSubmission
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, err
	}
	d := c.lookup(in.Definition)
	if d == nil {
		return nil, fmt.Errorf("there is no job definition %s", in.Definition)
	}
	s := &submission{
		definition: d, dependsOn: in.DependsOn, parameters: in.Parameters, retry: in.Retry, timeout: in.Timeout,
		tags: in.Tags, propagate: in.Propagate, priority: in.Priority, needs: in.Needs,
	}
	if in.Container == nil && in.ECS == nil {
		var err error
		s.work, err = d.plainWork()
		return s, err
	}
	s.work = &work{container: in.Container, ecs: in.ECS}
	d.finish(s.work)
	return s, nil
}
