#!/usr/bin/env bash
# Installs what is missing, builds, trains the shipped model on recipes/quickstart.yaml, and shows
# a story of the model before and after. Arguments are passed on to `attune run`.
#
#   scripts/quickstart.sh [--rollout-workers N] [--trainer-ranks N] ...
set -euo pipefail
cd "$(dirname "$0")/.."

out=build/quickstart
prompt="Once upon a time, there was a little girl named Lily. One day she"

scripts/bootstrap.sh
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
cmake --preset release
cmake --build --preset release

attune=build/release/bin/attune
"$attune" run recipes/quickstart.yaml --out "$out" "$@"

# The same prompt and the same random draws for both.
story() {
  "$attune" generate --model "$1" --prompt "$prompt" --seed 1 --max-new-tokens 120 \
    --temperature 0.7 --top-p 0.95
}
printf '\nPrompt: %s\n\n--- before (models/stories260k)\n' "$prompt"
story models/stories260k
printf '\n--- after (%s/model)\n' "$out"
story "$out/model"
cat << END

report            $out/report.json
trained model     $out/model (a Hugging Face directory)
job file          recipes/quickstart.yaml
the command line  $attune --help
END
