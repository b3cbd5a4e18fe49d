#!/usr/bin/env bash
# Makes the Debian package comptoir-gateway of binaries that are built already, or builds them for this machine first.
#
#   deploy/debian/build.sh [amd64|arm64|armhf]     default: this machine's architecture
#
# For arm64 and armhf, deploy/arm/build.sh arm64|armv7 comes first. Prints the package's path.
#
# COMPTOIR_PROFILE    Cargo's profile (dist)
# COMPTOIR_REVISION   the package's own number after the gateway's version (1)
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
*) fail "$architecture: amd64, arm64 or armhf" ;;
esac
# Where cargo install puts it, last.
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
command -v cargo-deb >/dev/null || fail "cargo-deb is missing: deploy/install-dependencies.sh package"

cd "$top"
declare -a target=()
if [[ "$architecture" == "$native" ]]; then
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
    [[ -x "$folder/$binary" ]] || fail "$folder/$binary is missing: build it first"
done

# What is made for the package stands where its metadata look for it, whatever the target folder is.
readonly parts=target/package
rm -rf "$parts"
mkdir -p "$parts/scripts" "$parts/man"
"${run[@]}" "$folder/gateway" manual "$parts/man"
cp deploy/debian/pos-sim.1 deploy/debian/*.8 "$parts/man"
mkdir "$parts/completions"
mv "$parts"/man/{gateway.bash,_gateway,gateway.fish} "$parts/completions"
gzip -9n "$parts"/man/*.[18]
# The newest migration is the schema that this package knows: compared before an older one replaces a newer.
schema="$(find gateway/migrations/journal -name '[0-9]*.sql' -printf '%f\n' | sort | tail -n 1)"
schema="$((10#${schema%%_*}))"
for script in preinst postinst prerm postrm; do
    sed "s/@SCHEMA@/$schema/" "deploy/debian/scripts/$script" >"$parts/scripts/$script"
done

# --no-build: its own way of building knows nothing of cross compilers. --no-strip: the profile has done that.
cargo deb -p comptoir-gateway --no-build --no-strip "${target[@]}" --profile "$profile" \
    --deb-revision "${COMPTOIR_REVISION:-1}" --quiet >"$parts/log" 2>&1 || {
    cat "$parts/log" >&2
    fail "cargo-deb failed"
}
grep -v '^$' "$parts/log" >&2 || true
package="$(find "${CARGO_TARGET_DIR:-target}" -name "comptoir-gateway_*_$architecture.deb" -newer "$parts/scripts/postrm" |
    head -n 1)"
[[ -n "$package" ]] || fail "cargo-deb has made no package"
size="$(stat -c %s "$package")"
printf 'package: %s bytes\n' "$size" >&2
((size < 8000000)) || fail "it is to stay below 8 MB"
printf '%s\n' "$package"
