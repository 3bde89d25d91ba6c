#!/usr/bin/env bash
# Runs the checks in order, until the first failure: check.sh lint|test.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/wasm.sh
. scripts/wasm.sh
# shellcheck source=scripts/istio.sh
. scripts/istio.sh

TEST_THREADS=${TEST_THREADS:-4} # end-to-end tests at a time: each has Envoys of its own, and waits most of the time
FOR=${FOR:-20s}                 # how long the mesh runs at the end

# Names of the integration tests of the crates in the given directories.
tests_in() {
    local directory file
    for directory in "$@"; do
        for file in "$directory"/tests/*.rs "$directory"/tests/*/main.rs; do
            [ -f "$file" ] || continue
            basename "${file%/main.rs}" .rs
        done
    done
}

# with <flag> <value>...: the flag before each value, in WITH.
with() {
    local flag=$1 value
    shift
    WITH=()
    for value in "$@"; do WITH+=("$flag" "$value"); done
}

mapfile -t pure < <(packages_with '^wasm-bindgen-test')
mapfile -t native_tests < <(tests_in filters/* tools/*)
mapfile -t mesh_tests < <(tests_in e2e | grep -vxE 'catalog|istio') # the latter needs a cluster

# --- The checks -------------------------------------------------------------------------------------------------------

formatting() { cargo fmt --all --check; }

clippy() { cargo clippy -q --workspace --all-targets -- -D warnings; }

# The part of a filter that makes host calls cannot be linked here, only checked.
clippy_of_modules() {
    local module
    for module in "${MODULES[@]}"; do
        cargo clippy -q -p "$module" --features module -- -D warnings
    done
}

# Without advisories: their database is not in a package registry (`cargo deny check advisories`).
dependencies() { cargo-deny --workspace --log-level error check bans licenses sources; }

# Checks that each filter has all required parts. This needs no Envoy.
table_of_filters() { cargo test --workspace --no-fail-fast --test catalog; }

# Each call of cargo test names all packages, so that no package is compiled again with other features.
unit_tests() {
    with --test "${native_tests[@]}"
    cargo test --workspace --no-fail-fast --lib --bins "${WITH[@]}"
    cargo test --workspace --no-fail-fast --doc
}

tests_under_node() {
    with -p "${pure[@]}"
    wasm_cargo test --no-fail-fast --tests "${WITH[@]}"
}

modules() { scripts/build.sh; }

# A build in another directory gives the same bytes. Takes half a minute.
modules_again() {
    local again=$TARGET/again module
    rm -rf "$again"
    for module in "${MODULES[@]}"; do
        wasm_cargo build --release -p "$module" --features module --target-dir "$again"
    done
    cargo run -q -p pack -- "$again/$WASM_TARGET/release" "$again/dist"
    for module in "${MODULES[@]//-/_}"; do cmp "dist/$module.wasm" "$again/dist/$module.wasm"; done
    rm -rf "$again"
}

end_to_end_tests() {
    with --test "${mesh_tests[@]}"
    cargo test --workspace --no-fail-fast "${WITH[@]}" -- --test-threads="$TEST_THREADS"
}

# The scenarios on the oldest supported Envoy. The conformance suite selects its Envoys itself.
end_to_end_tests_on_the_oldest_envoy() {
    with --test stats exchange_http exchange_tcp
    local oldest
    oldest=$(printf '%s\n' .tools/envoy/*/bin/envoy | sort -V | head -n 1)
    ENVOY=$ROOT/$oldest cargo test --workspace --no-fail-fast "${WITH[@]}" -- --test-threads="$TEST_THREADS"
}

# What the modules name is counted by Envoy. The conformance suite does both itself.
stats_where_envoy_counts() {
    ENVOY_COUNTS=1 cargo test --workspace --no-fail-fast --test stats -- --test-threads="$TEST_THREADS"
}

# Only checks that the bench works. Its numbers do not matter here, so the programs are not optimised.
short_bench() {
    cargo build --workspace --bins
    "$TARGET/debug/bench" --short
}

mesh() { scripts/mesh.sh --for "$FOR"; }

tests_with_istio() { scripts/test-istio.sh; }

# --- Running them -----------------------------------------------------------------------------------------------------

passed=0
failed=0

# Adds up the results of the test runners, native and in Node.
count() {
    local sums
    sums=$(awk '/^test result: / { passed += $4; failed += $6 } END { print passed + 0, failed + 0 }' "$STEP_LOG")
    passed=$((passed + ${sums% *}))
    failed=$((failed + ${sums#* }))
}

# check <label> <function>
check() {
    step "$1" "$2"
    count
    if [ "$STEP_CODE" -ne 0 ]; then
        [ "$failed" -gt 0 ] || failed=1
        say "Stopped at: $1. Its output is above, and in ${STEP_LOG#"$ROOT/"}"
        exit 1
    fi
}

lint() {
    check "formatting" formatting
    check "clippy" clippy
    list_modules
    check "clippy of the modules" clippy_of_modules
    check "licences, sources and bans of dependencies" dependencies
}

# The parts of a cluster take long to build: only `scripts/setup.sh istio` builds them.
with_istio=0
if [ "${ISTIO:-}" != skip ] && istio_ready; then with_istio=1; fi

# Optional programs that are missing: tests skip what needs them.
left_out() {
    [ "$with_istio" = 1 ] || say "Not run: the tests with a real Istio. They need root that may make namespaces, and the parts that \"scripts/setup.sh istio\" builds"
    have kubectl || say "Not checked, for want of kubectl: what the kustomizations render"
    have skopeo || say "Not checked, for want of skopeo: that it copies the images"
    docker compose version > /dev/null 2>&1 || have docker-compose ||
        say "Not checked, for want of docker compose: that it takes docker-compose.yml"
}

summary() {
    local code=$?
    end_job
    say "$passed passed, $failed failed"
    exit "$code"
}

case ${1:-} in
lint)
    scripts/setup.sh lint
    STEPS=4
    lint
    ;;
test)
    trap summary EXIT
    scripts/setup.sh test
    wasm_select
    STEPS=$((10 + (${#pure[@]} > 0) + 3 * (${#mesh_tests[@]} > 0) + with_istio))
    lint
    check "what the table of filters asks for" table_of_filters
    check "unit tests" unit_tests
    [ ${#pure[@]} -eq 0 ] || check "unit tests under Node, as wasm" tests_under_node
    check "building the modules" modules
    check "building the modules again, elsewhere" modules_again
    [ ${#mesh_tests[@]} -eq 0 ] || check "end-to-end tests" end_to_end_tests
    [ ${#mesh_tests[@]} -eq 0 ] || check "end-to-end tests on the oldest Envoy" end_to_end_tests_on_the_oldest_envoy
    [ ${#mesh_tests[@]} -eq 0 ] || check "end-to-end tests of stats, where Envoy counts" stats_where_envoy_counts
    check "the bench, a short one" short_bench
    check "the mesh, for $FOR" mesh
    [ "$with_istio" = 0 ] || check "tests with a real Istio" tests_with_istio
    left_out
    say "All in $((SECONDS / 60)) min $((SECONDS % 60)) s"
    ;;
*) die "usage: $0 lint|test" ;;
esac
