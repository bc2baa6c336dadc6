package main

import (
	"context"
	"slices"

	"flow/executor/batch/infra"
	"flow/executor/store"
)

// tellFiles says how the roles that were just made for jobs come to reach the files of the
// workflow, if these are on S3. Which files these are is for the site and for flags to say,
// so that it is no part of what is made for the workflow.
func (a *app) tellFiles(ctx context.Context, path string, f *infraFlags, plan *infra.Plan) error {
	roles := infra.JobRoleNames(plan.Workflow, plan.Region)
	made := slices.DeleteFunc(slices.Clone(plan.Changes), func(c *infra.Change) bool {
		return c.Kind != infra.KindRole || c.Action != infra.Create || !slices.Contains(roles, c.Name)
	})
	if len(made) == 0 {
		return nil
	}
	x, err := a.readInfra(ctx, path, f)
	if err != nil {
		return err
	}
	x.cloud.Close()
	wf, _ := x.session.sketches(&f.runFlags)
	workDir, err := x.session.workDir(&f.runFlags, wf)
	if err != nil || !store.Is(workDir) {
		return err
	}
	site := ""
	if f.site != "" {
		site = " -site " + shellWord(f.site)
	}
	a.say("work_dir is %s: jobs reach it once their role may do what this prints: %s", workDir, withPath("flow infra policy", path)+site+" -for job > files.json")
	for _, c := range made {
		a.say("  aws iam put-role-policy --role-name %s --policy-name flow-files --policy-document file://files.json", c.Name)
	}
	return nil
}
