workflow "nightly" {
  expect {
    finish_by    = "6 o'clock" # ERROR: Unsuitable value | no time of the day
    max_duration = "3" # ERROR: Unsuitable value | say the unit
    time_zone    = "Europe/Berln" # ERROR: Unsuitable value | Did you mean "Europe/Berlin"?
  }
}
variable "day" {
  type = string
}
variable "shards" {
  type    = number
  default = 4
}
variable "token" {
  type      = string
  sensitive = true
}
locals {
  host = "db1"
}
step "a" {
  env     = { AT = schedule.time } # ERROR: Reference not allowed here | vars = { day = schedule.time }
  command = ["true"]
}

schedule "when" {} # ERROR: Missing required argument | cron = "30 2 * * *"
schedule "cron" {
  cron = [
    "30 2 * *",      # ERROR: Unsuitable value | 4 of the five fields
    "0 30 2 * * *",  # ERROR: Unsuitable value | none for seconds
    "0 25 * * *",    # ERROR: Unsuitable value | hour: end of range (25) above maximum (23)
    "TZ=UTC 0 2 * * *", # ERROR: Unsuitable value | time_zone
    "@every 5m",     # ERROR: Unsuitable value | @hourly
    5,               # ERROR: Unsuitable value | in quotes
    "0 2 * * *",
    "0  2 * * *", # ERROR: Unsuitable value | stands twice
  ]
}
schedule "none" {
  cron = [] # ERROR: Unsuitable value | no time in the list
}
schedule "never" {
  cron = "0 0 31 2 *" # WARNING: Never due | no day that fits
}
schedule "zone" {
  cron      = "@daily"
  time_zone = "america/new york" # ERROR: Unsuitable value | Did you mean "America/New_York"?
}
schedule "city" {
  cron      = "@daily"
  time_zone = "Tokyo" # ERROR: Unsuitable value | Did you mean "Asia/Tokyo"?
}
schedule "local" {
  cron      = "@daily"
  time_zone = "Local" # ERROR: Unsuitable value | there is no time zone "Local"
}
schedule "words" {
  cron         = "@daily"
  overlap      = "skp" # ERROR: Unsuitable value
  catch_up     = "newest" # ERROR: Unsuitable value
  start_within = "30s" # ERROR: Unsuitable value | at least 1m
  enabled      = "perhaps" # ERROR: Unsuitable value
  jiter        = "5m" # ERROR: Unsupported argument | Did you mean "jitter"?
}
schedule "jitter" {
  cron   = ["0 * * * *", "50 * * * *"]
  jitter = "10m" # ERROR: Unsuitable value | 10m apart
}
schedule "const" {
  cron    = var.day # ERROR: Unsuitable value | must be written out
  enabled = local.host == "db1" # ERROR: Unsuitable value | must be written out
}
schedule "vars" {
  cron = "@daily"
  vars = {
    dya    = schedule.time # ERROR: Value for undeclared variable | Did you mean "day"?
    shards = schedule.time_zone # ERROR: Invalid value for variable "shards" | not of its type, number
    token  = "geheim" # ERROR: Sensitive variable | FLOW_VAR_token
    day    = schedule.day # ERROR: Unsupported attribute | schedule.local_time
  }
}
schedule "refs" {
  cron = "@daily"
  vars = {
    shards = var.shards # ERROR: Reference not allowed here | written out
    day    = run.id # ERROR: Reference not allowed here | schedule.time
  }
}
schedule "refs2" {
  cron = "@daily"
  vars = { day = shedule.time } # ERROR: Unknown variable | schedule
}
schedule "for" {
  cron = "@daily"
  vars = { for k in ["day"] : k => k } # ERROR: Unsuitable value | written out
}
schedule "for" { # ERROR: Duplicate schedule
  cron = "@daily"
}
