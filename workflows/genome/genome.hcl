# Reads are aligned in shards, variants called by region. How many shards and
# regions there are changes how long it takes, never what is found.

workflow "genome" {
  description = "Align reads in shards, call variants by region"

  defaults {
    env     = { LC_ALL = "C" } # $dir/*.bam in the same order everywhere
    timeout = "1h"

    resources {
      vcpus  = 1
      memory = "2 GiB"
    }

    retry {
      attempts = 3
      when "spot" { status_reason = "Host EC2*" } # the instance was taken back
      when "oom" { exit_code = 137 }
    }
  }
}

variable "dataset" {
  type        = string
  default     = "lambda"
  description = "lambda (a phage, seconds) or saureus (four strains of a bacterium, under a minute)"
  validation {
    condition     = contains(["lambda", "saureus"], var.dataset)
    error_message = "There are two data sets: lambda and saureus."
  }
}

variable "shards" {
  type        = number
  default     = 4
  description = "Into how many files the reads of each sample are split"
  validation {
    condition     = var.shards >= 1 && var.shards <= 1000
    error_message = "shards must be between 1 and 1000."
  }
}

variable "regions" {
  type        = number
  default     = 8
  description = "Into how many regions each chromosome is cut for variant calling"
  validation {
    condition     = var.regions >= 1 && var.regions <= 1000
    error_message = "regions must be between 1 and 1000."
  }
}

variable "aligner" {
  type        = string
  default     = null
  description = "bowtie2 or minimap2; default: what suits the data set"
  validation {
    condition     = var.aligner == null || contains(["bowtie2", "minimap2"], coalesce(var.aligner, "-"))
    error_message = "The aligner is bowtie2 or minimap2: others align a read differently in another shard."
  }
}

locals {
  # A sample is two files of paired reads, or one genome to simulate reads from.
  datasets = {
    lambda = {
      aligner = "bowtie2"
      genome  = "data/lambda/genome.fa.gz"
      samples = {
        lambda = ["data/lambda/reads_1.fq.gz", "data/lambda/reads_2.fq.gz"]
      }
    }
    saureus = {
      aligner = "minimap2"
      genome  = "data/saureus/genome.fa"
      samples = {
        for strain in ["COL", "JKD6008", "RF122", "USA300_FPR3757"] :
        strain => ["data/saureus/${strain}.fasta.gz"]
      }
    }
  }

  data    = local.datasets[var.dataset]
  aligner = coalesce(var.aligner, local.data.aligner)
}

step "index" {
  description = "Unpack the reference genome and index it for the aligner"
  inputs      = { genome = local.data.genome }
  env         = { aligner = local.aligner }
  script      = <<-SH
    mkdir "$reference"
    zcat -f "$genome" > "$reference/genome.fa"
    samtools faidx "$reference/genome.fa"
    case $aligner in
      bowtie2)  bowtie2-build --quiet --seed 1 "$reference/genome.fa" "$reference/genome" ;;
      minimap2) minimap2 -x sr -d "$reference/genome.mmi" "$reference/genome.fa" ;;
    esac
  SH

  output "reference" { directory = "reference" }
}

step "reads" {
  description = "One file per sample, with the two reads of a pair next to each other"
  for_each    = local.data.samples
  inputs      = { sources = each.value }
  script      = <<-SH
    case $(wc -l < "$sources_list") in
      1) # a genome: 140,000 pairs with sequencing errors, and no mutations but its own
         zcat "$sources"/* > genome.fa
         wgsim -S 42 -r 0 -R 0 -X 0 -e 0.002 -d 350 -s 40 -1 100 -2 100 -N 140000 genome.fa 1.fq 2.fq > /dev/null
         seqtk mergepe 1.fq 2.fq > "$reads"
         rm genome.fa 1.fq 2.fq ;;
      2) seqtk mergepe "$sources"/* > "$reads" ;;
    esac
  SH

  output "reads" { file = "${each.key}.fq" }
}

step "split" {
  description = "Cut each sample's reads into shards, pairs kept together"
  for_each    = step.reads.each
  inputs      = { reads = each.value.outputs.reads }
  env         = { shards = var.shards }
  script      = <<-SH
    pairs=$(( $(wc -l < "$reads") / 8 ))
    split --lines=$(( (pairs + shards - 1) / shards * 8 )) --numeric-suffixes --suffix-length=4 \
      --additional-suffix=.fq "$reads" "$FLOW_KEY-"
  SH

  output "shards" { files = "*.fq" }
}

step "align" {
  description = "Align each shard; how many there are is known only now"
  for_each    = flatten(step.split.outputs.shards)
  each_key    = trimsuffix(basename(each.value), ".fq") # COL-0003
  inputs = {
    reads     = each.value
    reference = step.index.outputs.reference
  }
  env = {
    aligner = local.aligner
    sample  = split("-", basename(each.value))[0]
  }
  script = <<-SH
    case $aligner in
      bowtie2)
        bowtie2 --seed 1 --threads "$FLOW_VCPUS" --reorder --no-unal --rg-id "$sample" --rg "SM:$sample" \
          -x "$reference/genome" --interleaved "$reads" ;;
      minimap2)
        minimap2 -t "$FLOW_VCPUS" -ax sr -R "@RG\tID:$sample\tSM:$sample" "$reference/genome.mmi" "$reads" ;;
    esac | samtools sort -o "$bam"
  SH

  output "bam" { file = "${each.key}.bam" }

  resources {
    vcpus  = 1
    memory = "${2 * attempt} GiB" # what ran out of memory gets more
  }
}

step "merge" {
  description = "Join the shards of each sample again"
  for_each    = local.data.samples
  inputs      = { bams = [for bam in step.align.outputs.bam : bam if startswith(basename(bam), "${each.key}-")] }
  script      = <<-SH
    samtools merge -c -p -b "$bams_list" "$bam"
    samtools index "$bam" "$bai"
  SH

  output "bam" { file = "${each.key}.bam" }
  output "bai" { file = "${each.key}.bam.bai" }
}

step "coverage" {
  description = "How many reads of each sample were aligned, and how deep"
  for_each    = step.merge.each
  inputs      = { bam = each.value.outputs.bam }
  script      = <<-SH
    jq -n --arg sample "$FLOW_KEY" \
      --argjson reads "$(samtools view -c -F 0x904 "$bam")" \
      --argjson depth "$(samtools depth -a "$bam" | awk '{ sum += $3 } END { printf "%.3f", sum / NR }')" \
      '{$sample, $reads, $depth}' > coverage.json
  SH

  output "coverage" {
    json = "coverage.json"
    type = object({ sample = string, reads = number, depth = number })
  }
}

step "regions" {
  description = "Cut the chromosomes into regions of equal length"
  inputs      = { reference = step.index.outputs.reference }
  env         = { regions = var.regions }
  script      = <<-SH
    awk -v regions="$regions" '{
      width = int(($2 + regions - 1) / regions)
      for (from = 1; from <= $2; from += width) {
        to = from + width - 1
        printf "%04d\t%s:%d-%d\n", ++n, $1, from, to < $2 ? to : $2
      }
    }' "$reference/genome.fa.fai" |
      jq -Rn '[inputs | split("\t") | {name: .[0], region: .[1]}]' > regions.json
  SH

  output "regions" {
    json = "regions.json"
    type = list(object({ name = string, region = string }))
  }
}

step "call" {
  description = "Call the variants of each region, in all samples at once"
  for_each    = step.regions.outputs.regions
  each_key    = each.value.name
  inputs = {
    reference = step.index.outputs.reference
    bams      = concat(step.merge.outputs.bam, step.merge.outputs.bai) # an index lies beside its file
  }
  env    = { region = each.value.region }
  script = <<-SH
    cd "$reference" # the name of the reference goes into the header: not the path of this run
    bcftools mpileup --no-version -f genome.fa -r "$region" -a AD,DP -Ou "$bams"/*.bam |
      bcftools call --no-version --ploidy 1 -mv -Ob -o "$calls"
    bcftools index -o "$index" "$calls"
  SH

  output "calls" { file = "${each.key}.bcf" }
  output "index" { file = "${each.key}.bcf.csi" }
}

step "variants" {
  description = "Join the regions; what two of them found at their border counts once"
  inputs      = { calls = concat(step.call.outputs.calls, step.call.outputs.index) }
  script      = <<-SH
    bcftools concat --no-version -a -D -Oz -o "$vcf" "$calls"/*.bcf
    bcftools index -t -o "$tbi" "$vcf"
  SH

  output "vcf" { file = "variants.vcf.gz" }
  output "tbi" { file = "variants.vcf.gz.tbi" }
}

step "statistics" {
  description = "Count what was found, with checksums to compare runs by"
  inputs      = { vcf = step.variants.outputs.vcf }
  env = {
    dataset  = var.dataset
    coverage = jsonencode(step.coverage.outputs.coverage)
  }
  script = <<-SH
    bcftools stats -s - - < "$vcf" > "$stats"

    count() { bcftools view -H "$@" "$vcf" | wc -l; }
    sum() { bcftools query -f "$1\n" "$vcf" | md5sum | cut -d' ' -f1; }
    site='%CHROM\t%POS\t%REF\t%ALT'
    {
      echo "data set    $dataset"
      echo "variants    $(count) ($(count -v snps) SNPs, $(count -v indels) indels)"
      echo "md5         $(sum "$site") of CHROM,POS,REF,ALT"
      echo "md5         $(sum "$site\t%QUAL\t%DP[\t%AD]") of CHROM,POS,REF,ALT,QUAL,DP,AD"
      echo "md5         $(sum "$site\t%QUAL\t%DP[\t%GT:%AD]") of CHROM,POS,REF,ALT,QUAL,DP,GT:AD"
      jq -r '.[] | "sample      \(.sample): \(.reads) reads aligned, \(.depth) deep on average"' <<< "$coverage"
    } > "$summary"
    count > count.json
  SH

  output "stats" { file = "stats.txt" }
  output "summary" { file = "summary.txt" }
  output "count" {
    json = "count.json"
    type = number
  }
}

step "distances" {
  description = "In how many certain SNPs the samples differ"
  when        = length(local.data.samples) > 1
  inputs      = { vcf = step.variants.outputs.vcf }
  script      = <<-SH
    {
      bcftools query -l "$vcf" | paste -s
      bcftools query -i 'QUAL >= 30 && TYPE = "snp"' -f '[\t%GT]\n' "$vcf" | cut -f2-
    } | awk '
      NR == 1 { samples = split($0, name); next }
      {
        for (i = 1; i <= samples; i++) for (j = 1; j <= samples; j++)
          differ[i, j] += $i != "." && $j != "." && $i != $j
      }
      END {
        for (j = 1; j <= samples; j++) printf "\t%s", name[j]
        print ""
        for (i = 1; i <= samples; i++) {
          printf "%s", name[i]
          for (j = 1; j <= samples; j++) printf "\t%d", differ[i, j]
          print ""
        }
      }' > "$table"
  SH

  output "table" { file = "distances.tsv" }
}

output "variants" {
  description = "How many variants were found"
  value       = step.statistics.outputs.count
}

output "vcf" {
  description = "The variants, with their index"
  value       = [step.variants.outputs.vcf, step.variants.outputs.tbi]
  publish     = "results/${var.dataset}/"
}

output "summary" {
  value   = step.statistics.outputs.summary
  publish = "results/${var.dataset}/summary.txt"
}

output "stats" {
  value   = step.statistics.outputs.stats
  publish = "results/${var.dataset}/stats.txt"
}

output "distances" {
  description = "SNPs between each two samples; null if there is one sample"
  value       = step.distances.outputs.table
  publish     = "results/${var.dataset}/distances.tsv"
}
