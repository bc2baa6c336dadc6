package endpoint

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor"
)

// routeTags returns the operation of a request to /v1/tags/, and its input: the ARN is in
// the path, percent-encoded or not, and the keys that are to go are in the query.
func routeTags(r *http.Request, arn string, body []byte) (*operation, []byte, error) {
	arn, err := url.PathUnescape(arn)
	if err != nil {
		return nil, nil, refuse("The ARN in the path of the request cannot be read: %v", err)
	}
	switch r.Method {
	case http.MethodGet:
		return tagCall("ListTagsForResource", batch.ListTagsForResourceInput{ResourceArn: &arn})
	case http.MethodDelete:
		return tagCall("UntagResource", batch.UntagResourceInput{ResourceArn: &arn, TagKeys: r.URL.Query()["tagKeys"]})
	case http.MethodPost:
		var in batch.TagResourceInput
		if err := decode(body, &in); err != nil {
			return nil, nil, err
		}
		in.ResourceArn = &arn
		return tagCall("TagResource", in)
	}
	return nil, nil, &apiError{http.StatusMethodNotAllowed, "UnknownOperationException", "flow emulate does not know the method " + r.Method + " of /v1/tags"}
}

func tagCall(name string, in any) (*operation, []byte, error) {
	body, err := json.Marshal(in)
	return operations[name], body, err
}

// tagged returns the tags of what an ARN names, and what replaces them.
func (t *tx) tagged(arn *string) (tags map[string]string, set func(map[string]string), err error) {
	if !given(arn) {
		return nil, nil, refuse("resourceArn is required")
	}
	kind, name := splitARN(*arn)
	var at *map[string]string
	switch kind {
	case kindJob:
		tags, set, ok := t.jobTags(name)
		if !ok {
			return nil, nil, refuse("Resource %s does not exist or cannot have tags", *arn)
		}
		return tags, set, nil
	case kindDefinition:
		if _, revision := splitRevision(*arn); revision > 0 {
			if d := t.catalog.lookup(*arn); d != nil && !d.gone(t.now) {
				at = &d.Tags
			}
		}
	default:
		at = t.resourceTags(kind, name)
	}
	if at == nil {
		return nil, nil, refuse("Resource %s does not exist or cannot have tags", *arn)
	}
	return *at, func(tags map[string]string) { *at = tags }, nil
}

// resourceTags returns where the tags of a resource of the model are, or nil.
func (t *tx) resourceTags(kind, name string) *map[string]string {
	switch kind {
	case kindQueue:
		q, _, _ := t.m.JobQueue(name)
		if d := queueDetailOf(q); d != nil {
			return &d.Tags
		}
	case kindEnvironment:
		e, _, _ := t.m.Environment(name)
		if d := detailOf(e); d != nil {
			return &d.Tags
		}
	case kindPolicy:
		p, _ := t.m.Policy(name)
		if d, ok := p.Detail.(*types.SchedulingPolicyDetail); ok {
			return &d.Tags
		}
	case kindConsumable:
		c, _ := t.m.Consumable(name)
		if d, ok := c.Detail.(*consumableDetail); ok {
			return &d.Tags
		}
	}
	return nil
}

// tagResource adds tags, or replaces those of the same key.
func tagResource(t *tx, in *batch.TagResourceInput) (*batch.TagResourceOutput, error) {
	old, set, err := t.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, refuse("tags are required")
	}
	tags := map[string]string{}
	maps.Copy(tags, old)
	maps.Copy(tags, in.Tags)
	if err := checkTags(tags); err != nil {
		return nil, err
	}
	set(tags)
	return &batch.TagResourceOutput{}, nil
}

// untagResource removes tags by their keys; one that is not there is no error.
func untagResource(t *tx, in *batch.UntagResourceInput) (*batch.UntagResourceOutput, error) {
	old, set, err := t.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if n := len(in.TagKeys); n < 1 || n > executor.MaxTags {
		return nil, refuse("tagKeys should have between 1 and %d keys, got %d", executor.MaxTags, n)
	}
	for _, k := range in.TagKeys {
		if n := utf8.RuneCountInString(k); n < 1 || n > executor.MaxTagKey {
			return nil, refuse("A tag key should have between 1 and %d characters, got %d", executor.MaxTagKey, n)
		}
	}
	tags := map[string]string{}
	for k, v := range old {
		if !slices.Contains(in.TagKeys, k) {
			tags[k] = v
		}
	}
	set(tags)
	return &batch.UntagResourceOutput{}, nil
}

func listTagsForResource(t *tx, in *batch.ListTagsForResourceInput) (*batch.ListTagsForResourceOutput, error) {
	tags, _, err := t.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &batch.ListTagsForResourceOutput{Tags: filledMap(tags)}, nil
}
