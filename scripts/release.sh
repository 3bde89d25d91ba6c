#!/usr/bin/env bash
# Makes what a release holds, in dist/release/ and as an archive beside it: the same bytes each time. IMAGES says where its
# images will be, PROGRAMS for which machines it has `remixer` ("x86_64 aarch64").
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/programs.sh
. scripts/programs.sh

scripts/setup.sh release
scripts/build.sh
read -ra machines <<<"$PROGRAM_MACHINES"
STEPS=2
needed_step "building remixer for ${machines[*]}" programs_build "${machines[@]}"
programs=()
for machine in "${machines[@]}"; do programs+=("$(program_file "$machine")"); done
# With the whole workspace, as the tests do it: alone, it would be compiled anew with fewer features.
needed_step "packing the release" bash -c 'cargo build --workspace --bins && "$0" dist dist/release "$@"' \
    "$TARGET/debug/release" "${programs[@]}"
tail -n 1 "$STEP_LOG"
