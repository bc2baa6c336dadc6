package scheduler

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"

	"flow/executor/batch/infra"
)

func isNoSchedule(err error) bool { return hasCode(err, "ResourceNotFoundException") }

// group reports whether the group of a workflow is there, and ours. An error says that it is
// somebody else's.
func (m *Manager) group(ctx context.Context, workflow string) (bool, error) {
	name := GroupName(workflow)
	out, err := m.Scheduler.GetScheduleGroup(ctx, &scheduler.GetScheduleGroupInput{Name: &name})
	switch {
	case isNoSchedule(err):
		return false, nil
	case err != nil:
		return false, infra.Doing("look at the schedule group "+name, err)
	case out.State == types.ScheduleGroupStateDeleting:
		return false, nil
	}
	tags, err := m.Scheduler.ListTagsForResource(ctx, &scheduler.ListTagsForResourceInput{ResourceArn: out.Arn})
	if err != nil {
		return false, infra.Doing("look at the tags of the schedule group "+name, err)
	}
	for _, t := range tags.Tags {
		if aws.ToString(t.Key) == Tag && aws.ToString(t.Value) == workflow {
			return true, nil
		}
	}
	return false, foreign(KindGroup, name, workflow)
}

func (m *Manager) planGroup(ctx context.Context, p *Plan, w *Want) error {
	there, err := m.group(ctx, w.Workflow)
	if err != nil || there {
		return err
	}
	name := GroupName(w.Workflow)
	p.add(infra.Create, KindGroup, name, map[string]string{"name": name}, func(ctx context.Context) error {
		_, err := m.Scheduler.CreateScheduleGroup(ctx, &scheduler.CreateScheduleGroupInput{
			Name: &name, Tags: []types.Tag{{Key: str(Tag), Value: &w.Workflow}},
		})
		if err != nil {
			return infra.Doing("create the schedule group "+name, err)
		}
		return nil
	})
	return nil
}

// listSchedules returns the names of the schedules in the group of a workflow.
func (m *Manager) listSchedules(ctx context.Context, workflow string) ([]string, error) {
	name := GroupName(workflow)
	var out []string
	pages := scheduler.NewListSchedulesPaginator(m.Scheduler, &scheduler.ListSchedulesInput{GroupName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isNoSchedule(err) {
			return nil, nil
		}
		if err != nil {
			return nil, infra.Doing("list the schedules of the group "+name, err)
		}
		for _, s := range page.Schedules {
			out = append(out, aws.ToString(s.Name))
		}
	}
	return out, nil
}

// planSchedules adds what has to become of the schedules, and of those that are not wanted any
// more. role is that which they have.
func (m *Manager) planSchedules(ctx context.Context, p *Plan, w *Want, role string) error {
	wanted, err := w.schedules(role)
	if err != nil {
		return err
	}
	names, err := m.listSchedules(ctx, w.Workflow)
	if err != nil {
		return err
	}
	left := map[string]bool{}
	for _, n := range names {
		left[n] = true
	}
	for _, s := range wanted {
		if !left[s.Name] {
			p.add(infra.Create, KindSchedule, s.Name, s, func(ctx context.Context) error { return m.createSchedule(ctx, s) })
			continue
		}
		delete(left, s.Name)
		is, err := m.readSchedule(ctx, s)
		if err != nil {
			return err
		}
		if differs := s.differs(is); len(differs) > 0 {
			p.add(infra.Update, KindSchedule, s.Name, s, func(ctx context.Context) error { return m.updateSchedule(ctx, s) }, differs...)
		}
	}
	for _, n := range names {
		if left[n] && !w.Some {
			p.add(infra.Delete, KindSchedule, n, nil, func(ctx context.Context) error { return m.deleteSchedule(ctx, w.Workflow, n) })
		}
	}
	return nil
}

// readSchedule returns the schedule of that name and group as it is.
func (m *Manager) readSchedule(ctx context.Context, s *Schedule) (*Schedule, error) {
	out, err := m.Scheduler.GetSchedule(ctx, &scheduler.GetScheduleInput{Name: &s.Name, GroupName: &s.Group})
	if err != nil {
		return nil, infra.Doing("look at the schedule "+s.Name, err)
	}
	is := &Schedule{
		Name: s.Name, Group: s.Group, Description: aws.ToString(out.Description), Expression: aws.ToString(out.ScheduleExpression),
		TimeZone: aws.ToString(out.ScheduleExpressionTimezone), State: string(out.State),
	}
	if w := out.FlexibleTimeWindow; w != nil && w.Mode == types.FlexibleTimeWindowModeFlexible {
		is.Window = aws.ToInt32(w.MaximumWindowInMinutes)
	}
	if t := out.Target; t != nil {
		is.Target, is.Role, is.Input = aws.ToString(t.Arn), aws.ToString(t.RoleArn), json.RawMessage(aws.ToString(t.Input))
		if r := t.RetryPolicy; r != nil {
			is.MaxAge, is.Tries = aws.ToInt32(r.MaximumEventAgeInSeconds), aws.ToInt32(r.MaximumRetryAttempts)
		}
	}
	return is, nil
}

// differs names what of a schedule is otherwise.
func (s *Schedule) differs(is *Schedule) (out []string) {
	for _, d := range []struct {
		what string
		same bool
	}{
		{"description", s.Description == is.Description}, {"expression", s.Expression == is.Expression}, {"time_zone", s.TimeZone == is.TimeZone},
		{"flexible_minutes", s.Window == is.Window}, {"state", s.State == is.State}, {"target", s.Target == is.Target}, {"role", s.Role == is.Role},
		{"input", sameJSON(string(s.Input), string(is.Input))}, {"retries", s.MaxAge == is.MaxAge && s.Tries == is.Tries},
	} {
		if !d.same {
			out = append(out, d.what)
		}
	}
	return out
}

func (s *Schedule) target() *types.Target {
	return &types.Target{
		Arn: &s.Target, RoleArn: &s.Role, Input: str(string(s.Input)),
		RetryPolicy: &types.RetryPolicy{MaximumEventAgeInSeconds: &s.MaxAge, MaximumRetryAttempts: &s.Tries},
	}
}

func (s *Schedule) window() *types.FlexibleTimeWindow {
	if s.Window == 0 {
		return &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeOff}
	}
	return &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeFlexible, MaximumWindowInMinutes: &s.Window}
}

func (m *Manager) createSchedule(ctx context.Context, s *Schedule) error {
	err := m.soon(ctx, func() error {
		_, err := m.Scheduler.CreateSchedule(ctx, &scheduler.CreateScheduleInput{
			Name: &s.Name, GroupName: &s.Group, Description: &s.Description, ScheduleExpression: &s.Expression, ScheduleExpressionTimezone: &s.TimeZone,
			State: types.ScheduleState(s.State), FlexibleTimeWindow: s.window(), Target: s.target(),
		})
		return err
	})
	if err != nil {
		return infra.Doing("create the schedule "+s.Name, err)
	}
	return nil
}

func (m *Manager) updateSchedule(ctx context.Context, s *Schedule) error {
	err := m.soon(ctx, func() error {
		_, err := m.Scheduler.UpdateSchedule(ctx, &scheduler.UpdateScheduleInput{
			Name: &s.Name, GroupName: &s.Group, Description: &s.Description, ScheduleExpression: &s.Expression, ScheduleExpressionTimezone: &s.TimeZone,
			State: types.ScheduleState(s.State), FlexibleTimeWindow: s.window(), Target: s.target(),
		})
		return err
	})
	if err != nil {
		return infra.Doing("change the schedule "+s.Name, err)
	}
	return nil
}

func (m *Manager) deleteSchedule(ctx context.Context, workflow, name string) error {
	_, err := m.Scheduler.DeleteSchedule(ctx, &scheduler.DeleteScheduleInput{Name: &name, GroupName: str(GroupName(workflow))})
	if err != nil && !isNoSchedule(err) {
		return infra.Doing("delete the schedule "+name, err)
	}
	return nil
}

func (m *Manager) deleteGroup(ctx context.Context, workflow string) error {
	name := GroupName(workflow)
	_, err := m.Scheduler.DeleteScheduleGroup(ctx, &scheduler.DeleteScheduleGroupInput{Name: &name})
	if err != nil && !isNoSchedule(err) {
		return infra.Doing("delete the schedule group "+name, err)
	}
	return nil
}
