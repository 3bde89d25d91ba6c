#!/usr/bin/env bash
# Writes the content of a release to dist/release/, and an archive next to it, with the same bytes each time. IMAGES is
# where its images will be. PROGRAMS says for which machines it has `remixer` ("x86_64 aarch64").
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
# Builds the whole workspace, as the tests do. Building only this package would compile it again with fewer features.
needed_step "packing the release" bash -c 'cargo build --workspace --bins && "$0" dist dist/release "$@"' \
    "$TARGET/debug/release" "${programs[@]}"
tail -n 1 "$STEP_LOG"
