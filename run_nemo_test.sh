#!/usr/bin/env bash
# The standalone test: ./run_nemo_test.sh --nemo-model MODEL --audio-file AUDIO [--verbose]
# MODEL is a .nemo, an exported folder or an .onnx with its tokens beside it; AUDIO a WAV, .raw or any other recording.
# Prints the text on standard output; anything wrong is told on standard error and ends with a status other than 0.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program="$here/packages/cli/dist/bin.js"
if [ ! -f "$program" ]; then
  echo "run_nemo_test.sh: expected the program to be built, got no $program. Run: npm ci && npm run build" >&2
  exit 69
fi
exec node "$program" try "$@"
