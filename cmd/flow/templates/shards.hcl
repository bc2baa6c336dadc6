# A fan-out whose size is decided while the workflow runs. Try it:
#
#   flow run NAME.hcl -var lines=100
#   flow graph NAME.hcl -o svg > NAME.svg

workflow "NAME" {
  description = "Cut a file into shards, work on each, put the results together"
}

variable "text" {
  type        = string
  default     = "/etc/services"
  description = "The file to work on"
}

variable "lines" {
  type        = number
  default     = 50
  description = "Lines in a shard"
}

step "split" {
  inputs = { text = var.text }
  env    = { LINES_EACH = var.lines }
  script = <<-SH
    split -l "$LINES_EACH" "$text" shard-
  SH
  output "shards" { files = "shard-*" } # a list of files, known after the step has run
}

step "sort" {
  for_each = step.split.outputs.shards # one task for each of them
  inputs   = { shard = each.value }
  script   = <<-SH
    sort "$shard" > "$sorted"
  SH
  output "sorted" { file = "sorted.txt" }
}

step "merge" {
  inputs = { sorted = step.sort.outputs.sorted } # a gather: waits for all of them
  script = <<-SH
    xargs -d '\n' sort -m -o "$merged" < "$sorted_list"
  SH
  output "merged" { file = "merged.txt" }
}

output "merged" { value = step.merge.outputs.merged }
