workflow "w" {
  work_dir = "s3://Lab/flow" # ERROR: Unsuitable value | no name of a bucket
}
step "a" { command = ["x"] }
