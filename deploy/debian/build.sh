#!/usr/bin/env bash
# Builds the Debian package comptoir-gateway, and prints its path.
#
#   deploy/debian/build.sh [amd64|arm64|armhf]     default: this machine's architecture
#
# For this machine's architecture it compiles the binaries first. For others, run deploy/arm/build.sh arm64|armv7 first.
#
# COMPTOIR_PROFILE    Cargo's profile (dist)
# COMPTOIR_REVISION   the package's revision, after the gateway's version (1)
# COMPTOIR_RELEASE_KEY the public key with which comptoir-update verifies the next version (deploy/release.pub)
# SOURCE_DATE_EPOCH   the time of the package's files, in seconds (the last commit's)
set -euo pipefail

top="$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)"
readonly top profile="${COMPTOIR_PROFILE:-dist}"
native="$(dpkg --print-architecture)"
architecture="${1:-$native}"

fail() {
    printf 'package: %s\n' "$*" >&2
    exit 1
}
case "$architecture" in
-h | --help)
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
amd64) triple=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu qemu=x86_64 ;;
arm64) triple=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu qemu=aarch64 ;;
armhf) triple=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf qemu=arm ;;
*) fail "\"$architecture\" is not an architecture; write amd64, arm64 or armhf" ;;
esac
# The folder of `cargo install` comes last on the PATH.
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
command -v cargo-deb >/dev/null || fail "cargo-deb is missing; run: deploy/install-dependencies.sh package"

cd "$top"
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
declare -a target=()
if [[ "$architecture" == "$native" ]]; then
    [[ -n "${COMPTOIR_WEB_DIST:-}" ]] || make pages >&2
    cargo build --locked --profile "$profile" -p comptoir-gateway -p comptoir-sim --bin gateway --bin pos-sim >&2
    folder="${CARGO_TARGET_DIR:-target}/$profile"
    run=()
else
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$top/target/$architecture}"
    folder="$CARGO_TARGET_DIR/$triple/$profile"
    target=(--target "$triple")
    emulator="$(command -v "qemu-$qemu" || command -v "qemu-$qemu-static")" || fail "qemu-$qemu is missing"
    run=("$emulator" -L "/usr/$gnu")
fi
for binary in gateway pos-sim; do
    [[ -x "$folder/$binary" ]] || fail "$folder/$binary is missing; run deploy/arm/build.sh first"
done

# Generated files go where the package's metadata in gateway/Cargo.toml expects them, whatever the target folder is.
readonly parts=target/package
rm -rf "$parts"
mkdir -p "$parts/scripts" "$parts/man"
"${run[@]}" "$folder/gateway" manual "$parts/man"
cp deploy/debian/pos-sim.1 deploy/debian/*.8 "$parts/man"
mkdir "$parts/completions"
mv "$parts"/man/{gateway.bash,_gateway,gateway.fish} "$parts/completions"
gzip -9n "$parts"/man/*.[18]
deploy/sbom.py package "$triple" | gzip -9n >"$parts/sbom.cdx.json.gz"
key="${COMPTOIR_RELEASE_KEY:-deploy/release.pub}"
if [[ -r "$key" ]]; then
    cp "$key" "$parts/release.pub"
else
    printf 'This package was built without a key for the next version. See comptoir-update(8).\n' >"$parts/release.pub"
fi
# The newest migration is the journal schema of this package. preinst compares it, to refuse a harmful downgrade.
schema="$(find gateway/journal/migrations -name '[0-9]*.sql' -printf '%f\n' | sort | tail -n 1)"
schema="$((10#${schema%%_*}))"
for script in preinst postinst prerm postrm; do
    sed "s/@SCHEMA@/$schema/" "deploy/debian/scripts/$script" >"$parts/scripts/$script"
done

# --no-build: cargo-deb cannot cross compile. --no-strip: the profile has stripped the binaries.
cargo deb -p comptoir-gateway --no-build --no-strip "${target[@]}" --profile "$profile" \
    --deb-revision "${COMPTOIR_REVISION:-1}" --quiet >"$parts/log" 2>&1 || {
    cat "$parts/log" >&2
    fail "cargo-deb failed"
}
grep -v '^$' "$parts/log" >&2 || true
package="$(find "${CARGO_TARGET_DIR:-target}" -name "comptoir-gateway_*_$architecture.deb" -newer "$parts/scripts/postrm" |
    head -n 1)"
[[ -n "$package" ]] || fail "cargo-deb has created no package"
size="$(stat -c %s "$package")"
printf 'package: %s bytes\n' "$size" >&2
((size < 9000000)) || fail "the package has $size bytes; the limit is 9 MB"
printf '%s\n' "$package"
