#!/bin/bash
# fetch.sh: the tools from Debian packages; the data and the Parquet reader from
# npm packages. Does nothing if all is there.
set -euo pipefail
cd "$(dirname "$0")"
. ../fetch-lib.sh

tools node=nodejs sqlite3=sqlite3 jq=jq awk=gawk

files=(data/flights-3m.parquet data/airports.csv)
if ! have data.sha256 "${files[@]}"; then
  tmp=$(mktemp -d)
  unpack_npm "$tmp" vega-datasets@3.2.1
  mkdir -p data
  cp "$tmp"/node_modules/vega-datasets/data/{flights-3m.parquet,airports.csv} data/
  rm -r "$tmp"
  verify data.sha256 "${files[@]}"
fi

reader=(data/node_modules/hyparquet/src/node.js data/node_modules/hyparquet-compressors/src/index.js)
if ! ls "${reader[@]}" >/dev/null 2>&1; then
  mkdir -p data
  unpack_npm data hyparquet@1.31.5 hyparquet-compressors@1.1.2
  ls "${reader[@]}" >/dev/null
fi
