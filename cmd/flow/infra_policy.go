package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"flow/cmd/flow/internal/policy"
	"flow/cmd/flow/internal/view"
)

// policyFlags are the flags of flow infra policy.
type policyFlags struct {
	infraFlags
	whose   string
	explain bool
	account string
	out     string
}

func newInfraPolicy(a *app) *cobra.Command {
	f := &policyFlags{}
	cmd := &cobra.Command{
		Use:   "policy [PATH]",
		Short: "Write the least IAM policy for a workflow",
		Long: `Write, as JSON, the least policy of IAM with which the workflow at PATH can be run (-for run, the
default), its infrastructure be made (-for infra), or its files be reached by its jobs (-for job); -for all
is all of them. -for deploy is what flow schedule deploy needs beside -for run. It names the queues, job definitions, roles, log groups, buckets and images that the
workflow names, by ARN, with the account that the credentials are of.

-explain says for each action which command of flow needs it.

  flow infra policy pipeline.hcl -site aws > policy.json
  aws iam create-policy --policy-name flow-pipeline --policy-document file://policy.json`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, argv []string) error {
			if err := f.check(cmd.CommandPath()); err != nil {
				return err
			}
			return a.infraPolicy(cmd.Context(), pathOf(argv), f)
		},
	}
	flags := cmd.Flags()
	f.register(flags)
	flags.StringVar(&f.batch.Queue, "queue", "", "job `QUEUE` of tasks that the workflow gives none")
	flags.StringVar(&f.batch.Image, "image", "", "container `IMAGE` of tasks that the workflow gives none")
	flags.StringVar(&f.batch.AgentImage, "agent-image", "", "container `IMAGE` with flow in it")
	flags.StringVar(&f.workDir, "work-dir", "", "`DIR` or s3://bucket/prefix for the files of tasks (default: as flow run has it)")
	flags.StringVar(&f.whose, "for", string(policy.Run), "`WHOSE` permissions: run, infra, job, deploy, or all")
	flags.BoolVar(&f.explain, "explain", false, "say which command needs which action, in place of the policy")
	flags.StringVar(&f.account, "account", "", "`ID` of the AWS account (default: that of the credentials)")
	flags.StringVar(&f.out, "out", "", "write to `FILE` (default: stdout)")
	return cmd
}

func (f *policyFlags) check(cmd string) error {
	switch {
	case f.whose != "all" && policy.Audience(f.whose) != policy.Deploy && !slices.Contains(policy.Audiences, policy.Audience(f.whose)):
		return errUsage(cmd, "-for takes run, infra, job, deploy or all, and not %q", f.whose)
	case f.account != "" && !isAccount(f.account):
		return errUsage(cmd, "-account takes the 12 digits of an account, and not %q", f.account)
	case f.explain && f.out != "":
		return errUsage(cmd, "-out is for the policy; leave out -explain")
	}
	return f.batch.check(cmd)
}

// infraPolicy writes the policy for the workflow at path.
func (a *app) infraPolicy(ctx context.Context, path string, f *policyFlags) error {
	x, err := a.readInfra(ctx, path, &f.infraFlags)
	if err != nil {
		return err
	}
	defer x.cloud.Close()
	scope, unknown, err := x.scope(&f.runFlags)
	if err != nil {
		return err
	}
	if scope.Account = f.account; scope.Account == "" {
		scope.Account = a.account(x)
	}
	audiences := []policy.Audience{policy.Audience(f.whose)}
	if f.whose == "all" {
		audiences = policy.Audiences
	}
	doc := policy.Of(scope, audiences...)
	switch {
	case f.explain && a.asJSON():
		err = a.printJSON(doc.Reasons())
	case f.explain:
		err = a.explainPolicy(doc)
	default:
		err = a.writePolicy(doc, f.out)
	}
	if err != nil {
		return err
	}
	for _, u := range unknown {
		a.say("%s", u)
	}
	if len(doc.Statement) == 0 {
		a.say("it allows nothing: workflow %s names no files on S3", x.workflow.Name)
	}
	return nil
}

// account returns the account of the credentials; "", and it is said: it is not known.
func (a *app) account(x *infrastructure) string {
	who, err := x.cloud.Identity()
	if err != nil {
		a.say("the account is not known, and * stands for it; give it with -account: %s", err)
		return ""
	}
	return who.Account
}

// writePolicy writes a policy, and says if it is too long for a managed one.
func (a *app) writePolicy(doc *policy.Document, file string) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	if err := a.writeOut(file, text.Bytes()); err != nil {
		return err
	}
	size := 0
	for _, c := range text.String() {
		if !unicode.IsSpace(c) {
			size++
		}
	}
	if size > policy.MaxSize {
		a.say("it has %s characters, and a managed policy has %s at most: write one for each of -for run, infra and job", view.Count(size), view.Count(policy.MaxSize))
	}
	return nil
}

// explainPolicy says which command needs which action.
func (a *app) explainPolicy(doc *policy.Document) error {
	table := &view.Table{Header: []string{"STATEMENT", "ACTION", "FOR"}}
	last := ""
	for _, r := range doc.Reasons() {
		sid := r.Sid
		if sid == last {
			sid = ""
		}
		last = r.Sid
		table.Add(sid, r.Action, r.For)
	}
	return table.WriteAligned(a.stdout, a.outTerm(), "")
}

// unknownQueue is what is said of steps whose queue is not known before anything has run.
func unknownQueue(steps []string) string {
	return fmt.Sprintf("the job queue of %s is not known, and * stands for it; give it with -queue, or a site that has one", strings.Join(steps, ", "))
}
