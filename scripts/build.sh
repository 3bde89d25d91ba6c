#!/usr/bin/env bash
# Builds every module crate into dist/, and prints sizes and digests.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/wasm.sh
. scripts/wasm.sh

scripts/setup.sh build
wasm_select || exit 1

say "Compiler: $WASM_NAME"
STEPS=…
needed_step "building the pack tool" cargo build -p pack
list_modules
STEPS=$((${#MODULES[@]} + 2))
for module in "${MODULES[@]}"; do
    needed_step "building ${module//-/_}.wasm" wasm_cargo build --release -p "$module" --features module
done
needed_step "packing" cargo run -q -p pack -- ${KEEP_NAMES:+--keep-names} "$TARGET/wasm/$WASM_TARGET/release" dist
cat "$STEP_LOG"
