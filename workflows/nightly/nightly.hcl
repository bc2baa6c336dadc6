# The flights of one day: every file that came in is checked and added up by itself,
# then all are put together into a report.

workflow "nightly" {
  description = "Validate, aggregate and report the flights of one day"

  expect { finish_by = "06:00" }

  defaults {
    env     = { LC_ALL = "C" }
    timeout = "10m"

    resources {
      vcpus  = 1
      memory = "1 GiB"
    }

    retry {
      attempts = 3
      when "spot" { status_reason = "Host EC2*" } # the instance was taken back
    }
  }
}

variable "day" {
  type        = string
  default     = "2001-03-15"
  description = "The day to report, from 2001-01-01 to 2001-06-30"
  validation {
    condition     = can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", var.day))
    error_message = "day is written like 2001-03-15."
  }
}

variable "parts" {
  type        = number
  default     = 8
  description = "Into how many files at most the day comes"
  validation {
    condition     = var.parts >= 1 && var.parts <= 500
    error_message = "parts must be between 1 and 500."
  }
}

variable "late_minutes" {
  type        = number
  default     = 15
  description = "A flight is late from here on"
}

variable "min_flights" {
  type        = number
  default     = 50
  description = "Airports with fewer flights are not ranked"
}

# Each night the day that ends. The data is of January to June 2001: any other day is reported as the
# one that stands for it there.
schedule "daily" {
  cron         = "45 23 * * *"
  time_zone    = "America/New_York"
  catch_up     = "latest"
  start_within = "6h"
  vars = {
    day = formatdate("YYYY", schedule.local_time) == "2001" ? formatdate("YYYY-MM-DD", schedule.local_time) : format("2001-%02d-%02d",
      (parseint(formatdate("M", schedule.local_time), 10) - 1) % 6 + 1, min(parseint(formatdate("D", schedule.local_time), 10), 28),
    )
  }
}

locals {
  airports = "data/airports.csv"
  results  = "results/${var.day}"
}

step "ingest" {
  description = "What the day brings: files, found at run time"
  shell       = ["node", "--input-type=module", "--eval"]
  script_file = "ingest.mjs"
  inputs      = { flights = "data/flights-3m.parquet", reader = "data/node_modules" }
  env         = { day = var.day, parts = var.parts }

  output "files" { files = "drop/*.csv" }
  output "flights" {
    json = "ingested.json"
    type = number
  }
}

step "validate" {
  description = "Set aside what cannot be right"
  for_each    = step.ingest.outputs.files
  each_key    = trimsuffix(basename(each.value), ".csv") # part-0003
  inputs      = { flights = each.value, airports = local.airports, rules = "validate.awk" }
  env         = { day = var.day }
  script      = <<-SH
    awk -v day="$day" -v airports="$airports" -v clean="$clean" -v rejects="$rejects" \
      -v quality=quality.json -f "$rules" "$flights"
  SH

  output "clean" { file = "${each.key}.clean.csv" }
  output "rejects" { file = "${each.key}.rejects.csv" }
  output "quality" {
    json = "quality.json"
    type = object({ clean = number, rejected = number })
  }

  # One broken file must not hold up the report of the others; it says what is missing.
  tolerate { failed = 1 }
}

step "aggregate" {
  description = "Add up each file, by airport and by hour"
  for_each    = step.validate.each
  inputs      = { clean = each.value.outputs.clean }
  env         = { late_minutes = var.late_minutes }
  script      = <<-SH
    sqlite3 flights.db ".mode csv" ".import /dev/stdin flights" < "$clean"
    sum="count(*), sum(cast(delay as int)), sum(cast(delay as int) > $late_minutes), max(cast(delay as int))"
    sqlite3 -csv flights.db "select origin, $sum from flights group by 1 order by 1" > "$airports"
    sqlite3 -csv flights.db "select cast(substr(date, 12, 2) as int), $sum from flights group by 1 order by 1" > "$hours"
    rm flights.db
  SH

  output "airports" { file = "${each.key}.airports.csv" }
  output "hours" { file = "${each.key}.hours.csv" }
}

step "merge" {
  description = "Put the files together, and check that no flight was lost or counted twice"
  inputs = {
    totals   = step.aggregate.outputs.airports
    hours    = step.aggregate.outputs.hours
    airports = local.airports
  }
  env = {
    files   = length(step.ingest.outputs.files)
    flights = step.ingest.outputs.flights
    quality = jsonencode(step.validate.outputs.quality)
  }
  script = <<-SH
    sqlite3 "$db" "
      create table airport (origin text primary key, flights int, delay int, late int, worst int);
      create table hour_of_file (hour int, flights int, delay int, late int, worst int);
      create view hour as
        select hour, sum(flights) flights, sum(delay) delay, sum(late) late, max(worst) worst from hour_of_file group by hour;"
    cat "$totals"/* | sqlite3 "$db" ".mode csv" ".import /dev/stdin airport"
    cat "$hours"/* | sqlite3 "$db" ".mode csv" ".import /dev/stdin hour_of_file"
    sqlite3 "$db" ".mode csv" ".import /dev/stdin place" < "$airports"

    sqlite3 -json "$db" "select count(*) airports, sum(flights) flights, sum(delay) delay_sum, sum(late) late from airport" |
      jq --argjson files "$files" --argjson ingested "$flights" --argjson quality "$quality" '.[0] + {
        $ingested,
        rejected: ($quality | map(.rejected) | add),
        $files,
        missing_files: ($files - ($quality | length)),
        clean: ($quality | map(.clean) | add)
      }' > totals.json

    jq -e '.flights == .clean and (.missing_files > 0 or .ingested == .clean + .rejected)' totals.json > /dev/null || {
      echo "the flights do not add up: $(jq -c . totals.json)" >&2
      exit 1
    }
  SH

  output "db" { file = "flights.db" }
  output "totals" {
    json = "totals.json"
    type = object({
      airports      = number
      flights       = number
      delay_sum     = number
      late          = number
      ingested      = number
      rejected      = number
      files         = number
      missing_files = number
    })
  }
}

step "report" {
  description = "The ten worst airports as a table, and what the page shows"
  inputs      = { db = step.merge.outputs.db }
  env         = { min_flights = var.min_flights }
  script      = <<-SH
    sqlite3 -header -csv "$db" "
      select a.origin, p.city, p.state, a.flights, round(1.0 * delay / flights, 2) mean_delay,
             round(100.0 * late / flights, 1) pct_late, worst
      from airport a left join place p on p.iata = a.origin
      where flights >= $min_flights order by mean_delay desc, a.origin limit 10" > "$table"

    json() { sqlite3 -json "$db" "$1"; }
    json "select hour, flights, 1.0 * delay / flights mean_delay from hour order by hour" > hours.json
    json "select origin, city, state, flights, 1.0 * delay / flights mean_delay, 1.0 * late / flights late, worst,
                 cast(latitude as real) lat, cast(longitude as real) lon
          from airport left join place on iata = origin order by origin" > airports.json
    jq -n --slurpfile hours hours.json --slurpfile airports airports.json '{hours: $hours[0], airports: $airports[0]}' > "$figures"
  SH

  output "table" { file = "report.csv" }
  output "figures" { file = "figures.json" }
}

step "page" {
  description = "One HTML file, with nothing to load"
  shell       = ["node", "--input-type=module", "--eval"]
  script_file = "page.mjs"
  inputs      = { figures = step.report.outputs.figures }
  env = {
    day         = var.day
    min_flights = var.min_flights
    late        = var.late_minutes
    totals      = jsonencode(step.merge.outputs.totals)
  }

  output "page" { file = "report.html" }
}

output "totals" {
  description = "The day in numbers"
  value       = step.merge.outputs.totals
}

output "table" {
  value   = step.report.outputs.table
  publish = "${local.results}/report.csv"
}

output "page" {
  value   = step.page.outputs.page
  publish = "${local.results}/report.html"
}

output "database" {
  description = "The sums as an SQLite database, to ask more"
  value       = step.merge.outputs.db
  publish     = "${local.results}/flights.db"
}

output "rejects" {
  description = "The flights that were set aside, with the reason"
  value       = step.validate.outputs.rejects
  publish     = "${local.results}/rejects/"
}
