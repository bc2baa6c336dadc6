package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/iac"
	"flow/engine"
	awscloud "flow/executor/batch/cloud"
	"flow/executor/batch/infra"
)

// exportFormats are those of flow infra export.
var exportFormats = []string{"terraform", "cloudformation"}

// exportFlags are the flags of flow infra export.
type exportFlags struct {
	infraFlags
	out      string
	provider int
	imports  bool
}

func newInfraExport(a *app) *cobra.Command {
	f := &exportFlags{}
	cmd := &cobra.Command{
		Use:   "export [PATH]",
		Short: "Write the infrastructure as code: -o terraform or -o cloudformation",
		Long: `Write what the workflow at PATH says of AWS Batch itself as code for those who manage their
infrastructure elsewhere: the same things as flow infra apply makes, field by field.

  flow infra export -o terraform pipeline.hcl -out batch.tf
  flow infra export -o terraform -import pipeline.hcl     take over what apply has made
  flow infra export -o cloudformation pipeline.hcl -out batch.json

AWS is asked nothing, but with -import what is there. What cannot be written is said, and
stands in a comment.`,
		Args:        args(0, 1),
		Annotations: map[string]string{formats: strings.Join(exportFormats, ",")},
		RunE: func(cmd *cobra.Command, argv []string) error {
			if err := f.check(cmd.CommandPath(), a.output); err != nil {
				return err
			}
			return a.infraExport(cmd.Context(), pathOf(argv), f)
		},
	}
	flags := cmd.Flags()
	f.register(flags)
	flags.StringVar(&f.out, "out", "", "write to `FILE` (default: stdout)")
	flags.IntVar(&f.provider, "provider", int(iac.Provider6), "major `VERSION` of the Terraform provider hashicorp/aws: 5 or 6")
	flags.BoolVar(&f.imports, "import", false, "with import blocks, so that Terraform takes over what is there")
	return cmd
}

func (f *exportFlags) check(cmd, format string) error {
	switch {
	case f.provider != int(iac.Provider5) && f.provider != int(iac.Provider6):
		return errUsage(cmd, "-provider takes 5 or 6, and not %d", f.provider)
	case f.imports && format != "terraform":
		return errUsage(cmd, "-import is for -o terraform: CloudFormation imports by a change set of type IMPORT, to which the names in the template are given")
	}
	return f.batch.check(cmd)
}

// infraExport writes the infrastructure of the workflow at path as code.
func (a *app) infraExport(ctx context.Context, path string, f *exportFlags) error {
	x, err := a.readInfra(ctx, path, &f.infraFlags)
	if err != nil {
		return err
	}
	defer x.cloud.Close()
	s := &iac.Stack{Workflow: x.workflow.Name, Region: x.cloud.Region(), Resources: x.wanted}
	if len(s.Resources) == 0 {
		return fmt.Errorf("workflow %s wants nothing made of AWS Batch itself: there is nothing to export", s.Workflow)
	}
	if f.imports {
		if s.ARNs, err = x.arns(ctx, a); err != nil {
			return err
		}
	}
	var text []byte
	var notes []iac.Note
	if a.output == "cloudformation" {
		text, err = iac.CloudFormation(s)
	} else {
		text, notes, err = iac.Terraform(s, iac.TerraformOptions{Provider: iac.Provider(f.provider), Import: f.imports})
	}
	if err != nil {
		return err
	}
	if err := a.writeOut(f.out, text); err != nil {
		return err
	}
	for _, n := range notes {
		a.say("not written: %s", n)
	}
	return nil
}

// writeOut writes to a file, or to stdout if it has no name.
func (a *app) writeOut(file string, text []byte) error {
	if file == "" {
		_, err := a.stdout.Write(text)
		return err
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return fmt.Errorf("-out %s: %w", file, unpath(err))
	}
	a.say("written to %s", file)
	return nil
}

// An infrastructure is what a workflow says of AWS Batch itself, and where it is.
type infrastructure struct {
	session  *session
	workflow *engine.Workflow // nothing of it is bound but its name
	said     *engine.Infra    // nil: nothing
	wanted   []infra.Resource // to be made
	cloud    *awscloud.Cloud
}

// readInfra reads a workflow, its site, and what it says of AWS Batch itself. Mistakes are
// printed. It makes no call.
func (a *app) readInfra(ctx context.Context, path string, f *infraFlags) (*infrastructure, error) {
	program, err := a.load(path)
	if err != nil {
		return nil, err
	}
	statePath, err := a.statePath()
	if err != nil {
		return nil, err
	}
	site, err := a.chooseSite(&f.runFlags, program.Workflow.Dir, nil)
	if err != nil {
		return nil, err
	}
	said, err := a.infraOf(program, f)
	if err != nil {
		return nil, err
	}
	s := &session{a: a, program: program, id: a.newRunID(), created: a.now(), home: filepath.Dir(statePath), site: f.batch.overSite(site)}
	x := &infrastructure{session: s, workflow: program.Workflow, said: said}
	x.cloud, err = awscloud.Open(ctx, awscloud.Options{Region: s.site.Region, Profile: s.site.Profile, Endpoint: s.site.Endpoint})
	if err != nil {
		return nil, err
	}
	x.wanted, err = infra.Desired(x.workflow.Name, x.cloud.Region(), said)
	return x, err
}

// arns asks AWS for the ARNs of what flow manages. Why roles are not among it is said.
func (x *infrastructure) arns(ctx context.Context, a *app) (map[iac.Key]string, error) {
	m := infra.New(infra.On(x.cloud, x.workflow.Name, func(string) {}))
	found, why, err := m.ARNs(ctx)
	if err != nil {
		return nil, err
	}
	var absent *awscloud.AbsentError
	if why != nil && !errors.As(why, &absent) {
		a.say("roles are not looked at: %s", why)
	}
	out := map[iac.Key]string{}
	for kind, by := range found {
		for name, arn := range by {
			out[iac.Key{Kind: kind, Name: name}] = arn
		}
	}
	return out, nil
}
