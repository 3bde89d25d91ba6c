#!/usr/bin/env bash
# Runs the tests that have a real Istio: test-istio.sh [what the test runner takes]... As root, on Linux. ISTIO=skip: not at all.
#
# The cluster lives in namespaces of its own, of the kernel's: for the network, so that nothing of it can meet anything else; for
# processes and mounts, so that all of it ends with the first process there, however that ends. What it leaves are files in
# target/istio.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# The first process in the namespaces: it starts the tests, and passes on how they ended.
if [ "${1:-}" = --inside ]; then
    shift
    mount -t tmpfs tmpfs /run
    "$@" &
    wait $!
    exit
fi

if [ "${ISTIO:-}" = skip ]; then
    say "The tests with a real Istio are left out, as ISTIO=skip asks for."
    exit 0
fi
[ "$(id -u)" -eq 0 ] || die "The tests with a real Istio make network namespaces, which root alone may: run this as root, or with ISTIO=skip."
scripts/setup.sh istio
scripts/build.sh

mkdir -p "$LOGS"
exec 9>"$TARGET/istio.lock"
flock -n 9 || die "Another run of these tests is under way."
cargo build -q --workspace --bins
program=$(cargo test -q --workspace --test istio --no-run --message-format=json | sed -n 's/.*"executable":"\([^"]*\/istio-[^"]*\)".*/\1/p')
[ -x "$program" ] || die "cargo made no test program."
set -m
setpriv --pdeathsig KILL unshare --net --mount --pid --fork --mount-proc --kill-child \
    timeout 30m "$0" --inside "$program" --test-threads=1 "$@" </dev/null &
JOB=$!
set +m
wait "$JOB"
