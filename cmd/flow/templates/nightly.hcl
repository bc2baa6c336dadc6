# A job that runs each night by itself. Try it:
#
#   flow run NAME.hcl                         # once, by hand
#   flow schedule next NAME.hcl               # when runs begin
#   flow serve                                # fires the schedule, drives the runs, shows both
#   flow schedule backfill daily --from 2026-01-01 --to 2026-02-01 --max-parallel 3

workflow "NAME" {
  description = "Each night: count the lines of a day's files"
  timeout     = "3h"

  expect { finish_by = "06:00" } # else the run is late, which notices tell
}

schedule "daily" {
  cron         = "30 2 * * *" # minute, hour, day of the month, month, day of the week
  time_zone    = "Europe/Berlin"
  overlap      = "skip"   # no second run while one is not over
  catch_up     = "latest" # the last night that was missed while no service was there
  start_within = "6h"
  vars         = { day = formatdate("YYYY-MM-DD", timeadd(schedule.local_time, "-24h")) }
}

variable "day" {
  type        = string
  default     = "2026-01-31"
  description = "The day to work on"
  validation {
    condition     = can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", var.day))
    error_message = "day is written like 2026-01-31."
  }
}

step "collect" {
  env    = { day = var.day }
  script = <<-SH
    for part in 1 2 3; do
      seq "$part"00 > "$day-$part.txt" # in place of files that somebody brings
    done
  SH
  output "files" { files = "*.txt" }
  retry { attempts = 3 }
}

step "count" {
  for_each = step.collect.outputs.files
  inputs   = { file = each.value }
  script   = <<-SH
    wc -l < "$file" > "$lines"
  SH
  output "lines" { file = "lines.txt" }
}

step "report" {
  inputs = { lines = step.count.outputs.lines }
  env    = { day = var.day }
  script = <<-SH
    xargs -d '\n' awk -v day="$day" '{ n += $1 } END { print day ": " n " lines" }' < "$lines_list" > "$report"
  SH
  output "report" { file = "report.txt" }
}

output "report" {
  value   = step.report.outputs.report
  publish = "results/${var.day}.txt"
}

# Whom to tell. See also slack, sns, email and webhook.
# notify "oncall" {
#   on = ["failed", "late", "missed", "recovered"]
#   command { argv = ["./tell.sh"] }
# }
