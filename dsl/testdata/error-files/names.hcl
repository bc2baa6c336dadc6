variable "reads" {}
variable "1st" {} # ERROR: Invalid name
variable "reads" {} # ERROR: Duplicate variable | names.hcl:1
locals {
  genome = "x"
  a      = local.genom # ERROR: Reference to undeclared local value | Did you mean "genome"?
}
locals {
  genome = "y" # ERROR: Duplicate local value
}
step "align" {
  command = ["a", vars.reads] # ERROR: Unknown variable | Did you mean "var"?
  output "bam" { file = "x" }
  output "bam" { file = "y" } # ERROR: Duplicate output
}
step "align" { # ERROR: Duplicate step
  command = ["b"]
}
step "b" {
  command = ["a", run.idd] # ERROR: Unsupported attribute | Did you mean "id"?
  env = {
    A = step.align.output.bam # ERROR: Unsupported attribute | Did you mean "outputs"?
    B = step.align.bam # ERROR: Unsupported attribute | Did you mean step.align.outputs.bam?
    C = align.outputs.bam # ERROR: Unknown variable | Did you mean step.align?
    D = reads # ERROR: Unknown variable | Did you mean var.reads?
    E = genome # ERROR: Unknown variable | Did you mean local.genome?
    F = resources.vcpus # ERROR: Unknown variable | $FLOW_VCPUS
    G = step # ERROR: Incomplete reference
    H = step.align.each # ERROR: Unsupported attribute | has no for_each
    I = var.other # ERROR: Reference to undeclared variable | Declare it
    J = path.modul # ERROR: Unsupported attribute | Did you mean "module"?
    K = step.b2.outputs.x # ERROR: Reference to undeclared step
  }
}
step "c" {
  for_each = ["a"]
  command  = ["x", each.val] # ERROR: Unsupported attribute | each.value
  env      = { A = attempt } # ERROR: Reference not allowed here
}
step "d" {
  for_each = [{ id = "x", mb = 1 }]
  command  = ["x", each.value.idd] # ERROR: Unsupported attribute | Did you mean "id"?
}
output "x" {
  value   = step.align.outputs.bam
  publsh  = "x" # ERROR: Unsupported argument | Did you mean "publish"?
}
output "x" { value = 1 } # ERROR: Duplicate output
step "many" {
  for_each = ["a"]
  script   = "true"
  output "o" { file = "o" }
  memory   = "4 GiB" # ERROR: Unsupported argument | resources { memory = "4 GiB" }
}
step "one" {
  inputs = { o = step.many["a"].outputs.o } # ERROR: Unsupported attribute | step.many.each["a"].outputs
  script = "echo " + "x" # ERROR: Invalid operand | "${a}-${b}"
  retry { memory = 4 } # ERROR: Unsupported argument
}
