package page

import (
	"net/url"
	"strconv"
)

// RunURL is the path of a run's page.
func RunURL(run string) string { return "/runs/" + url.PathEscape(run) }

// StepURL is the path of a step's page. Without a run it is the place in a report where that
// step is.
func StepURL(run, step string) string {
	if run == "" {
		return anchorURL(step)
	}
	return RunURL(run) + "/steps/" + url.PathEscape(step)
}

// TaskURL is the path of the page of task index of a step.
func TaskURL(run, step string, index int) string {
	return StepURL(run, step) + "/tasks/" + strconv.Itoa(index)
}

// WorkflowURL is the path of a workflow's page.
func WorkflowURL(name string) string { return "/workflows/" + url.PathEscape(name) }

// ShortID is the end of a run's id, by which a person tells runs from one another.
func ShortID(id string) string { return "…" + id[max(0, len(id)-6):] }

// SchedulesURL is the path of the page of all schedules.
const SchedulesURL = "/schedules"

// ScheduleURL is the path of a schedule's page.
func ScheduleURL(workflow, schedule string) string {
	return SchedulesURL + "/" + url.PathEscape(workflow) + "/" + url.PathEscape(schedule)
}
