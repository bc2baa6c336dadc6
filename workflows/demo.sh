#!/bin/bash
# demo.sh [FLOW]: what `make demo` runs. Brings the tools and the data, aligns the
# reads of a phage, calls its variants, and shows what came out.
set -euo pipefail
cd "$(dirname "$0")/.."
flow=${1:-bin/flow}

workflows/genome/fetch.sh lambda

echo "\$ flow run workflows/genome/genome.hcl"
"$flow" run workflows/genome/genome.hcl >/dev/null # its outputs come below

echo
echo "\$ flow outputs @last"
"$flow" outputs @last

echo
echo "workflows/genome/results/lambda/summary.txt:"
sed 's/^/  /' workflows/genome/results/lambda/summary.txt
workflows/genome/check.sh lambda

echo
echo "Run it again and every task is CACHED; with another number of shards the variants"
echo "are the same:"
echo "  $flow run workflows/genome/genome.hcl -var shards=8"
echo "The results are in $PWD/workflows/genome/results/lambda:"
ls -l workflows/genome/results/lambda | sed '1d; s/^/  /'
