workflow "twelve" {
  on_failure = "abort" # ERROR: Unsuitable value | there are "finish" and "cancel"
}

variable "reads" {
  type    = list(string)
  default = "a.fq" # ERROR: Invalid default value for variable
}

locals {
  out = "${var.raeds}/x" # ERROR: Reference to undeclared variable | Did you mean "reads"?
}

step "split" {
  inputs = { reads = var.reads }
  scirpt = "split $reads" # ERROR: Unsupported argument | Did you mean "script"?
  output "shards" { files = "shard-*" }
}

step "index" {
  command = "bowtie2-build" # ERROR: Unsuitable value | command is a list
  timeout = "2h"
  output "dir" { directory = "index" }
}

step "align" {
  for_each = step.splt.outputs.shards # ERROR: Reference to undeclared step | Did you mean "split"?
  inputs = {
    reads = each.value
    index = step.index.outputs.dri # ERROR: Reference to undeclared output | Did you mean "dir"?
  }
  script = <<-SH
    for f in $reads; do
      echo ${FILE}  # ERROR: Unknown variable | To pass this to the shell
    done
  SH
  resources {
    memory = "4 GB" # ERROR: Unsuitable value | Did you mean "4 GiB"?
  }
}

step "merge" {
  command    = ["merge", upperr(local.out)] # ERROR: Call to unknown function | Did you mean "upper"?
  depends_on = [step.align]
  retry {
    attempts = 20 # ERROR: Unsuitable value | from 1 to 10
  }
}

output "dir" {
  value = each.key # ERROR: Reference not allowed here
}
