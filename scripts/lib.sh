# Functions for all scripts. Source this file first, from anywhere.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit 1
TOOLS=$ROOT/.tools
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
LOGS=$TARGET/logs
export PATH=$TOOLS/bin:$PATH

say() { printf '%s\n' "$*"; }

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

have() { command -v "$1" >/dev/null; }

# at_least <version> <minimum>
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

minimum_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

# Names of the filters' packages with a line in their manifest that matches the pattern.
packages_with() {
    local manifest
    for manifest in filters/*/Cargo.toml; do
        if grep -q "$1" "$manifest"; then
            sed -n 's/^name = "\(.*\)"/\1/p' "$manifest" | head -n 1
        fi
    done
}

# The packages of the modules, in MODULES: those of the table in filters/catalog, if each is a module crate and no other is.
list_modules() {
    local list
    list=$(cargo run -q -p pack -- --list) || exit 1
    # shellcheck disable=SC2034
    mapfile -t MODULES <<<"$list"
}

# --- Steps: one line each, "[2/6] building stats.wasm … 41 s"; output only of those that fail ---------------------

STEP=0
STEPS=0
STEP_CODE=0
STEP_LOG=
JOB=

# Ends the running step with all its processes: a step is a process group of its own.
end_job() {
    [ -n "$JOB" ] || return 0
    local group=$JOB tenths=0
    JOB=
    kill -TERM -- "-$group" 2>/dev/null || return 0
    while kill -0 -- "-$group" 2>/dev/null; do
        if [ "$tenths" -ge 100 ]; then
            kill -KILL -- "-$group" 2>/dev/null || return 0
        fi
        tenths=$((tenths + 1))
        sleep 0.1
    done
}

trap end_job EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# step <label> <command>...: runs a step. The exit code is in STEP_CODE. Do not use `if` or `||` on the call: bash would
# then ignore `set -e` inside functions that the step calls.
step() {
    local label=$1 start=$SECONDS
    shift
    STEP=$((STEP + 1))
    STEP_CODE=0
    STEP_LOG=$LOGS/$STEP-${label//[^A-Za-z0-9.]/-}.log
    mkdir -p "$LOGS"
    printf '[%d/%s] %s … ' "$STEP" "$STEPS" "$label"
    set -m
    "$@" >"$STEP_LOG" 2>&1 </dev/null &
    JOB=$!
    set +m
    wait "$JOB" || STEP_CODE=$?
    end_job
    if [ "$STEP_CODE" -eq 0 ]; then
        say "$((SECONDS - start)) s"
    else
        say "failed after $((SECONDS - start)) s"
        tail -n 400 "$STEP_LOG" >&2
    fi
}

# The same, but a failure ends the script.
needed_step() {
    step "$@"
    [ "$STEP_CODE" -eq 0 ] || exit "$STEP_CODE"
}
