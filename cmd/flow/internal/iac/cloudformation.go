package iac

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"flow/executor/batch/infra"
)

// CloudFormation returns a stack as a template of CloudFormation in JSON. Properties are
// named as the members of the API (Template Reference, AWS_Batch).
func CloudFormation(s *Stack) ([]byte, error) {
	w := &formation{stack: s, ids: map[Key]string{}}
	taken := identifiers{}
	for i := range s.Resources {
		r := &s.Resources[i]
		w.ids[Key{r.Kind, r.Name}] = taken.of(logical(r.Name) + formations[r.Kind].suffix)
		if role, ok := r.Input.(*infra.Role); ok && role.Profile {
			w.ids[Key{kindProfile, r.Name}] = taken.of(logical(r.Name) + "InstanceProfile")
		}
	}
	var resources ordered
	for i := range s.Resources {
		list, err := w.resource(&s.Resources[i])
		if err != nil {
			return nil, err
		}
		resources = append(resources, list...)
	}
	var text bytes.Buffer
	err := encode(&text, ordered{
		{"AWSTemplateFormatVersion", "2010-09-09"},
		{"Description", "What the workflow " + s.Workflow + " says of AWS Batch, written by flow infra export."},
		{"Resources", resources},
	})
	if err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(text.Bytes()), "", "  "); err != nil {
		return nil, err
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

type formation struct {
	stack *Stack
	ids   map[Key]string
}

// A formed kind is what CloudFormation has for a kind.
type formed struct {
	kind   string
	suffix string // of logical ids
	arn    string // the attribute that is the ARN
}

var formations = map[infra.Kind]formed{
	infra.KindEnvironment: {"AWS::Batch::ComputeEnvironment", "ComputeEnvironment", "ComputeEnvironmentArn"},
	infra.KindQueue:       {"AWS::Batch::JobQueue", "JobQueue", "JobQueueArn"},
	infra.KindDefinition:  {"AWS::Batch::JobDefinition", "JobDefinition", "JobDefinitionArn"},
	infra.KindPolicy:      {"AWS::Batch::SchedulingPolicy", "SchedulingPolicy", "Arn"},
	infra.KindConsumable:  {"AWS::Batch::ConsumableResource", "ConsumableResource", "ConsumableResourceArn"},
	infra.KindRole:        {"AWS::IAM::Role", "Role", "Arn"},
	kindProfile:           {"AWS::IAM::InstanceProfile", "InstanceProfile", "Arn"},
}

// logical returns a name as a part of a logical id, which has letters and digits only.
func logical(name string) string {
	var b strings.Builder
	up := true
	for _, c := range name {
		if c > unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			up = true
			continue
		}
		if up {
			c = unicode.ToUpper(c)
		}
		up = false
		b.WriteRune(c)
	}
	return b.String()
}

func (w *formation) resource(r *infra.Resource) (ordered, error) {
	if role, ok := r.Input.(*infra.Role); ok {
		return w.role(role)
	}
	given, err := read(r)
	if err != nil {
		return nil, err
	}
	if formations[r.Kind].kind == "" {
		return nil, fmt.Errorf("%s %s: there is nothing like it in CloudFormation", r.Kind, r.Name)
	}
	properties := w.structure(given)
	if r.Kind == infra.KindEnvironment {
		// Else a change would make a new one beside the old one, of the same name, which
		// cannot be (Template Reference, ReplaceComputeEnvironment).
		properties = append(properties, pair{"ReplaceComputeEnvironment", false})
	}
	return ordered{{w.ids[Key{r.Kind, r.Name}], ordered{{"Type", formations[r.Kind].kind}, {"Properties", properties}}}}, nil
}

// role writes a role and its instance profile.
func (w *formation) role(r *infra.Role) (ordered, error) {
	trust, err := read(&infra.Resource{Kind: infra.KindRole, Name: r.Name, Input: trustOf(r)})
	if err != nil {
		return nil, err
	}
	properties := ordered{{"RoleName", r.Name}}
	if r.Description != "" {
		properties = append(properties, pair{"Description", r.Description})
	}
	properties = append(properties, pair{"AssumeRolePolicyDocument", plain(trust)})
	if len(r.Policies) > 0 {
		properties = append(properties, pair{"ManagedPolicyArns", r.Policies})
	}
	var tags []any
	for _, k := range words(r.Tags).sorted() {
		tags = append(tags, ordered{{"Key", k}, {"Value", r.Tags[k]}})
	}
	properties = append(properties, pair{"Tags", tags})
	id := w.ids[Key{infra.KindRole, r.Name}]
	out := ordered{{id, ordered{{"Type", formations[infra.KindRole].kind}, {"Properties", properties}}}}
	if r.Profile {
		out = append(out, pair{w.ids[Key{kindProfile, r.Name}], ordered{
			{"Type", formations[kindProfile].kind},
			{"Properties", ordered{{"InstanceProfileName", r.Name}, {"Roles", []any{ordered{{"Ref", id}}}}}},
		}})
	}
	return out, nil
}

func (w *formation) structure(o object) ordered {
	out := ordered{}
	for _, m := range o {
		out = append(out, pair{m.name, w.value(m.name, m.value)})
	}
	return out
}

func (w *formation) value(name string, v any) any {
	switch v := v.(type) {
	case object:
		return w.structure(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = w.value("", e)
		}
		return list
	case string:
		if kind, ok := references[name]; ok {
			return w.reference(kind, v)
		}
	}
	return plain(v)
}

// parts of ARNs between the partition and the name.
var arnParts = map[infra.Kind]string{
	infra.KindEnvironment: "batch:${AWS::Region}:${AWS::AccountId}:compute-environment/",
	infra.KindPolicy:      "batch:${AWS::Region}:${AWS::AccountId}:scheduling-policy/",
	infra.KindConsumable:  "batch:${AWS::Region}:${AWS::AccountId}:consumable-resource/",
	infra.KindRole:        "iam::${AWS::AccountId}:role/",
}

// reference writes what a text names: a resource of the template, or an ARN.
func (w *formation) reference(kind infra.Kind, text string) any {
	r := w.stack.find(kind, text)
	switch {
	case kind == kindProfile && r != nil: // by its name, as flow infra apply has it
		return ordered{{"Ref", w.ids[Key{kind, r.Name}]}}
	case kind == kindProfile:
		return text
	case r != nil:
		return ordered{{"Fn::GetAtt", []any{w.ids[Key{kind, r.Name}], formations[kind].arn}}}
	}
	if strings.HasPrefix(text, "arn:") {
		return text
	}
	return ordered{{"Fn::Sub", "arn:${AWS::Partition}:" + arnParts[kind] + text}}
}

// ordered is an object of JSON whose members have an order.
type ordered []pair

type pair struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := encode(&b, p.name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := encode(&b, p.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode writes v as JSON in which < and & stand for themselves.
func encode(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// plain returns a value as JSON has it, its members named as in the client.
func plain(v any) any {
	switch v := v.(type) {
	case object:
		out := ordered{}
		for _, m := range v {
			out = append(out, pair{m.name, plain(m.value)})
		}
		return out
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = plain(e)
		}
		return list
	case words:
		out := ordered{}
		for _, k := range v.sorted() {
			out = append(out, pair{k, v[k]})
		}
		return out
	}
	return v
}
