# Selects the compiler for the modules, and calls it. Source this file after lib.sh.
#
# The standard library is compiled together with the modules. So a panic is a trap, without message texts and the code that
# formats them, which are a seventh of a module. The library's source comes from one of two places:
#   rustup  the active toolchain with its component rust-src, which rustup can download;
#   debian  Debian's rustc and cargo, with the source package of their library.
# The first one that works is used. WASM_TOOLCHAIN=rustup or =debian allows only one.
# shellcheck shell=bash disable=SC2034

WASM_TARGET=wasm32-unknown-unknown
WASM_DEBIAN_PACKAGES="rustc-web cargo-web rust-web-src lld"
WASM_NOT_FETCHED=$TOOLS/no-rust-src       # remembers for which compiler rustup could not fetch the library's source
WASM_TIMEOUT=${WASM_TIMEOUT:-60}          # seconds: without a network rustup does not fail, it waits

wasm_allows() { [ "${WASM_TOOLCHAIN:-$1}" = "$1" ]; }

# wasm_has_source <rustc>: whether it has the source of its standard library.
wasm_has_source() { [ -d "$("$1" --print sysroot)/lib/rustlib/src/rust/library/std" ]; }

# Does not call rustup, which need not be installed.
wasm_rustup_ready() { wasm_allows rustup && have rustc && wasm_has_source rustc; }

wasm_debian_ready() {
    wasm_allows debian && [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && wasm_linker >/dev/null &&
        wasm_has_source /usr/bin/rustc && at_least "$(/usr/bin/rustc --version | cut -d ' ' -f 2)" "$(minimum_rust)"
}

# Debian's compiler has no linker for wasm. Uses lld's, or the one in a rustup toolchain.
wasm_linker() {
    local linker
    for linker in /usr/bin/wasm-ld /usr/bin/wasm-ld-[0-9]*; do
        if [ -x "$linker" ]; then
            basename "$linker"
            return
        fi
    done
    if have rustup && linker=$(find "$(rustc --print sysroot)/lib/rustlib" -name rust-lld | head -n 1) && [ -n "$linker" ]; then
        printf '%s\n' "$linker"
        return
    fi
    return 1
}

# Whether to try rustup: not again for a compiler for which it had no source, unless RETRY is set.
wasm_may_fetch() {
    wasm_allows rustup && have rustup && have rustc &&
        { [ -n "${RETRY:-}" ] || [ "$(cat "$WASM_NOT_FETCHED" 2>/dev/null)" != "$(rustc --version)" ]; }
}

wasm_fetch() {
    if timeout "$WASM_TIMEOUT" rustup component add rust-src; then
        rm -f "$WASM_NOT_FETCHED"
    else
        mkdir -p "$TOOLS"
        rustc --version >"$WASM_NOT_FETCHED"
        return 1
    fi
}

# Sets how to call cargo for wasm: WASM_CARGO (a command with its environment), WASM_REMAP and WASM_NAME.
wasm_select() {
    local rustc sysroot
    # Node reads a test program as a whole: with debug information it takes twice as long.
    WASM_CARGO=(env RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$TARGET/wasm" CARGO_PROFILE_DEV_DEBUG=false
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner)
    if wasm_rustup_ready; then
        rustc=rustc
        WASM_CARGO+=(cargo)
    elif wasm_debian_ready; then
        rustc=/usr/bin/rustc
        WASM_CARGO+=(RUSTC=$rustc RUSTDOC=/usr/bin/rustdoc CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$(wasm_linker)"
            /usr/bin/cargo)
    else
        return 1
    fi
    WASM_NAME="$($rustc --version), with the standard library from source"
    sysroot=$($rustc --print sysroot)
    # Messages may contain the paths of source files. They must be the same on every machine, so that all builds are equal.
    WASM_REMAP="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=/crates"
    WASM_REMAP+=" --remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rust"
}

# wasm_cargo <build|test> <arguments>...
wasm_cargo() {
    local command=$1 flags=$WASM_REMAP
    shift
    # Tests need messages for failures.
    [ "$command" = test ] || flags+=" -Z unstable-options -C panic=immediate-abort"
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=$flags "${WASM_CARGO[@]}" "$command" --target "$WASM_TARGET" \
        -Z build-std=std,panic_abort -Z build-std-features=optimize_for_size "$@"
}
