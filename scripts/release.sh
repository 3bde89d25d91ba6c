#!/usr/bin/env bash
# Writes the content of a release to dist/release/, and an archive next to it, with the same bytes each time. IMAGES is
# where its images will be.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/build.sh
STEPS=1
# Builds the whole workspace, as the tests do. Building only this package would compile it again with fewer features.
needed_step "packing the release" bash -c 'cargo build --workspace --bins && "$0" dist dist/release' "$TARGET/debug/release"
tail -n 1 "$STEP_LOG"
