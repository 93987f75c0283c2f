# What `ensure` and the makers of images share.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MORPHEO_PARTS="${MORPHEO_PARTS:-${XDG_CACHE_HOME:-$HOME/.cache}/morpheo/real-parts}"
IMAGES="$MORPHEO_PARTS/images"
# The oldest date there is, for every file: the same packages give the same bytes, and so the same image id.
export SOURCE_DATE_EPOCH=0

say() { printf 'base-images: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

now_ms() { date +%s%3N; }

seconds_since() {
  local ms=$(($(now_ms) - $1))
  printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

# kept TAG: where the image is kept once it was built here.
kept() { printf '%s/%s.tar' "$IMAGES" "$(printf %s "$1" | tr '/:' '__')"; }

# sources_of TAG: a digest of the sources of this repository that the image is made of; nothing for one that has none.
sources_of() {
  local program=$HERE/../../programs/picture-trainer
  [ "$1" = morpheo/picture-trainer:1 ] || return 0
  (cd "$program" && find src bin install install-library.py package-lock.json "$HERE/images/picture-trainer" -type f ! -name '*.test.ts' -print0 |
    sort -z | xargs -0 sha256sum) | sha256sum | cut -d' ' -f1
}

# is_kept TAG: whether what is kept of it is of the sources as they are.
is_kept() { [ -s "$(kept "$1")" ] && [ "$(sources_of "$1")" = "$(cat "$(kept "$1").sources" 2>/dev/null)" ]; }

# need PROGRAM WHAT REMEDY
need() { command -v "$1" >/dev/null 2>&1 || [ -x "$1" ] || fail "$1 is needed to build $2: $3"; }

# architecture: as Docker names it.
architecture() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) fail "no base image can be built on $(uname -m): use a machine that reaches a registry." ;;
  esac
}

# pack_layer FOLDER FILE: a folder's content as an image's layer, the same bytes each time.
pack_layer() {
  tar --directory "$1" --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 --create --file "$2" .
}

# pack_image TAG CONFIG LAYER...: keeps an image of the layers, in the form that `docker load` takes.
# CONFIG is the "config" object of the image's description (Env, Cmd, ...).
pack_image() {
  local tag=$1 config=$2 folder digests='' names='' layer number=0
  shift 2
  folder=$(mktemp -d "$IMAGES/.pack.XXXXXX")
  for layer in "$@"; do
    digests="$digests${digests:+,}\"sha256:$(sha256sum "$layer" | cut -d' ' -f1)\""
    names="$names${names:+,}\"layer$number.tar\""
    ln "$layer" "$folder/layer$number.tar" 2>/dev/null || cp "$layer" "$folder/layer$number.tar"
    number=$((number + 1))
  done
  printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}}' \
    "$(architecture)" "$config" "$digests" >"$folder/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":[%s]}]' "$tag" "$names" >"$folder/manifest.json"
  pack_layer "$folder" "$folder.tar"
  sha256sum "$folder/config.json" | cut -d' ' -f1 >"$(kept "$tag").id"
  mv "$folder.tar" "$(kept "$tag")"
  rm -rf "$folder"
}

# build TAG: makes the image and keeps it, unless one is kept; each kind of image has its file in images/. Of several
# that want the same image at once, one makes it, and the others wait for that.
build() {
  local name lock
  case $1 in
    busybox:1.36) name=busybox ;;
    debian:bookworm-slim) name=debian ;;
    node:24-slim) name=node ;;
    python:3.11-slim) name=python ;;
    morpheo/picture-trainer:1) name=picture-trainer ;;
    *) fail "$1 is not here, no registry gave it, and it cannot be built here (see --help)." ;;
  esac
  mkdir -p "$IMAGES"
  exec {lock}>"$(kept "$1").lock"
  flock "$lock"
  if ! is_kept "$1"; then
    say "building $1 ..."
    "$HERE/images/$name" "$1" || fail "building $1 failed; what it said stands above."
    sources_of "$1" >"$(kept "$1").sources"
  fi
  exec {lock}>&-
}

# scratch: a temporary folder next to what is kept, gone at the end of the maker.
scratch() {
  SCRATCH=$(mktemp -d "$IMAGES/.build.XXXXXX")
  trap 'rm -rf "$SCRATCH"' EXIT
}

# debian_layer FILE TAG [OPTION of mmdebstrap]...: a root file system of Debian 12 for TAG, as a layer.
debian_layer() {
  local file=$1 tag=$2
  shift 2
  need mmdebstrap "$tag" 'install the package mmdebstrap (`make real-parts` does).'
  [ "$(id -u)" = 0 ] || fail "$tag can be built by root only: run this with sudo, or where a registry is in reach."
  # In memory where there is enough of it, and no fsync after each file: half of the time goes there otherwise.
  TMPDIR=$(memory_folder) mmdebstrap --quiet --mode=root --variant=minbase --components=main \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/lintian/*' \
    --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    --customize-hook='rm -rf "$1"/var/log/*.log "$1"/var/log/apt/* "$1"/var/cache/ldconfig/aux-cache' \
    --customize-hook="$HERE/trust-host \"\$1\"" \
    "$@" bookworm "$file" "$(debian_mirror)"
}

# debian_mirror: where Debian's packages come from: what is set, else what apt on this machine uses.
debian_mirror() {
  local mirror=${DEBIAN_MIRROR:-}
  [ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' 'Codename: bookworm' 'Component: main' 2>/dev/null | head -1)
  [ -n "$mirror" ] || fail 'apt on this machine has no Debian 12 (bookworm): set DEBIAN_MIRROR to where its packages are.'
  printf '%s' "$mirror"
}

memory_folder() {
  local free
  free=$(df --output=avail --block-size=1M /dev/shm 2>/dev/null | tail -1)
  if [ "${free:-0}" -gt 2048 ]; then echo /dev/shm; else echo "$IMAGES"; fi
}
