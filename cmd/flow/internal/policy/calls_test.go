package policy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"flow/cmd/flow/internal/policy"
)

// services are the clients of AWS, by the last part of their import paths, with the
// services' names in actions of IAM.
var services = map[string]struct {
	action string
	client reflect.Type
}{
	"batch": {"batch", reflect.TypeFor[*batch.Client]()}, "cloudwatchlogs": {"logs", reflect.TypeFor[*cloudwatchlogs.Client]()},
	"ec2": {"ec2", reflect.TypeFor[*ec2.Client]()}, "ecr": {"ecr", reflect.TypeFor[*ecr.Client]()}, "ecs": {"ecs", reflect.TypeFor[*ecs.Client]()},
	"iam": {"iam", reflect.TypeFor[*iam.Client]()}, "s3": {"s3", reflect.TypeFor[*s3.Client]()}, "sns": {"sns", reflect.TypeFor[*sns.Client]()},
	"scheduler": {"scheduler", reflect.TypeFor[*scheduler.Client]()},
}

// otherwise are the actions of calls that are named differently (Service Authorization
// Reference, Amazon S3).
var otherwise = map[string]string{
	"s3:HeadBucket": "s3:ListBucket", "s3:ListObjectsV2": "s3:ListBucket", "s3:HeadObject": "s3:GetObject",
	"s3:CopyObject": "s3:PutObject", "s3:CreateMultipartUpload": "s3:PutObject", "s3:UploadPart": "s3:PutObject", "s3:UploadPartCopy": "s3:PutObject",
	"s3:CompleteMultipartUpload": "s3:PutObject", "s3:DeleteObjects": "s3:DeleteObject",
	"s3:ListMultipartUploads": "s3:ListBucketMultipartUploads", "s3:ListParts": "s3:ListMultipartUploadParts",
	"s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
}

// asked are actions that no call has the name of: AWS asks for them besides those that
// have (Service Authorization Reference).
var asked = []string{
	"batch:SetCapacityTags", "batch:TagResource", "eks:DescribeCluster", "iam:CreateServiceLinkedRole", "iam:PassRole", "iam:TagInstanceProfile", "iam:TagRole", "scheduler:TagResource",
}

// calls returns the actions of all calls of AWS in the source of flow, with where they are
// made, by who makes them.
func calls(t *testing.T) map[policy.Audience]map[string]string {
	t.Helper()
	out := map[policy.Audience]map[string]string{policy.Run: {}, policy.Infra: {}, policy.Deploy: {}}
	root := filepath.Join("..", "..", "..", "..", "executor")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		whose := policy.Run
		if strings.Contains(filepath.ToSlash(path), "/batch/infra/") {
			whose = policy.Infra
		}
		if strings.Contains(filepath.ToSlash(path), "/executor/scheduler/") {
			whose = policy.Deploy
		}
		callsOf(f, func(action string, at token.Pos) { out[whose][action] = fset.Position(at).String() })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// callsOf finds calls of the methods of clients, paginators, and methods that are given to
// somebody else to call.
func callsOf(f *ast.File, found func(action string, at token.Pos)) {
	var imported []string
	for _, i := range f.Imports {
		if name, ok := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "github.com/aws/aws-sdk-go-v2/service/"); ok {
			imported = append(imported, strings.TrimSuffix(name, "/types"))
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		for _, e := range append([]ast.Expr{call.Fun}, call.Args...) {
			selector, ok := e.(*ast.SelectorExpr)
			if !ok {
				continue
			}
			for _, name := range imported {
				if action := actionOf(name, selector.Sel.Name); action != "" {
					found(action, call.Pos())
				}
			}
		}
		return true
	})
}

// actionOf returns the action of a method of a service's client, or of a paginator; "": there
// is none.
func actionOf(service, operation string) string {
	if s, ok := strings.CutPrefix(operation, "New"); ok {
		operation = strings.TrimSuffix(s, "Paginator")
	}
	of, ok := services[service]
	if !ok || operation == "Options" {
		return ""
	}
	if _, ok := of.client.MethodByName(operation); !ok {
		return ""
	}
	action := of.action + ":" + operation
	if as := otherwise[action]; as != "" {
		return as
	}
	return action
}

// Every call that flow makes is in the table of those who make it, and nothing more than that.
func TestTablesAreTheCalls(t *testing.T) {
	t.Parallel()
	for whose, made := range calls(t) {
		if len(made) < 15 {
			t.Fatalf("%s: only %v", whose, made)
		}
		known := policy.Actions(whose)
		for _, action := range slices.Sorted(maps.Keys(made)) {
			if !slices.Contains(known, action) && !byOther[action] {
				t.Errorf("%s is called at %s, and the table for %s does not have it", action, made[action], whose)
			}
		}
		for _, action := range known {
			if made[action] == "" && !slices.Contains(asked, action) {
				t.Errorf("%s: nobody calls %s", whose, action)
			}
		}
	}
}

// The agent in a job calls nothing that flow on this machine does not.
func TestJobsAreLikeRuns(t *testing.T) {
	t.Parallel()
	for _, action := range policy.Actions(policy.Job) {
		if !slices.Contains(policy.Actions(policy.Run), action) {
			t.Errorf("%s is for jobs alone", action)
		}
	}
}

// byOther are actions of commands that a policy for a workflow does not have: flow image
// push is about an image, and says itself what it needs.
var byOther = map[string]bool{
	"ecr:CreateRepository": true, "ecr:DescribeRepositories": true,
}
