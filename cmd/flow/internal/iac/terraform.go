package iac

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"flow/executor/batch/infra"
)

// TerraformOptions say how HCL is written.
type TerraformOptions struct {
	Provider Provider
	// Import adds an import block for each thing, so that Terraform takes over what is
	// there and makes none of it again. What no ARN is known of gets none.
	Import bool
}

// Terraform returns a stack as a file of Terraform, and what of it could not be written.
func Terraform(s *Stack, o TerraformOptions) ([]byte, []Note, error) {
	w := &terraform{stack: s, o: o, file: hclwrite.NewEmptyFile(), labels: map[Key]string{}, sources: map[Key]string{}, taken: map[string]identifiers{}}
	for i := range s.Resources { // what comes first may refer to what comes last
		r := &s.Resources[i]
		w.labels[Key{r.Kind, r.Name}] = w.label(w.kind(r.Kind), r.Name)
	}
	w.settings()
	for i := range s.Resources {
		if err := w.resource(&s.Resources[i]); err != nil {
			return nil, nil, err
		}
	}
	w.data()
	return hclwrite.Format(w.file.Bytes()), w.notes, nil
}

type terraform struct {
	stack  *Stack
	o      TerraformOptions
	file   *hclwrite.File
	notes  []Note
	labels map[Key]string         // of the stack's resources
	taken  map[string]identifiers // labels by type

	sources map[Key]string // labels of data sources, by what they look up
	order   []Key          // of sources
	account bool           // an ARN is put together of the account and the partition
}

// The types of resources that roles are made of.
const (
	tfRole       = "aws_iam_role"
	tfAttachment = "aws_iam_role_policy_attachment"
	tfProfile    = "aws_iam_instance_profile"
)

func (w *terraform) kind(k infra.Kind) string {
	switch k {
	case infra.KindRole:
		return tfRole
	case kindProfile:
		return tfProfile
	}
	name, _ := w.o.Provider.resource(k)
	return name
}

// label returns a label for a resource of a type: an identifier that is not taken.
func (w *terraform) label(kind, name string) string {
	label := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			return c
		}
		return '_'
	}, name)
	if label == "" || label[0] < 'A' { // a digit, a hyphen
		label = "_" + label
	}
	if w.taken[kind] == nil {
		w.taken[kind] = identifiers{}
	}
	return w.taken[kind].of(label)
}

// settings writes what the file needs of Terraform.
func (w *terraform) settings() {
	body := w.file.Body()
	comment(body, "What the workflow "+w.stack.Workflow+" says of AWS Batch in "+w.stack.Region+", written by flow infra export.")
	t := body.AppendNewBlock("terraform", nil).Body()
	if w.o.Import {
		t.SetAttributeValue("required_version", cty.StringVal(">= 1.5"))
	}
	p := t.AppendNewBlock("required_providers", nil).Body()
	p.SetAttributeValue("aws", cty.ObjectVal(map[string]cty.Value{
		"source": cty.StringVal("hashicorp/aws"), "version": cty.StringVal(w.o.Provider.constraint()),
	}))
	for i := range w.stack.Resources {
		if w.stack.Resources[i].Kind == infra.KindConsumable {
			p.SetAttributeValue("awscc", cty.ObjectVal(map[string]cty.Value{"source": cty.StringVal("hashicorp/awscc"), "version": cty.StringVal(">= 1.94")}))
			break
		}
	}
}

// resource writes a resource, and how it is imported.
func (w *terraform) resource(r *infra.Resource) error {
	if role, ok := r.Input.(*infra.Role); ok {
		return w.role(role)
	}
	given, err := read(r)
	if err != nil {
		return err
	}
	kind, args := w.o.Provider.resource(r.Kind)
	if kind == "" {
		return fmt.Errorf("%s %s: there is nothing like it in Terraform", r.Kind, r.Name)
	}
	label := w.labels[Key{r.Kind, r.Name}]
	body := w.block("resource", kind, label)
	w.members(r, body, "", given, args)
	if r.Kind == infra.KindQueue && given.get("State") == nil { // the provider wants it
		body.SetAttributeValue("state", cty.StringVal("ENABLED"))
	}
	if r.Kind == infra.KindEnvironment {
		w.keep(body, given)
		w.dependsOn(body, w.stack.rolesOf(given))
	}
	id := w.stack.ARNs[Key{r.Kind, r.Name}]
	if r.Kind == infra.KindEnvironment && id != "" {
		id = r.Name
	}
	w.imports(r, kind, label, id)
	return nil
}

// block appends a block at the top of the file.
func (w *terraform) block(kind string, labels ...string) *hclwrite.Body {
	w.file.Body().AppendNewline()
	return w.file.Body().AppendNewBlock(kind, labels).Body()
}

// keep has Terraform leave the instance role of an environment alone that it takes over:
// AWS has it by its name, the provider takes the ARN only, and would make the environment
// anew for that.
func (w *terraform) keep(body *hclwrite.Body, given object) {
	resources, _ := given.get("ComputeResources").(object)
	if name, ok := resources.get("InstanceRole").(string); !ok || !w.o.Import || strings.HasPrefix(name, "arn:") {
		return
	}
	body.AppendNewline()
	body.AppendNewBlock("lifecycle", nil).Body().SetAttributeRaw("ignore_changes", hclwrite.TokensForTuple([]hclwrite.Tokens{
		hclwrite.TokensForTraversal(hcl.Traversal{
			hcl.TraverseRoot{Name: "compute_resources"}, hcl.TraverseIndex{Key: cty.NumberIntVal(0)}, hcl.TraverseAttr{Name: "instance_role"},
		}),
	}))
}

// dependsOn keeps the policies of roles until the environment is gone, which is deleted by
// their means (Terraform Registry, aws_batch_compute_environment).
func (w *terraform) dependsOn(body *hclwrite.Body, roles []string) {
	var list []hclwrite.Tokens
	for _, name := range roles {
		if role, ok := w.stack.find(infra.KindRole, name).Input.(*infra.Role); ok {
			for i := range role.Policies {
				list = append(list, traversal(tfAttachment, w.attachment(role, i)))
			}
		}
	}
	if len(list) > 0 {
		body.AppendNewline()
		body.SetAttributeRaw("depends_on", hclwrite.TokensForTuple(list))
	}
}

// imports writes how Terraform takes over what is there.
func (w *terraform) imports(r *infra.Resource, kind, label, id string) {
	if !w.o.Import {
		return
	}
	if id == "" {
		w.notes = append(w.notes, Note{Kind: r.Kind, Name: r.Name, Why: "it is not there yet, so that there is nothing to import: Terraform will make it"})
		return
	}
	b := w.block("import")
	b.SetAttributeRaw("to", traversal(kind, label))
	b.SetAttributeValue("id", cty.StringVal(id))
}

// members writes what is given: attributes first, then blocks.
func (w *terraform) members(r *infra.Resource, body *hclwrite.Body, path string, given object, args arguments) {
	for _, m := range given {
		arg, known := args[m.name]
		if why := w.missing(arg, known); why != "" {
			n := Note{Kind: r.Kind, Name: r.Name, Member: path + m.name, Why: why}
			w.notes = append(w.notes, n)
			comment(body, "Not written, since "+n.Why+": "+n.Member+" = "+inline(m.value))
			continue
		}
		if arg.block == nil {
			body.SetAttributeRaw(arg.name, w.attribute(m, arg))
		}
	}
	for _, m := range given {
		arg, known := args[m.name]
		if arg.block == nil || w.missing(arg, known) != "" {
			continue
		}
		list, many := m.value.([]any)
		if !many {
			list = []any{m.value}
		}
		for _, e := range list {
			o, _ := e.(object)
			body.AppendNewline()
			w.members(r, body.AppendNewBlock(arg.name, nil).Body(), path+m.name+".", o, arg.block)
		}
	}
}

// missing says why a member cannot be written; "": it can.
func (w *terraform) missing(arg argument, known bool) string {
	switch {
	case !known:
		return notKnown
	case arg.since > int(w.o.Provider):
		return fmt.Sprintf("it needs version %d of the Terraform provider hashicorp/aws", arg.since)
	}
	return arg.why
}

func (w *terraform) attribute(m member, arg argument) hclwrite.Tokens {
	if arg.json {
		return hclwrite.TokensForFunctionCall("jsonencode", w.value(m.name, m.value, lower))
	}
	return w.value(m.name, m.value, lower)
}

// value writes the value of a member. The members of structures in it are named as names
// says.
func (w *terraform) value(name string, v any, names func(string) string) hclwrite.Tokens {
	switch v := v.(type) {
	case object:
		var list []hclwrite.ObjectAttrTokens
		for _, m := range v {
			list = append(list, hclwrite.ObjectAttrTokens{Name: hclwrite.TokensForIdentifier(names(m.name)), Value: w.value(m.name, m.value, names)})
		}
		return hclwrite.TokensForObject(list)
	case words:
		return texts(v)
	case []any:
		var list []hclwrite.Tokens
		for _, e := range v {
			list = append(list, w.value("", e, names))
		}
		return hclwrite.TokensForTuple(list)
	case string:
		if kind, ok := references[name]; ok {
			return w.reference(kind, v)
		}
	}
	return hclwrite.TokensForValue(ctyOf(v))
}

// reference writes what a text names: a resource of the file, something that is looked up,
// or an ARN as it is.
func (w *terraform) reference(kind infra.Kind, text string) hclwrite.Tokens {
	r := w.stack.find(kind, text)
	switch {
	case r != nil:
		attribute := "arn"
		if kind == infra.KindConsumable {
			attribute = "consumable_resource_arn"
		}
		return traversal(w.kind(kind), w.labels[Key{r.Kind, r.Name}], attribute)
	case strings.HasPrefix(text, "arn:"), kind == infra.KindConsumable:
		return hclwrite.TokensForValue(cty.StringVal(text))
	case kind == infra.KindPolicy: // which no data source finds by its name
		w.account = true
		return template("arn:", traversal("data", "aws_partition", "current", "partition"), ":batch:"+w.stack.Region+":",
			traversal("data", "aws_caller_identity", "current", "account_id"), ":scheduling-policy/"+text)
	}
	key := Key{kind, text}
	if w.sources[key] == "" {
		w.sources[key] = w.label("data."+w.kind(kind), text)
		w.order = append(w.order, key)
	}
	return traversal("data", w.kind(kind), w.sources[key], "arn")
}

// data writes the data sources of what is referred to and not the stack's own.
func (w *terraform) data() {
	for _, key := range w.order {
		b := w.block("data", w.kind(key.Kind), w.sources[key])
		name := "name"
		if key.Kind == infra.KindEnvironment {
			name = cmp.Or(environmentName[w.o.Provider], name)
		}
		b.SetAttributeValue(name, cty.StringVal(key.Name))
	}
	if w.account {
		w.block("data", "aws_caller_identity", "current")
		w.block("data", "aws_partition", "current")
	}
}

// role writes a role, the policies attached to it, and its instance profile.
func (w *terraform) role(r *infra.Role) error {
	of := &infra.Resource{Kind: infra.KindRole, Name: r.Name}
	given, err := read(&infra.Resource{Kind: infra.KindRole, Name: r.Name, Input: trustOf(r)})
	if err != nil {
		return err
	}
	label := w.labels[Key{infra.KindRole, r.Name}]
	there := w.stack.ARNs[Key{infra.KindRole, r.Name}] != ""
	id := func(s string) string {
		if there {
			return s
		}
		return ""
	}
	body := w.block("resource", tfRole, label)
	body.SetAttributeValue("name", cty.StringVal(r.Name))
	if r.Description != "" {
		body.SetAttributeValue("description", cty.StringVal(r.Description))
	}
	body.SetAttributeRaw("assume_role_policy", hclwrite.TokensForFunctionCall("jsonencode", w.value("", given, asIs)))
	body.SetAttributeRaw("tags", texts(r.Tags))
	w.imports(of, tfRole, label, id(r.Name))
	for i, arn := range r.Policies {
		label := w.attachment(r, i)
		body := w.block("resource", tfAttachment, label)
		body.SetAttributeRaw("role", traversal(tfRole, w.labels[Key{infra.KindRole, r.Name}], "name"))
		body.SetAttributeValue("policy_arn", cty.StringVal(arn))
		if there {
			w.imports(of, tfAttachment, label, r.Name+"/"+arn)
		}
	}
	if !r.Profile {
		return nil
	}
	body = w.block("resource", tfProfile, label)
	body.SetAttributeValue("name", cty.StringVal(r.Name))
	body.SetAttributeRaw("role", traversal(tfRole, label, "name"))
	body.SetAttributeRaw("tags", texts(r.Tags))
	if there {
		w.imports(of, tfProfile, label, r.Name)
	}
	return nil
}

// attachment returns the label of the attachment of a role's policy.
func (w *terraform) attachment(r *infra.Role, i int) string {
	key := Key{tfAttachment, r.Name + " " + r.Policies[i]}
	if w.labels[key] == "" {
		w.labels[key] = w.label(tfAttachment, r.Name)
	}
	return w.labels[key]
}

func asIs(name string) string { return name }
