"""chaos.py: an emulator that misbehaves, seen by boto3.

AWS_ENDPOINT_URL is the endpoint; the names of all that is made begin with PREFIX.
"""

import urllib.parse
import urllib.request

from common import *

QUEUE = PREFIX + "-queue"
url = os.environ["AWS_ENDPOINT_URL"]


def admin(path, body):
    with urllib.request.urlopen(urllib.request.Request(f"{url}/_flow/{path}", data=body.encode()), timeout=10) as answer:
        return answer.read()


def chaos(settings):
    admin("chaos", settings)


def submit(name, definition=PREFIX + "-true", client=batch, **more):
    return client.submit_job(jobName=name, jobQueue=QUEUE, jobDefinition=definition, **more)["jobId"]


def named(name):
    return [j["jobId"] for j in listed(jobQueue=QUEUE, filters=[{"name": "JOB_NAME", "values": [name]}])]


def setup():
    environment(PREFIX + "-ce")
    queue(QUEUE, [PREFIX + "-ce"])
    define(PREFIX + "-true", ["true"])
    define(PREFIX + "-sleep", ["sleep", "600"])


def throttled():
    chaos("throttle=5/s,seed=1")
    seen = 0
    for i in range(30):
        try:
            submit(f"throttled{i}")
        except botocore.exceptions.ClientError as e:
            seen += 1
            equal((e.response["Error"], e.response["ResponseMetadata"]["HTTPStatusCode"]), ({"Code": "TooManyRequestsException", "Message": "Too Many Requests"}, 429))
    assert 0 < seen < 30, seen
    # The retries of the SDK get through, and submit each once: a throttled call does nothing.
    patient = boto3.client("batch", config=Config(retries={"mode": "standard", "total_max_attempts": 8}))
    for i in range(8):
        submit(f"patient{i}", client=patient)
    chaos("off")
    equal([len(named(f"patient{i}")) for i in range(8)], [1] * 8)
    equal(len(named("throttled*")), 30 - seen)


def lost_reply():
    chaos("lost-reply=100%")
    try:
        submit("lost")
    except botocore.exceptions.HTTPClientError as e:
        print(f"  {type(e).__name__}")
    else:
        raise AssertionError("the answer was not lost")
    chaos("off")
    (job,) = named("lost")  # all the same
    ended(job, "SUCCEEDED")


def server_errors():
    chaos("5xx=100%,seed=3")
    refused("", batch.describe_job_queues, code="ServerException", status=500)
    chaos("5xx=30%,seed=3")
    patient = boto3.client("batch", config=Config(retries={"mode": "standard", "total_max_attempts": 10}))
    ids = {submit(f"retried{i}", client=patient) for i in range(20)}
    chaos("off")
    found = named("retried*")
    assert ids <= set(found), (ids, found)  # and perhaps some twice: there is no idempotency token


def late_lists():
    chaos("list-lag=2s")
    job = submit("late")
    equal((named("late"), describe(job)["jobId"]), ([], job))
    wait("late", lambda: named("late"), lambda found: found == [job])
    chaos("off")


def lost_host():
    rule = {"attempts": 2, "evaluateOnExit": [{"onStatusReason": "Host EC2*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]}
    job = submit("spot", PREFIX + "-sleep", retryStrategy=rule)
    for attempts in (0, 1):
        wait("spot", lambda: describe(job), lambda d: (d["status"], len(d["attempts"])) == ("RUNNING", attempts))
        admin("lose", f"job={job}")
    d = ended(job, "FAILED")
    equal(len(d["attempts"]), 2)
    for a in d["attempts"]:
        matches(a["statusReason"], r"Host EC2 \(instance i-[0-9a-f]{17}\) terminated\.")
        assert "exitCode" not in a["container"], a
    matches(d["statusReason"], r"Host EC2 .*")


def stuck():
    reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [m5.large]"
    admin("block", urllib.parse.urlencode({"queue": QUEUE, "reason": reason}))
    head, next = submit("head"), submit("next")
    wait("head", lambda: (describe(head)["status"], describe(head).get("statusReason")), lambda s: s == ("RUNNABLE", reason))
    equal(describe(next).get("statusReason"), None)  # it is on the head of the queue only
    admin("block", urllib.parse.urlencode({"queue": QUEUE, "reason": ""}))
    ended(head, "SUCCEEDED")
    ended(next, "SUCCEEDED")


def vanished():
    job = submit("vanishing")
    ended(job, "SUCCEEDED")
    admin("forget", f"job={job}")
    equal((batch.describe_jobs(jobs=[job])["jobs"], named("vanishing")), ([], []))


steps(setup, throttled, lost_reply, server_errors, late_lists, lost_host, stuck, vanished)
