#!/usr/bin/env bash
# fetch.sh: the programs that judge `flow emulate` and executor/batch, into the cache
# directory: AWS CLI version 1 and boto3, engines that run on AWS Batch, and moto (PyPI), AWS
# SDK for JavaScript (npm); version 2 of the CLI (Debian); and versitygw, an S3 server (Go module
# proxy). And of exports: what validates RO-Crates (PyPI); of the pages of `flow ui`: axe-core (npm). Does nothing if all is there.
set -euo pipefail
cd "$(dirname "$0")"
. ../../../../workflows/fetch-lib.sh

dir=${XDG_CACHE_HOME:-$HOME/.cache}/flow/judges
versitygw=v1.8.0
javascript=(@aws-sdk/client-batch@3.967.0 @aws-sdk/client-cloudwatch-logs@3.967.0)
axe=(axe-core@4.14.1)

# made NAME TEXT: is dir/NAME there, whole, and made of TEXT?
made() { [ "$(cat "$dir/$1/made-of" 2>/dev/null)" = "$2" ]; }

# venv NAME REQUIREMENTS makes the Python environment dir/NAME of a list of packages.
venv() {
  local want
  want=$(cat "$2")
  if made "$1" "$want"; then return; fi
  tools python3=python3
  # Debian has the means to make one in a package of its own, which brings no command.
  python3 -c 'import ensurepip' 2>/dev/null || tools ensurepip=python3-venv
  echo "downloading the packages of $2 (PyPI)" >&2
  rm -rf "${dir:?}/$1"
  python3 -m venv "$dir/$1"
  "$dir/$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
  echo "$want" >"$dir/$1/made-of"
}

# node_modules NAME PACKAGE@VERSION... fills dir/NAME/node_modules.
node_modules() {
  local name=$1
  shift
  if made "$name" "$*"; then return; fi
  rm -rf "${dir:?}/$name"
  mkdir -p "$dir/$name"
  unpack_npm "$dir/$name" "$@"
  echo "$*" >"$dir/$name/made-of"
}

# go_program NAME MODULE/PACKAGE@VERSION builds dir/bin/NAME.
go_program() {
  if [ -x "$dir/bin/$1" ] && made "bin/$1.from" "$2"; then return; fi
  echo "building $2 (Go module proxy)" >&2
  # Not of this module: its go.mod says nothing of it.
  (cd / && GOBIN="$dir/bin" GOFLAGS=-mod=mod CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$2")
  mkdir -p "$dir/bin/$1.from"
  echo "$2" >"$dir/bin/$1.from/made-of"
}

mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9 # one at a time
[ -x /usr/bin/aws ] || tools aws-version-2=awscli
venv py requirements.txt
venv engines requirements-engines.txt # apart: it pins another botocore
venv crates requirements-crates.txt
node_modules js "${javascript[@]}"
node_modules axe "${axe[@]}"
go_program versitygw github.com/versity/versitygw/cmd/versitygw@"$versitygw"
