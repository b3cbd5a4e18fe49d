#!/usr/bin/env bash
# Writes small images to files with deploy/image/flash.sh: good, damaged, too large; and to a card that does not keep
# what it is given.
#
#   deploy/test/flash.sh
set -euo pipefail

here="$(cd "${BASH_SOURCE[0]%/*}" && pwd)"
case "${1:-}" in
"") ;;
*)
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    [[ "$1" == --help || "$1" == -h ]] && exit 0 || exit 2
    ;;
esac
readonly flash="$here/../image/flash.sh"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
fail() {
    printf 'flash: %s\n' "$*" >&2
    sed 's/^/    /' "$work/said" >&2
    exit 1
}
card() { # size
    head -c "$1" /dev/zero | tr '\0' x >"$work/card"
}
untouched() { [[ -z "$(tr -d x <"$work/card" | head -c 1)" ]]; }
flash() { "$flash" "$@" >"$work/said" 2>&1; }

# 5 MiB and a bit: not a whole number of dd's blocks. Random, so that a damaged place is one of the data.
head -c 5243904 /dev/urandom >"$work/image.img"
xz -1 --keep "$work/image.img"
readonly image="$work/image.img.xz"

card 8M
flash --yes "$work/card" "$image" || fail "a good image was refused"
cmp --bytes 5243904 "$work/card" "$work/image.img" || fail "the card holds something else"
[[ "$(stat -c %s "$work/card")" == 8388608 ]] || fail "the card has another size"
grep -q 'holds the image' "$work/said" || fail "it does not say so"

card 8M
! flash "$work/card" "$image" <<<no || fail "a wrong answer was taken"
untouched || fail "something was written after a wrong answer"
! flash "$work/card" "$image" </dev/null || fail "no answer was taken"
untouched || fail "something was written without an answer"
flash "$work/card" "$image" <<<card || fail "the right answer was refused"
cmp --bytes 5243904 "$work/card" "$work/image.img" || fail "the card holds something else"

card 4M
! flash --yes "$work/card" "$image" || fail "too small a card was taken"
grep -q 'the image needs' "$work/said" || fail "it does not say why"
untouched || fail "something was written to a card that is too small"

card 8M
! flash --yes "$work/nothing" "$image" || fail "a device that is not there was taken"
! flash --yes "$work" "$image" || fail "a folder was taken"

cp "$image" "$work/damaged.img.xz"
printf 'damaged' | dd of="$work/damaged.img.xz" bs=1 seek=3000000 conv=notrunc status=none
! flash --yes "$work/card" "$work/damaged.img.xz" || fail "a damaged image was taken"
! grep -q 'holds the image' "$work/said" || fail "it praises a damaged image"
head -c 3000000 "$image" >"$work/cut.img.xz"
! flash --yes "$work/card" "$work/cut.img.xz" || fail "an image that was cut off was taken"

# One bit of it turns after it was written.
mkdir "$work/bin"
cat >"$work/bin/dd" <<END
#!/bin/sh
$(command -v dd) "\$@" && printf x | $(command -v dd) of="$work/card" bs=1 seek=4000001 conv=notrunc status=none
END
chmod +x "$work/bin/dd"
for _ in 1 2; do # one of two random bytes is no x
    card 8M
    PATH="$work/bin:$PATH" flash --yes "$work/card" "$image" || break
    printf '\0' | dd of="$work/image.img" bs=1 seek=4000001 conv=notrunc status=none
    xz -1 --keep --force "$work/image.img"
done
grep -q 'does not hold what was written' "$work/said" || fail "a card that forgets was praised"
