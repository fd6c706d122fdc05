#!/usr/bin/env bash
# Builds the fuzz targets of tests/fuzz/ and runs them all at once for a while (docs/testing.md).
#
#   scripts/fuzz.sh [--seconds N] [--seed S] [TARGET...]   N: 60 by default; S: 0, another one each
#   time, by default; TARGET: tokenizer, config, ...
#
# An input that makes a target fail is kept, and its path printed.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=60
seed=0
targets=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds=${2:?"fuzz: --seconds needs a number"}; shift 2 ;;
    --seed) seed=${2:?"fuzz: --seed needs a number"}; shift 2 ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "fuzz: unknown argument $1; see --help" >&2; exit 2 ;;
    *) targets+=("$1"); shift ;;
  esac
done
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
  echo "fuzz: --seconds is '$seconds'; it must be a whole number above 0" >&2
  exit 2
fi
if ! [[ $seed =~ ^[0-9]{1,9}$ ]]; then
  echo "fuzz: --seed is '$seed'; it must be a whole number of at most nine digits" >&2
  exit 2
fi
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls tests/fuzz/corpus)

export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
cmake --preset fuzz > /dev/null
cmake --build --preset fuzz --target "${targets[@]/%/_fuzz}"

# The targets write a small directory for every input: into memory where that is possible.
parent=${TMPDIR:-/tmp}
[ ! -w /dev/shm ] || parent=/dev/shm
TMPDIR=$(mktemp -d "$parent/attune-fuzz.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

# What a run finds of interest goes to build/fuzz/corpus and is where the next one starts.
fuzz() {
  local target=$1 work=build/fuzz/corpus/$1 dictionary=tests/fuzz/$1.dict options=()
  mkdir -p "$work" build/fuzz/findings
  [ ! -f "$dictionary" ] || options+=("-dict=$dictionary")
  "build/fuzz/bin/${target}_fuzz" "-max_total_time=$seconds" "-seed=$seed" -timeout=10 \
    -rss_limit_mb=1024 -max_len=4096 "-artifact_prefix=build/fuzz/findings/$target-" \
    "${options[@]}" \
    "$work" "tests/fuzz/corpus/$target" > "build/fuzz/$target.log" 2>&1
}

pids=()
for target in "${targets[@]}"; do
  fuzz "$target" &
  pids+=($!)
done
status=0
for i in "${!targets[@]}"; do
  log=build/fuzz/${targets[i]}.log
  if wait "${pids[i]}"; then
    printf '%-16s %s\n' "${targets[i]}" "$(grep '^Done ' "$log")"
  else
    status=1
    echo "${targets[i]} FAILED; the end of $log:"
    grep -v '^"' "$log" | tail -n 60
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    echo "fuzz: again with: build/fuzz/bin/${targets[i]}_fuzz ${input:-(no input was kept)}"
  fi
done
exit "$status"
