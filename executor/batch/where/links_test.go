package where

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/go-cmp/cmp"
)

func TestLinks(t *testing.T) {
	type links struct{ Job, Log, Task, Instance string }
	of := func(c console) links {
		return links{c.job("0ad9:3"), c.log("/aws/batch/job", "flow-x/default/ed 5$"), c.task("AWSBatch-ce", "ed56"), c.instance("i-0abc")}
	}
	for _, test := range []struct {
		partition, region string
		want              links
	}{
		{"aws", "eu-central-1", links{
			"https://eu-central-1.console.aws.amazon.com/batch/home?region=eu-central-1#jobs/detail/0ad9:3",
			"https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1#logsV2:log-groups/log-group/$252Faws$252Fbatch$252Fjob/log-events/flow-x$252Fdefault$252Fed$2520" + "5$2524",
			"https://eu-central-1.console.aws.amazon.com/ecs/v2/clusters/AWSBatch-ce/tasks/ed56/configuration?region=eu-central-1",
			"https://eu-central-1.console.aws.amazon.com/ec2/home?region=eu-central-1#InstanceDetails:instanceId=i-0abc",
		}},
		{"aws-cn", "cn-north-1", links{
			"https://cn-north-1.console.amazonaws.cn/batch/home?region=cn-north-1#jobs/detail/0ad9:3",
			"https://cn-north-1.console.amazonaws.cn/cloudwatch/home?region=cn-north-1#logsV2:log-groups/log-group/$252Faws$252Fbatch$252Fjob/log-events/flow-x$252Fdefault$252Fed$2520" + "5$2524",
			"https://cn-north-1.console.amazonaws.cn/ecs/v2/clusters/AWSBatch-ce/tasks/ed56/configuration?region=cn-north-1",
			"https://cn-north-1.console.amazonaws.cn/ec2/home?region=cn-north-1#InstanceDetails:instanceId=i-0abc",
		}},
		{"aws-us-gov", "us-gov-west-1", links{
			"https://us-gov-west-1.console.amazonaws-us-gov.com/batch/home?region=us-gov-west-1#jobs/detail/0ad9:3",
			"https://us-gov-west-1.console.amazonaws-us-gov.com/cloudwatch/home?region=us-gov-west-1#logsV2:log-groups/log-group/$252Faws$252Fbatch$252Fjob/log-events/flow-x$252Fdefault$252Fed$2520" + "5$2524",
			"https://us-gov-west-1.console.amazonaws-us-gov.com/ecs/v2/clusters/AWSBatch-ce/tasks/ed56/configuration?region=us-gov-west-1",
			"https://us-gov-west-1.console.amazonaws-us-gov.com/ec2/home?region=us-gov-west-1#InstanceDetails:instanceId=i-0abc",
		}},
		{"aws-iso", "us-iso-east-1", links{}},
		{"aws", "", links{}},
	} {
		if diff := cmp.Diff(test.want, of(consoleOf(test.partition, test.region))); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", test.partition, test.region, diff)
		}
	}
}

// A log may be in another region than the job.
func TestLogLinkInRegion(t *testing.T) {
	a := Attempt{LogStream: "s"}
	a.setLog(&types.LogConfiguration{Options: map[string]string{"awslogs-group": "/lab", "awslogs-region": "eu-west-1"}}, consoleOf("aws", "us-east-1"))
	const want = "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Flab/log-events/s"
	if a.LogLink != want || a.LogGroup != "/lab" {
		t.Errorf("the log is at %q in %q, want %q", a.LogLink, a.LogGroup, want)
	}
	other := Attempt{LogStream: "s"}
	other.setLog(&types.LogConfiguration{LogDriver: types.LogDriverSplunk}, consoleOf("aws", "us-east-1"))
	if diff := cmp.Diff(Attempt{LogDriver: "splunk"}, other, cmp.AllowUnexported(Attempt{})); diff != "" {
		t.Errorf("a log that is elsewhere (-want +got):\n%s", diff)
	}
}

func TestClusterName(t *testing.T) {
	for cluster, want := range map[string]string{
		"AWSBatch-lab-spot-a2ab941d-b401-5c33-9c21-d4e5808f79b3": "lab-spot",
		"lab_spot_Batch_a2ab941d-b401-5c33-9c21-d4e5808f79b3":    "lab_spot",
		"mine": "",
	} {
		got := ""
		if m := clusterName.FindStringSubmatch(cluster); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("cluster %s is of %q, want %q", cluster, got, want)
		}
	}
}
