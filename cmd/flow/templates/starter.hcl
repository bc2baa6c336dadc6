# A workflow: steps that run commands. Try it:
#
#   flow run NAME.hcl
#   flow run NAME.hcl -var 'names=["Ada","Grace","Edsger"]'   # what is new runs, the rest is CACHED

workflow "NAME" {
  description = "Greet everybody, then count"
}

variable "names" {
  type        = list(string)
  default     = ["Ada", "Grace"]
  description = "Whom to greet"
}

step "greet" {
  for_each = var.names # one task for each; its key is the name
  env      = { WHO = each.value }
  script   = <<-SH
    echo "Hello, $WHO!" > "$greeting"
  SH
  output "greeting" { file = "greeting.txt" }
}

step "count" {
  inputs = { greetings = step.greet.outputs.greeting } # waits for all of them; $greetings is a directory
  script = <<-SH
    cat "$greetings"/* > "$all"
    wc -l < "$all"
  SH
  output "all" { file = "all.txt" }
}

output "greetings" { value = step.count.outputs.all }
