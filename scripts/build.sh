#!/usr/bin/env bash
# Builds every module crate into dist/, and prints sizes and digests.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/wasm.sh
. scripts/wasm.sh

scripts/setup.sh build
wasm_select || exit 1

# The manifest section of a module; `pack` reads the same table.
mapfile -t modules < <(packages_with '^\[package.metadata.module\]')
[ ${#modules[@]} -gt 0 ] || die "No crate in filters/ has a [package.metadata.module] table: there is nothing to build."

say "Compiler: $WASM_NAME"
STEPS=$((${#modules[@]} + 2))
needed_step "building the pack tool" cargo build -p pack
for module in "${modules[@]}"; do
    needed_step "building ${module//-/_}.wasm" wasm_cargo build --release -p "$module" --features module
done
needed_step "packing" cargo run -q -p pack -- ${KEEP_NAMES:+--keep-names} "$TARGET/wasm/$WASM_TARGET/release" dist
cat "$STEP_LOG"
