workflow "long" {
  executor = "batch"
  defaults {
    image = "busybox"
    queue = "judged"
    shell = ["sh", "-euc"]
  }
}
step "long" {
  for_each = range(4)
  script   = "sleep 600"
}
step "after" {
  script     = "true"
  depends_on = [step.long]
}
