# What the installers share. Built programs are kept outside the checkout, so that a second checkout finds them.
set -euo pipefail

MORPHEO_PARTS="${MORPHEO_PARTS:-${XDG_CACHE_HOME:-$HOME/.cache}/morpheo/real-parts}"
BIN="$MORPHEO_PARTS/bin"
mkdir -p "$BIN"

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

# have PROGRAM: true where it is among ours, or on the PATH.
have() { [ -x "$BIN/$1" ] || command -v "$1" >/dev/null 2>&1; }

need_go() {
  command -v go >/dev/null || fail "Go is needed to build $1: install Go 1.24 or newer (https://go.dev/dl), or put $1 on the PATH."
}

# apt PACKAGE...: installs Debian packages that are missing; needs root.
apt() {
  command -v apt-get >/dev/null || fail "install $* with your system's package manager."
  [ "$(id -u)" = 0 ] || fail "run as root, or install these packages: $*"
  [ -n "${APT_UPDATED:-}" ] || apt-get update -qq
  export APT_UPDATED=1
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
