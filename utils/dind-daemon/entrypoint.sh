#!/bin/sh
# Starts a Docker daemon inside a container that is not privileged. POSIX sh: busybox's will do.
# What the DIND_ variables mean stands in README.md.
set -eu

say() { echo "dind: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

# The cgroups are mounted read-only in a container without privileges; the inner daemon makes one for each of its
# containers. A plain remount is refused (the mount belongs to the host): remounting the bind mount is not.
open_cgroups_v1() {
  mount -o remount,bind,rw /sys/fs/cgroup 2>/dev/null || :
  for controller in /sys/fs/cgroup/*/; do
    mount -o remount,bind,rw "$controller" || fail "cannot write to $controller: is SYS_ADMIN among the capabilities?"
  done
}

# A cgroup that delegates controllers may hold no process itself: ours move to a child of it.
open_cgroups_v2() {
  mount -o remount,bind,rw /sys/fs/cgroup || fail 'cannot write to /sys/fs/cgroup: is SYS_ADMIN among the capabilities?'
  mkdir -p /sys/fs/cgroup/dind
  while read -r pid; do
    echo "$pid" >/sys/fs/cgroup/dind/cgroup.procs 2>/dev/null || :
  done </sys/fs/cgroup/cgroup.procs
  for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || say "controller $controller is not delegated"
  done
}

open_cgroups() {
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then open_cgroups_v2; else open_cgroups_v1; fi
}

# Puts /var/lib/docker on a file system of its own, in a file, when a size is given: whatever runs here cannot fill the
# host's disk. The loop device lets go of the file when the last mount is gone, also after a kill.
bound_storage() {
  [ -n "${DIND_STORAGE_SIZE:-}" ] || return 0
  loop=${DIND_LOOP_DEVICE:?a loop device of the host is needed for DIND_STORAGE_SIZE}
  file=/var/lib/dind-disk/disk.img
  [ -d /var/lib/dind-disk ] || fail 'mount a volume at /var/lib/dind-disk for DIND_STORAGE_SIZE'
  if [ ! -s "$file" ]; then
    truncate -s "$DIND_STORAGE_SIZE" "$file"
    mkfs.ext4 -q -F -m 0 -E lazy_itable_init=1,lazy_journal_init=1 "$file"
  fi
  grow_storage "$file"
  take_loop "$loop" "$file"
  mount -t ext4 -o discard "$loop" /var/lib/docker || fail "cannot mount $loop"
  losetup -d "$loop"
}

# After a kill the kernel may need a moment to let go of the device.
take_loop() {
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    if losetup "$1" "$2" 2>/dev/null; then return; fi
    sleep 0.3
  done
  fail "$1 is in use, or was not handed in: choose another loop device (losetup -f names a free one)"
}

# Follows a size that was raised; one that was lowered is kept as it was.
grow_storage() {
  before=$(stat -c %s "$1")
  truncate -s ">$DIND_STORAGE_SIZE" "$1" 2>/dev/null || :
  after=$(stat -c %s "$1")
  if [ "$after" != "$before" ]; then
    e2fsck -f -p "$1" >/dev/null || [ $? -le 1 ] || fail 'the storage has errors: run e2fsck on its image'
    resize2fs "$1" >/dev/null 2>&1 || fail 'the storage could not be grown'
  fi
}

# The folder that worker and containers share; given to the worker's user when it is still root's and empty.
share_jobs() {
  jobs=${DIND_JOBS:-/jobs}
  [ -d "$jobs" ] && [ -n "${DIND_UID:-}" ] || return 0
  [ "$(stat -c %u "$jobs")" = 0 ] && [ -z "$(ls -A "$jobs")" ] || return 0
  chown "$DIND_UID:${DIND_GID:-$DIND_UID}" "$jobs"
  chmod 0770 "$jobs"
}

# GPUs that the outer container was given: described once, so that `--gpus device=1` hands on exactly one of them.
# The default runtime stays runc: with nvidia's, an image's own NVIDIA_VISIBLE_DEVICES=all would get every GPU.
find_gpus() {
  [ -e /dev/nvidiactl ] || return 0
  if ! command -v nvidia-ctk >/dev/null; then
    say 'GPUs are here, but this image has no NVIDIA toolkit: build it with `build --gpu`'
    return 0
  fi
  mkdir -p /run/cdi
  nvidia-ctk cdi generate --output=/run/cdi/nvidia.yaml || fail 'the GPUs cannot be described; nvidia-ctk said why above. Does nvidia-smi answer on the host?'
  set_runtime='--add-runtime=nvidia=/usr/local/bin/nvidia-container-runtime'
}

listen() {
  if [ -n "${DOCKER_TLS_CERTDIR:-}" ]; then
    make-certificates "$DOCKER_TLS_CERTDIR"
    set_tls="--host=tcp://0.0.0.0:2376 --tlsverify --tlscacert=$DOCKER_TLS_CERTDIR/server/ca.pem
      --tlscert=$DOCKER_TLS_CERTDIR/server/cert.pem --tlskey=$DOCKER_TLS_CERTDIR/server/key.pem"
  fi
  socket=${DIND_SOCKET:-/dind/docker.sock}
  mkdir -p "$(dirname "$socket")"
  set_socket="--host=unix://$socket --group=${DIND_GID:-0}"
}

set_runtime='' set_tls='' set_socket=''
open_cgroups
bound_storage
share_jobs
find_gpus
listen
# Of a daemon that was killed; a new one would take the number of a process that is somebody else by now.
rm -f /run/docker.pid /run/docker/containerd/containerd.pid
# No bridge and no rules: containers here have no network at all.
# shellcheck disable=SC2086
exec dockerd --bridge=none --iptables=false --ip-forward=false --log-level="${DIND_LOG_LEVEL:-warn}" \
  $set_socket $set_tls $set_runtime ${DIND_ARGS:-} "$@"
