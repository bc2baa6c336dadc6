#!/bin/bash
# containers.sh start|stop podman|docker DIR
#
# Starts a container engine for tests, with everything it keeps in DIR and an image
# made from busybox: no registry, no network, nothing of the machine's own containers.
# `start` prints the variables that the engine's command then needs, one a line.
#
# Debian: apt-get install --no-install-recommends podman runc busybox-static docker.io
set -euo pipefail
action=$1 engine=$2 dir=$3
image=flow-test:1

rootfs() {
  mkdir -p "$dir/root/bin" "$dir/root/tmp"
  cp "$(command -v busybox)" "$dir/root/bin/busybox"
  chmod 1777 "$dir/root/tmp"
  local name
  for name in sh true cat echo env awk sleep touch printf id nproc head ls test readlink; do
    ln -sf busybox "$dir/root/bin/$name"
  done
  tar -C "$dir/root" -c .
}

case "$action $engine" in
"start podman")
  # runc and no network work in virtual machines and containers where crun and
  # netavark do not; the limits are those that may be set without CAP_SYS_RESOURCE.
  hard=$(ulimit -Hn)
  cat >"$dir/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=$hard:$hard", "nproc=4096:4096"]
netns = "none"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
  cat >"$dir/storage.conf" <<CONF
[storage]
driver = "overlay"
graphroot = "$dir/graph"
runroot = "$dir/run"
CONF
  export CONTAINERS_CONF=$dir/containers.conf CONTAINERS_STORAGE_CONF=$dir/storage.conf
  rootfs | podman import --quiet - "localhost/$image" >&2
  echo "CONTAINERS_CONF=$CONTAINERS_CONF"
  echo "CONTAINERS_STORAGE_CONF=$CONTAINERS_STORAGE_CONF"
  ;;
"stop podman")
  CONTAINERS_CONF=$dir/containers.conf CONTAINERS_STORAGE_CONF=$dir/storage.conf podman rm --all --force >/dev/null 2>&1 || true
  umount "$dir/graph/overlay" 2>/dev/null || true
  ;;
"start docker")
  # A path in DIR may be too long for a socket.
  socket=$(mktemp -d)/docker.sock
  dockerd -H "unix://$socket" --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/docker.pid" \
    --bridge=none --iptables=false --ip-forward=false >"$dir/log" 2>&1 </dev/null &
  export DOCKER_HOST=unix://$socket
  for _ in $(seq 100); do
    if docker version >/dev/null 2>&1; then
      rootfs | docker import - "$image" >&2
      echo "DOCKER_HOST=$DOCKER_HOST"
      exit 0
    fi
    sleep 0.1
  done
  cat "$dir/log" >&2
  exit 1
  ;;
"stop docker")
  pid=$(cat "$dir/docker.pid")
  kill "$pid"
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  umount "$dir/data" 2>/dev/null || true
  ;;
*)
  echo "usage: containers.sh start|stop podman|docker DIR" >&2
  exit 2
  ;;
esac
