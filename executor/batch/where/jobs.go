package where

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/engine"
)

// job returns what a description says by itself.
func (f *finder) job(d *types.JobDetail) Job {
	j := Job{
		ID: engine.JobID(aws.ToString(d.JobId)), Queue: last(aws.ToString(d.JobQueue)), Status: string(d.Status), Reason: aws.ToString(d.StatusReason),
		Attempts: []Attempt{}, Link: f.console.job(aws.ToString(d.JobId)),
	}
	main := mainOf(d)
	for i := range d.Attempts {
		if a := attemptOf(&d.Attempts[i], main.name); a.Task != "" {
			a.Attempt = i + 1
			j.Attempts = append(j.Attempts, a)
		}
	}
	if n := len(j.Attempts); main.now.Task != "" && (n == 0 || j.Attempts[n-1].Task != main.now.Task) {
		main.now.Attempt = len(d.Attempts) + 1 // it is under way
		main.now.Started, main.now.Stopped = moment(d.StartedAt), moment(d.StoppedAt)
		j.Attempts = append(j.Attempts, main.now)
	}
	for i := range j.Attempts {
		a := &j.Attempts[i]
		a.fargate = slices.Contains(d.PlatformCapabilities, types.PlatformCapabilityFargate)
		a.setTask(f.console)
		a.setLog(main.log, f.console)
	}
	return j
}

// A container is the one of a job that matters.
type container struct {
	name string // "": it is the only one
	log  *types.LogConfiguration
	now  Attempt // as it is now, without times
}

// mainOf returns the container of a job that its end depends on: of several the last that
// is essential, such as the user's behind flow's agent.
func mainOf(d *types.JobDetail) (m container) {
	if c := d.Container; c != nil {
		m.log = c.LogConfiguration
		m.now = Attempt{
			Task: aws.ToString(c.TaskArn), ContainerInstance: aws.ToString(c.ContainerInstanceArn), LogStream: aws.ToString(c.LogStreamName),
			ExitCode: codeOf(c.ExitCode), Reason: aws.ToString(c.Reason),
		}
	}
	if e := d.EcsProperties; e != nil && len(e.TaskProperties) > 0 {
		t := &e.TaskProperties[0]
		m.now = Attempt{Task: aws.ToString(t.TaskArn), ContainerInstance: aws.ToString(t.ContainerInstanceArn)}
		for i := range t.Containers {
			c := &t.Containers[i]
			if m.name != "" && c.Essential != nil && !*c.Essential {
				continue
			}
			m.name, m.log = aws.ToString(c.Name), c.LogConfiguration
			m.now.LogStream, m.now.ExitCode, m.now.Reason = aws.ToString(c.LogStreamName), codeOf(c.ExitCode), aws.ToString(c.Reason)
		}
	}
	return m
}

// attemptOf returns an attempt with what became of its container of that name.
func attemptOf(d *types.AttemptDetail, name string) Attempt {
	a := Attempt{Started: moment(d.StartedAt), Stopped: moment(d.StoppedAt), StatusReason: aws.ToString(d.StatusReason)}
	if c := d.Container; c != nil {
		a.Task, a.ContainerInstance, a.LogStream = aws.ToString(c.TaskArn), aws.ToString(c.ContainerInstanceArn), aws.ToString(c.LogStreamName)
		a.ExitCode, a.Reason = codeOf(c.ExitCode), aws.ToString(c.Reason)
	}
	if len(d.TaskProperties) == 0 {
		return a
	}
	t := &d.TaskProperties[0]
	a.Task, a.ContainerInstance = aws.ToString(t.TaskArn), aws.ToString(t.ContainerInstanceArn)
	for i := range t.Containers {
		if c := &t.Containers[i]; aws.ToString(c.Name) == name {
			a.LogStream, a.ExitCode, a.Reason = aws.ToString(c.LogStreamName), codeOf(c.ExitCode), aws.ToString(c.Reason)
		}
	}
	return a
}

// setTask says which cluster the task is of.
func (a *Attempt) setTask(c console) {
	task, err := arn.Parse(a.Task)
	if err != nil {
		return
	}
	parts := strings.Split(task.Resource, "/") // task/CLUSTER/ID; before 2019 task/ID
	if len(parts) != 3 {
		return
	}
	a.Cluster, a.TaskLink = parts[1], c.task(parts[1], parts[2])
	task.Resource = "cluster/" + parts[1]
	a.arn = task.String()
}

// defaultLogGroup is where logs go that no log configuration sends elsewhere (Batch User
// Guide, using_cloudwatch_logs).
const defaultLogGroup = "/aws/batch/job"

// setLog says where the attempt writes its log.
func (a *Attempt) setLog(l *types.LogConfiguration, c console) {
	group := defaultLogGroup
	if l != nil {
		if l.LogDriver != "" && l.LogDriver != types.LogDriverAwslogs {
			a.LogDriver = string(l.LogDriver)
			a.LogStream = ""
			return
		}
		group, a.logRegion = cmp.Or(l.Options["awslogs-group"], group), l.Options["awslogs-region"]
	}
	a.LogGroup = group
	if a.LogStream != "" {
		a.LogLink = c.in(a.logRegion).log(group, a.LogStream)
	}
}

// placeOf returns the partition and the region in an ARN.
func placeOf(s string) (partition, region string) {
	a, err := arn.Parse(s)
	if err != nil {
		return "", ""
	}
	return a.Partition, a.Region
}

// last returns what is behind the last slash of an ARN.
func last(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

func codeOf(code *int32) *int {
	if code == nil {
		return nil
	}
	return aws.Int(int(*code))
}

func moment(ms *int64) time.Time {
	if ms == nil || *ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(*ms).UTC()
}
