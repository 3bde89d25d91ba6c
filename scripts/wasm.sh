# Which compiler makes the modules, and how it is called. To be sourced after lib.sh.
#
# Two ways lead to wasm32-unknown-unknown:
#   rustup  the target's standard library is installed beside the toolchain that is in use, or rustup can fetch it;
#   debian  Debian's rustc and cargo, with the standard library built from its source package.
# The first that works is taken; WASM_TOOLCHAIN=rustup or =debian allows one only.
# shellcheck shell=bash disable=SC2034

WASM_TARGET=wasm32-unknown-unknown
WASM_DEBIAN_PACKAGES="rustc-web cargo-web rust-web-src lld"
WASM_NOT_FETCHED=$TOOLS/no-$WASM_TARGET   # remembers for which compiler rustup could not fetch the target
WASM_TIMEOUT=${WASM_TIMEOUT:-30}          # seconds: without a network rustup does not fail, it waits

wasm_allows() { [ "${WASM_TOOLCHAIN:-$1}" = "$1" ]; }

# A toolchain has the target when its library is there: rustup need not be asked, and need not exist.
wasm_rustup_ready() {
    wasm_allows rustup && have rustc && [ -d "$(rustc --print sysroot)/lib/rustlib/$WASM_TARGET/lib" ]
}

wasm_debian_ready() {
    wasm_allows debian && [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && wasm_linker >/dev/null &&
        [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std" ] &&
        at_least "$(/usr/bin/rustc --version | cut -d ' ' -f 2)" "$(minimum_rust)"
}

# Debian's compiler brings no linker for wasm: lld's, or the one inside a rustup toolchain.
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

# Whether rustup is worth asking: not again for a compiler it had nothing for, unless RETRY is set.
wasm_may_fetch() {
    wasm_allows rustup && have rustup && have rustc &&
        { [ -n "${RETRY:-}" ] || [ "$(cat "$WASM_NOT_FETCHED" 2>/dev/null)" != "$(rustc --version)" ]; }
}

wasm_fetch() {
    if timeout "$WASM_TIMEOUT" rustup target add "$WASM_TARGET"; then
        rm -f "$WASM_NOT_FETCHED"
    else
        mkdir -p "$TOOLS"
        rustc --version >"$WASM_NOT_FETCHED"
        return 1
    fi
}

# Sets how to call cargo for wasm: WASM_CARGO (a command with its environment), WASM_FLAGS and WASM_NAME.
wasm_select() {
    local sysroot linker commit
    if wasm_rustup_ready; then
        WASM_CARGO=(env)
        WASM_FLAGS=(--target "$WASM_TARGET")
        WASM_NAME="$(rustc --version) with its $WASM_TARGET library"
        sysroot=$(rustc --print sysroot)
        set -- cargo
    elif wasm_debian_ready; then
        linker=$(wasm_linker)
        WASM_CARGO=(env RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
            CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker")
        WASM_FLAGS=(--target "$WASM_TARGET" -Z "build-std=std,panic_abort")
        WASM_NAME="Debian's $(/usr/bin/rustc --version | cut -d ' ' -f 1,2), with the standard library from source"
        sysroot=$(/usr/bin/rustc --print sysroot)
        set -- /usr/bin/cargo
    else
        return 1
    fi
    # A panic message names a source file: it should name the same one on every machine, or no two builds are alike.
    local remap="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=/crates"
    # The library's as it names them itself where its source is not installed.
    commit=$("$sysroot/bin/rustc" -vV | sed -n 's/^commit-hash: //p')
    remap+=" --remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rustc/$commit"
    WASM_CARGO+=(CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$remap" CARGO_TARGET_DIR="$TARGET/wasm"
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner "$@")
}

# wasm_cargo <build|test> <arguments>...
wasm_cargo() {
    local command=$1
    shift
    "${WASM_CARGO[@]}" "$command" "${WASM_FLAGS[@]}" "$@"
}
