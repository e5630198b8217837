# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
# shellcheck shell=bash
#
# What the scripts of this folder share: where the repository is, how a phase is announced, and the Swift to call.

set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${PARLEY_VENV:-$root/.build/venv}"
read -r -a swift <<<"${SWIFT:-swift}"
export root venv

say() { printf '%s\n' "$*"; }
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# phase LOG TITLE COMMAND…: runs the command with its output in LOG and says how long it took. A terminal sees the
# seconds count; anything else gets one line. The log's end is shown when the command fails.
phase() {
    local log="$1" title="$2" began=$SECONDS code=0 process
    shift 2
    mkdir -p -- "$(dirname -- "$log")"
    if [[ -t 1 ]]; then
        "$@" >"$log" 2>&1 </dev/null &
        process=$!
        # Only our own child is stopped, when the person at the terminal gives up.
        trap 'kill "$process" 2>/dev/null; printf "\n"; exit 130' INT TERM
        while kill -0 "$process" 2>/dev/null; do
            printf '\r%s … %d s ' "$title" $((SECONDS - began))
            sleep 0.5
        done
        wait "$process" || code=$?
        trap - INT TERM
        printf '\r%s … ' "$title"
    else
        printf '%s … ' "$title"
        "$@" >"$log" 2>&1 </dev/null || code=$?
    fi
    if [[ $code -eq 0 ]]; then
        printf 'done in %d s\n' $((SECONDS - began))
    else
        printf 'failed after %d s\n' $((SECONDS - began))
        tail -n 60 -- "$log" >&2
        say "The whole log: $log" >&2
    fi
    return "$code"
}

# What a release build is given beside its sources. With Swift's runtime inside the program calls into it need no detour,
# it starts without a search for libraries and runs where no Swift is installed. The packages that Parley uses are built
# without run-time checks of exclusive access, as Parley itself is (Package.swift says why).
# The debug information is most of the binary and of no use to who runs it; symbols stay, for backtraces.
release_flags=(-c release -Xswiftc -enforce-exclusivity=unchecked -Xlinker -S)
swift_build="$(command -v swift-build || true)"
if [[ -d "$(dirname -- "$(readlink -f -- "${swift_build:-/}")")/../lib/swift_static" ]]; then
    release_flags+=(--static-swift-stdlib)
fi

# release PRODUCT…: builds those products for use, saying beforehand how long a first build takes.
release() {
    local product title cores
    cores="$(getconf _NPROCESSORS_ONLN)"
    for product in "$@"; do
        title="Building $product"
        if [[ ! -e "$root/.build/release/$product" ]]; then
            title="$title (release; the first build takes about $(((15 + cores - 1) / cores)) minutes on $cores cores)"
        fi
        phase "$root/.build/server-build.log" "$title" \
            "${swift[@]}" build --package-path "$root" "${release_flags[@]}" --product "$product"
    done
}
