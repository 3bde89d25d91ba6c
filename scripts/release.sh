#!/usr/bin/env bash
# Makes what a release holds, in dist/release/ and as an archive beside it: the same bytes each time. IMAGES says where its
# images will be.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/build.sh
STEPS=1
# With the whole workspace, as the tests do it: alone, it would be compiled anew with fewer features.
needed_step "packing the release" bash -c 'cargo build --workspace --bins && "$0" dist dist/release' "$TARGET/debug/release"
tail -n 1 "$STEP_LOG"
