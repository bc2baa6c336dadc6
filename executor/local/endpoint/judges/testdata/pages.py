"""pages.py: every paginator of AWS Batch, with boto3: 2,500 jobs, each exactly once.

AWS_ENDPOINT_URL is the endpoint, best one whose jobs end at once; the names of all that
is made begin with PREFIX. `jobs` is how many there are.
"""

from concurrent.futures import ThreadPoolExecutor

from common import *

CE, QUEUE, LICENCE = PREFIX + "-ce", PREFIX + "-queue", PREFIX + "-licence"
JOBS, ARRAY = 2500, 2500
made = {}


def once(operation, key, want, **request):
    """The pages of an operation hold each of these exactly once. Returns all in order."""
    got = [x for page in batch.get_paginator(operation).paginate(**request) for x in page[key]]
    return exactly(got, want, operation, request)


def exactly(got, want, operation="", request=None):
    names = [next(x[k] for k in ("jobName", "jobId", "computeEnvironmentName", "jobQueueName", "name", "arn", "consumableResourceName") if k in x) for x in got]
    if len(set(names)) != len(names) or set(names) != set(want):
        raise AssertionError(
            f"{operation} {request}: {len(names)} of {len(want)}, {len(names) - len(set(names))} twice, "
            f"missing {sorted(set(want) - set(names))[:5]}, too many {sorted(set(names) - set(want))[:5]}"
        )
    return got


def resources():
    environment(CE)
    queue(QUEUE, [CE])
    names = [f"{PREFIX}-e{i}" for i in range(12)]
    for name in names:
        batch.create_compute_environment(
            computeEnvironmentName=name,
            type="MANAGED",
            computeResources={"type": "FARGATE", "maxvCpus": 1, "subnets": ["s"], "securityGroupIds": ["g"]},
        )
    size = {"PaginationConfig": {"PageSize": 5}}
    if "FLOW_EMULATE_URL" not in os.environ:  # else there may be others
        once("describe_compute_environments", "computeEnvironments", [CE] + names, **size)
        once("describe_compute_environments", "computeEnvironments", [CE] + names)
    names = [f"{PREFIX}-q{i}" for i in range(12)]
    for name in names:
        batch.create_job_queue(jobQueueName=name, priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": CE}])
    if "FLOW_EMULATE_URL" not in os.environ:
        once("describe_job_queues", "jobQueues", [QUEUE] + names, **size)
    arns = [batch.create_scheduling_policy(name=f"{PREFIX}-p{i}", fairsharePolicy={"shareDecaySeconds": 60})["arn"] for i in range(12)]
    if "FLOW_EMULATE_URL" not in os.environ:
        once("list_scheduling_policies", "schedulingPolicies", arns, **size)
    names = [f"{PREFIX}-c{i:02d}" for i in range(12)]
    for name in names:
        batch.create_consumable_resource(consumableResourceName=name, totalQuantity=1)
    by_name = [{"name": "CONSUMABLE_RESOURCE_NAME", "values": [f"{PREFIX.upper()}-C*"]}]
    once("list_consumable_resources", "consumableResources", names, filters=by_name, **size)
    if "FLOW_EMULATE_URL" not in os.environ:
        once("list_consumable_resources", "consumableResources", names, **size)


def definitions():
    name = PREFIX + "-def"
    for _ in range(130):
        define(name, ["true"])
    for size in ({}, {"PaginationConfig": {"PageSize": 7}}):
        pages = list(batch.get_paginator("describe_job_definitions").paginate(jobDefinitionName=name, status="ACTIVE", **size))
        equal(sorted(d["revision"] for p in pages for d in p["jobDefinitions"]), list(range(1, 131)))
    equal([len(p["jobDefinitions"]) <= 7 for p in pages], [True] * len(pages))
    refused("", batch.describe_job_definitions, jobDefinitions=[name + ":1"], maxResults=1)
    refused("", batch.describe_job_definitions, maxResults=101)
    refused("", batch.describe_job_definitions, maxResults=0)


def jobs():
    made["names"] = [f"{PREFIX}-job-{i:04d}" for i in range(JOBS)]
    batch.create_consumable_resource(consumableResourceName=LICENCE, totalQuantity=1000000)
    licence = {"consumableResourcePropertiesOverride": {"consumableResourceList": [{"consumableResource": LICENCE, "quantity": 1}]}}

    def submit(name):
        more = licence if name.endswith("0") else {}
        return batch.submit_job(jobName=name, jobQueue=QUEUE, jobDefinition=PREFIX + "-def", **more)["jobId"]

    with ThreadPoolExecutor(8) as pool:
        made["ids"] = list(pool.map(submit, made["names"]))
    wait("all jobs", lambda: len(listed(jobQueue=QUEUE, jobStatus="SUCCEEDED")), lambda n: n == JOBS, 120)


def by_status():
    every = once("list_jobs", "jobSummaryList", made["names"], jobQueue=QUEUE, jobStatus="SUCCEEDED")
    equal(sorted(j["jobId"] for j in every), sorted(made["ids"]))
    for size in (999, 1000, 73):
        request = {"jobQueue": QUEUE, "jobStatus": "SUCCEEDED", "PaginationConfig": {"PageSize": size}}
        once("list_jobs", "jobSummaryList", made["names"], **request)
        equal(max(len(p["jobSummaryList"]) for p in batch.get_paginator("list_jobs").paginate(**request)) <= size, True)
    equal(listed(jobQueue=QUEUE), [])
    everything = [j["jobName"] for s in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED") for j in listed(jobQueue=QUEUE, jobStatus=s)]
    equal(sorted(everything), made["names"])


def by_filter():
    for name in (f"{PREFIX}-job-*", f"{PREFIX.upper()}-JOB-*"):
        got = once("list_jobs", "jobSummaryList", made["names"], jobQueue=QUEUE, filters=[{"name": "JOB_NAME", "values": [name]}])
        created = [j["createdAt"] for j in got]
        equal(created, sorted(created, reverse=True))
    page = batch.list_jobs(jobQueue=QUEUE, filters=[{"name": "JOB_NAME", "values": [f"{PREFIX}-job-*"]}])
    equal(len(page["jobSummaryList"]) <= 100, True)
    once("list_jobs", "jobSummaryList", made["names"], jobQueue=QUEUE, filters=[{"name": "JOB_DEFINITION", "values": [f"{PREFIX}-def"]}])
    once("list_jobs", "jobSummaryList", made["names"], jobQueue=QUEUE, filters=[{"name": "AFTER_CREATED_AT", "values": ["0"]}])
    once("list_jobs", "jobSummaryList", made["names"][2000:2010], jobQueue=QUEUE, filters=[{"name": "JOB_NAME", "values": [f"{PREFIX}-job-200*"]}])
    refused("", batch.list_jobs, jobQueue=QUEUE, filters=[{"name": "JOB_NAME", "values": ["a"]}], maxResults=101)


def tokens():
    """A token may be used again, and what is new does not move the pages."""
    request = {"jobQueue": QUEUE, "filters": [{"name": "JOB_NAME", "values": [f"{PREFIX}-*"]}]}
    first = batch.list_jobs(**request, maxResults=40)
    second = batch.list_jobs(**request, maxResults=40, nextToken=first["nextToken"])
    for i in range(3):
        batch.submit_job(jobName=f"{PREFIX}-new-{i}", jobQueue=QUEUE, jobDefinition=PREFIX + "-def")
    again = batch.list_jobs(**request, maxResults=40, nextToken=first["nextToken"])
    ids = lambda page: [j["jobId"] for j in page["jobSummaryList"]]
    equal(ids(again), ids(second))
    got, page = first["jobSummaryList"], first
    while "nextToken" in page:
        page = batch.list_jobs(**request, nextToken=page["nextToken"])
        got = got + page["jobSummaryList"]
    exactly(got, made["names"])
    # Cut within a page, and resumed there, as the CLI does with --max-items.
    pages = batch.get_paginator("list_jobs").paginate(**request, PaginationConfig={"MaxItems": 130, "PageSize": 50})
    part = pages.build_full_result()
    equal(len(part["jobSummaryList"]), 130)
    pages = batch.get_paginator("list_jobs").paginate(**request, PaginationConfig={"StartingToken": part["NextToken"], "PageSize": 50})
    exactly(part["jobSummaryList"] + pages.build_full_result()["jobSummaryList"], made["names"] + [f"{PREFIX}-new-{i}" for i in range(3)])
    wait("new jobs", lambda: len(listed(jobQueue=QUEUE, jobStatus="SUCCEEDED")), lambda n: n == JOBS + 3)


def children():
    array = batch.submit_job(jobName="array", jobQueue=QUEUE, jobDefinition=PREFIX + "-def", arrayProperties={"size": ARRAY})["jobId"]
    ended(array, "SUCCEEDED", 120)
    for size in ({}, {"PaginationConfig": {"PageSize": 600}}):
        got = listed(arrayJobId=array, jobStatus="SUCCEEDED", **size)
        equal(sorted(j["arrayProperties"]["index"] for j in got), list(range(ARRAY)))
        equal({j["jobId"] for j in got}, {f"{array}:{i}" for i in range(ARRAY)})


def by_consumable():
    want = [n for n in made["names"] if n.endswith("0")]
    once("list_jobs_by_consumable_resource", "jobs", want, consumableResource=LICENCE)
    once("list_jobs_by_consumable_resource", "jobs", want, consumableResource=LICENCE, PaginationConfig={"PageSize": 33})
    few = [{"name": "JOB_NAME", "values": [f"{PREFIX}-job-20*"]}]
    once("list_jobs_by_consumable_resource", "jobs", [n for n in want if "-job-20" in n], consumableResource=LICENCE, filters=few)
    resource = batch.describe_consumable_resource(consumableResource=LICENCE)
    equal((resource["totalQuantity"], resource["inUseQuantity"], resource["availableQuantity"], resource["resourceType"]), (1000000, 0, 1000000, "REPLENISHABLE"))


def sagemaker():
    """Paginators of what is not for containers are refused, page by page."""
    for operation, request in (("describe_service_environments", {}), ("list_service_jobs", {"jobQueue": QUEUE}), ("list_quota_shares", {"jobQueue": QUEUE})):
        refused("", lambda **r: list(batch.get_paginator(operation).paginate(**r)), **request)


steps(resources, definitions, jobs, by_status, by_filter, tokens, children, by_consumable, sagemaker)
