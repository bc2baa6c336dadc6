workflow "values" {
  max_parallel = 0 # ERROR: Unsuitable value | at least 1
  timeout      = "1 day" # ERROR: Unsuitable value | no duration
  on_failure   = "cancle" # ERROR: Unsuitable value | Did you mean "cancel"?
  work_dir     = "" # ERROR: Unsuitable value
  executor     = "bacth" # ERROR: Unsuitable value | Did you mean "batch"?
  on_lost      = "ignore" # ERROR: Unsuitable value | there are "fail" and "retry"
}
variable "secret" {
  type      = string
  sensitive = true
}
variable "list" { type = list(string) }
variable "bad" { type = strin } # ERROR: Invalid type specification
variable "default" {
  type    = number
  default = "x" # ERROR: Invalid default value for variable
}
variable "ref" {
  default = var.list # ERROR: Reference not allowed here
}
step "a" {
  command = ["x", var.secret] # ERROR: Sensitive value | secrets = { NAME = var.name }
  env = {
    A       = var.secret # ERROR: Sensitive value
    "1B"    = "x" # ERROR: Invalid name
    FLOW_X  = "x" # ERROR: Invalid name
    IFS     = "," # ERROR: Invalid name
    D       = var.list # ERROR: Unsuitable value | a list
    reads   = "x"
  }
  inputs = {
    reads = "x" # ERROR: Duplicate name
    "a-b" = "y" # ERROR: Invalid name
    HOME  = "z" # ERROR: Invalid name
    n     = 5 # ERROR: Unsuitable value | a number
    empty = "" # ERROR: Unsuitable value | empty
    cloud = "gs://lab/x" # ERROR: Unsuitable value | does not fetch gs://
    list  = ["s3://lab/a", "s3://Lab Bucket/a"] # ERROR: Unsuitable value | no name of a bucket
    typo  = "s3:/lab/a" # ERROR: Unsuitable value | s3://bucket/key
    task  = step.f.each["0"] # ERROR: Unsuitable value | name one of its outputs
  }
  secrets = {
    A1 = "env:OK"
    B1 = "plain text" # ERROR: Unsuitable value | Its text itself does not belong here
    C1 = upper(var.secret) # ERROR: Unsuitable value | named, never computed
    D1 = var.secret
  }
  timeout  = "0s" # ERROR: Unsuitable value
  priority = 10000 # ERROR: Unsuitable value
  image    = "a b" # ERROR: Unsuitable value
  queue    = "a b" # ERROR: Unsuitable value
  tags     = { "" = "x" } # ERROR: Unsuitable value
  when     = "maybe" # ERROR: Unsuitable value
  cache    = 3 # ERROR: Unsuitable value
  resources {
    vcpus  = 0 # ERROR: Unsuitable value
    memory = "much" # ERROR: Unsuitable value | no size
    gpus   = 1.5 # ERROR: Unsuitable value
    disk   = 100 # ERROR: Unsuitable value | say the unit
  }
}
step "retry" {
  command = ["x"]
  retry {
    attempts = 11 # ERROR: Unsuitable value
    when "a" { exit_code = "*1" } # ERROR: Unsuitable value | at most one *
    when "b" { status_reason = "Host EC2 (*" } # ERROR: Unsuitable value
    when "c" { exit_code = [1, 2, 3, 4, 5, 6] } # ERROR: Unsuitable value | 1 to 5
    when "d" { exit_code = 300 } # ERROR: Unsuitable value
    when "e" {
      exit_code = 1
      action    = "stop" # ERROR: Unsuitable value | "retry" and "exit"
    }
    when "f" {
      exit_code = 1
      action    = "exit" # ERROR: Unsuitable value | no further attempt
      delay     = "1m"
    }
    when "f" { exit_code = 2 } # ERROR: Duplicate when block
  }
}
step "f" {
  for_each = ["a", "b"]
  each_key = "same" # ERROR: Duplicate task key
  command  = ["x"]
  tolerate { failed = "many" } # ERROR: Unsuitable value
}
step "n" {
  for_each = 5 # ERROR: Unsuitable value | range(n)
  command  = ["x"]
}
step "t" {
  for_each = "a" # ERROR: Unsuitable value | a text
  command  = ["x"]
}
step "s" {
  for_each = [var.secret] # ERROR: Unsuitable value | sensitive
  command  = ["x"]
}
step "outs" {
  command = ["x"]
  output "a" { file = "/abs" } # ERROR: Unsuitable value
  output "b" { file = "../up" } # ERROR: Unsuitable value
  output "c" { files = "[a" } # ERROR: Unsuitable value
  output "d" { file = "inputs/x" } # ERROR: Unsuitable value
  output "e" { file = "s3://x/y" } # ERROR: Unsuitable value
  output "f" {
    file    = "f"
    publish = "https://example.org/f" # ERROR: Unsuitable value | does not publish to https://
  }
  container {
    user    = "a b" # ERROR: Unsuitable value
    network = "hots" # ERROR: Unsuitable value | Did you mean "host"?
    ulimits = { nofil = 3 } # ERROR: Unsuitable value | Did you mean "nofile"?
    volume "v" { path = "rel" } # ERROR: Unsuitable value
    volume "w" {} # ERROR: Missing required argument
  }
}
step "deps" {
  command    = ["x"]
  depends_on = ["outs"] # ERROR: Unsuitable value | as references
}
step "deps2" {
  command    = []  # ERROR: Unsuitable value | empty
  depends_on = [
    step.out, # ERROR: Reference to undeclared step | Did you mean "outs"?
    step.outs.outputs.a, # ERROR: Unsuitable value | write step.outs
  ]
}
output "o" { value = var.secret } # ERROR: Unsuitable value | sensitive = true
