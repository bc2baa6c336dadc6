package batch

import (
	"bytes"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/service/batch"

	"flow/engine"
)

// Limits of requests, in bytes (Batch User Guide, service_limits), and of what Batch hands
// over to ECS, in characters (ECS API reference, RunTask).
const (
	MaxSubmit     = 30 << 10
	MaxDefinition = 24 << 10
	MaxOverrides  = 8192
)

// Sizes are how large the requests for a job are.
type Sizes struct {
	Submit     int // of SubmitJob, in bytes; see MaxSubmit
	Overrides  int // of what Batch hands over to ECS, its own variables included; see MaxOverrides
	Definition int // of RegisterJobDefinition, in bytes; see MaxDefinition; 0: there is none
}

// sizesOf returns how large the requests are that [Request] made. The ids of jobs and ARNs
// that are not known yet do not count.
func sizesOf(in *batch.SubmitJobInput, def *Definition) Sizes {
	s := Sizes{Submit: len(compact(in)), Overrides: overridesLength(in)}
	if def != nil {
		s.Definition = len(compact(def.Input))
	}
	return s
}

// overridesLength returns how many characters ECS counts for a job: its definitions have
// no commands and no environment, so what is submitted is what is merged.
func overridesLength(in *batch.SubmitJobInput) int {
	n := 0
	if o := in.ContainerOverrides; o != nil {
		n += len(compact(o)) + len(`{"containerOverrides":[{"name":"default"}]}`) + reserve
	}
	if o := in.EcsPropertiesOverride; o != nil {
		for i := range o.TaskProperties {
			n += len(compact(o.TaskProperties[i])) + 2*reserve // each container is told Batch's variables
		}
	}
	return n
}

// compact returns the JSON of a value of the SDK without what it does not have, as the SDK
// sends it but for the case of names; objects have their members in order.
func compact(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("batch: a request is no JSON: " + err.Error()) // no type of it can fail
	}
	dec := json.NewDecoder(&buf)
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		panic("batch: JSON that is none: " + err.Error())
	}
	buf.Reset()
	if err := enc.Encode(prune(tree)); err != nil {
		panic("batch: a request is no JSON: " + err.Error())
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// prune removes members that are null, "" as of enumerations that are not given, or empty
// lists and objects.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if member = prune(member); isEmpty(member) {
				delete(v, name)
			} else {
				v[name] = member
			}
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	}
	return v
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// A Payload is what a job is to AWS Batch: how it runs, and how large its requests are.
type Payload struct {
	Sizes
	Agent      bool   // flow's agent runs around its command
	Definition string // the hash of the content of its job definition; "": one of the user's own
}

// PayloadOf returns the payload of a job, as far as it can be told of one that Check finds
// something wrong with. It makes no call.
func PayloadOf(spec *engine.JobSpec, o CheckOptions) Payload {
	var p Payload
	p.Agent, _ = usesAgent(spec)
	c := newChecker(spec, o)
	in, def, err := Request(c.mended(), measured(o))
	if err != nil {
		return p
	}
	p.Sizes = sizesOf(in, def)
	if def != nil {
		p.Definition = def.Content
	}
	return p
}
