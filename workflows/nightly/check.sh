#!/bin/bash
# check.sh: compares the published table of 2001-03-15 with the known one.
set -euo pipefail
cd "$(dirname "$0")"

if md5sum --check --status <<< "923bd44cf0e968cef3ac2916c8855e3f  results/2001-03-15/report.csv"; then
  echo "2001-03-15: the report is the known one"
else
  echo "2001-03-15: the report is not the known one" >&2
  exit 1
fi
