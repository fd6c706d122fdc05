#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test: unit, integration, the README's commands,
# the checks of the repository itself and, with the preset release, ten seconds of fuzzing. What
# passes here is fit to be merged.
#
#   scripts/test.sh [--preset NAME]         NAME: release (default), dev, asan, tsan or clang
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
while [ $# -gt 0 ]; do
  case "$1" in
    --preset) preset=${2:?"test: --preset needs a name"}; shift 2 ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "test: unknown argument $1; see --help" >&2; exit 2 ;;
  esac
done

bootstrap_options=()
case "$preset" in release | clang) bootstrap_options=(--with-clang) ;; esac
scripts/bootstrap.sh "${bootstrap_options[@]}"

# Checkouts in different directories share the compiler cache.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
cmake --preset "$preset"
cmake --build --preset "$preset"

log=build/$preset/test.log
status=0
ctest --preset "$preset" 2>&1 | tee "$log" || status=$?
echo
grep -E '^[0-9]+% tests passed' "$log" || echo "test: ctest did not finish"
[ "$preset" != release ] || scripts/fuzz.sh --seconds 10 --seed 1 || status=1
exit "$status"
