package batch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"flow/engine"
	"flow/executor/batch/budget"
)

// defaultLogGroup is where logs go that no log configuration sends elsewhere (Batch User
// Guide, using_cloudwatch_logs).
const defaultLogGroup = "/aws/batch/job"

// maxLogPage is how many events a call of GetLogEvents gives at most (CloudWatch Logs API
// reference, GetLogEvents).
const maxLogPage = 10_000

// Logs implements engine.Executor with the streams of CloudWatch Logs that the attempts of a
// job have written. With Follow it goes on until the job has ended, from attempt to attempt
// if none is asked for; what CloudWatch shows a few seconds later is waited for.
func (x *Executor) Logs(ctx context.Context, id engine.JobID, o engine.LogOptions) iter.Seq2[engine.LogLine, error] {
	return func(yield func(engine.LogLine, error) bool) {
		l := &logReader{x: x, want: o, yield: yield}
		if err := l.run(ctx, id); err != nil && !l.left {
			yield(engine.LogLine{}, err)
		}
	}
}

// A logReader hands on what is new in the logs of a job.
type logReader struct {
	x     *Executor
	want  engine.LogOptions
	yield func(engine.LogLine, error) bool
	left  bool // nobody wants more

	attempt int     // being read; 0: none yet
	token   *string // behind what was read of it; nil: nothing was
	idle    time.Duration
}

func (l *logReader) run(ctx context.Context, id engine.JobID) error {
	for {
		// Asked before reading: what is written before an attempt ends is there then.
		details, err := l.x.details(ctx, []engine.JobID{id})
		if err != nil || len(details) == 0 {
			return err
		}
		d := &details[0]
		if a := d.ArrayProperties; a != nil && a.Index == nil && value(a.Size) > 0 {
			return nil
		}
		attempts := streamsOf(d)
		news, err := l.read(ctx, attempts)
		if err != nil || l.left {
			return err
		}
		if l.over(d, attempts, news) {
			return nil
		}
		if err := l.x.sleep(ctx, l.x.every); err != nil {
			return err
		}
	}
}

// over reports whether nothing more is to come, or to be waited for.
func (l *logReader) over(d *types.JobDetail, attempts []stream, news bool) bool {
	ended := statusOf(d.Status).Ended() || l.want.Attempt > 0 && l.want.Attempt <= len(attempts) && attempts[l.want.Attempt-1].over
	if !l.want.Follow {
		return true
	}
	if !ended || news {
		l.idle = 0
		return ended && l.x.linger == 0
	}
	l.idle += l.x.every
	return l.idle > l.x.linger
}

// read hands on what is new, and reports whether anything was.
func (l *logReader) read(ctx context.Context, attempts []stream) (news bool, err error) {
	last := len(attempts)
	if l.want.Attempt > 0 {
		if last < l.want.Attempt {
			return false, nil // not begun
		}
		last = l.want.Attempt
	}
	if l.attempt == 0 {
		l.attempt = last
	}
	for ; l.attempt > 0 && l.attempt <= last; l.attempt++ {
		s := &attempts[l.attempt-1]
		n, err := l.stream(ctx, s)
		if news = news || n; err != nil || l.left {
			return news, err
		}
		if l.attempt == last {
			return news, nil
		}
		l.token = nil
	}
	return news, nil
}

// A stream is where an attempt writes its log.
type stream struct {
	group, region, name string // "": it has none
	driver              string // "": awslogs
	over                bool   // the attempt has ended
}

// streamsOf returns the streams of the attempts of a job that have begun.
func streamsOf(d *types.JobDetail) []stream {
	var where stream
	current := ""
	if c := d.Container; c != nil {
		where.configure(c.LogConfiguration)
		current = value(c.LogStreamName)
	}
	if e := d.EcsProperties; e != nil && len(e.TaskProperties) > 0 && len(e.TaskProperties[0].Containers) > 0 {
		list := e.TaskProperties[0].Containers
		at := max(slices.IndexFunc(list, func(c types.TaskContainerDetails) bool { return value(c.Name) == taskContainer }), 0)
		where.configure(list[at].LogConfiguration)
		current = value(list[at].LogStreamName)
	}
	var out []stream
	for i := range d.Attempts {
		s := where
		s.name, s.over = attemptOf(&d.Attempts[i]).LogStream, true
		out = append(out, s)
	}
	if current != "" && !slices.ContainsFunc(out, func(s stream) bool { return s.name == current }) {
		where.name, where.over = current, statusOf(d.Status).Ended()
		out = append(out, where)
	}
	return out
}

func (s *stream) configure(c *types.LogConfiguration) {
	s.group = defaultLogGroup
	if c == nil {
		return
	}
	if c.LogDriver != types.LogDriverAwslogs && c.LogDriver != "" {
		s.driver = string(c.LogDriver)
	}
	s.group = orText(c.Options["awslogs-group"], s.group)
	s.region = c.Options["awslogs-region"]
}

// stream hands on what is new in the stream of the attempt at hand.
func (l *logReader) stream(ctx context.Context, s *stream) (news bool, err error) {
	if s.driver != "" && !l.x.Near() {
		return false, fmt.Errorf("the log is not in CloudWatch Logs: the log driver of the job is %s", s.driver)
	}
	if s.name == "" {
		return false, nil
	}
	if n := l.want.Tail; n > 0 {
		l.want.Tail = 0 // of the attempts that follow, everything
		return l.tail(ctx, s, n)
	}
	for {
		out, err := l.x.logEvents(ctx, s, &cloudwatchlogs.GetLogEventsInput{StartFromHead: new(true), NextToken: l.token})
		if err != nil || out == nil {
			return news, err
		}
		news = news || len(out.Events) > 0
		if !l.hand(out.Events) {
			return news, nil
		}
		// The end is where the token does not change; pages before it may be empty.
		if value(out.NextForwardToken) == "" || value(out.NextForwardToken) == value(l.token) {
			return news, nil
		}
		l.token = out.NextForwardToken
	}
}

// tail hands on the last n lines.
func (l *logReader) tail(ctx context.Context, s *stream, n int) (news bool, err error) {
	var pages [][]cwtypes.OutputLogEvent // from the end
	var back *string
	for have := 0; have < n; {
		out, err := l.x.logEvents(ctx, s, &cloudwatchlogs.GetLogEventsInput{StartFromHead: new(false), NextToken: back, Limit: new(int32(min(n-have, maxLogPage)))})
		if err != nil || out == nil {
			return false, err
		}
		if l.token == nil {
			l.token = out.NextForwardToken
		}
		pages, have = append(pages, out.Events), have+len(out.Events)
		if value(out.NextBackwardToken) == "" || value(out.NextBackwardToken) == value(back) {
			break
		}
		back = out.NextBackwardToken
	}
	slices.Reverse(pages)
	lines := slices.Concat(pages...)
	l.hand(lines[max(len(lines)-n, 0):])
	return len(lines) > 0, nil
}

// hand hands lines on; false: nobody wants more.
func (l *logReader) hand(events []cwtypes.OutputLogEvent) bool {
	for i := range events {
		line := engine.LogLine{Time: moment(events[i].Timestamp), Text: strings.TrimSuffix(value(events[i].Message), "\n")}
		if !l.yield(line, nil) {
			l.left = true
			return false
		}
	}
	return true
}

// logEvents calls GetLogEvents; nil: there is no such stream, not yet or no more.
func (x *Executor) logEvents(ctx context.Context, s *stream, in *cloudwatchlogs.GetLogEventsInput) (*cloudwatchlogs.GetLogEventsOutput, error) {
	in.LogGroupName, in.LogStreamName = &s.group, &s.name
	var out *cloudwatchlogs.GetLogEventsOutput
	err := x.call(ctx, budget.Logs, "GetLogEvents", func(ctx context.Context) (err error) {
		out, err = x.logsIn(s.region).GetLogEvents(ctx, in)
		return err
	})
	var missing *cwtypes.ResourceNotFoundException
	if errors.As(err, &missing) {
		return nil, nil
	}
	return out, err
}
