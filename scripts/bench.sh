#!/usr/bin/env bash
# Measures the cost of the modules, after building what this needs. Arguments go to the bench.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/setup.sh bench
scripts/build.sh
STEPS=1
# The load generator must be faster than Envoy, so it is optimised.
needed_step "building the bench" cargo build --profile quick -p bench
# The bench replaces this shell. It then gets Ctrl-C itself, and ends its Envoys.
trap - EXIT INT TERM HUP
exec "$TARGET/quick/bench" "$@"
