stp "misspelled" { # ERROR: Unsupported block type | Did you mean "step"?
  command = ["x"]
  output "o" { file = "o" }
}
step "uses" { command = ["x", step.misspelled.outputs.o] }
local { # ERROR: Unsupported block type | Did you mean "locals"?
  a = 1
}
step "uses2" { command = ["x", local.a] }
workflow "a" {
  defaults {
    for_each = [1] # ERROR: Not possible in defaults
    output "x" { file = "x" } # ERROR: Not possible in defaults
    env   = { A = each.key } # ERROR: Reference not allowed here | defaults
    image = step.uses.outputs.x # ERROR: Reference not allowed here | defaults
    resources {
      memory = "1 GB" # ERROR: Unsuitable value | Did you mean "1 GiB"?
    }
    retrys { # ERROR: Unsupported block type | Did you mean "retry"?
    }
  }
}
workflow "b" {} # ERROR: Duplicate workflow block
module "x" { source = "./x" } # ERROR: Block not supported yet | later version
job_queue "spot" {} # ERROR: Missing required argument | compute_environments
step { # ERROR: Missing name for step
  command = ["x"]
}
step "label" "two" { # ERROR: Extraneous label for step
  command = ["x"]
}
step "empty" {} # ERROR: Missing required argument | does nothing
step "two" {
  command = ["x"]
  script  = "x" # ERROR: Conflicting arguments | command already
}
step "parts" {
  command = ["x"]
  ouput "a" { file = "a" } # ERROR: Unsupported block type | Did you mean "output"?
  resources {
    cpu = 1 # ERROR: Unsupported argument
  }
  resources {} # ERROR: Duplicate resources block
  tolerate {} # ERROR: Missing required argument
  retry { # ERROR: Missing required argument | attempts = 3
    when "a" {} # ERROR: Missing required argument | exit_code
  }
  output "none" {} # ERROR: Missing required argument
  output "both" {
    file = "a"
    json = "b" # ERROR: Conflicting arguments
  }
  output "typed" {
    file = "a"
    type = string # ERROR: Conflicting arguments
  }
  output "opt" {
    file     = "a"
    optional = var.x # ERROR: Unsuitable value | written out
  }
  output "temp" {
    file      = "t"
    publish   = "results/"
    temporary = true # ERROR: Conflicting arguments | Leave one of them out
  }
  output "value" {
    json      = "v"
    temporary = true # ERROR: Conflicting arguments | kept anyway
  }
  output "maybe" {
    file      = "m"
    temporary = var.x # ERROR: Unsuitable value | written out
  }
  output "my-out" { file = "a" } # ERROR: Invalid name | shell
  output "PATH" { file = "a" } # ERROR: Invalid name
}
step "single" {
  command    = ["x"]
  sequential = true # ERROR: Conflicting arguments
  each_key   = "a" # ERROR: Conflicting arguments
}
step "uses3" { command = ["x", step.parts.outputs.a] }
step "matrix" {
  for_each = [1]
  command  = ["x"]
  matrix { # ERROR: Conflicting arguments
    a = [1]
  }
}
step "axes" {
  command = ["x"]
  matrix {
    codec = ["a"]
    include {
      codc = "b" # ERROR: Unsupported argument | Did you mean "codec"?
    }
    exlude { # ERROR: Unsupported block type | Did you mean "exclude"?
    }
  }
}
step "noaxes" {
  command = ["x"]
  matrix {} # ERROR: Missing required argument
}
output "novalue" {} # ERROR: Missing required argument
variable "x" {
  validation { # ERROR: Missing required argument
    condition = true
  }
  validation {
    condition     = var.y == 1 # ERROR: Reference not allowed here
    error_message = "x"
  }
}
