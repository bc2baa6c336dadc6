workflow "infra" {
  budget {
    max_usd   = 0 # ERROR: Unsuitable value | more than 0
    on_exceed = "stop" # ERROR: Unsuitable value | there are "pause" and "cancel"
  }
  budget { max_usd = 1 } # ERROR: Duplicate budget block
  tags = { queue = job_queue.good.name }
}
variable "secret" {
  type      = string
  sensitive = true
}
variable "name" { type = string }
locals {
  loop     = job_queue.loop.name # ERROR: Names refer to each other | local.loop -> job_queue.loop.name -> local.loop
  whole    = job_queue.good # ERROR: Unsupported attribute | Write job_queue.good.name
  of_steps = step.uses.outputs.o
}

# One that is right, to refer to.
compute_environment "good" {
  type               = "FARGATE"
  max_vcpus          = 16
  subnets            = ["subnet-1"]
  security_group_ids = ["sg-1"]
}
compute_environment "arm" {
  type                = "EC2"
  allocation_strategy = "BEST_FIT_PROGRESSIVE"
  max_vcpus           = 16
  instance_types      = ["c7g"]
  subnets             = ["subnet-1"]
  security_group_ids  = ["sg-1"]
}
compute_environment "x86" {
  type               = "EC2"
  max_vcpus          = 16
  instance_types     = ["default_x86_64"]
  subnets            = ["subnet-1"]
  security_group_ids = ["sg-1"]
}
job_queue "good" { compute_environments = [compute_environment.good] }

compute_environment "empty" {} # ERROR: Missing required argument | needs type, max_vcpus, subnets and security_group_ids
compute_environment "types" {
  type                = "SPOTT" # ERROR: Unsuitable value | Did you mean "SPOT"?
  state               = "ON" # ERROR: Unsuitable value | there are "ENABLED" and "DISABLED"
  allocation_strategy = "BEST" # ERROR: Unsuitable value | "BEST_FIT"
  min_vcpus           = -1 # ERROR: Unsuitable value | at least 0
  max_vcpus           = "many" # ERROR: Unsuitable value | a number is needed
  maxvCpus            = 3 # ERROR: Unsupported argument | max_vcpus
  instance_types      = ["C5.large"] # ERROR: Unsuitable value | no type of instance
  bid_percentage      = 101 # ERROR: Unsuitable value | from 1 to 100
  subnets             = ["vpc-1"] # ERROR: Unsuitable value | begins with subnet-
  security_group_ids  = "sg-1" # ERROR: Unsuitable value | a list is needed
  instance_role       = "arn:aws:iam::123456789012:role/ecsInstanceRole" # ERROR: Unsuitable value | instance-profile
  service_role        = "arn:aws:iam::1:role" # ERROR: Unsuitable value | no ARN of a role
  spot_iam_fleet_role = "a b" # ERROR: Unsuitable value | neither the name
  tags                = { "aws:x" = "1" } # ERROR: Unsuitable value | belong to AWS
  instance_tags       = { "flow:infra" = "1" } # ERROR: Unsuitable value | belong to flow
  create_roles        = "maybe" # ERROR: Unsuitable value | true or false
  placement_group     = var.secret # ERROR: Sensitive value | AWS would store and show it
  launch_template {} # ERROR: Missing required argument | id = "lt-..."
  ec2_configuration {
    image_type        = "ECS_AL2032" # ERROR: Unsuitable value | Did you mean "ECS_AL2023"?
    image_id_override = "id" # ERROR: Unsuitable value | begins with ami-
  }
  ec2_configuration {} # ERROR: Missing required argument | needs image_type
  ec2_configuration { image_type = "ECS_AL2023" } # ERROR: Duplicate ec2_configuration block | at most 2
  scaling_policy { min_scale_down_delay_minutes = 5 } # ERROR: Unsuitable value | from 20 to 10080
  update_policy { job_execution_timeout_minutes = 0 } # ERROR: Unsuitable value | from 1 to 7200
  eks_configuration {
    eks_cluster_arn      = "lab" # ERROR: Unsuitable value | no ARN of a cluster
    kubernetes_namespace = "kube-system" # ERROR: Unsuitable value | kube-
  }
}
compute_environment "fargate" {
  type                = "FARGATE_SPOT"
  max_vcpus           = 16
  subnets             = ["subnet-1", "subnet-2", "subnet-3", "subnet-4", "subnet-5", "subnet-6", "subnet-7", "subnet-8", "subnet-9", "subnet-10", "subnet-11", "subnet-12", "subnet-13", "subnet-14", "subnet-15", "subnet-16", "subnet-17"] # ERROR: Unsuitable value | at most 16
  security_group_ids  = ["sg-1", "sg-2", "sg-3", "sg-4", "sg-5", "sg-6"] # ERROR: Unsuitable value | at most 5
  min_vcpus           = 1 # ERROR: Not possible on Fargate | min_vcpus is not applicable for Fargate
  desired_vcpus       = 1 # ERROR: Not possible on Fargate
  instance_types      = ["c5"] # ERROR: Not possible on Fargate
  bid_percentage      = 50 # ERROR: Not possible on Fargate
  allocation_strategy = "BEST_FIT" # ERROR: Not possible on Fargate
  instance_role       = "x" # ERROR: Not possible on Fargate
  spot_iam_fleet_role = "x" # ERROR: Not possible on Fargate
  ec2_key_pair        = "x" # ERROR: Not possible on Fargate
  placement_group     = "x" # ERROR: Not possible on Fargate
  instance_tags       = { a = "b" } # ERROR: Not possible on Fargate
  launch_template { id = "lt-1" } # ERROR: Not possible on Fargate | launch_template is not applicable
  ec2_configuration { image_type = "ECS_AL2023" } # ERROR: Not possible on Fargate
  scaling_policy { min_scale_down_delay_minutes = 20 } # ERROR: Not possible on Fargate
}
compute_environment "numbers" {
  type                = "EC2"
  allocation_strategy = "SPOT_CAPACITY_OPTIMIZED" # ERROR: Unsuitable value | for type = "SPOT" only
  min_vcpus           = 8 # ERROR: Unsuitable value | max_vcpus only 4
  desired_vcpus       = 16
  max_vcpus           = 4
  bid_percentage      = 50 # ERROR: Unsuitable value | for type = "SPOT" only
  instance_types      = ["c6i", "c7g.large"] # ERROR: Unsuitable value | one architecture
  subnets             = ["subnet-1", "subnet-1"] # ERROR: Unsuitable value | twice
  launch_template {
    id   = "lt-1"
    name = "x" # ERROR: Conflicting arguments | Remove one
  }
  ec2_configuration {
    image_type               = "EKS_AL2023" # ERROR: Unsuitable value | begins with ECS_
    image_kubernetes_version = "1.33" # ERROR: Unsuitable value | Amazon EKS only
  }
}
compute_environment "desired" {
  type                = "SPOT"
  allocation_strategy = "BEST_FIT" # ERROR: Unsuitable value | spot_iam_fleet_role
  desired_vcpus       = 16 # ERROR: Unsuitable value | between min_vcpus, 0, and max_vcpus, 4
  max_vcpus           = 4
  instance_types      = ["optimal"]
  subnets             = ["subnet-1"]
  security_group_ids  = [] # ERROR: Unsuitable value | empty list
}
compute_environment "default_strategy" { # ERROR: Unsuitable value | SPOT_PRICE_CAPACITY_OPTIMIZED
  type               = "SPOT"
  max_vcpus          = 4
  instance_types     = ["optimal"]
  subnets            = ["subnet-1"]
  security_group_ids = ["sg-1"]
}
compute_environment "eks" { # ERROR: Missing required argument | needs instance_role
  type               = "EC2"
  max_vcpus          = 4
  instance_types     = ["optimal"]
  subnets            = ["subnet-1"]
  security_group_ids = ["sg-1"]
  create_roles       = true # ERROR: Unsuitable value | not for nodes of Amazon EKS
  eks_configuration { # ERROR: Unsuitable value | other than BEST_FIT
    eks_cluster_arn      = "arn:aws:eks:eu-west-1:123456789012:cluster/lab"
    kubernetes_namespace = "batch"
  }
}
compute_environment "there" {
  existing = "by-hand"
  type     = "EC2" # ERROR: Conflicting arguments | Remove type and launch_template, or existing
  launch_template { id = "lt-1" }
}
compute_environment "arn" { existing = "arn:aws:batch:eu-west-1:123456789012:compute-environment/there" } # ERROR: Unsuitable value | write "there"
compute_environment "name" {
  name               = "a name" # ERROR: Unsuitable value | 1 to 128 letters
  type               = "FARGATE"
  max_vcpus          = 16
  subnets            = ["subnet-1"]
  security_group_ids = ["sg-1"]
}
compute_environment "same" { existing = "good" } # ERROR: Duplicate name | compute_environment.good, at infra.hcl:21
compute_environment "good" { existing = "other" } # ERROR: Duplicate compute_environment
compute_environment "größe" { # ERROR: Unsuitable value | Add: name
  type               = "FARGATE"
  max_vcpus          = 16
  subnets            = ["subnet-1"]
  security_group_ids = ["sg-1"]
}
compute_environment "uses" {
  type               = "FARGATE"
  max_vcpus          = step.uses.outputs.o # ERROR: Reference not allowed here | knows nothing of steps
  subnets            = [run.id] # ERROR: Reference not allowed here | knows nothing of steps
  security_group_ids = [local.of_steps] # ERROR: Reference not allowed here | local.of_steps uses the results of step
  name               = compute_environment.uses.name # ERROR: Names refer to each other | refers to itself
}

job_queue "loop" {
  name                 = "x-${local.loop}"
  compute_environments = [compute_environment.good]
}
job_queue "none" { priority = 1 } # ERROR: Missing required argument | needs compute_environments
job_queue "values" {
  priority             = 1.5 # ERROR: Unsuitable value
  compute_environments = [] # ERROR: Unsuitable value | 1 to 3
  scheduling_policy    = "arn:aws:batch:eu-west-1:123456789012:job-queue/x" # ERROR: Unsuitable value | neither the name of a scheduling policy nor its ARN
  state_time_limit "a" {
    reason   = "CAPACITY" # ERROR: Unsuitable value | CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY
    state    = "PENDING" # ERROR: Unsuitable value | "RUNNABLE"
    max_time = "5m" # ERROR: Unsuitable value | 600 to 86400
    action   = "TERMINATE" # ERROR: Unsuitable value | "CANCEL"
  }
  state_time_limit "b" {} # ERROR: Missing required argument | needs reason and max_time
  state_time_limit "b" { # ERROR: Duplicate state_time_limit block
    reason   = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    max_time = "30m"
  }
  state_time_limit "c" { # ERROR: Unsuitable value | already a time limit
    reason   = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    max_time = "30m"
  }
}
job_queue "block" { compute_environments = compute_environment.good } # ERROR: Unsuitable value | put the block in brackets
compute_environment "unmanaged" { # ERROR: Missing required argument | needs max_vcpus
  type = "UNMANAGED" # ERROR: Unsuitable value | named with existing
}
job_queue "local" {
  name                 = local.of_steps # ERROR: Reference not allowed here | local.of_steps uses the results of step
  compute_environments = ["a"]
}
job_queue "four" { compute_environments = ["a", "b", "c", "d"] } # ERROR: Unsuitable value | 1 to 3
job_queue "twice" { compute_environments = [compute_environment.good, "good"] } # ERROR: Unsuitable value | twice
job_queue "mixed" { compute_environments = [compute_environment.good, compute_environment.x86] } # ERROR: Unsuitable value | either Fargate or EC2
job_queue "two" { compute_environments = [compute_environment.arm, compute_environment.x86.name] } # ERROR: Unsuitable value | one architecture
job_queue "wrong" { compute_environments = [job_queue.good] } # ERROR: Unsupported attribute | takes compute environments
job_queue "policy" {
  compute_environments = ["a"]
  scheduling_policy    = scheduling_policy.fiar # ERROR: Reference to undeclared scheduling_policy | Did you mean "fair"?
}

job_definition "none" { command = ["x"] } # ERROR: Missing required argument | needs image
job_definition "values" {
  image       = "a b" # ERROR: Unsuitable value | no name of a container image
  command     = "echo" # ERROR: Unsuitable value | command is a list
  environment = { FLOW_X = "1" } # ERROR: Invalid name
  env         = { A = "1" } # ERROR: Unsupported argument | environment = {
  timeout     = "30s" # ERROR: Unsuitable value | at least 60
  scheduling_priority = 10000 # ERROR: Unsuitable value | from 0 to 9999
  queue       = "x" # ERROR: Unsupported argument
  resources {
    memory = "${attempt} GiB" # ERROR: Reference not allowed here | knows nothing of steps and runs
  }
  retry { # ERROR: Unsuitable value | 5 entries
    attempts = 2
    when "many" { exit_code = [1, 2, 3, 4, 5] }
    when "later" {
      exit_code = 6
      delay     = "1m" # ERROR: Not possible in a job definition | evaluateOnExit
      memory    = "1 GiB"
    }
  }
  container {
    platform = "MAC" # ERROR: Unsuitable value | there are "EC2" and "FARGATE"
  }
  output "x" { file = "x" } # ERROR: Unsupported block type
}
job_definition "attempts" {
  image = "x"
  retry { attempts = 11 } # ERROR: Unsuitable value | from 1 to 10
}

job_definition "licensed" {
  image = "x"
  consumable_resources = {
    (consumable_resource.two.name) = 3 # ERROR: Unsuitable value | wait for ever, since there are only 2
  }
}
job_definition "block" {
  image                = "x"
  consumable_resources = { (consumable_resource.two) = 1 } # ERROR: Unsupported attribute | Write consumable_resource.two.name
}
job_definition "licenses" {
  image = "x"
  consumable_resources = {
    "a b" = 1 # ERROR: Unsuitable value | neither the name of a consumable resource nor its ARN
    c     = 0 # ERROR: Unsuitable value | at least 1
    d     = 1.5 # ERROR: Unsuitable value | at least 1
    e     = 1 # ERROR: Unsuitable value | there twice
    "arn:aws:batch:eu-west-1:123456789012:consumable-resource/e" = 1
    "arn:aws:batch:eu-west-1:123456789012:job-queue/f"           = 1 # ERROR: Unsuitable value | neither the name
  }
}
job_definition "many" {
  image                = "x"
  consumable_resources = { a = 1, b = 1, c = 1, d = 1, e = 1, f = 1 } # ERROR: Unsuitable value | AWS Batch takes 5
}
consumable_resource "two" { total_quantity = 2 }

scheduling_policy "fair" {
  share_decay         = "8d" # ERROR: Unsuitable value | 604800
  compute_reservation = 100 # ERROR: Unsuitable value | from 0 to 99
  share "lab*" { weight_factor = 0 } # ERROR: Unsuitable value | from 0.0001 to 999.9999
  share "lab1" {} # ERROR: Unsuitable value | overlaps with "lab*"
  share "a b" {} # ERROR: Unsuitable value | no identifier
}

consumable_resource "none" {} # ERROR: Missing required argument | total_quantity
consumable_resource "values" {
  total_quantity = -1 # ERROR: Unsuitable value | at least 0
  resource_type  = "NONREPLENISHABLE" # ERROR: Unsuitable value | Did you mean "NON_REPLENISHABLE"?
}

step "uses" {
  command        = ["x", job_queue] # ERROR: Incomplete reference | job_queue.spot.name
  queue          = job_queue.goood.name # ERROR: Reference to undeclared job_queue | Did you mean "good"?
  job_definition = job_definition.good.name # ERROR: Reference to undeclared job_definition | but a compute_environment of that name
  env = {
    A = job_queue.good.arn # ERROR: Unsupported attribute | not known before it exists; use job_queue.good.name
    B = job_queue.good.priority # ERROR: Unsupported attribute | Of a job_queue only its name
    C = job_queue.good.nme # ERROR: Unsupported attribute | Did you mean "name"?
    D = job_queues.good.name # ERROR: Unknown variable | Did you mean "job_queue"?
    E = job_queue.good # ERROR: Unsupported attribute | Write job_queue.good.name
  }
  output "o" { text = "o" }
}
step "takes" {
  command              = ["x"]
  consumable_resources = { (consumable_resource.twoo.name) = 1 } # ERROR: Reference to undeclared consumable_resource | Did you mean "two"?
}
step "asks" {
  for_each             = [1, 3]
  command              = ["x"]
  consumable_resources = { (consumable_resource.two.name) = each.value, x = [1] } # ERROR: Unsuitable value | a whole number of at least 1
}
step "wrong" {
  command = ["x"]
  queue   = compute_environment.good.name # ERROR: Unsupported attribute | queue takes a job queue
  tags    = { A = job_queue.good.name.x } # ERROR: Unsupported attribute
}
job_que "x" { existing = "x" } # ERROR: Unsupported block type | Did you mean "job_queue"?
step "hidden" {
  command = ["x"]
  queue   = job_queue.x.name
}
