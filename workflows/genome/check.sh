#!/bin/bash
# check.sh [lambda|saureus]: compares the published summary with the known one.
set -euo pipefail
cd "$(dirname "$0")"
dataset=${1:-lambda}

diff "expected/$dataset.txt" "results/$dataset/summary.txt" || {
  echo "$dataset: the variants are not the known ones" >&2
  exit 1
}
echo "$dataset: the variants are the known ones"
