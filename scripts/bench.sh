#!/usr/bin/env bash
# Measures what the modules cost, after building what that needs. Arguments go to the bench.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/setup.sh bench
scripts/build.sh
STEPS=1
# Load must be quicker than Envoy, hence optimised.
needed_step "building the bench" cargo build --profile quick -p bench
# Replaced by the bench itself, which then gets Ctrl-C and ends its Envoys.
trap - EXIT INT TERM HUP
exec "$TARGET/quick/bench" "$@"
