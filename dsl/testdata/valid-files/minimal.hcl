step "hello" { script = "echo hello" }
