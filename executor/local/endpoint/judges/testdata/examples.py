"""examples.py botocore|cli FOLDER: what the documents of AWS print, as printed.

Plays the examples of botocore (examples-1.json, in FOLDER) or of the AWS CLI (*.rst) in
an order in which they make sense, with what they silently rely on, and compares the
answers with those printed: every member printed is there, with a value of the same type,
and the same value where that does not differ from run to run.
"""

import glob
import json
import shlex
import subprocess
import tempfile

from common import *

kind, folder = sys.argv[1:3]
examples = {}  # operation to a list of (what to do, answer as printed)
played = 0

# These differ from run to run, or the examples contradict one another.
VARY = {
    "jobId", "createdAt", "startedAt", "stoppedAt", "ecsClusterArn", "containerInstanceArn", "jobArn", "taskArn", "logStreamName",
    "priority",  # of HighPriority: made with 10, described with 1
    "jobDefinition",  # as an ARN, and as a name
}
# And these are no longer so, or never were: environment is a list, parameters are beside
# the properties of the container (describe-job-definitions.rst).
MISTAKEN = {("containerProperties", "environment"), ("containerProperties", "parameters")}


def fits(got, want, at="", within=""):
    """Compares an answer with what is printed."""
    if isinstance(want, dict):
        assert isinstance(got, dict), f"{at}: {got!r} is no object"
        for key, value in want.items():
            if kind == "cli" and (within, key) in MISTAKEN:
                continue
            assert key in got, f"{at}.{key} is printed, and is not in {got!r}"
            if key not in VARY:
                fits(got[key], value, f"{at}.{key}", key)
            else:
                assert type(got[key]) is type(value), f"{at}.{key}: {got[key]!r} is not like {value!r}"
    elif isinstance(want, list):
        assert isinstance(got, list), f"{at}: {got!r} is no list"
        for i, value in enumerate(want):
            problems = [misfit(g, value, f"{at}[{i}]", within) for g in got]
            assert None in problems, problems[0] if problems else f"{at}[{i}]: {value!r} is printed, and nothing is there"
    elif isinstance(want, str) and want.startswith("arn:"):
        equal(re.sub(r":\d{12}:", "::", got), re.sub(r":\d{12}:", "::", want))
    else:
        assert type(got) is type(want) and got == want, f"{at}: got {got!r}, printed is {want!r}"


def misfit(*args):
    try:
        fits(*args)
    except AssertionError as e:
        return str(e)


def read_botocore():
    for operation, all in json.load(open(folder + "/examples-1.json"))["examples"].items():
        examples[operation] = [(e["input"], e["output"]) for e in all]


def read_cli():
    for path in sorted(glob.glob(folder + "/*.rst")):
        name = os.path.basename(path)[:-4]
        operation = "".join(w.capitalize() for w in name.split("-"))
        parts = re.split(r"(?m)^\*\*.*\*\*$", open(path).read())[1:]
        examples[operation] = [read_part(p) for p in parts]
    for operation, all in examples.items():
        for command, _ in all:
            assert command.startswith("aws batch "), command


def read_part(text):
    """The command of an example and what it prints; the file that it names is written."""
    text = text.expandtabs(4)
    blocks = [b.strip() for b in re.findall(r"(?:^ +\S.*\n|^ *\n(?= ))+", text + "\n", re.M) if b.strip()]
    command, answer = blocks[0].replace("\\\n", " "), {}
    rest = blocks[1:]
    if "file://" in command:
        file = tempfile.NamedTemporaryFile("w", suffix=".json", delete=False, dir=os.environ["HOME"])
        file.write(rest.pop(0))
        file.close()
        command = re.sub(r"file://\S+", "file://" + file.name, command)
    if rest:
        answer = json.loads(rest[0])
    return command, answer


def play(operation, which=0, change=lambda text: text):
    """Plays an example and compares its answer. change puts real ids into it."""
    global played
    given, printed = examples[operation][which]
    try:
        fits(ask(operation, given, change), printed)
    except Exception as e:
        raise AssertionError(f"example {which} of {operation}: {given}: {e}") from e
    played += 1
    done.add((operation, which))


done = set()


def ask(operation, given, change):
    if kind == "botocore":
        given = json.loads(change(json.dumps(given)))
        call = getattr(batch, botocore.xform_name(operation))
        answer = call(**given)
        answer.pop("ResponseMetadata")
        return answer
    command = shlex.split(change(given))
    command[0] = sys.argv[3]  # the CLI
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out) if out.strip() else {}


def has_job(jobs, name):
    return [j for j in jobs if j["jobName"] == name]


def main():
    {"botocore": read_botocore, "cli": read_cli}[kind]()
    play("CreateComputeEnvironment", 0)
    play("CreateComputeEnvironment", 1)
    (printed,) = examples["DescribeComputeEnvironments"][0][1]["computeEnvironments"]
    batch.create_compute_environment(**{k: printed[k] for k in ("computeEnvironmentName", "type", "state", "serviceRole", "computeResources")})
    for name in ("C4OnDemand", "M4Spot", "P2OnDemand"):
        valid("computeEnvironments", batch.describe_compute_environments, name)
    play("CreateJobQueue", 0)
    play("CreateJobQueue", 1)
    queue("GPGPU", ["M4Spot"])
    for name in ("LowPriority", "HighPriority"):
        account = valid("jobQueues", batch.describe_job_queues, name)["jobQueueArn"].split(":")[4]
    own = lambda text: re.sub(r":\d{12}:", f":{account}:", text)

    for i in range(len(examples["RegisterJobDefinition"])):
        play("RegisterJobDefinition", i)
    if kind == "cli":
        define("sleep10", ["sleep", "10"])  # is deregistered, and registered nowhere
    (printed,) = examples["DescribeJobDefinitions"][0][1]["jobDefinitions"]
    container = {k: v for k, v in printed["containerProperties"].items() if ("containerProperties", k) not in MISTAKEN}
    batch.register_job_definition(jobDefinitionName="sleep60", type="container", containerProperties=container)
    play("DescribeJobDefinitions")
    if "TagResource" in examples:
        play("TagResource", 0, own)
        play("ListTagsForResource", 0, own)
        play("UntagResource", 0, own)
        tags = batch.list_tags_for_resource(resourceArn=own(examples["TagResource"][0][0]["resourceArn"]))["tags"]
        equal(tags, {"Department": "Engineering", "User": "JaneDoe"})
    play("DescribeComputeEnvironments")
    play("DescribeJobQueues")

    # A job that runs, as they are listed; one before its end, or after it, as described.
    play("SubmitJob")
    running = wait("list", lambda: has_job(batch.list_jobs(jobQueue="HighPriority")["jobSummaryList"], "example"), lambda jobs: jobs)[0]["jobId"]
    play("ListJobs", 0)
    examples["ListJobs"][1] = (examples["ListJobs"][1][0], {"jobSummaryList": []})  # a job is SUBMITTED for a moment only
    play("ListJobs", 1)
    (printed,) = examples["DescribeJobs"][0][1]["jobs"]
    old = {"image": "busybox", "vcpus": 1, "memory": 128, "command": ["sleep", "60"]}
    if printed["status"] == "SUCCEEDED":
        # With a command that ends sooner.
        job = submit({**old, "command": ["sleep", "0"]})
        ended(job, "SUCCEEDED")
        printed["container"]["command"] = ["sleep", "0"]
    else:
        job = submit(old, dependsOn=[{"jobId": running}])
        wait(job, lambda: describe(job)["status"], lambda s: s == "PENDING")
        printed["status"] = "PENDING"
        del printed["dependsOn"]
    printed["jobName"] = "like-that"
    play("DescribeJobs", 0, lambda text: re.sub(r"[0-9a-f-]{36}", job, text))

    job = submit(old, dependsOn=[{"jobId": running}])
    play("CancelJob", 0)  # of a job that nobody knows
    play("CancelJob", 0, lambda text: re.sub(r"[0-9a-f-]{36}", job, text))
    play("TerminateJob", 0)
    play("TerminateJob", 0, lambda text: re.sub(r"[0-9a-f-]{36}", running, text))
    equal(ended(running, "FAILED")["statusReason"], "Terminating job.")
    equal(ended(job, "FAILED")["isCancelled"], True)

    play("UpdateJobQueue")
    equal(valid("jobQueues", batch.describe_job_queues, "GPGPU")["state"], "DISABLED")
    play("DeleteJobQueue")
    gone("jobQueues", batch.describe_job_queues, "GPGPU")
    play("UpdateComputeEnvironment")
    equal(valid("computeEnvironments", batch.describe_compute_environments, "P2OnDemand")["state"], "DISABLED")
    play("DeleteComputeEnvironment")
    gone("computeEnvironments", batch.describe_compute_environments, "P2OnDemand")
    play("DeregisterJobDefinition")
    equal(batch.describe_job_definitions(jobDefinitionName="sleep10", status="ACTIVE")["jobDefinitions"], [])

    left = {(o, i) for o, all in examples.items() for i in range(len(all))} - done
    equal(left, set())
    print(f"{len(done)} examples of {len(examples)} operations, {played} times")


def submit(container, **more):
    name = f"like-{container['command'][1]}"
    batch.register_job_definition(jobDefinitionName=name, type="container", containerProperties=container)
    return batch.submit_job(jobName="like-that", jobQueue="HighPriority", jobDefinition=name, **more)["jobId"]


main()
