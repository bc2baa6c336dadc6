"""Scheduling policies and consumable resources, from their making to their end, with boto3."""

from common import *


def policies(ce):
    name, fair = PREFIX + "-policy", lambda **change: {"shareDecaySeconds": 3600, "computeReservation": 1, "shareDistribution": [{"shareIdentifier": "A1*", "weightFactor": 0.1}, {"shareIdentifier": "A2"}], **change}
    arn = batch.create_scheduling_policy(name=name, fairsharePolicy=fair(), tags={"a": "b"})["arn"]
    matches(arn, rf"arn:aws:batch:us-east-1:\d{{12}}:scheduling-policy/{name}")
    look = lambda: batch.describe_scheduling_policies(arns=[arn])["schedulingPolicies"]
    (policy,) = look()
    equal((policy["name"], policy["arn"], policy["tags"], policy["fairsharePolicy"]["shareDecaySeconds"]), (name, arn, {"a": "b"}, 3600))
    equal(policy["fairsharePolicy"]["shareDistribution"][0], {"shareIdentifier": "A1*", "weightFactor": 0.1})
    batch.update_scheduling_policy(arn=arn, fairsharePolicy=fair(shareDecaySeconds=7200))
    equal(look()[0]["fairsharePolicy"]["shareDecaySeconds"], 7200)
    assert arn in [p["arn"] for p in batch.list_scheduling_policies()["schedulingPolicies"]]
    refused("", batch.create_scheduling_policy, name=name, fairsharePolicy=fair())
    for change in ({"shareDecaySeconds": 604801}, {"computeReservation": 100}, {"shareDistribution": [{"shareIdentifier": "a", "weightFactor": 1000}]}):
        refused("", batch.create_scheduling_policy, name=PREFIX + "-no", fairsharePolicy=fair(**change))
    refused("", batch.create_scheduling_policy, name="a b", fairsharePolicy=fair())
    refused("", batch.update_scheduling_policy, arn=arn + "x", fairsharePolicy=fair())
    shared = queue(PREFIX + "-shared", [ce], schedulingPolicyArn=arn)
    equal(batch.describe_job_queues(jobQueues=[shared])["jobQueues"][0]["schedulingPolicyArn"], arn)
    refused("", batch.delete_scheduling_policy, arn=arn)  # of a queue
    batch.update_job_queue(jobQueue=shared, state="DISABLED")
    valid("jobQueues", batch.describe_job_queues, shared)
    batch.delete_job_queue(jobQueue=shared)
    gone("jobQueues", batch.describe_job_queues, shared)
    batch.delete_scheduling_policy(arn=arn)
    equal(look(), [])


def consumables():
    name = PREFIX + "-seats"
    answer = batch.create_consumable_resource(consumableResourceName=name, totalQuantity=5, tags={"a": "b"})
    arn = answer["consumableResourceArn"]
    matches(arn, rf"arn:aws:batch:us-east-1:\d{{12}}:consumable-resource/{name}")
    for key in (name, arn):
        got = batch.describe_consumable_resource(consumableResource=key)
        equal((got["totalQuantity"], got["inUseQuantity"], got["availableQuantity"], got["resourceType"]), (5, 0, 5, "REPLENISHABLE"))
        equal((got["tags"], got["createdAt"] > 1_700_000_000_000), ({"a": "b"}, True))
    total = lambda: batch.describe_consumable_resource(consumableResource=name)["totalQuantity"]
    for operation, quantity, want in (("SET", 10, 10), ("ADD", 2, 12), ("REMOVE", 3, 9)):
        equal(batch.update_consumable_resource(consumableResource=name, operation=operation, quantity=quantity)["totalQuantity"], want)
        equal(total(), want)
    token = {"operation": "ADD", "quantity": 1, "clientToken": "0123456789"}
    for _ in range(2):
        batch.update_consumable_resource(consumableResource=name, **token)
    equal(total(), 10)  # the same request twice is one
    refused("", batch.update_consumable_resource, consumableResource=name, operation="REMOVE", quantity=100)
    refused("", batch.update_consumable_resource, consumableResource=name, operation="HALVE", quantity=1)
    refused("", batch.update_consumable_resource, consumableResource=name + "x", operation="SET", quantity=1)
    refused("", batch.create_consumable_resource, consumableResourceName=name, totalQuantity=1)
    refused("", batch.create_consumable_resource, consumableResourceName=PREFIX + "-no", totalQuantity=-1)
    refused("", batch.create_consumable_resource, consumableResourceName=PREFIX + "-no", totalQuantity=1, resourceType="EDIBLE")
    batch.delete_consumable_resource(consumableResource=arn)
    refused("", batch.describe_consumable_resource, consumableResource=name)
