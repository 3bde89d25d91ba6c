#!/usr/bin/env bash
# Runs the local mesh, after building what it needs. Arguments go to the mesh.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/setup.sh mesh
scripts/build.sh
STEPS=1
# With the whole workspace, as the tests do it: alone, it would be compiled anew with fewer features.
needed_step "building the mesh" cargo build --workspace --bins
# Replaced by the mesh itself, which then gets Ctrl-C and ends its Envoys.
trap - EXIT INT TERM HUP
exec "$TARGET/debug/mesh" up "$@"
