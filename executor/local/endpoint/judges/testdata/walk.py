"""walk.py: what one does with AWS Batch, with boto3, and what the service refuses.

AWS_ENDPOINT_URL is the endpoint; the names of all that is made begin with PREFIX.
"""

import resources
from common import *

CE, FARGATE, QUEUE = PREFIX + "-ce", PREFIX + "-fargate", PREFIX + "-queue"
CHILDREN = {"arrayProperties": {"size": 5}}
made = {}  # name to id or ARN


def submit(name, definition, **more):
    answer = batch.submit_job(jobName=name, jobQueue=QUEUE, jobDefinition=definition, **more)
    equal(answer["jobName"], name)
    matches(answer["jobId"], r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    matches(answer["jobArn"], r"arn:aws:batch:us-east-1:\d{12}:job/" + answer["jobId"])
    made[name] = answer["jobId"]
    return answer["jobId"]


def environments():
    equal(batch.describe_compute_environments(computeEnvironments=[CE])["computeEnvironments"], [])
    made["ce"] = environment(CE, tags={"Name": "judged"})
    matches(made["ce"], rf"arn:aws:batch:us-east-1:\d{{12}}:compute-environment/{CE}")
    for name in (CE, made["ce"]):  # by name and by ARN
        (ce,) = batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"]
        equal((ce["type"], ce["state"], ce["status"], ce["statusReason"]), ("MANAGED", "ENABLED", "VALID", "ComputeEnvironment Healthy"))
        equal(ce["computeResources"]["tags"], {"Name": "judged"})
        equal((ce["computeResources"]["minvCpus"], ce["computeResources"]["maxvCpus"]), (0, 64))
        matches(ce["ecsClusterArn"], r"arn:aws:ecs:us-east-1:\d{12}:cluster/.+")
    resources = {"type": "EC2", "minvCpus": 0, "maxvCpus": 4, "instanceTypes": ["m5"], "subnets": ["s"], "securityGroupIds": ["g"], "instanceRole": "r"}

    def no(text, **change):
        request = {"computeEnvironmentName": PREFIX + "-no", "type": "MANAGED", "computeResources": resources, **change}
        if request["computeResources"] is None:
            del request["computeResources"]
        refused(text, batch.create_compute_environment, **request)

    no("already exists", computeEnvironmentName=CE)
    no("", computeEnvironmentName="a.b")
    no("", type="SOMEWHERE")
    no("", state="ON")
    no("Instance role is required.", computeResources={k: v for k, v in resources.items() if k != "instanceRole"})
    no("maxvCpus should be greater than or equal to minvCpus.", computeResources={**resources, "minvCpus": 5})
    no("desiredvCpus should be between minvCpus and maxvCpus.", computeResources={**resources, "desiredvCpus": 5})
    no("tags is not applicable for Fargate.", computeResources={"type": "FARGATE", "maxvCpus": 4, "subnets": ["s"], "securityGroupIds": ["g"], "tags": {"a": "b"}})
    no("ServiceRole is required.", type="UNMANAGED", computeResources=None, unmanagedvCpus=4)
    batch.create_compute_environment(
        computeEnvironmentName=FARGATE, type="MANAGED", computeResources={"type": "FARGATE", "maxvCpus": 4, "subnets": ["s"], "securityGroupIds": ["g"]}
    )
    valid("computeEnvironments", batch.describe_compute_environments, FARGATE)
    refused("", batch.describe_compute_environments, computeEnvironments=[CE], maxResults=1)
    refused("does not exist", batch.update_compute_environment, computeEnvironment=PREFIX + "-none", state="DISABLED")
    answer = batch.update_compute_environment(computeEnvironment=made["ce"], computeResources={"maxvCpus": 32})
    equal(answer["computeEnvironmentName"], CE)
    equal(valid("computeEnvironments", batch.describe_compute_environments, CE)["computeResources"]["maxvCpus"], 32)


def queues():
    made["queue"] = queue(QUEUE, [made["ce"]], tags={"team": "a"})
    made["fargate queue"] = queue(PREFIX + "-fq", [FARGATE], priority=7)
    (q,) = batch.describe_job_queues(jobQueues=[made["queue"]])["jobQueues"]
    equal((q["state"], q["status"], q["statusReason"], q["priority"]), ("ENABLED", "VALID", "JobQueue Healthy", 1))
    equal(q["computeEnvironmentOrder"], [{"order": 1, "computeEnvironment": made["ce"]}])
    equal(q["tags"], {"team": "a"})

    def no(text, **change):
        order = [{"order": 1, "computeEnvironment": CE}]
        request = {"jobQueueName": PREFIX + "-no", "priority": 1, "computeEnvironmentOrder": order, **change}
        refused(text, batch.create_job_queue, **request)

    limit = {"reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"}
    no("already exists", jobQueueName=QUEUE)
    no("Job Queue name should match a valid pattern.", jobQueueName="a b")
    no("does not exist", computeEnvironmentOrder=[{"order": 1, "computeEnvironment": PREFIX + "-none"}])
    no("can not be mixed", computeEnvironmentOrder=[{"order": 1, "computeEnvironment": CE}, {"order": 2, "computeEnvironment": FARGATE}])
    no("Duplicate ComputeEnvironment order values.", computeEnvironmentOrder=[{"order": 1, "computeEnvironment": CE}, {"order": 1, "computeEnvironment": CE}])
    no("SchedulingPolicy", schedulingPolicyArn=made["queue"].replace(f"job-queue/{QUEUE}", "scheduling-policy/none"))
    no("Invalid job reason", jobStateTimeLimitActions=[{**limit, "reason": "BOREDOM"}])
    no("Invalid job action. Valid job actions: [CANCEL]", jobStateTimeLimitActions=[{**limit, "action": "TERMINATE"}])
    no("", jobStateTimeLimitActions=[{**limit, "action": "KILL"}])
    no("Duplicate job state limit actions are not allowed.", jobStateTimeLimitActions=[limit, limit])
    no("", jobStateTimeLimitActions=[{**limit, "maxTimeSeconds": 599}])
    refused("does not exist", batch.update_job_queue, jobQueue=PREFIX + "-none", state="DISABLED")
    refused("", batch.delete_job_queue, jobQueue=QUEUE)  # ENABLED
    batch.update_job_queue(jobQueue=QUEUE, priority=5, jobStateTimeLimitActions=[limit])
    q = valid("jobQueues", batch.describe_job_queues, QUEUE)
    equal((q["priority"], q["jobStateTimeLimitActions"]), (5, [limit]))


def policies():
    resources.policies(made["ce"])


def consumables():
    resources.consumables()


def definitions():
    name = PREFIX + "-def"
    first = define(name, ["true"])
    second = define(name, ["true"], retryStrategy={"attempts": 2, "evaluateOnExit": [{"onExitCode": "1*", "action": "RETRY"}]}, timeout={"attemptDurationSeconds": 60})
    equal((first[-2:], second[-2:]), (":1", ":2"))
    (d,) = batch.describe_job_definitions(jobDefinitions=[f"{name}:2"])["jobDefinitions"]
    equal((d["revision"], d["status"], d["type"], d["jobDefinitionArn"]), (2, "ACTIVE", "container", second))
    equal((d["timeout"], d["retryStrategy"]["attempts"]), ({"attemptDurationSeconds": 60}, 2))
    equal([e["action"].upper() for e in d["retryStrategy"]["evaluateOnExit"]], ["RETRY"])
    for key in ("environment", "mountPoints", "ulimits", "volumes", "secrets"):
        equal(d["containerProperties"][key], [])
    batch.deregister_job_definition(jobDefinition=first)
    revisions = {d["revision"]: d["status"] for d in batch.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]}
    equal(revisions, {1: "INACTIVE", 2: "ACTIVE"})
    equal([d["revision"] for d in batch.describe_job_definitions(jobDefinitionName=name, status="INACTIVE")["jobDefinitions"]], [1])
    # A list and a status, which the reference forbids and the service takes (boto3, issue 2908).
    equal([d["revision"] for d in batch.describe_job_definitions(jobDefinitions=[first, second], status="ACTIVE")["jobDefinitions"]], [2])
    batch.deregister_job_definition(jobDefinition=f"{name}:2")
    equal(define(name, ["true"])[-2:], ":3")  # revisions count on
    equal(batch.describe_job_definitions(jobDefinitions=[PREFIX + "-none:1"])["jobDefinitions"], [])

    def no(text, container={}, **change):
        properties = {"image": "busybox", "command": ["true"], "resourceRequirements": RESOURCES, **container}
        request = {"jobDefinitionName": PREFIX + "-no", "type": "container", "containerProperties": properties, **change}
        refused(text, batch.register_job_definition, **request)

    no("", jobDefinitionName="a b")
    no("", type="box")
    no("", timeout={"attemptDurationSeconds": 59})
    no("RetryAttempts must be provided with retry strategy.", retryStrategy={"evaluateOnExit": [{"onExitCode": "1", "action": "EXIT"}]})
    no("Up to 5 evaluateOnExit condition can be specified.", retryStrategy={"attempts": 2, "evaluateOnExit": [{"onExitCode": "1", "action": "EXIT"}] * 6})
    no("EvaluateOnExit should contain at least one of", retryStrategy={"attempts": 2, "evaluateOnExit": [{"action": "EXIT"}]})
    no("restricted characters", retryStrategy={"attempts": 2, "evaluateOnExit": [{"onReason": "a?", "action": "EXIT"}]})
    no("cannot exceed 512 characters", retryStrategy={"attempts": 2, "evaluateOnExit": [{"onReason": "a" * 513, "action": "EXIT"}]})
    no("", retryStrategy={"attempts": 11})
    no("", retryStrategy={"attempts": 0})
    no("vCPU", container={"resourceRequirements": [{"type": "MEMORY", "value": "64"}]})
    no("vCPU must be at least 1", container={"resourceRequirements": [{"type": "VCPU", "value": "0"}, {"type": "MEMORY", "value": "64"}]})
    no("Memory must be at least 4 Mib, got 3 Mib.", container={"resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "3"}]})
    no("Cannot provide duplicates in resourceRequirements.", container={"resourceRequirements": RESOURCES + RESOURCES[:1]})
    no("is not valid. Please provide a numeric value.", container={"resourceRequirements": RESOURCES + [{"type": "GPU", "value": "many"}]})
    no("", container={"environment": [{"name": "AWS_BATCH_X", "value": "1"}]})
    no("executionRoleArn cannot be empty", container={"secrets": [{"name": "S", "valueFrom": "arn:aws:ssm:us-east-1:1:parameter/p"}]})
    no("does not match regex", container={"user": "Nobody!"})
    no("fargatePlatformConfiguration not applicable for EC2.", container={"fargatePlatformConfiguration": {"platformVersion": "1.4.0"}})
    fargate = {"platformCapabilities": ["FARGATE"]}
    role = {"executionRoleArn": "arn:aws:iam::123456789012:role/r", "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}]}
    no("ulimits is not applicable for Fargate.", container={**role, "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 1}]}, **fargate)
    no("GPU is not applicable for Fargate.", container={**role, "resourceRequirements": role["resourceRequirements"] + [{"type": "GPU", "value": "1"}]}, **fargate)
    no("", container={**role, "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "600"}]}, **fargate)


def plain():
    define(PREFIX + "-env", ["sh", "-c", "env; echo $0", "Ref::what"], parameters={"what": "nothing"}, container={"environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]})
    job = submit(
        "plain",
        PREFIX + "-env",
        parameters={"what": "something"},
        containerOverrides={"environment": [{"name": "B", "value": "3"}, {"name": "C", "value": ""}], "resourceRequirements": [{"type": "MEMORY", "value": "128"}]},
        tags={"step": "one"},
        timeout={"attemptDurationSeconds": 61},
    )
    d = ended(job, "SUCCEEDED")
    equal(d["statusReason"], "Essential container in task exited")
    equal((d["container"]["exitCode"], d["container"]["command"][3]), (0, "something"))
    equal({e["name"]: e["value"] for e in d["container"]["environment"]}, {"A": "1", "B": "3", "C": ""})
    equal({r["type"]: r["value"] for r in d["container"]["resourceRequirements"]}, {"VCPU": "1", "MEMORY": "128"})
    equal((d["timeout"], d["tags"]["step"], d["parameters"]), ({"attemptDurationSeconds": 61}, "one", {"what": "something"}))
    equal((d["jobQueue"], d["isCancelled"], d["isTerminated"], d["dependsOn"], d["propagateTags"]), (made["queue"], False, False, [], False))
    equal((d["retryStrategy"], d["platformCapabilities"]), ({"attempts": 1, "evaluateOnExit": []}, ["EC2"]))
    assert d["createdAt"] <= d["startedAt"] <= d["stoppedAt"], d
    (attempt,) = d["attempts"]
    equal((attempt["startedAt"], attempt["stoppedAt"], attempt["container"]["exitCode"]), (d["startedAt"], d["stoppedAt"], 0))
    stream = d["container"]["logStreamName"]
    matches(stream, PREFIX + "-env/default/[0-9a-f]{32}")
    equal(attempt["container"]["logStreamName"], stream)
    matches(d["container"]["taskArn"], r"arn:aws:ecs:us-east-1:\d{12}:task/.*" + stream[-32:])
    lines = output(stream)
    equal(lines[-1], "something")
    env = dict(line.split("=", 1) for line in lines if "=" in line)
    for name, value in {"A": "1", "B": "3", "C": "", "AWS_BATCH_JOB_ID": job, "AWS_BATCH_JQ_NAME": QUEUE, "AWS_BATCH_CE_NAME": CE, "AWS_BATCH_JOB_ATTEMPT": "1"}.items():
        equal((name, env.get(name)), (name, value))
    equal([n for n in env if n.startswith(("FLOW_", "AWS_ENDPOINT", "AWS_BATCH_JOB_ARRAY"))], [])


def arrays():
    define(PREFIX + "-index", ["sh", "-c", 'test "$AWS_BATCH_JOB_ARRAY_INDEX" != "$0" && echo "$AWS_BATCH_JOB_ARRAY_INDEX/$AWS_BATCH_JOB_ARRAY_SIZE"', "Ref::bad"], parameters={"bad": "-"})
    first = submit("array", PREFIX + "-index", **CHILDREN)
    second = submit("ntn", PREFIX + "-index", dependsOn=[{"jobId": first, "type": "N_TO_N"}], parameters={"bad": "2"}, **CHILDREN)
    third = submit("sequential", PREFIX + "-index", dependsOn=[{"type": "SEQUENTIAL"}], parameters={"bad": "3"}, **CHILDREN)
    fourth = submit("ntn on ntn".replace(" ", "_"), PREFIX + "-index", dependsOn=[{"jobId": second, "type": "N_TO_N"}], **CHILDREN)
    d = ended(first, "SUCCEEDED")
    summary = {s: 0 for s in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")}
    equal((d["arrayProperties"]["size"], d["arrayProperties"]["statusSummary"]), (5, {**summary, "SUCCEEDED": 5}))
    assert "index" not in d["arrayProperties"] and not d["attempts"], d
    d = ended(second, "FAILED")
    equal((d["statusReason"], d["arrayProperties"]["statusSummary"]), ("Array Child Job failed", {**summary, "SUCCEEDED": 4, "FAILED": 1}))
    d = ended(third, "FAILED")
    equal((d["statusReason"], d["arrayProperties"]["statusSummary"]), ("Array Child Job failed", {**summary, "SUCCEEDED": 3, "FAILED": 2}))
    ended(fourth, "FAILED")

    def children(parent):
        jobs = batch.describe_jobs(jobs=[f"{parent}:{i}" for i in range(5)])["jobs"]
        return sorted(jobs, key=lambda j: j["arrayProperties"]["index"])

    a, b, c, e = (children(p) for p in (first, second, third, fourth))
    equal([j["jobId"] for j in a], [f"{first}:{i}" for i in range(5)])
    equal([output(j["container"]["logStreamName"]) for j in a], [[f"{i}/5"] for i in range(5)])
    equal([j["status"] for j in b], ["SUCCEEDED"] * 2 + ["FAILED"] + ["SUCCEEDED"] * 2)
    equal((b[2]["container"]["exitCode"], b[2]["statusReason"]), (1, "Essential container in task exited"))
    for i in range(5):
        assert b[i]["startedAt"] >= a[i]["stoppedAt"], (a[i], b[i])
    equal([j["status"] for j in c], ["SUCCEEDED"] * 3 + ["FAILED"] * 2)
    equal([j["statusReason"] for j in c[3:]], ["Essential container in task exited", "Dependent Job failed"])
    for i in range(1, 4):
        assert c[i]["startedAt"] >= c[i - 1]["stoppedAt"], (c[i - 1], c[i])
    equal([j["status"] for j in e], ["SUCCEEDED"] * 2 + ["FAILED"] + ["SUCCEEDED"] * 2)
    equal((e[2]["statusReason"], e[2]["attempts"]), ("Dependent Job failed", []))
    # By array: the default is RUNNING here as well.
    equal(listed(arrayJobId=second), [])
    equal(sorted(j["arrayProperties"]["index"] for j in listed(arrayJobId=second, jobStatus="SUCCEEDED")), [0, 1, 3, 4])
    (bad,) = listed(arrayJobId=second, jobStatus="FAILED")
    equal((bad["jobId"], bad["container"]["exitCode"]), (f"{second}:2", 1))
    # By queue: no children.
    assert not [j for s in ENDED for j in listed(jobQueue=QUEUE, jobStatus=s) if ":" in j["jobId"]]
    (parent,) = [j for j in listed(jobQueue=QUEUE, jobStatus="SUCCEEDED") if j["jobId"] == first]
    equal(parent["arrayProperties"]["size"], 5)


def submissions_refused():
    def no(text, **change):
        refused(text, batch.submit_job, **{"jobName": "no", "jobQueue": QUEUE, "jobDefinition": PREFIX + "-index", **change})

    no("Job name should match valid pattern", jobName="a.b")
    no("Job name should match valid pattern", jobName="a" * 129)
    no(f"JobQueue {PREFIX}-none not found.", jobQueue=PREFIX + "-none")
    no(f"JobDefinition name {PREFIX}-none does not exist or is not in ACTIVE status", jobDefinition=PREFIX + "-none")
    no("Job cannot have more than 20 dependencies", dependsOn=[{"jobId": made["plain"]}] * 21)
    no("No parameter found for reference", jobDefinition=define(PREFIX + "-ref", ["echo", "Ref::x"]))
    no("can not run Jobs with capability EC2", jobQueue=PREFIX + "-fq")
    no("can only be submitted to job queue with fair share scheduling policy", shareIdentifier="a")
    no("", arrayProperties={"size": 1})
    no("", arrayProperties={"size": 10001})
    no("", timeout={"attemptDurationSeconds": 59})
    no("", retryStrategy={"attempts": 11})
    no("", containerOverrides={"environment": [{"name": "AWS_BATCH_JOB_ID", "value": "1"}]})
    no("", dependsOn=[{"type": "SEQUENTIAL"}])  # of a plain job
    no("", dependsOn=[{"jobId": made["plain"], "type": "N_TO_N"}], arrayProperties={"size": 2})
    no("", dependsOn=[{"jobId": made["plain"], "type": "SOMETIMES"}])
    no("", tags={"aws:x": "y"})
    no("", tags={"k" * 129: "v"})
    no("", tags={f"k{i}": "v" for i in range(51)})
    no("", parameters={"bad": "x" * 31000})


def dependencies():
    define(PREFIX + "-code", ["sh", "-c", "exit $0", "Ref::code"], parameters={"code": "0"})
    good, bad = submit("good", PREFIX + "-code"), submit("bad", PREFIX + "-code", parameters={"code": "4"})
    both = submit("both", PREFIX + "-code", dependsOn=[{"jobId": good}, {"jobId": bad}])
    after = submit("after", PREFIX + "-code", dependsOn=[{"jobId": good}])
    chained = submit("chained", PREFIX + "-code", dependsOn=[{"jobId": both}])
    array = submit("dependent_array", PREFIX + "-code", dependsOn=[{"jobId": bad}], **CHILDREN)
    ended(after, "SUCCEEDED")
    equal(ended(bad, "FAILED")["container"]["exitCode"], 4)
    for job in (both, chained, array):
        d = ended(job, "FAILED")
        equal((d["statusReason"], d["attempts"], "startedAt" in d, "exitCode" in d["container"]), ("Dependent Job failed", [], False, False))
    equal(describe(both)["dependsOn"], [{"jobId": good}, {"jobId": bad}])
    # Satisfied long ago; and no array, as AWS ParallelCluster says it.
    late = submit("late", PREFIX + "-code", dependsOn=[{"jobId": good}], arrayProperties={})
    ended(late, "SUCCEEDED")


def retries():
    rule = {"attempts": 4, "evaluateOnExit": [{"onExitCode": "5", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]}
    define(PREFIX + "-flaky", ["sh", "-c", "echo attempt $AWS_BATCH_JOB_ATTEMPT; exit $((6 - $AWS_BATCH_JOB_ATTEMPT * $0))", "Ref::by"], parameters={"by": "0"})
    missing = define(PREFIX + "-missing", ["/no/such/program"])
    jobs = {
        "every attempt": submit("r1", PREFIX + "-flaky", retryStrategy={"attempts": 3}),
        "until it works": submit("r2", PREFIX + "-flaky", retryStrategy={"attempts": 9}, parameters={"by": "2"}),
        "retry, then exit": submit("r3", PREFIX + "-flaky", retryStrategy=rule, parameters={"by": "1"}),
        "lower case": submit("r4", PREFIX + "-flaky", retryStrategy={"attempts": 2, "evaluateOnExit": [{"onExitCode": "6*", "action": "exit"}]}),
        "does not start": submit("r5", missing, retryStrategy={"attempts": 2, "evaluateOnExit": [{"onStatusReason": "Task failed to start", "action": "RETRY"}]}),
        "no rule matches": submit("r6", PREFIX + "-flaky", retryStrategy={"attempts": 2, "evaluateOnExit": [{"onExitCode": "7", "action": "EXIT"}]}),
    }

    def exits(name, status):
        return [a["container"].get("exitCode") for a in ended(jobs[name], status)["attempts"]]

    equal(exits("every attempt", "FAILED"), [6, 6, 6])
    equal(exits("until it works", "SUCCEEDED"), [4, 2, 0])
    equal(exits("retry, then exit", "FAILED"), [5, 4])
    equal(exits("lower case", "FAILED"), [6])
    equal(exits("does not start", "FAILED"), [None, None])
    equal(exits("no rule matches", "FAILED"), [6, 6])
    d = describe(jobs["does not start"])
    equal(d["statusReason"], "Task failed to start")
    matches(d["container"]["reason"], "CannotStartContainerError: .*")
    streams = [a["container"]["logStreamName"] for a in describe(jobs["until it works"])["attempts"]]
    equal(len(set(streams)), 3)  # a new one for each
    equal([output(s) for s in streams], [["attempt 1"], ["attempt 2"], ["attempt 3"]])


def cancel_and_terminate():
    define(PREFIX + "-sleep", ["sleep", "600"])
    job = submit("running", PREFIX + "-sleep")
    wait("running", lambda: describe(job)["status"], lambda s: s == "RUNNING")
    equal([j["jobId"] for j in listed(jobQueue=QUEUE)], [job])
    pending = submit("pending", PREFIX + "-sleep", dependsOn=[{"jobId": job}])
    wait("pending", lambda: describe(pending)["status"], lambda s: s == "PENDING")
    batch.cancel_job(jobId=job, reason="not now")
    batch.cancel_job(jobId=pending, reason="not needed")
    equal((describe(job)["status"], describe(job)["isCancelled"]), ("RUNNING", False))
    batch.terminate_job(jobId=job, reason="enough")
    d = ended(job, "FAILED")
    equal((d["statusReason"], d["isTerminated"], d["isCancelled"]), ("enough", True, False))
    assert d["container"].get("exitCode") in (137, 143), d
    ended(pending, "FAILED")

    # A child is terminated alone; its parent fails when the others have ended.
    array = submit("killed_array", PREFIX + "-sleep", arrayProperties={"size": 2})
    wait("child", lambda: [j["status"] for j in batch.describe_jobs(jobs=[f"{array}:0"])["jobs"]], lambda s: s == ["RUNNING"])
    equal((describe(array)["status"], sorted(j["jobId"] for j in listed(arrayJobId=array))[0]), ("PENDING", f"{array}:0"))
    batch.terminate_job(jobId=f"{array}:0", reason="first")
    equal(ended(f"{array}:0", "FAILED")["statusReason"], "first")
    equal(describe(array)["status"], "PENDING")
    batch.terminate_job(jobId=array, reason="all")
    equal(ended(array, "FAILED")["arrayProperties"]["statusSummary"]["FAILED"], 2)
    equal(describe(f"{array}:1")["statusReason"], "all")

    for call in (batch.cancel_job, batch.terminate_job):
        call(jobId="00000000-0000-4000-8000-000000000000", reason="unknown")  # no error: aws-cli, issue 2551
        call(jobId=job, reason="ended long ago")
        refused("", call, jobId="", reason="x")
        refused("", call, jobId=job, reason="")
    equal(describe(job)["statusReason"], "enough")


def describing():
    unknown = "00000000-0000-4000-8000-000000000000"
    equal(batch.describe_jobs(jobs=[unknown])["jobs"], [])
    equal([j["jobId"] for j in batch.describe_jobs(jobs=[unknown, made["plain"], made["array"] + ":9"])["jobs"]], [made["plain"]])
    equal(len(batch.describe_jobs(jobs=[made["plain"]] + [unknown] * 99)["jobs"]), 1)
    refused("Maximum number of jobs supported is", batch.describe_jobs, jobs=[unknown] * 101)


def filters():
    name = lambda value: [{"name": "JOB_NAME", "values": [value]}]
    names = lambda **request: [j["jobName"] for j in listed(jobQueue=QUEUE, **request)]
    equal(names(filters=name("r*")), ["running", "r6", "r5", "r4", "r3", "r2", "r1"])  # newest first, every status
    equal(names(filters=name("R2")), ["r2"])  # in any case
    equal(names(filters=name("r2"), jobStatus="RUNNABLE"), ["r2"])  # the status is ignored
    equal(names(filters=name("r")), [])
    equal(names(filters=[{"name": "JOB_DEFINITION", "values": [PREFIX + "-flak*"]}]), ["r6", "r4", "r3", "r2", "r1"])
    equal(names(filters=[{"name": "JOB_DEFINITION", "values": [PREFIX.upper() + "-flaky"]}]), [])  # case matters
    arn = describe(made["r1"])["jobDefinition"]
    equal(names(filters=[{"name": "JOB_DEFINITION", "values": [arn]}]), ["r6", "r4", "r3", "r2", "r1"])
    created = describe(made["r3"])["createdAt"]
    before = names(filters=[{"name": "BEFORE_CREATED_AT", "values": [str(created)]}])
    after = names(filters=[{"name": "AFTER_CREATED_AT", "values": [str(created)]}])
    assert "plain" in before and "running" not in before, before
    assert "running" in after and "plain" not in after, after
    equal(names(), [])  # none runs
    equal(batch.list_jobs(jobQueue=QUEUE, jobStatus="FAILED", nextToken="")["jobSummaryList"] != [], True)  # as AWS ParallelCluster asks
    refused("Only one filter key-value pair can be specified.", batch.list_jobs, jobQueue=QUEUE, filters=name("a") + name("b"))
    refused("", batch.list_jobs, jobQueue=QUEUE, filters=[{"name": "job_name", "values": ["a"]}])
    refused("", batch.list_jobs, jobQueue=QUEUE, jobStatus="NOSUCH")
    refused("", batch.list_jobs, jobQueue=QUEUE, maxResults=1001)
    refused("", batch.list_jobs, jobQueue=QUEUE, maxResults=0)
    refused("", batch.list_jobs, jobQueue=QUEUE, nextToken="made up")
    refused("", batch.list_jobs)
    refused("", batch.list_jobs, jobQueue=QUEUE, arrayJobId=made["array"])
    refused("", batch.list_jobs, jobQueue=PREFIX + "-none")


def tagging():
    job = describe(made["plain"])["jobArn"]
    definition = describe(made["plain"])["jobDefinition"]
    for arn, had in ((made["queue"], {"team": "a"}), (made["ce"], {}), (job, {"step": "one"}), (definition, {})):
        equal(batch.list_tags_for_resource(resourceArn=arn)["tags"], had)
        batch.tag_resource(resourceArn=arn, tags={"a b": "c=d/ü", "x": ""})
        batch.tag_resource(resourceArn=arn, tags={"x": "y"})
        equal(batch.list_tags_for_resource(resourceArn=arn)["tags"], {**had, "a b": "c=d/ü", "x": "y"})
        batch.untag_resource(resourceArn=arn, tagKeys=["a b", "x", "none"])
        equal(batch.list_tags_for_resource(resourceArn=arn)["tags"], had)
    refused("", batch.tag_resource, resourceArn=made["queue"], tags={"aws:a": "b"})
    refused("", batch.tag_resource, resourceArn=made["queue"], tags={f"k{i}": "" for i in range(51)})
    refused("", batch.list_tags_for_resource, resourceArn=made["queue"] + "x")
    refused("", batch.list_tags_for_resource, resourceArn="nonsense")
    refused("", batch.tag_resource, resourceArn=job.replace(made["plain"], made["array"] + ":1"), tags={"a": "b"})


def log_service():
    group = "/aws/batch/job"
    equal([g["logGroupName"] for g in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]], [group])
    stream = describe(made["plain"])["container"]["logStreamName"]
    (found,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]
    equal(found["logStreamName"], stream)
    everything = output(stream)
    # Backward, three at a time, without startFromHead: the newest first.
    pages, token = [], {}
    while True:
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=3, **token)
        pages.insert(0, [e["message"] for e in page["events"]])
        if token.get("nextToken") == page["nextBackwardToken"]:
            break
        token = {"nextToken": page["nextBackwardToken"]}
    equal([line for p in pages for line in p], everything)
    events = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
    assert all(e["ingestionTime"] >= e["timestamp"] - 1000 for e in events), events
    last = events[-1]["timestamp"]
    equal(logs.get_log_events(logGroupName=group, logStreamName=stream, startTime=last + 1)["events"], [])
    equal([e for e in logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, endTime=last)["events"] if e["timestamp"] >= last], [])
    streams = [describe(f"{made['array']}:{i}")["container"]["logStreamName"] for i in range(5)]
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, logStreamNames=streams, PaginationConfig={"PageSize": 2})
    equal(sorted(e["message"] for p in pages for e in p["events"]), [f"{i}/5" for i in range(5)])
    for call, request in (
        (logs.get_log_events, {"logGroupName": group, "logStreamName": "none"}),
        (logs.get_log_events, {"logGroupName": "/none", "logStreamName": stream}),
        (logs.describe_log_streams, {"logGroupName": "/none"}),
        (logs.filter_log_events, {"logGroupName": "/none"}),
    ):
        refused("", call, code="ResourceNotFoundException", **request)
    own = "/" + PREFIX + "/own"
    logs.create_log_group(logGroupName=own)
    refused("", logs.create_log_group, code="ResourceAlreadyExistsException", logGroupName=own)
    options = {"logDriver": "awslogs", "options": {"awslogs-group": own, "awslogs-stream-prefix": "mine"}}
    job = submit("own_group", define(PREFIX + "-own", ["echo", "to my own"], container={"logConfiguration": options}))
    stream = ended(job, "SUCCEEDED")["container"]["logStreamName"]
    matches(stream, "mine/default/[0-9a-f]{32}")
    equal(output(stream, own), ["to my own"])
    options["options"]["awslogs-group"] = own + "/none"
    job = submit("no_group", define(PREFIX + "-own", ["true"], container={"logConfiguration": options}))
    d = ended(job, "FAILED")
    equal(d["statusReason"], "Task failed to start")
    assert "The specified log group does not exist" in d["container"]["reason"], d


def snapshot():
    front = batch.get_job_queue_snapshot(jobQueue=QUEUE)["frontOfQueue"]
    equal(front["jobs"], [])
    refused("", batch.get_job_queue_snapshot, jobQueue=PREFIX + "-none")


def not_here():
    """What is for SageMaker is refused in a way that clients understand."""
    refused("", batch.list_service_jobs, jobQueue=QUEUE)
    refused("", batch.describe_service_environments)


def teardown():
    job = submit("left", PREFIX + "-sleep")
    refused("", batch.delete_job_queue, jobQueue=QUEUE)
    batch.update_job_queue(jobQueue=QUEUE, state="DISABLED")
    equal(valid("jobQueues", batch.describe_job_queues, QUEUE)["state"], "DISABLED")
    refused("", batch.submit_job, jobName="no", jobQueue=QUEUE, jobDefinition=PREFIX + "-code")
    batch.delete_job_queue(jobQueue=QUEUE)
    gone("jobQueues", batch.describe_job_queues, QUEUE)
    equal(ended(job, "FAILED")["statusReason"], "JobQueue deleted")
    refused("", batch.delete_compute_environment, computeEnvironment=CE)  # ENABLED
    batch.update_compute_environment(computeEnvironment=CE, state="DISABLED")
    valid("computeEnvironments", batch.describe_compute_environments, CE)
    batch.delete_compute_environment(computeEnvironment=CE)
    gone("computeEnvironments", batch.describe_compute_environments, CE)
    batch.update_job_queue(jobQueue=PREFIX + "-fq", state="DISABLED")
    valid("jobQueues", batch.describe_job_queues, PREFIX + "-fq")
    batch.update_compute_environment(computeEnvironment=FARGATE, state="DISABLED")
    valid("computeEnvironments", batch.describe_compute_environments, FARGATE)
    refused("Cannot delete, found existing JobQueue relationship", batch.delete_compute_environment, computeEnvironment=FARGATE)
    batch.delete_job_queue(jobQueue=PREFIX + "-fq")
    gone("jobQueues", batch.describe_job_queues, PREFIX + "-fq")
    batch.delete_compute_environment(computeEnvironment=FARGATE)
    gone("computeEnvironments", batch.describe_compute_environments, FARGATE)


steps(
    environments, queues, policies, consumables, definitions, plain, arrays, submissions_refused, dependencies, retries, cancel_and_terminate,
    describing, filters, tagging, log_service, snapshot, not_here, teardown,
)
