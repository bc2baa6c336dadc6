package where

import (
	"net/url"
	"strings"
)

// A console is that of AWS in a region. Where its pages are is in no document: these are
// the addresses that the console itself shows.
type console struct{ host, region string }

// consoleOf returns the console of a region; the zero console is that of a partition that
// has none which is known.
func consoleOf(partition, region string) console {
	domain := map[string]string{
		"aws": "console.aws.amazon.com", "aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com",
	}[partition]
	if domain == "" || region == "" {
		return console{}
	}
	return console{"https://" + region + "." + domain, region}
}

// in returns the same console in another region; "": in this one.
func (c console) in(region string) console {
	if region == "" || region == c.region || c.host == "" {
		return c
	}
	return console{strings.Replace(c.host, "//"+c.region+".", "//"+region+".", 1), region}
}

// page returns an address in the console; "" without a console.
func (c console) page(path string) string {
	if c.host == "" {
		return ""
	}
	return c.host + strings.ReplaceAll(path, "{region}", url.QueryEscape(c.region))
}

// job is the page of a job or a child of an array.
func (c console) job(id string) string {
	return c.page("/batch/home?region={region}#jobs/detail/" + id)
}

// log is the page of a log stream.
func (c console) log(group, stream string) string {
	return c.page("/cloudwatch/home?region={region}#logsV2:log-groups/log-group/" + twice(group) + "/log-events/" + twice(stream))
}

// task is the page of an ECS task.
func (c console) task(cluster, id string) string {
	return c.page("/ecs/v2/clusters/" + url.PathEscape(cluster) + "/tasks/" + url.PathEscape(id) + "/configuration?region={region}")
}

// instance is the page of an EC2 instance.
func (c console) instance(id string) string {
	return c.page("/ec2/home?region={region}#InstanceDetails:instanceId=" + url.QueryEscape(id))
}

// twice escapes a part of a fragment as the console of CloudWatch reads it: percent-encoded
// twice, with a $ for each % that is left.
func twice(s string) string {
	once := strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
	return strings.ReplaceAll(once, "%", "$25")
}
