variable "day" {
  type    = string
  default = "2001-01-01"
}
variable "token" {
  type      = string
  sensitive = true
}
workflow "w" {
  defaults {
    wait_for "file" { path = "x" } # ERROR: Not possible in defaults | belongs to one step
  }
}
step "good" {
  command = ["x"]
  wait_for "s3" {
    prefix     = "s3://inbox/${var.day}/"
    count      = 3
    every      = "5m"
    timeout    = "6h"
    on_timeout = "skip"
  }
  wait_for "s3" { object = "s3://inbox/${var.day}.csv" }
  wait_for "file" {
    path  = "in/${var.day}/*.csv"
    count = 2
  }
}
step "kinds" {
  command = ["x"]
  wait_for "fiel" { path = "x" } # ERROR: Unsupported block label | Did you mean "file"?
  wait_for "s3" {} # ERROR: Missing required argument | Say which object
  wait_for "file" {} # ERROR: Missing required argument | Say which file
  wait_for "s3" {
    objct = "s3://inbox/x" # ERROR: Unsupported argument | Did you mean "object"?
  }
}
step "together" {
  command = ["x"]
  wait_for "s3" {
    object = "s3://inbox/x"
    prefix = "s3://inbox/y" # ERROR: Conflicting arguments | either an object or a prefix
  }
  wait_for "s3" {
    object = "s3://inbox/x"
    count  = 2 # ERROR: Conflicting arguments | one object of a name
  }
  wait_for "file" {
    path       = "x"
    on_timeout = "skip" # ERROR: Missing required argument | timeout = "6h"
  }
}
step "values" {
  command = ["x"]
  wait_for "s3" { object = "in/x" } # ERROR: Unsuitable value | no URI of S3
  wait_for "s3" { object = "s3://inbox/x/" } # ERROR: Unsuitable value | prefix = "s3://inbox/x/"
  wait_for "s3" { object = "s3://inbox/*.csv" } # ERROR: Unsuitable value | is a pattern
  wait_for "s3" { prefix = "s3://inbox" } # ERROR: Unsuitable value | names a bucket and nothing in it
  wait_for "file" { path = "s3://inbox/x" } # ERROR: Unsuitable value | wait_for "s3"
  wait_for "file" { path = "https://example.org/x" } # ERROR: Unsuitable value | is no path
  wait_for "file" { path = "in/[x" } # ERROR: Unsuitable value | is no pattern
  wait_for "file" { path = "in/${var.token}" } # ERROR: Sensitive value
  wait_for "file" {
    path  = "in/x"
    count = 2 # ERROR: Unsuitable value | Write a pattern
  }
  wait_for "file" {
    path  = "in/*"
    count = 0 # ERROR: Unsuitable value | at least 1
    every = "10ms" # ERROR: Unsuitable value | once a second
  }
  wait_for "file" {
    path       = "in/x"
    timeout    = "soon" # ERROR: Unsuitable value | no duration
    on_timeout = "skipp" # ERROR: Unsuitable value | Did you mean "skip"?
  }
}
step "each" {
  for_each = ["a", "b"]
  command  = ["x", each.value]
  wait_for "file" { path = each.value } # ERROR: Reference not allowed here | waits as a whole
}
