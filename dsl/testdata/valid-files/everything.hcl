workflow "everything" {
  description  = "Every argument and block there is"
  work_dir     = var.where
  max_parallel = 10
  executor     = "batch"
  on_failure   = "cancel"
  on_lost      = "retry"
  timeout      = "1d12h"
  tags = {
    project = "x"
    run     = run.id
  }
  expect {
    finish_by    = "06:00"
    max_duration = "3h"
    time_zone    = "Europe/Berlin"
  }
  defaults {
    image    = "debian:13"
    queue    = "spot"
    shell    = ["bash", "-c"]
    env      = { LANG = "C.UTF-8", COLOR = "0" }
    tags     = { team = "a" }
    priority = 3
    cache    = true
    resources {
      memory = "${2 * attempt} GiB"
    }
    retry {
      attempts = 3
      when "spot" { status_reason = "Host EC2*" }
      when "oom" {
        exit_code = [137, 139]
        delay     = "30s"
        memory    = "${4 * attempt} GiB"
        vcpus     = attempt
        queue     = "big"
      }
      when "bad" {
        exit_code = 2
        action    = "EXIT"
      }
    }
    container {
      user = "1000"
      volume "ref" {
        host      = "/data/ref"
        path      = "/ref"
        read_only = true
      }
    }
  }
}

variable "where" {
  type    = string
  default = "work"
}

variable "samples" {
  type = list(object({ id = string, r1 = string, r2 = optional(string) }))
  default = [
    { id = "a", r1 = "a_1.fq" },
    { id = "b", r1 = "b_1.fq", r2 = "b_2.fq" },
  ]
  nullable = false
}

variable "token" {
  type      = string
  sensitive = true
}

variable "anything" {
  default = null
}

variable "day" {
  type = string
  validation {
    condition     = can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", var.day))
    error_message = "day is a date such as 2026-01-31; got ${var.day}."
  }
}

locals {
  results = "results/${run.workflow}/${run.id}"
  ids     = [for s in var.samples : s.id]
  counted = length(local.ids)
  depths  = step.depth.outputs.depth
}

step "depth" {
  description = "One task for each sample"
  for_each    = var.samples
  each_key    = each.value.id
  sequential  = true
  inputs      = { reads = compact([each.value.r1, each.value.r2 == null ? "" : each.value.r2]) }
  env         = { ID = each.value.id, N = each.index, COLOR = null }
  secrets     = { TOKEN = var.token, OTHER = "env:OTHER", F = "file:key.txt", A = "arn:aws:ssm:us-east-1:123456789012:parameter/x" }
  script      = <<-SH
    for f in "$reads"/*; do cat "$f"; done > $text
    n=$(wc -l < "$text"); echo "$${n##* } ${each.value.id}" > depth.json
  SH
  output "depth" {
    json = "depth.json"
    type = object({ mean = number, max = optional(number, 100) })
  }
  output "text" {
    file     = "${each.key}.txt"
    optional = true
    publish  = "${local.results}/${each.key}.txt"
  }
  output "parts" { files = "parts/**/*.txt" }
  output "dir" { directory = "d" }
  output "note" { text = "note.txt" }
  resources {
    vcpus  = 2
    memory = 4096
    gpus   = 1
    disk   = "100 GiB"
  }
  container {
    job_role          = "arn:aws:iam::123456789012:role/x"
    execution_role    = "arn:aws:iam::123456789012:role/y"
    init_process      = true
    read_only         = false
    privileged        = false
    ulimits           = { nofile = 65536, nproc = [1024, 4096] }
    network           = "private"
    architecture      = "arm64"
    platform          = "FARGATE"
    shared_memory     = "64 MiB"
    ephemeral_storage = "50 GiB"
    volume "efs" {
      efs              = "fs-12345678"
      path             = "/efs"
      efs_root         = "/a"
      efs_access_point = "fsap-1"
    }
    log_configuration {
      driver  = "awslogs"
      options = { "awslogs-group" = "/flow" }
    }
  }
  tolerate { failed = "1.5%" }
  timeout       = "2h"
  when          = each.value.id != "skip"
  cache_version = "2"
  max_parallel  = 4
  tags          = { sample = each.key }
}

step "cells" {
  matrix {
    codec  = ["h264", "av1"]
    height = [480, 720, 1080]
    exclude {
      codec  = "av1"
      height = 480
    }
    include { codec = "copy" }
  }
  command = ["encode", each.value.codec, tostring(each.value.height), each.key]
  output "video" { file = "out.mp4" }
}

step "again" {
  for_each = step.cells.each
  command  = ["probe", each.value.outputs.video, each.value.value.codec, each.value.key]
  output "x" { text = "x" }
}

step "third" {
  for_each = step.again.each
  command  = ["third", each.value.outputs.x, each.value.value.outputs.video, each.value.value.value.codec]
}

step "report" {
  inputs = {
    texts  = step.depth.outputs.text
    videos = [for t in step.cells.each : t.outputs.video if t.value.codec == "h264"]
    one    = step.cells.each["h264-480"].outputs.video
    none   = var.anything
  }
  env = {
    DEPTHS = jsonencode(local.depths)
    MEAN   = sum(step.depth.outputs.depth[*].mean)
    PARTS  = length(flatten(step.depth.outputs.parts))
  }
  script     = "report > $html"
  depends_on = [step.third]
  output "html" { file = "report.html" }
  when = length(local.depths) > 0
}

step "existing" {
  job_definition = "qc:3"
  parameters     = { input = "s3://bucket/${var.day}" }
  queue          = "arn:aws:batch:us-east-1:123456789012:job-queue/q"
}

step "file" {
  script_file = "scripts/x.sh"
}

output "html" {
  description = "The report"
  value       = step.report.outputs.html
  publish     = "${local.results}/"
}

output "token" {
  value     = var.token
  sensitive = true
}

output "all" {
  value = { ids = local.ids, depth = local.depths, cells = keys(step.cells.each) }
}

schedule "nightly" {
  cron         = ["30 2 * * mon-fri", "0 4 * * sat,sun"]
  time_zone    = "Europe/Berlin"
  overlap      = "queue"
  catch_up     = "all"
  start_within = "2h"
  enabled      = false
  jitter       = "5m"
  vars         = { where = "runs/${formatdate("YYYY-MM-DD", schedule.local_time)}/${schedule.name}" }
}
