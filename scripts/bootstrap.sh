#!/usr/bin/env bash
# Installs the Debian 12 packages that Attune is built with, if any is missing, and makes sure that
# the OpenMP build of OpenBLAS is the BLAS in use. Changes nothing when all is there.
#
#   scripts/bootstrap.sh [--with-clang]     --with-clang: clang, its tools and libFuzzer too
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache git pkg-config
  libtorch-dev libopenblas0-openmp libopenblas-openmp-dev
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev
  librocksdb-dev prometheus-cpp-dev libopenmpi-dev openmpi-bin
  libabsl-dev libgtest-dev libgmock-dev libyaml-cpp-dev nlohmann-json3-dev
  libpcre2-dev libutf8proc-dev libcli11-dev libssl-dev libcurl4-openssl-dev
  libcpp-httplib-dev
  python3 python3-grpcio python3-protobuf
)

for argument in "$@"; do
  case "$argument" in
    --with-clang) packages+=(clang clang-tidy clang-format libclang-rt-14-dev) ;;
    -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "bootstrap: unknown argument $argument; see --help" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query > /dev/null; then
  echo "bootstrap: this system has no dpkg; install by hand what these Debian packages hold:" >&2
  printf '  %s\n' "${packages[*]}" >&2
  exit 1
fi

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo > /dev/null; then
    sudo "$@"
  else
    echo "bootstrap: not root and no sudo; run as root: $*" >&2
    exit 1
  fi
}

missing_packages() {
  local status installed  # dpkg-query fails when it does not know a name: that is an answer too
  status=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2> /dev/null) ||
    true
  installed=$(sed -n 's/^installed //p' <<< "$status")
  printf '%s\n' "${packages[@]}" | grep -vxF -e "$installed" || true
}

# The multi-threaded kernels of LibTorch share the OpenMP thread pool with this OpenBLAS alone: the
# pthread build fights them for the cores, and reference BLAS is many times slower.
use_openmp_openblas() {
  local triplet name current wanted
  triplet=$(g++ -print-multiarch)
  for name in libblas.so.3 libopenblas.so.0; do
    wanted="/usr/lib/$triplet/openblas-openmp/$name"
    current=$(update-alternatives --query "$name-$triplet" | sed -n 's/^Value: //p')
    if [ "$current" != "$wanted" ]; then
      echo "bootstrap: $name is $current; switching to $wanted"
      as_root update-alternatives --set "$name-$triplet" "$wanted"
    fi
  done
}

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
  echo "bootstrap: installing ${#missing[@]} packages: ${missing[*]}"
  as_root apt-get -q update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q install -y --no-install-recommends "${missing[@]}"
else
  echo "bootstrap: all ${#packages[@]} packages are installed"
fi
use_openmp_openblas
