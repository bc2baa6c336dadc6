workflow "genome" {
  description  = "Align reads in shards, call variants by region"
  work_dir     = "s3://lab/flow"      # where task files live; default .flow/work
  max_parallel = 2000                 # tasks in flight over the whole run
  on_failure   = "finish"             # finish (default: what does not depend on it goes on) | cancel
  timeout      = "12h"
  tags         = { project = "hg38" }
  defaults {                          # any step argument or block, given once
    image = "public.ecr.aws/lab/tools:1"
    queue = "spot"
    retry {
      attempts = 3
      when "spot" { status_reason = "Host EC2*" }        # AWS Batch evaluateOnExit; action = "retry" unless said
      when "oom" { exit_code = 137 }                     # what no rule names is not retried
    }
  }
}

variable "reads" {
  type        = string
  default     = "data/reads.fq"
  description = "FASTQ of the sample"
  validation {
    condition     = endswith(var.reads, ".fq")
    error_message = "reads must be a .fq file."
  }
}

variable "genome" { type = string }

step "split" {
  inputs = { reads = var.reads }
  script = <<-SH
    split -l 4000 --additional-suffix=.fq "$reads" shard-
  SH
  output "shards" { files = "shard-*.fq" }                # a list of files, known after the step has run
}

step "index" {
  inputs = { genome = var.genome }
  script = "mkdir $dir && bowtie2-build $genome $dir/genome"
  output "dir" { directory = "index" }
}

step "align" {
  for_each = step.split.outputs.shards                    # its size is decided at run time
  each_key = trimsuffix(basename(each.value), ".fq")
  inputs   = { reads = each.value, index = step.index.outputs.dir }
  script   = "bowtie2 -x $index/genome -U $reads -p $FLOW_VCPUS | samtools sort -o $bam"
  output "bam" { file = "${each.key}.bam" }               # also $bam in the script: where to write it
  resources {
    vcpus  = 4
    memory = "${4 * attempt} GiB"                         # grows with each attempt
  }
  timeout = "2h"
  tolerate { failed = "1%" }                              # still a success; gathers get the rest
}

step "dedup" {
  for_each = step.align.each                              # same keys as align: element-wise, N_TO_N on Batch
  inputs   = { bam = each.value.outputs.bam }
  script   = "samtools rmdup -s $bam $out"
  output "out" { file = "${each.key}.dedup.bam" }
}

step "merge" {
  inputs   = { bams = step.dedup.outputs.out }            # a gather: list in key order; waits for the whole array
  script   = "samtools merge $merged $bams/*"
  output "merged" { file = "all.bam" }
}

output "bam" {
  value   = step.merge.outputs.merged
  publish = "results/all.bam"                             # copied (or linked) there when the run has succeeded
}
