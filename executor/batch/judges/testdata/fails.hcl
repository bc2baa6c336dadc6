workflow "fails" {
  defaults {
    image = "busybox"
    shell = ["sh", "-euc"]
  }
}
step "bad" { script = "echo oops; exit 3" }
step "never" {
  script     = "true"
  depends_on = [step.bad]
}
step "good" { script = "true" }
