#!/usr/bin/env bash
# Runs the local mesh, after building what it needs. Arguments go to the mesh.
# MIXER="FILE...": runs it with a migrated Mixer configuration instead of our own metrics.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/setup.sh mesh
scripts/build.sh
STEPS=1
# Builds the whole workspace, as the tests do. Building only this package would compile it again with fewer features.
needed_step "building the mesh" cargo build --workspace --bins
if [ -n "${MIXER:-}" ]; then
    migrated=$TARGET/migrated.yaml
    # Several files or directories, separated by spaces.
    # shellcheck disable=SC2086
    "$TARGET/debug/remixer" migrate --quiet $MIXER > "$migrated" || die "Nothing is attached; the report is above."
    say "What becomes of $MIXER is in $migrated"
    for file in separate/metadata-exchange tcp-metadata-exchange-inbound tcp-metadata-exchange-outbound; do
        set -- "$@" --filters "envoy/$file.yaml"
    done
    set -- "$@" --filters "$migrated"
fi
# The mesh replaces this shell. It then gets Ctrl-C itself, and ends its Envoys.
trap - EXIT INT TERM HUP
exec "$TARGET/debug/remixer" mesh "$@"
