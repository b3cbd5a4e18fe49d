#!/usr/bin/env bash
# Tests deploy/image/flash.sh with files in place of cards: a valid, a damaged and a too large image, and a card that
# loses data.
#
#   deploy/test/flash.sh
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "${BASH_SOURCE[0]%/*}/common.sh"
readonly flash="$here/../image/flash.sh"
card() { # size
    head -c "$1" /dev/zero | tr '\0' x >"$work/card"
}
untouched() { [[ -z "$(tr -d x <"$work/card" | head -c 1)" ]]; }
flash() { "$flash" --unsigned "$@" >"$work/output" 2>&1; }
flash_signed() { COMPTOIR_RELEASE_KEY="$work/$1.pub" "$flash" --yes "${@:2}" >"$work/output" 2>&1; }

# Slightly more than 5 MiB, so not a multiple of dd's block size. Random, so that damage always hits data.
head -c 5243904 /dev/urandom >"$work/image.img"
xz -1 --keep "$work/image.img"
readonly image="$work/image.img.xz"

card 8M
flash --yes "$work/card" "$image" || fail "a valid image was refused"
cmp --bytes 5243904 "$work/card" "$work/image.img" || fail "the card holds something else"
[[ "$(stat -c %s "$work/card")" == 8388608 ]] || fail "the card has another size"
grep -q 'contains the image' "$work/output" || fail "success is not reported"

card 8M
! flash "$work/card" "$image" <<<no || fail "a wrong answer was accepted"
untouched || fail "something was written after a wrong answer"
! flash "$work/card" "$image" </dev/null || fail "a missing answer was accepted"
untouched || fail "something was written without an answer"
flash "$work/card" "$image" <<<card || fail "the right answer was refused"
cmp --bytes 5243904 "$work/card" "$work/image.img" || fail "the card holds something else"

card 4M
! flash --yes "$work/card" "$image" || fail "a card that is too small was accepted"
grep -q 'the image needs' "$work/output" || fail "the reason is not reported"
untouched || fail "something was written to a card that is too small"

card 8M
! flash --yes "$work/nothing" "$image" || fail "a missing device was accepted"
! flash --yes "$work" "$image" || fail "a folder was accepted"

cp "$image" "$work/damaged.img.xz"
printf 'damaged' | dd of="$work/damaged.img.xz" bs=1 seek=3000000 conv=notrunc status=none
! flash --yes "$work/card" "$work/damaged.img.xz" || fail "a damaged image was accepted"
! grep -q 'contains the image' "$work/output" || fail "a damaged image is reported as written"
head -c 3000000 "$image" >"$work/cut.img.xz"
! flash --yes "$work/card" "$work/cut.img.xz" || fail "a truncated image was accepted"

# A byte of the card changes after it was written.
mkdir "$work/bin"
cat >"$work/bin/dd" <<END
#!/bin/sh
$(command -v dd) "\$@" && printf x | $(command -v dd) of="$work/card" bs=1 seek=4000001 conv=notrunc status=none
END
chmod +x "$work/bin/dd"
for _ in 1 2; do # one of two random bytes differs from x
    card 8M
    PATH="$work/bin:$PATH" flash --yes "$work/card" "$image" || break
    printf '\0' | dd of="$work/image.img" bs=1 seek=4000001 conv=notrunc status=none
    xz -1 --keep --force "$work/image.img"
done
grep -q 'does not contain what was written' "$work/output" || fail "a card that loses data was accepted"

# ---- signatures ----

for key in release thief; do
    minisign -G -W -f -p "$work/$key.pub" -s "$work/$key.key" >/dev/null
done
card 8M
! flash_signed release "$work/card" "$image" || fail "an image without a signature was accepted"
minisign -S -s "$work/thief.key" -m "$image" >/dev/null
! flash_signed release "$work/card" "$image" || fail "an image with the signature of another key was accepted"
! flash_signed none "$work/card" "$image" || fail "an image was accepted without a key to verify it"
untouched || fail "something was written of an image that was not verified"
minisign -S -s "$work/release.key" -m "$image" >/dev/null
flash_signed release "$work/card" "$image" || fail "a signed image was refused"
cmp --bytes 5243904 "$work/card" "$work/image.img" || fail "the card holds something else"
