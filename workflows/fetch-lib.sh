# Sourced by the fetch.sh of each workflow: tools from Debian, data from Debian
# and npm packages. Works as root, and with sudo otherwise.

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# apt_get waits for another apt instead of failing.
apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=900 "$@"; }

# refresh brings the package lists up to date; once is enough.
refresh() {
  if [ -z "${refreshed-}" ]; then apt_get update && refreshed=yes; fi
}

# tools COMMAND=PACKAGE... installs the packages whose command is missing.
tools() {
  local pair missing=()
  for pair; do
    if ! command -v "${pair%%=*}" >/dev/null && [[ " ${missing[*]-} " != *" ${pair#*=} "* ]]; then
      missing+=("${pair#*=}")
    fi
  done
  if [ ${#missing[@]} = 0 ]; then return; fi
  echo "installing ${missing[*]}" >&2
  # Lists that are missing or too old make the first try fail.
  apt_get install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || {
    refresh
    apt_get install -y --no-install-recommends "${missing[@]}" >/dev/null
  }
}

# have SUMS FILE... reports whether the files, as named in SUMS, are here unharmed.
have() {
  local sums=$1 file want
  shift
  for file; do
    want=$(grep -F "  $file" "$sums") || { echo "$sums does not list $file" >&2; exit 1; }
    sha256sum --check --status <<<"$want" 2>/dev/null || return 1
  done
}

# verify SUMS FILE... stops if what was fetched is not what is expected.
verify() {
  have "$@" || { echo "fetched files differ from $1: $*" >&2; exit 1; }
}

# unpack_deb PACKAGE DIR unpacks a Debian package into DIR, without installing it.
unpack_deb() {
  echo "downloading $1 (Debian)" >&2
  local tmp
  tmp=$(mktemp -d)
  (
    cd "$tmp"
    apt-get -qq download "$1" >/dev/null 2>&1 || { refresh; apt-get -qq download "$1" 2>/dev/null; }
  )
  dpkg-deb -x "$tmp"/*.deb "$2"
  rm -r "$tmp"
}

# unpack_npm DIR PACKAGE@VERSION... installs npm packages into DIR/node_modules;
# none of their scripts is run.
unpack_npm() {
  local dir=$1
  shift
  tools node=nodejs npm=npm
  echo "downloading $* (npm)" >&2
  npm install --prefix "$dir" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error "$@" >/dev/null
}
