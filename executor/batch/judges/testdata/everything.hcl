workflow "everything" {
  executor = "batch"
  tags     = { project = "hg38", "cost:centre" = "a b/c" }
  defaults {
    image = "public.ecr.aws/lab/tools:1"
    queue = "judged"
    shell = ["sh", "-euc"]
    env   = { GREETING = "good day, $HOME" }
  }
}

step "plain" {
  command = ["sh", "-c", "echo plain $GREETING"]
  timeout = "5m"
  tags    = { owner = "me" }
}
step "children" {
  for_each = ["red", "orange", "yellow"]
  script   = "echo $FLOW_KEY is $FLOW_INDEX"
}
step "beside" {
  for_each = step.children.each
  script   = "echo $FLOW_KEY"
}
step "turns" {
  for_each   = ["a", "b", "c"]
  sequential = true
  script     = "echo $FLOW_KEY"
}
step "write" {
  for_each = ["x", "y"]
  script   = "echo $FLOW_KEY > $out"
  output "out" { file = "${each.key}.txt" }
}
step "gather" {
  inputs = { all = step.write.outputs.out }
  script = "cat $all/* > $sum"
  output "sum" { file = "sum.txt" }
}
step "busy" {
  script = "test $FLOW_ATTEMPT = 3 || exit 75"
  retry {
    attempts = 3
    when "busy" { exit_code = 75 }
    when "spot" { status_reason = "Host EC2*" }
  }
}
step "grows" {
  script = "test $FLOW_ATTEMPT = 2 || exit 137"
  resources {
    vcpus  = 2
    memory = "${128 * attempt} MiB"
  }
  retry {
    attempts = 2
    when "oom" { exit_code = 137 }
  }
}
step "settings" {
  script = "true"
  container {
    user          = "nobody"
    init_process  = true
    privileged    = true
    ulimits       = { nofile = [1024, 65536] }
    shared_memory = "64 MiB"
    job_role      = "arn:aws:iam::123456789012:role/job"
    volume "tmp" {
      host      = "/tmp"
      path      = "/data/tmp"
      read_only = true
    }
    log_configuration {
      driver  = "awslogs"
      options = { "awslogs-stream-prefix" = "own" }
    }
  }
}
step "fargate" {
  queue  = "fargate"
  script = "true"
  resources {
    vcpus  = 0.25
    memory = "512 MiB"
    disk   = "30 GiB"
  }
  container {
    platform       = "FARGATE"
    network        = "public"
    architecture   = "ARM64"
    read_only      = true
    execution_role = "arn:aws:iam::123456789012:role/execution"
  }
}
step "private" {
  script  = "test \"$TOKEN\" = 42"
  secrets = { TOKEN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-AbCdEf" }
  container {
    execution_role = "arn:aws:iam::123456789012:role/execution"
    volume "shared" {
      efs              = "fs-12345678"
      path             = "/shared"
      efs_root         = "/"
      efs_access_point = "fsap-0123456789abcdef0"
    }
  }
}
step "first" {
  queue    = "fair"
  priority = 7
  script   = "true"
}
step "theirs" {
  job_definition = "theirs"
  parameters     = { word = "hello" }
}
step "last" {
  script     = "true"
  depends_on = [step.beside, step.turns, step.busy, step.grows, step.settings, step.fargate, step.private, step.first, step.theirs, step.plain]
}
