# How `remixer` is built for a release: as a static program of musl's C library, for each machine. To be sourced after lib.sh.
#
# rustup has the standard library for it, with musl's in it. `ring` is in part C and assembly, so that another machine also
# needs a C compiler for it, which Debian has.
# shellcheck shell=bash

PROGRAM_MACHINES=${PROGRAMS:-x86_64 aarch64}
for machine in $PROGRAM_MACHINES; do
    case $machine in x86_64 | aarch64) ;; *) die "PROGRAMS cannot be \"$machine\"; allowed: x86_64, aarch64, or both" ;; esac
done
PROGRAM_TIMEOUT=${PROGRAM_TIMEOUT:-120} # seconds: without a network rustup does not fail, it waits

program_target() { printf '%s-unknown-linux-musl\n' "$1"; }

program_has_library() { have rustc && [ -d "$(rustc --print sysroot)/lib/rustlib/$(program_target "$1")/lib" ]; }

# program_compiler <machine>: the C compiler.
program_compiler() { if [ "$1" = "$(uname -m)" ]; then printf 'cc\n'; else printf '%s-linux-gnu-gcc\n' "$1"; fi; }

# A compiler for another machine may lack that machine's headers.
program_compiles() { printf '#include <stdint.h>\n' | "$(program_compiler "$1")" -fsyntax-only -x c - 2>/dev/null; }

program_ready() { program_has_library "$1" && program_compiles "$1"; }

program_file() { printf '%s/programs/remixer-linux-%s\n' "$TARGET" "$1"; }

# programs_build <machine>...: the same bytes in every directory. All at once, since each has parts that nothing else waits for.
programs_build() {
    local machine target compiler upper private built settings=() targets=()
    for machine in "$@"; do
        target=$(program_target "$machine")
        compiler=$(program_compiler "$machine")
        upper=$(printf '%s' "$target" | tr a-z- A-Z_)
        targets+=(--target "$target")
        settings+=("CC_${target//-/_}=$compiler" "CARGO_TARGET_${upper}_LINKER=$compiler"
            "CARGO_TARGET_${upper}_RUSTFLAGS=--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=/crates")
    done
    env "${settings[@]}" CARGO_TARGET_DIR="$TARGET/programs" \
        cargo build --profile program -p remixer-cli --bin remixer "${targets[@]}"
    for machine in "$@"; do
        built=$TARGET/programs/$(program_target "$machine")/program/remixer
        # With a path of this machine in it, it would be other bytes on the next.
        for private in "$ROOT" "${CARGO_HOME:-$HOME/.cargo}"; do
            if grep -qaF "$private/" "$built"; then die "$built has the path $private in it."; fi
        done
        cp "$built" "$(program_file "$machine")"
    done
}
