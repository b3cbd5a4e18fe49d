#!/usr/bin/env bash
# Checks the dependencies of the gateway and the pages: licences, sources, known vulnerabilities. `make lint` runs it.
#
# The lists of known vulnerabilities need the network. If one cannot be fetched, the script says so and does not fail.
set -euo pipefail

top="$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)"
readonly top
cd "$top"

say() {
    printf 'dependencies: %s\n' "$*"
}

cargo deny --locked --log-level warn check licenses bans

if advisories="$(timeout 120 cargo deny --log-level warn check advisories 2>&1)"; then
    say "no known vulnerability in the Rust crates"
elif grep -qi 'failed to fetch advisory database\|failed to load advisory\|unable to fetch' <<<"$advisories"; then
    say "SKIPPED: the RustSec advisory database cannot be fetched"
else
    printf '%s\n' "$advisories" >&2
    exit 1
fi

if audit="$(cd web && timeout 120 npm audit --audit-level=high 2>&1)"; then
    say "no known vulnerability of high severity in the npm packages"
elif grep -q 'audit endpoint returned an error\|ENOTFOUND\|ECONNREFUSED\|ETIMEDOUT\|ENETUNREACH' <<<"$audit"; then
    say "SKIPPED: this npm registry answers no audit"
else
    printf '%s\n' "$audit" >&2
    exit 1
fi

deploy/test/sbom.py
