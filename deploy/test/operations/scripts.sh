# shellcheck shell=bash
# Scripts: shellcheck, --help, and the tests of single scripts.

if has shellcheck; then
    mapfile -t scripts < <(grep -rlE -m 1 '^#!.*\b(bash|sh)$' deploy .ci | grep -v '^deploy/container/healthy$' | sort)
    try "shellcheck of ${#scripts[@]} scripts" shellcheck --external-sources --check-sourced "${scripts[@]}"
else
    skip "shellcheck is not installed" shellcheck
fi
# --help must work for every script, also for those without arguments, and must do nothing else.
for script in deploy/arm/*.sh deploy/image/*.sh deploy/debian/build.sh deploy/debian/{repack,test}.sh deploy/sign.sh deploy/sbom.py deploy/debian/comptoir-*[a-z] \
    deploy/kafka/*.sh deploy/office/{password,shop-keys} deploy/systemd/backoff deploy/mosquitto/mqtt-certificate deploy/image/files/usr/lib/comptoir/*; do
    [[ "$script" == *.8 || ! -x "$script" ]] || try "$script --help" "$script" --help
done

for script in boot-files flash backoff update; do
    try "deploy/test/$script.sh" "deploy/test/$script.sh"
done
# On a simulated ARM machine: mounts end with the command.
arm_mounts() {
    mkdir -p "$work/arm/bin" "$work/arm/mounted"
    printf '#!/bin/sh\necho aarch64\n' >"$work/arm/bin/uname"
    chmod +x "$work/arm/bin/uname"
    PATH="$work/arm/bin:$PATH" deploy/arm/with-arm.sh sh -c "mount -t tmpfs none '$work/arm/mounted' && touch '$work/arm/mounted/x'"
    [[ ! -e "$work/arm/mounted/x" ]] && ! grep -q "$work/arm" /proc/self/mountinfo
}
if unshare --mount true 2>/dev/null; then
    try "with-arm.sh leaves no mounts behind" arm_mounts
else
    skip "with-arm.sh: namespaces need root rights"
fi
