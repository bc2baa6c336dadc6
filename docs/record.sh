#!/usr/bin/env bash
# record.sh [FLOW]: records a run of the genome workflow in a real terminal, and puts it into
# docs/recordings: genome.cast for asciinema, genome.svg for pages, genome.txt for reading.
set -euo pipefail
cd "$(dirname "$0")/.."
flow=$(realpath "${1:-bin/flow}")
columns=100 lines=20

workflows/genome/fetch.sh lambda
tmp=$(mktemp -d)
trap 'tmux -S "$tmp/socket" kill-server 2>/dev/null || true; rm -rf "$tmp"' EXIT
mkdir -p "$tmp/bin" "$tmp/lab/.flow"
ln -s "$flow" "$tmp/bin/flow"
cp workflows/genome/genome.hcl "$tmp/lab"
ln -s "$PWD/workflows/genome/data" "$tmp/lab/data"

pane() { tmux -S "$tmp/socket" "$@"; }
micros() { echo "${EPOCHREALTIME/[.,]/}"; }

tmux -S "$tmp/socket" -f /dev/null new-session -d -x $columns -y $lines -c "$tmp/lab" \
  env -u CI -u GITHUB_ACTIONS -u COLUMNS -u NO_COLOR PATH="$tmp/bin:$PATH" PS1='$ ' ENV= sh
pane send-keys 'flow run genome.hcl >outputs.tsv; flow list; touch .done' Enter
begun=$(micros)
# A frame: its time in microseconds, the screen with its colours, and a form feed.
shoot() {
  echo $(($(micros) - begun))
  pane capture-pane -p -e | sed 's/; flow list; touch .done//'
  printf '\f\n'
}
until [ -e "$tmp/lab/.done" ]; do
  shoot
  sleep 0.1
done >"$tmp/frames"
shoot >>"$tmp/frames"
go run ./docs/recordings -columns $columns -lines $lines -title 'flow run genome.hcl' -out docs/recordings/genome <"$tmp/frames"
