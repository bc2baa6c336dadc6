step "a" {
  for_each = ["x"]
  command  = ["x"]
  output "bam" { file = "f" }
  output "j" {
    json = "j"
    type = object({ n = number })
  }
}
step "single" {
  command = ["x"]
  output "f" { file = "f" }
}
step "b" {
  command = ["x", step.a.outputs.bam] # ERROR: Unsuitable value | this is a list
}
step "c" {
  command = ["x", "${step.a.outputs.bam}"] # ERROR: Unsuitable value | this is a list
}
step "d" {
  for_each = step.a.each
  command  = ["x", each.value.outputs.bm] # ERROR: Reference to undeclared output | Did you mean "bam"?
  inputs   = { x = each.value } # ERROR: Unsuitable value | this is a task
}
step "e" {
  command = ["x", step.a.outputs.j[0].m] # ERROR: Unsupported attribute
}
step "f" {
  for_each = step.single.outputs.f # ERROR: Unsuitable value | this is a text
  command  = ["x"]
}
step "g" {
  timeout = step.a.outputs.bam # ERROR: Unsuitable value
  command = ["x"]
}
step "h" {
  command = ["x", step.a.each["x"].outputs.j.m] # ERROR: Unsupported attribute
}
step "i" {
  max_parallel = step.single.outputs.f # ERROR: Reference not allowed here
  command      = ["x"]
  retry { attempts = step.single.outputs.f } # ERROR: Reference not allowed here
}
locals { x = step.single.outputs.f }
step "j" {
  max_parallel = local.x # ERROR: Reference not allowed here | local.x uses the results of step "single"
  command      = ["x"]
}
