"""What the boto3 judges share: clients, waiting, and looking at answers."""

import os
import re
import sys
import time

import boto3
import botocore
from botocore.config import Config

PREFIX = os.environ.get("PREFIX", "boto")
config = Config(retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=16)
batch = boto3.client("batch", config=config)
logs = boto3.client("logs", config=config)

ENDED = ("SUCCEEDED", "FAILED")
RESOURCES = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, expected {want!r}")


def matches(got, pattern):
    if not re.fullmatch(pattern, got):
        raise AssertionError(f"got {got!r}, expected {pattern!r}")


def refused(text, call, *, code="ClientException", status=400, **request):
    """The call is refused with this code and status, and a message with this text in it."""
    try:
        answer = call(**request)
    except botocore.exceptions.ClientError as e:
        error, http = e.response["Error"], e.response["ResponseMetadata"]["HTTPStatusCode"]
        equal((error["Code"], http), (code, status))
        if text not in error["Message"]:
            raise AssertionError(f"{call.__name__} of {request}: the message is {error['Message']!r}, expected {text!r} in it")
        if code == "ClientException":
            assert isinstance(e, batch.exceptions.ClientException), type(e)
        return error["Message"]
    raise AssertionError(f"{call.__name__} of {request} was accepted: {answer}")


def wait(what, look, until, seconds=60):
    """Looks until it sees what is wanted."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if until(seen):
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"{what}: still {seen!r} after {seconds} s")
        time.sleep(0.02)


def environment(name, **resources):
    """A managed environment on instances, VALID."""
    arn = batch.create_compute_environment(
        computeEnvironmentName=name,
        type="MANAGED",
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": 64,
            "instanceTypes": ["optimal"],
            "subnets": ["subnet-220c0e0a"],
            "securityGroupIds": ["sg-cf5093b2"],
            "instanceRole": "ecsInstanceRole",
            **resources,
        },
    )["computeEnvironmentArn"]
    valid("computeEnvironments", batch.describe_compute_environments, name)
    return arn


def queue(name, environments, **more):
    """A queue, VALID."""
    order = [{"order": i + 1, "computeEnvironment": e} for i, e in enumerate(environments)]
    arn = batch.create_job_queue(jobQueueName=name, computeEnvironmentOrder=order, **{"priority": 1, **more})["jobQueueArn"]
    valid("jobQueues", batch.describe_job_queues, name)
    return arn


def valid(kind, describe, name):
    return wait(name, lambda: describe(**{kind: [name]})[kind], lambda all: all and all[0]["status"] == "VALID")[0]


def gone(kind, describe, name):
    wait(name, lambda: describe(**{kind: [name]})[kind], lambda all: not all or all[0]["status"] == "DELETED")


def define(name, command, **more):
    """A definition of a job with one vCPU."""
    made = batch.register_job_definition(
        jobDefinitionName=name,
        type="container",
        containerProperties={"image": "busybox", "command": command, "resourceRequirements": RESOURCES, **more.pop("container", {})},
        **more,
    )
    return made["jobDefinitionArn"]


def describe(job):
    (detail,) = batch.describe_jobs(jobs=[job])["jobs"]
    return detail


def ended(job, status=None, seconds=60):
    detail = wait(job, lambda: describe(job), lambda d: d["status"] in ENDED, seconds)
    if status and detail["status"] != status:
        raise AssertionError(f"{job} is {detail['status']}, expected {status}: {detail}")
    return detail


def output(stream, group="/aws/batch/job"):
    """The lines of a log, by its forward tokens."""
    lines, token = [], {}
    while True:
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **token)
        lines += [e["message"] for e in page["events"]]
        if token.get("nextToken") == page["nextForwardToken"]:
            return lines
        token = {"nextToken": page["nextForwardToken"]}


def listed(**request):
    return [j for page in batch.get_paginator("list_jobs").paginate(**request) for j in page["jobSummaryList"]]


def steps(*all):
    """Runs the steps in order, each with its name and time."""
    for step in all:
        started = time.monotonic()
        step()
        print(f"{step.__name__}: {time.monotonic() - started:.1f} s")
        sys.stdout.flush()
