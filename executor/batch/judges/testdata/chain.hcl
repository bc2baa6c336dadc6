workflow "chain" {
  executor = "batch"
  defaults {
    image = "busybox"
    queue = "judged"
    shell = ["sh", "-euc"]
  }
}
step "one" { command = ["sh", "-c", "echo one of $FLOW_RUN_ID"] }
step "two" {
  script     = "echo two"
  depends_on = [step.one]
}
step "three" {
  script     = "echo three"
  depends_on = [step.one, step.two]
}
