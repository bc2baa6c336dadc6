package doctor

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"flow/engine"
)

// defaultLogGroup is where logs go that no log configuration sends elsewhere (Batch User
// Guide, using_awslogs).
const defaultLogGroup = "/aws/batch/job"

// logs tells whether the log groups of the steps are there: a job whose group is not fails
// to start (Batch User Guide, using_awslogs).
func (p *patient) logs(ctx context.Context) []Line {
	type group struct{ region, name string }
	var lines []Line
	seen := map[group]bool{}
	add := func(g group, s *Step, create bool) {
		if !seen[g] {
			seen[g] = true
			lines = append(lines, p.logGroup(ctx, g.region, g.name, s, create))
		}
	}
	for i := range p.o.Steps {
		s := &p.o.Steps[i]
		task := s.Spec.Task
		box := task.Container
		switch {
		case task.JobDefinition != "":
		case box == nil:
			add(group{"", defaultLogGroup}, s, true)
		case box.LogDriver == "" || box.LogDriver == "awslogs":
			add(group{box.LogOptions["awslogs-region"], orElse(box.LogOptions["awslogs-group"], defaultLogGroup)}, s, creates(box))
		default:
			lines = append(lines, warning(string(s.Spec.Step), `use log_driver = "awslogs", the default`, "its logs go by %s, where flow logs cannot read them", box.LogDriver).at(s.where("container.log_configuration")))
		}
	}
	if len(p.o.Steps) == 0 {
		add(group{"", defaultLogGroup}, nil, true)
	}
	return lines
}

// creates reports whether the group of a step is made when it is not there.
func creates(box *engine.Container) bool {
	return box.LogOptions["awslogs-create-group"] == "true" || orElse(box.LogOptions["awslogs-group"], defaultLogGroup) == defaultLogGroup
}

// logGroup asks for a stream that nothing has: what is missing is then said to be the
// group, or the stream in it.
func (p *patient) logGroup(ctx context.Context, region, name string, s *Step, create bool) Line {
	where := ""
	if s != nil {
		where = s.where("container.log_configuration")
	}
	_, err := p.o.Cloud.Logs().GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: &name, LogStreamName: new(noStream), Limit: new(int32(1))},
		func(o *cloudwatchlogs.Options) {
			if region != "" && !p.o.Cloud.Near() {
				o.Region = region
			}
		})
	switch c := code(err); {
	case err == nil || c == "ResourceNotFoundException" && strings.Contains(err.Error(), "log stream"):
		return ok(name, "the log group is there").at(where)
	case c == "ResourceNotFoundException" && name == defaultLogGroup:
		return ok(name, "the log group is not there yet: AWS Batch makes it with the first job").at(where)
	case c == "ResourceNotFoundException" && create:
		return ok(name, "the log group is not there yet: it is made with the first job (awslogs-create-group), which needs logs:CreateLogGroup").at(where)
	case c == "ResourceNotFoundException":
		return fault(name, p.aws("logs create-log-group --log-group-name %s", name)+`; or write "awslogs-create-group" = "true" into the options of its log_configuration`,
			"the log group does not exist: jobs of step %s fail to start", s.Spec.Step).at(where)
	}
	return p.trouble(name, "logs:GetLogEvents", err).at(where)
}
