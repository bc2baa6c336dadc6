#!/usr/bin/env bash
# screenshots.sh: makes the pictures of pages in docs/pictures, 1280 pixels wide, in Chromium:
# of runs of the genome workflow that succeeded and failed, and of an array of 10,000 tasks
# that runs, and of a schedule. All of them are real; TestPictures starts them. It takes a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
workflows/genome/fetch.sh lambda
mkdir -p docs/pictures
go test ./cmd/flow -count=1 -run '^Test(Schedule)?Pictures$' -pictures "$PWD/docs/pictures"
large=$(find docs/pictures -name '*.png' -size +200k)
test -z "$large" || { echo "above 200 KiB: $large" >&2; exit 1; }
