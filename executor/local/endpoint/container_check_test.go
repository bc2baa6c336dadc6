package endpoint

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// A refusal is a change of something fine, and a part of what is said against it.
type refusal struct {
	change string // members as JSON; null takes one away
	part   string // "": nothing is said
}

func (w *world) registered(name, fine string, more map[string]any, tests []refusal) {
	w.t.Helper()
	for _, test := range append(tests, refusal{`{}`, ""}) {
		body := with(w.t, fine, object(w.t, test.change))
		def := map[string]any{"jobDefinitionName": "d", "type": "container", name: json.RawMessage(body)}
		for k, v := range more {
			def[k] = v
		}
		text, err := json.Marshal(def)
		if err != nil {
			w.t.Fatal(err)
		}
		if test.part == "" {
			w.do("RegisterJobDefinition", string(text))
		} else {
			w.refused("RegisterJobDefinition", string(text), test.part)
		}
	}
}

func requires(vcpu, memory string, more ...string) string {
	list := append([]string{}, more...)
	if vcpu != "" {
		list = append(list, fmt.Sprintf(`{"type":"VCPU","value":%q}`, vcpu))
	}
	if memory != "" {
		list = append(list, fmt.Sprintf(`{"type":"MEMORY","value":%q}`, memory))
	}
	return `{"resourceRequirements":[` + strings.Join(list, ",") + `]}`
}

func TestContainerRefusals(t *testing.T) {
	newWorld(t).registered("containerProperties", plainContainer, nil, []refusal{
		{`{"image":null}`, "image is required"},
		{`{"image":""}`, "image is required"},
		{`{"image":"a b"}`, "image is not valid"},
		{`{"image":"` + strings.Repeat("a", 256) + `"}`, "image is not valid"},
		{`{"image":"012345678910.dkr.ecr.us-east-1.amazonaws.com/a_b-c/d:v1.2@sha256:00ff"}`, ""},
		{requires("", "128"), "vCPU is required."},
		{requires("1", ""), "Memory is required."},
		{requires("0", "128"), "vCPU must be at least 1, got 0."},
		{requires("0.5", "128"), "vCPU must be at least 1, got 0.5."},
		{requires("1.5", "128"), "vCPU must be a whole number"},
		{requires("1.0", "128"), ""},
		{requires("-1", "128"), "Value -1 for type VCPU in resourceRequirement is not valid."},
		{requires("1e3", "128"), "Please provide a numeric value."},
		{requires("NaN", "128"), "Please provide a numeric value."},
		{requires("1", "3"), "Memory must be at least 4 Mib, got 3 Mib."},
		{requires("1", "128.5"), "Value 128.5 for type MEMORY"},
		{requires("1", "9999999999"), "Value 9999999999 for type MEMORY"},
		{requires("1", "4", `{"type":"GPU","value":"one"}`), "Value one for type GPU in resourceRequirement is not valid. Please provide a numeric value."},
		{requires("1", "4", `{"type":"GPU","value":"0"}`), "GPU must be at least 1"},
		{requires("1", "4", `{"type":"GPU","value":"2"}`), ""},
		{requires("1", "4", `{"type":"VCPU","value":"2"}`), "Cannot provide duplicates in resourceRequirements."},
		{requires("1", "4", `{"type":"DISK","value":"2"}`), "is not a valid value of containerProperties.resourceRequirements.type"},
		{requires("1", "4", `{"value":"2"}`), "need a type"},
		{requires("1", "4", `{"type":"GPU","value":2}`), "should be a string"},
		{`{"resourceRequirements":[],"vcpus":1,"memory":4}`, ""},
		{`{"resourceRequirements":[],"vcpus":0,"memory":4}`, "vCPU must be at least 1, got 0."},
		{`{"resourceRequirements":[],"vcpus":1,"memory":3}`, "Memory must be at least 4 Mib, got 3 Mib."},
		{`{"resourceRequirements":[],"memory":4}`, "vCPU is required."},
		{`{"vcpus":1,"memory":128}`, ""},
		{`{"vcpus":2}`, "This value was submitted in a deprecated key and may conflict"},
		{`{"memory":256}`, "This value was submitted in a deprecated key and may conflict"},
		{`{"instanceType":"m5.large"}`, "instanceType is applicable for multi-node parallel jobs only"},
		{`{"environment":[{"name":"AWS_BATCH_X","value":"1"}]}`, "cannot start with AWS_BATCH"},
		{`{"environment":[{"value":"1"}]}`, "name is required"},
		{`{"environment":[{"name":"A=B"}]}`, "name is not valid"},
		{`{"environment":[{"name":"AWS_REGION","value":""}]}`, ""},
		{`{"secrets":[{"name":"A","valueFrom":"b"}]}`, "executionRoleArn cannot be empty when using secrets or secretOptions"},
		{`{"secrets":[{"name":"A","valueFrom":"b"}],"executionRoleArn":"r"}`, ""},
		{`{"secrets":[{"name":"A"}],"executionRoleArn":"r"}`, "need a name and a valueFrom"},
		{`{"logConfiguration":{"logDriver":"splunk","secretOptions":[{"name":"A","valueFrom":"b"}]}}`, "executionRoleArn cannot be empty when using secrets or secretOptions"},
		{`{"logConfiguration":{}}`, "needs a logDriver"},
		{`{"logConfiguration":{"logDriver":"paper"}}`, "is not a valid value of containerProperties.logConfiguration.logDriver"},
		{`{"user":"Root"}`, "User 'Root' does not match regex"},
		{`{"user":"1000:1000"}`, "User '1000:1000' does not match regex"},
		{`{"user":"1000"}`, ""},
		{`{"mountPoints":[{"sourceVolume":"v","containerPath":"/x"}]}`, "Unknown volume 'v'"},
		{`{"mountPoints":[{"sourceVolume":"v","containerPath":"x"}],"volumes":[{"name":"v"}]}`, "absolute path"},
		{`{"mountPoints":[{"sourceVolume":"v","containerPath":"/x"}],"volumes":[{"name":"v","host":{"sourcePath":"/y"}}]}`, ""},
		{`{"volumes":[{"name":"v"},{"name":"v"}]}`, "Volume names must be unique"},
		{`{"volumes":[{"host":{}}]}`, "Volume name is not valid"},
		{`{"volumes":[{"name":"a b"}]}`, "Volume name is not valid"},
		{`{"volumes":[{"name":"v","host":{},"efsVolumeConfiguration":{"fileSystemId":"fs-1"}}]}`, "only one of"},
		{`{"volumes":[{"name":"v","efsVolumeConfiguration":{}}]}`, "fileSystemId"},
		{`{"volumes":[{"name":"v","s3filesVolumeConfiguration":{}}]}`, "fileSystemArn"},
		{`{"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1","rootDirectory":"/` + strings.Repeat("x", 4096) + `"}}]}`, "rootDirectory"},
		{`{"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1","authorizationConfig":{"iam":"ENABLED"}}}]}`, "transitEncryption must be ENABLED"},
		{`{"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1","transitEncryption":"ENABLED","authorizationConfig":{"iam":"ENABLED"}}}]}`, "jobRoleArn cannot be empty"},
		{`{"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1","transitEncryption":"ENABLED","rootDirectory":"/x","authorizationConfig":{"accessPointId":"a"}}}]}`, "rootDirectory must be omitted"},
		{`{"jobRoleArn":"r","volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-1","transitEncryption":"ENABLED","authorizationConfig":{"iam":"ENABLED","accessPointId":"a"}}}]}`, ""},
		{`{"ulimits":[{"name":"nofiles","softLimit":1,"hardLimit":1}]}`, "Invalid ulimit name"},
		{`{"ulimits":[{"name":"nofile","softLimit":1}]}`, "needs a softLimit and a hardLimit"},
		{`{"ulimits":[{"name":"nofile","softLimit":1,"hardLimit":1}]}`, ""},
		{`{"linuxParameters":{"swappiness":101}}`, "swappiness"},
		{`{"linuxParameters":{"maxSwap":-1}}`, "maxSwap"},
		{`{"linuxParameters":{"sharedMemorySize":-1}}`, "sharedMemorySize"},
		{`{"linuxParameters":{"devices":[{}]}}`, "hostPath"},
		{`{"linuxParameters":{"tmpfs":[{"containerPath":"/x"}]}}`, "containerPath and a size"},
		{`{"linuxParameters":{"tmpfs":[{"containerPath":"/x","size":1}],"devices":[{"hostPath":"/dev/x","permissions":["READ"]}],"maxSwap":0,"swappiness":0,"sharedMemorySize":1}}`, ""},
		{`{"networkConfiguration":{"assignPublicIp":"ENABLED"}}`, "networkConfiguration not applicable for EC2."},
		{`{"fargatePlatformConfiguration":{}}`, "fargatePlatformConfiguration not applicable for EC2."},
		{`{"ephemeralStorage":{"sizeInGiB":21}}`, "ephemeralStorage not applicable for EC2."},
		{`{"runtimePlatform":{"operatingSystemFamily":"BEOS"}}`, "RuntimePlatform supports only one from [WINDOWS_SERVER_2019_CORE, "},
		{`{"runtimePlatform":{"cpuArchitecture":"Z80"}}`, "RuntimePlatform supports only one from [X86_64, ARM64]"},
		{`{"runtimePlatform":{"cpuArchitecture":"ARM64","operatingSystemFamily":"WINDOWS_SERVER_2019_CORE"}}`, "Windows supported only by X86_64 cpuArchitecture"},
		{`{"privileged":true,"runtimePlatform":{"operatingSystemFamily":"WINDOWS_SERVER_2019_CORE"}}`, "privileged is not applicable for Windows"},
		{`{"user":"a","runtimePlatform":{"operatingSystemFamily":"WINDOWS_SERVER_2019_CORE"}}`, "user is not applicable for Windows"},
		{`{"linuxParameters":{},"runtimePlatform":{"operatingSystemFamily":"WINDOWS_SERVER_2019_CORE"}}`, "linuxParameters is not applicable for Windows"},
		{`{"volumes":[{"name":"v","efsVolumeConfiguration":{}}],"runtimePlatform":{"operatingSystemFamily":"WINDOWS_SERVER_2019_CORE"}}`, "efsVolumeConfiguration is not applicable for Windows"},
		{`{"repositoryCredentials":{}}`, "credentialsParameter"},
		{`{"privileged":true,"readonlyRootFilesystem":true}`, ""},
	})
}

func TestFargateRefusals(t *testing.T) {
	newWorld(t).registered("containerProperties", plainFargate, map[string]any{"platformCapabilities": []string{"FARGATE"}}, []refusal{
		{`{"executionRoleArn":null}`, "executionRoleArn is required for Fargate."},
		{requires("0.25", "1024"), ""},
		{requires(".25", "2048"), ""},
		{requires("0.25", "3072"), "No Fargate configuration exists for given values: 0.25 vCPU, 3072 MiB memory."},
		{requires("0.5", "512"), "No Fargate configuration exists"},
		{requires("1", "8192"), ""},
		{requires("2", "4097"), "No Fargate configuration exists"},
		{requires("3", "8192"), "No Fargate configuration exists"},
		{requires("4", "30720"), ""},
		{requires("8", "20480"), ""},
		{requires("8", "17408"), "No Fargate configuration exists"},
		{requires("16", "122880"), ""},
		{requires("16", "131072"), "No Fargate configuration exists"},
		{requires("", "512"), "vCPU is required."},
		{requires("0.25", ""), "Memory is required."},
		{requires("0.25", "512", `{"type":"GPU","value":"1"}`), "GPU is not applicable for Fargate."},
		{`{"vcpus":1,"memory":2048}`, "not applicable for Fargate"},
		{`{"privileged":true}`, "privileged is not applicable for Fargate."},
		{`{"privileged":false}`, ""},
		{`{"ulimits":[{"name":"nofile","softLimit":1,"hardLimit":1}]}`, "ulimits is not applicable for Fargate."},
		{`{"linuxParameters":{"devices":[{"hostPath":"/x"}]}}`, "linuxParameter.devices is not allowed for Fargate."},
		{`{"linuxParameters":{"sharedMemorySize":1}}`, "linuxParameter.sharedMemorySize is not allowed for Fargate."},
		{`{"linuxParameters":{"tmpfs":[{"containerPath":"/x","size":1}]}}`, "linuxParameter.tmpfs is not allowed for Fargate."},
		{`{"linuxParameters":{"swappiness":1}}`, "linuxParameter.swappiness is not allowed for Fargate."},
		{`{"linuxParameters":{"maxSwap":1}}`, "linuxParameter.maxSwap is not allowed for Fargate."},
		{`{"linuxParameters":{"initProcessEnabled":true}}`, ""},
		{`{"volumes":[{"name":"v","host":{"sourcePath":"/x"}}]}`, "host.sourcePath should not be set for volumes in Fargate."},
		{`{"volumes":[{"name":"v"}]}`, ""},
		{`{"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"f"}}],"fargatePlatformConfiguration":{"platformVersion":"1.3.0"}}`, "EFS is supported for Fargate platform versions 1.4.0 or later"},
		{`{"volumes":[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"f"}}],"fargatePlatformConfiguration":{"platformVersion":"1.4.0"}}`, ""},
		{`{"fargatePlatformConfiguration":{"platformVersion":"newest"}}`, "Platform version for Fargate is not valid"},
		{`{"logConfiguration":{"logDriver":"json-file"}}`, "Log driver for Fargate is not valid: json-file"},
		{`{"logConfiguration":{"logDriver":"awslogs"}}`, ""},
		{`{"ephemeralStorage":{"sizeInGiB":20}}`, "Ephemeral storage for Fargate tasks can be only between range 21 GiB to 200 GiB"},
		{`{"ephemeralStorage":{"sizeInGiB":201}}`, "Ephemeral storage for Fargate tasks can be only between range 21 GiB to 200 GiB"},
		{`{"ephemeralStorage":{"sizeInGiB":200},"networkConfiguration":{"assignPublicIp":"ENABLED"}}`, ""},
	})
}

const oneContainer = `{"image":"busybox","name":"a","resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"2048"}]}`

// containers is a task with containers that differ from oneContainer.
func containers(t testing.TB, changes ...string) string {
	t.Helper()
	var list []string
	for _, c := range changes {
		list = append(list, with(t, oneContainer, object(t, c)))
	}
	return `{"taskProperties":[{"executionRoleArn":"r","containers":[` + strings.Join(list, ",") + `]}]}`
}

func TestEcsRefusals(t *testing.T) {
	fine := containers(t, `{}`)
	task := func(members string) string {
		return with(t, fine, map[string]any{"taskProperties": []any{with2(t, fine, members)}})
	}
	tests := []refusal{
		{`{"taskProperties":[]}`, "exactly one taskProperties"},
		{`{"taskProperties":[{"containers":[]}]}`, "between 1 and 10, got 0"},
		{containers(t, `{"name":null}`), ""},
		{containers(t, `{"name":null}`, `{}`), "Container name is not valid"},
		{containers(t, `{"name":"a/b"}`), "Container name is not valid"},
		{containers(t, `{}`, `{}`), "Container names must be unique"},
		{containers(t, `{"essential":false}`), "At least one container in a task must be essential"},
		{containers(t, `{"dependsOn":[{"containerName":"b","condition":"START"}]}`, `{"name":"b"}`), ""},
		{containers(t, `{"dependsOn":[{"containerName":"b","condition":"SUCCESS"}]}`, `{"name":"b","essential":false}`), ""},
		{containers(t, `{"dependsOn":[{"containerName":"b","condition":"SUCCESS"}]}`, `{"name":"b"}`), "Condition SUCCESS cannot be set on essential container b"},
		{containers(t, `{"dependsOn":[{"containerName":"b","condition":"COMPLETE"}]}`, `{"name":"b"}`), "Condition COMPLETE cannot be set on essential container b"},
		{containers(t, `{"dependsOn":[{"containerName":"b","condition":"HEALTHY"}]}`, `{"name":"b"}`), `condition "HEALTHY" is not valid`},
		{containers(t, `{"dependsOn":[{"containerName":"b"}]}`, `{"name":"b"}`), "is not valid"},
		{containers(t, `{"dependsOn":[{"containerName":"c","condition":"START"}]}`), "which does not exist"},
		{containers(t, `{"dependsOn":[{"condition":"START"}]}`), "which does not exist"},
		{containers(t, `{"dependsOn":[{"containerName":"a","condition":"START"}]}`), "cannot be cyclic"},
		{containers(t, `{"dependsOn":[{"containerName":"b","condition":"START"}]}`, `{"name":"b","dependsOn":[{"containerName":"c","condition":"START"}]}`,
			`{"name":"c","dependsOn":[{"containerName":"b","condition":"START"}]}`), "cannot be cyclic"},
		{containers(t, `{"startTimeout":1}`), "startTimeout must be at least 2 seconds"},
		{containers(t, `{"stopTimeout":1}`), "stopTimeout must be at least 2 seconds"},
		{containers(t, `{"user":"1000:1000"}`), ""},
		{containers(t, `{"user":"1000:1000:1"}`), "does not match regex"},
		{containers(t, `{"image":""}`), "image is required"},
		{containers(t, `{"secrets":[{"name":"a","valueFrom":"b"}]}`), ""},
		{containers(t, `{"mountPoints":[{"sourceVolume":"v","containerPath":"/x"}]}`), "Unknown volume 'v'"},
		{containers(t, `{"environment":[{"name":"AWS_BATCH_X"}]}`), "cannot start with AWS_BATCH"},
		{containers(t, `{"resourceRequirements":[]}`), "vCPU is required."},
		{task(`{"ipcMode":"shared"}`), "ipcMode supports only one from [host, task, none]"},
		{task(`{"pidMode":"none"}`), "pidMode supports only one from [host, task]"},
	}
	for i := range 11 {
		tests = append(tests, refusal{containers(t, names(i)...), map[bool]string{true: "", false: "between 1 and 10, got"}[i >= 1 && i <= 10]})
	}
	tests = append(tests, refusal{containers(t, names(11)...), "between 1 and 10, got 11"})
	newWorld(t).registered("ecsProperties", fine, nil, append(tests,
		refusal{containers(t, `{"stopTimeout":3600}`), ""},
		refusal{task(`{"platformVersion":"LATEST"}`), "platformVersion not applicable for EC2."},
		refusal{task(`{"networkConfiguration":{}}`), "networkConfiguration not applicable for EC2."},
		refusal{task(`{"ipcMode":"host","pidMode":"host"}`), ""},
	))
	newWorld(t).registered("ecsProperties", fine, map[string]any{"platformCapabilities": []string{"FARGATE"}}, []refusal{
		{containers(t, `{}`, `{"name":"b"}`), ""}, // 2 vCPUs and 4096 MiB together
		{containers(t, names(3)...), "No Fargate configuration exists for given values: 3 vCPU"},
		{containers(t, `{"stopTimeout":121}`), "at most 120 seconds for Fargate"},
		{containers(t, `{"startTimeout":120,"stopTimeout":120}`), ""},
		{task(`{"ipcMode":"task"}`), "ipcMode is not applicable for Fargate."},
		{task(`{"pidMode":"host"}`), "pidMode host is not applicable for Fargate."},
		{task(`{"pidMode":"task","platformVersion":"1.4.0"}`), ""},
		{task(`{"executionRoleArn":null}`), "executionRoleArn is required for Fargate."},
	})
}

// names changes the names of n containers.
func names(n int) (changes []string) {
	for i := range n {
		changes = append(changes, fmt.Sprintf(`{"name":"c%d"}`, i))
	}
	return changes
}

// with2 changes the one task of ecsProperties.
func with2(t testing.TB, ecs, members string) json.RawMessage {
	t.Helper()
	task, err := json.Marshal(at(t, object(t, ecs), "taskProperties", 0))
	if err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(with(t, string(task), object(t, members)))
}

func TestEksRefusals(t *testing.T) {
	pod := func(container, more string) string {
		return `{"podProperties":{"containers":[` + with(t, `{"image":"busybox","resources":{"requests":{"cpu":"1","memory":"1024Mi"}}}`, object(t, container)) + `]` + more + `}}`
	}
	resources := func(limits, requests string) string {
		return pod(`{"resources":{"limits":{`+limits+`},"requests":{`+requests+`}}}`, ``)
	}
	newWorld(t).registered("eksProperties", pod(`{}`, ``), nil, []refusal{
		{`{"podProperties":null}`, "podProperties"},
		{`{"podProperties":{"containers":[]}}`, "between 1 and 10"},
		{pod(`{"image":null}`, ``), "image is required"},
		{pod(`{"imagePullPolicy":"Sometimes"}`, ``), "imagePullPolicy supports only one from"},
		{pod(`{"env":[{"name":"AWS_BATCH_X"}]}`, ``), "cannot start with AWS_BATCH"},
		{pod(`{"volumeMounts":[{"name":"v"}]}`, ``), "Unknown volume 'v'"},
		{pod(`{"volumeMounts":[{"name":"v"}]}`, `,"volumes":[{"name":"v","emptyDir":{}}]`), ""},
		{pod(`{}`, `,"volumes":[{"name":"v"}]`), "exactly one of"},
		{pod(`{}`, `,"volumes":[{"name":"v","emptyDir":{}},{"name":"v","emptyDir":{}}]`), "must be unique"},
		{pod(`{}`, `,"dnsPolicy":"Mine"`), "dnsPolicy supports only one from"},
		{pod(`{"name":"x"}`, `,"initContainers":[{"image":"a","name":"x"}]`), "Container names must be unique"},
		{pod(`{"name":"x"}`, `,"initContainers":[{"image":"a","name":"y"}]`), ""},
		{resources(``, `"cpu":"1"`), "memory is required"},
		{resources(`"memory":"4Mi"`, ``), "cpu is required"},
		{resources(`"memory":"3Mi","cpu":"1"`, ``), "Memory must be at least 4 Mib, got 3 Mib."},
		{resources(`"memory":"4Gi","cpu":"1"`, ``), "suffix Mi"},
		{resources(`"memory":"4Mi","cpu":"100m"`, ``), "multiple of 0.25"},
		{resources(`"memory":"4Mi","cpu":"0.3"`, ``), "multiple of 0.25"},
		{resources(`"memory":"4Mi","cpu":"0.75"`, `"memory":"4Mi","cpu":"0.5"`), ""},
		{resources(`"memory":"4Mi","cpu":"0.5"`, `"cpu":"0.75"`), "cpu in limits does not go with"},
		{resources(`"memory":"8Mi","cpu":"0.5"`, `"memory":"4Mi"`), "memory in limits does not go with"},
		{resources(`"memory":"8Mi","cpu":"0.5","nvidia.com/gpu":"x"`, ``), "nvidia.com/gpu is not valid"},
		{resources(`"memory":"8Mi","cpu":"0.5","disk":"1"`, ``), "Resource disk is not valid"},
	})
	newWorld(t).registered("eksProperties", pod(`{}`, ``), map[string]any{"timeout": map[string]any{"attemptDurationSeconds": 60}}, nil)
}

func TestNodeRefusals(t *testing.T) {
	group := func(target, properties string) string {
		return fmt.Sprintf(`{"targetNodes":%q,%s}`, target, properties)
	}
	nodes := func(n, main int, groups ...string) string {
		return fmt.Sprintf(`{"numNodes":%d,"mainNode":%d,"nodeRangeProperties":[%s]}`, n, main, strings.Join(groups, ","))
	}
	c := `"container":` + plainContainer
	light := `"container":{"image":"busybox"}`
	newWorld(t).registered("nodeProperties", nodes(4, 0, group("0:3", c)), map[string]any{"type": "multinode"}, []refusal{
		{`{"numNodes":0}`, "numNodes must be at least 1"},
		{`{"mainNode":4}`, "mainNode must be an index of a node, 0 to 3"},
		{`{"mainNode":null}`, "mainNode"},
		{`{"nodeRangeProperties":[]}`, "between 1 and 5"},
		{nodes(4, 0, group("0:2", c)), "must account for all nodes (0:3)"},
		{nodes(4, 0, group("0:", c)), ""},
		{nodes(4, 0, group(":3", c)), ""},
		{nodes(4, 0, group("0:1", c), group("2:3", c)), ""},
		{nodes(4, 0, group("2:", c), group("0", c), group("1", c)), ""},
		{nodes(4, 0, group("0:3", c), group("1:2", light)), ""},
		{nodes(4, 0, group("0:3", light), group("1:2", c)), "vCPU is required."},
		{nodes(4, 0, group("0:4", c)), "is not a range of nodes"},
		{nodes(4, 0, group("3:0", c)), "is not a range of nodes"},
		{nodes(4, 0, group("", c)), "is not a range of nodes"},
		{nodes(4, 0, group("a:b", c)), "is not a range of nodes"},
		{nodes(2147483647, 0, group("0:", c)), ""},
		{nodes(4, 0, group("0:3", c+`,"ecsProperties":{}`)), "exactly one of container, ecsProperties and eksProperties"},
		{nodes(4, 0, group("0:3", `"instanceTypes":["m5"]`)), "exactly one of container, ecsProperties and eksProperties"},
		{nodes(4, 0, group("0:3", c+`,"instanceTypes":["m5","c5"]`)), "limited to one element"},
		{nodes(4, 0, group("0:3", `"container":{"image":"x","instanceType":"m5.large","vcpus":1,"memory":4}`)), ""},
		{nodes(4, 0, group("0:3", `"container":{}`)), "image is required"},
		{nodes(4, 0, group("0:3", `"ecsProperties":`+containers(t, `{}`))), ""},
		{nodes(4, 0, group("0:3", `"ecsProperties":{}`)), "exactly one taskProperties"},
		{nodes(4, 0, group("0:3", `"eksProperties":{}`)), "podProperties"},
		{nodes(1, 0, group("0", c), group("0", c), group("0", c), group("0", c), group("0", c), group("0", c)), "between 1 and 5"},
	})
}

func TestDefinitionRefusals(t *testing.T) {
	plain := `,"containerProperties":` + plainContainer
	consumes := func(list string) string {
		return plain + `,"consumableResourceProperties":{"consumableResourceList":[` + list + `]}`
	}
	w := newWorld(t)
	for _, test := range []struct{ body, part string }{
		{`{}`, "Provided name  is not supported pattern"},
		{register("a b", plain), "Provided name a b is not supported pattern[a-zA-Z_0-9-]{1,128}"},
		{`{"jobDefinitionName":"d"}`, "type is required"},
		{`{"jobDefinitionName":"d","type":"pod"}`, "is not a valid value of type"},
		{register("d", ``), "is required for job definitions of type container"},
		{register("d", plain+`,"nodeProperties":{}`), "Only one of containerProperties"},
		{register("d", `,"nodeProperties":{}`), "not applicable for job definitions of type container"},
		{`{"jobDefinitionName":"d","type":"multinode"` + plain + `}`, "nodeProperties is required"},
		{register("d", plain+`,"retryStrategy":{}`), "RetryAttempts must be provided with retry strategy."},
		{register("d", plain+`,"retryStrategy":{"evaluateOnExit":[{"action":"EXIT","onReason":"*"}]}`), "RetryAttempts must be provided with retry strategy."},
		{register("d", plain+`,"retryStrategy":{"attempts":0}`), "between 1 and 10"},
		{register("d", plain+`,"retryStrategy":{"attempts":11}`), "between 1 and 10"},
		{register("d", plain+`,"retryStrategy":{"attempts":1,"evaluateOnExit":[`+strings.Repeat(`{"action":"EXIT","onReason":"*"},`, 5)+`{"action":"EXIT","onReason":"*"}]}`), "Up to 5 evaluateOnExit condition can be specified."},
		{register("d", plain+`,"retryStrategy":{"attempts":1,"evaluateOnExit":[{"action":"EXIT"}]}`), "EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason"},
		{register("d", plain+`,"retryStrategy":{"attempts":1,"evaluateOnExit":[{"action":"EXIT","onReason":"(x)"}]}`), "Evaluate on exit condition contains restricted characters."},
		{register("d", plain+`,"retryStrategy":{"attempts":1,"evaluateOnExit":[{"action":"EXIT","onReason":"`+strings.Repeat("x", 513)+`"}]}`), "Evaluate on exit condition cannot exceed 512 characters."},
		{register("d", plain+`,"retryStrategy":{"attempts":1,"evaluateOnExit":[{"onReason":"x"}]}`), "action is required"},
		{register("d", plain+`,"retryStrategy":{"attempts":1,"evaluateOnExit":[{"action":"again","onReason":"x"}]}`), "is not a valid value of retryStrategy.evaluateOnExit.action"},
		{register("d", plain+`,"timeout":{"attemptDurationSeconds":59}`), "must be at least 60, got 59"},
		{register("d", plain+`,"schedulingPriority":10000`), "between 0 and 9999"},
		{register("d", plain+`,"schedulingPriority":-1`), "between 0 and 9999"},
		{register("d", plain+`,"tags":{"aws:x":"y"}`), "Tag"},
		{register("d", consumes(`{"consumableResource":"a","quantity":1},{"consumableResource":"`+consumableARN+`a","quantity":1}`)), "Cannot have duplicate consumableResource in consumableResourceProperties"},
		{register("d", consumes(`{"consumableResource":"a","quantity":0}`)), "must be at least 1"},
		{register("d", consumes(`{"quantity":1}`)), "name or ARN of a consumable resource"},
		{register("d", plain+`,"platformCapabilities":["EC2","FARGATE"]`), "only one from [EC2, FARGATE]"},
		{register("d", plain+`,"platformCapabilities":["MOON"]`), "is not a valid value of platformCapabilities"},
		{register("d", plain+`,"platformCapabilities":[""]`), "only one from [EC2, FARGATE]"},
		{`{"jobDefinitionName":"d","type":"multinode","platformCapabilities":["FARGATE"],"nodeProperties":{}}`, "not applicable for Fargate"},
		{register("d", `,"platformCapabilities":["EC2"],"eksProperties":{}`), "platformCapabilities is not applicable for EKS."},
		{register("d", `,"propagateTags":true,"eksProperties":{}`), "propagateTags is not applicable for EKS."},
		{register("d", `,"parameters":{"a":1}`), "should be a string"},
	} {
		w.refused("RegisterJobDefinition", test.body, test.part)
	}
	w.do("RegisterJobDefinition", register("d", consumes(`{"consumableResource":"a","quantity":1},{"consumableResource":"b","quantity":2}`)))
	if op := operations["RegisterJobDefinition"]; op.limit != 24<<10 {
		t.Errorf("RegisterJobDefinition takes %d bytes", op.limit)
	}
}
