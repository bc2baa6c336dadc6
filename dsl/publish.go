package dsl

import (
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"flow/engine"
)

// publishedAs is where a file comes to lie: target, or in it if that ends in a slash.
func publishedAs(target, file string) string {
	if strings.HasSuffix(target, "/") {
		return target + path.Base(file)
	}
	return target
}

// clashes reports outputs of tasks that would be published to one path, where the last
// would silently replace the others. What a pattern matches is not known yet, and of
// optional outputs only one may be there.
func (x *expansion) clashes() hcl.Diagnostics {
	type maker struct {
		task, output int
	}
	seen := map[string]maker{}
	for i, spec := range x.out.Specs {
		if spec == nil {
			continue
		}
		for k := range spec.Outputs {
			o := &spec.Outputs[k]
			if o.Publish == "" || o.Optional || o.Kind == engine.OutputFiles {
				continue
			}
			at := publishedAs(o.Publish, o.Path)
			first, clash := seen[at]
			if !clash {
				seen[at] = maker{i, k}
				continue
			}
			rng := x.s.outputs[k].publish.expr.Range()
			if first.task == i {
				return hcl.Diagnostics{errorf(rng, "Published twice", "Outputs %q and %q would both be published as %s. Give them different paths.",
					spec.Outputs[first.output].Name, o.Name, at)}
			}
			name := func(i int) string { return engine.TaskName(engine.StepName(x.s.name), true, x.items.key(i)) }
			return hcl.Diagnostics{errorf(rng, "Published twice", "Tasks %s and %s would both publish output %q as %s, and one would replace the other. Let each.key be part of the path: publish = \"results/${each.key}/\".",
				name(first.task), name(i), o.Name, at)}
		}
	}
	return nil
}

// sameNames reports two files of an output of the workflow that would be published to
// one path.
func sameNames(o *outputConfig, res engine.Result) hcl.Diagnostics {
	if res.Publish == "" || len(res.Files) < 2 {
		return nil
	}
	dir := strings.TrimSuffix(res.Publish, "/") + "/"
	seen := make(map[string]string, len(res.Files))
	for _, f := range res.Files {
		at := publishedAs(dir, f)
		if other, clash := seen[at]; clash {
			return hcl.Diagnostics{errorf(o.publish.expr.Range(), "Published twice",
				"%s and %s would both be published as %s, and one would replace the other. Let each.key be part of the file's name, or publish in the step: publish = \"results/${each.key}/\".",
				other, f, at)}
		}
		seen[at] = f
	}
	return nil
}
