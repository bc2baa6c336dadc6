workflow "twin" {
  defaults {
    retry {
      attempts = 2
      when "oom" { exit_code = "137" }
    }
  }
}
variable "n" {
  type    = list(string)
  default = ["a", "b"]
}
locals { out = "results" }
step "a" {
  for_each = var.n
  script   = "echo ${each.value} > $f"
  output "f" { file = "${each.key}.txt" }
}
step "b" {
  for_each   = step.a.each
  depends_on = [step.c]
  inputs     = { f = each.value.outputs.f }
  command    = ["cat", each.key]
}
step "c" {
  matrix {
    x = [1, 2]
    y = ["p", "q"]
    exclude {
      x = 1
      y = "p"
    }
  }
  command = ["c", each.key]
}
step "d" {
  inputs  = { all = step.a.outputs.f }
  command = ["d"]
  output "j" {
    json = "j.json"
    type = list(string)
  }
}
output "o" {
  value   = step.d.outputs.j
  publish = local.out
}
