locals {
  a = local.b # ERROR: Local values refer to each other | local.a -> local.b -> local.c -> local.a
  b = local.c
  c = "${local.a}x"
  d = local.d # ERROR: Local values refer to each other | refers to itself
}
step "one" {
  command = ["x", step.two.outputs.f] # ERROR: Steps depend on each other | step.one -> step.two -> step.three -> step.one
  output "f" { file = "f" }
}
step "two" {
  command    = ["x"]
  depends_on = [step.three]
  output "f" { file = "f" }
}
step "three" {
  command = ["x", step.one.outputs.f, local.a]
}
step "self" {
  command = ["x", step.self.outputs.f] # ERROR: Steps depend on each other | refers to itself
  output "f" { file = "f" }
}
step "loop" {
  for_each = step.pool.each # ERROR: Steps depend on each other | step.loop -> step.pool -> step.loop
  command  = ["x", each.value.outputs.f]
  output "f" { file = "f" }
}
step "pool" {
  for_each = step.loop.each
  command  = ["x", each.value.outputs.f]
  output "f" { file = "f" }
}
