variable "env" { default = "lab" }
locals { prefix = "flow-${var.env}" }
variable "unused" { type = string }

compute_environment "spot" {
  name                = "${local.prefix}-spot"
  type                = "spot"
  state               = "DISABLED"
  allocation_strategy = "SPOT_PRICE_CAPACITY_OPTIMIZED"
  min_vcpus           = 1
  desired_vcpus       = 2
  max_vcpus           = 256
  instance_types      = ["c6i", "m6i.large", "optimal"]
  bid_percentage      = 60
  subnets             = ["subnet-1", "subnet-2"]
  security_group_ids  = ["sg-1"]
  instance_role       = "arn:aws:iam::123456789012:instance-profile/mine"
  service_role        = "arn:aws:iam::123456789012:role/batch"
  spot_iam_fleet_role = "spotfleet"
  ec2_key_pair        = "key"
  placement_group     = "close"
  instance_tags       = { Name = "flow" }
  tags                = { team = var.env }
  create_roles        = true
  launch_template {
    name    = "template"
    version = "$Latest"
  }
  ec2_configuration {
    image_type        = "ECS_AL2023"
    image_id_override = "ami-1"
  }
  ec2_configuration { image_type = "ECS_AL2023_NVIDIA" }
  scaling_policy { min_scale_down_delay_minutes = 20 }
  update_policy {
    terminate_jobs_on_update      = true
    job_execution_timeout_minutes = 60
  }
}

compute_environment "nodes" {
  type                = "EC2"
  allocation_strategy = "BEST_FIT_PROGRESSIVE"
  max_vcpus           = 8
  instance_types      = ["m6g"]
  subnets             = ["subnet-1"]
  instance_role       = "nodes"
  launch_template { id = "lt-1" }
  ec2_configuration {
    image_type               = "EKS_AL2023"
    image_kubernetes_version = "1.33"
  }
  eks_configuration {
    eks_cluster_arn      = "arn:aws:eks:eu-west-1:123456789012:cluster/lab"
    kubernetes_namespace = "batch"
  }
}

compute_environment "old" { existing = "made-by-hand" }

job_queue "work" {
  name                 = "${local.prefix}-work"
  priority             = 10
  state                = "DISABLED"
  compute_environments = [compute_environment.spot, compute_environment.old.name, "arn:aws:batch:eu-west-1:123456789012:compute-environment/x"]
  scheduling_policy    = scheduling_policy.fair
  tags                 = { env = compute_environment.spot.name }
  state_time_limit "no capacity" {
    reason   = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    state    = "RUNNABLE"
    max_time = "30m"
    action   = "CANCEL"
  }
}

job_definition "tools" {
  name                = "tools"
  image               = "debian:13"
  command             = ["echo", "Ref::word"]
  parameters          = { word = "hi" }
  environment         = { A = "1" }
  secrets             = { TOKEN = "ssm:token" }
  timeout             = "1h"
  scheduling_priority = 7
  propagate_tags      = true
  consumable_resources = { (consumable_resource.license.name) = 2, "arn:aws:batch:eu-west-1:123456789012:consumable-resource/tokens" = "1" }
  create_roles        = true
  tags                = { team = "x" }
  resources {
    vcpus  = 2
    memory = "4 GiB"
    gpus   = 1
  }
  retry {
    attempts = 3
    when "spot" { status_reason = "Host EC2*" }
    when "bad" {
      exit_code = 2
      action    = "exit"
    }
  }
  container {
    user           = "1000"
    job_role       = "job"
    execution_role = "exec"
    init_process   = true
    platform       = "EC2"
    volume "ref" {
      efs  = "fs-1"
      path = "/ref"
    }
    log_configuration { driver = "awslogs" }
  }
}

scheduling_policy "fair" {
  name                = "fair"
  share_decay         = "10m"
  compute_reservation = 5
  tags                = { a = "b" }
  share "lab*" { weight_factor = 0.5 }
  share "other" {}
}

consumable_resource "license" {
  name           = "license"
  total_quantity = 10
  resource_type  = "NON_REPLENISHABLE"
  tags           = { a = "b" }
}

step "a" {
  image   = "x"
  command = ["x"]
  queue   = job_queue.work.name
}
