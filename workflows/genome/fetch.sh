#!/bin/bash
# fetch.sh [lambda] [saureus]: the tools, and the data of these data sets (both
# if none is named), from Debian packages. Does nothing if all is there.
set -euo pipefail
cd "$(dirname "$0")"
. ../fetch-lib.sh

tools bowtie2=bowtie2 minimap2=minimap2 samtools=samtools wgsim=samtools bcftools=bcftools seqtk=seqtk jq=jq

lambda() {
  local files=(data/lambda/genome.fa.gz data/lambda/reads_1.fq.gz data/lambda/reads_2.fq.gz)
  if have data.sha256 "${files[@]}"; then return; fi
  local tmp
  tmp=$(mktemp -d)
  unpack_deb bowtie2-examples "$tmp"
  mkdir -p data/lambda
  local from=$tmp/usr/share/doc/bowtie2/examples
  cp "$from/reference/lambda_virus.fa.gz" data/lambda/genome.fa.gz
  cp "$from"/reads/reads_[12].fq.gz data/lambda/
  rm -r "$tmp"
  verify data.sha256 "${files[@]}"
}

saureus() {
  local files=(data/saureus/{COL,JKD6008,N315,RF122,USA300_FPR3757}.fasta.gz data/saureus/genome.fa)
  if have data.sha256 "${files[@]}"; then return; fi
  local tmp
  tmp=$(mktemp -d)
  unpack_deb ragout-examples "$tmp"
  mkdir -p data/saureus
  cp "$tmp"/usr/share/doc/ragout/examples/S.Aureus/references/*.fasta.gz data/saureus/
  rm -r "$tmp"
  # The reference, with a short name for its one chromosome.
  zcat data/saureus/N315.fasta.gz | sed '1s/.*/>N315/' >data/saureus/genome.fa
  verify data.sha256 "${files[@]}"
}

if [ $# = 0 ]; then set -- lambda saureus; fi
for name; do
  case $name in
    lambda | saureus) "$name" ;;
    *) echo "fetch.sh: no data set $name; there are: lambda saureus" >&2; exit 2 ;;
  esac
done
