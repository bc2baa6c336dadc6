variable "token" {
  type      = string
  sensitive = true
}
step "a" {
  script = "for x in 1 2; do echo $x" # ERROR: Shell syntax error
}
step "b" {
  script = <<-SH
    echo ok
    echo ${1} # ERROR: Shell parameter taken for a value
  SH
}
step "c" {
  script = "curl -H ${var.token}" # ERROR: Sensitive value
}
step "d" {
  script = "   " # ERROR: Unsuitable value | empty
}
step "e" {
  shell  = ["python3", "-c"]
  script = "for x in [1, 2]: print(x"
}
step "f" {
  command = ["x"]
  shell   = ["sh"] # ERROR: Conflicting arguments
}
