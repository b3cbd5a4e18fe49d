#!/usr/bin/env bash
# Signs small packages and updates with them. A stub of apt-get records what would be installed.
#
#   deploy/test/update.sh
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "${BASH_SOURCE[0]%/*}/common.sh"
readonly update="$here/../debian/comptoir-update" sign="$here/../sign.sh"
readonly root="$work/root"
mkdir -p "$work/bin" "$root/etc/comptoir" "$root/usr/share/comptoir"
cat >"$work/bin/apt-get" <<'END'
#!/bin/sh
printf '%s' "$*" | sed 's# /.*##' >"$WORK/arguments"
for last; do :; done
cp "$last" "$WORK/installed.deb"
END
printf '#!/bin/sh\nprintf 0.2.0-1\n' >"$work/bin/dpkg-query"
chmod +x "$work"/bin/*

build() { # package, version; prints the file
    local folder="$work/$1_$2"
    mkdir -p "$folder/DEBIAN"
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: test <test@localhost>\nDescription: test\n' "$1" "$2" \
        >"$folder/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$folder" "$folder.deb" >/dev/null
    printf '%s.deb' "$folder"
}
make_key() { minisign -G -W -f -p "$work/$1.pub" -s "$work/$1.key" >/dev/null; }
sign_with() { # key, files
    COMPTOIR_SIGNING_KEY="$work/$1.key" COMPTOIR_RELEASE_KEY="$work/$1.pub" "$sign" "${@:2}" >/dev/null
}
run() { UPDATE_ROOT="$root" WORK="$work" PATH="$work/bin:$PATH" "$update" "$@" >"$work/output" 2>&1; }
installs() { # arguments of apt-get; arguments
    rm -f "$work/installed.deb"
    run "${@:2}" || fail "refused: ${*:2}"
    cmp -s "${!#}" "$work/installed.deb" || fail "something else was installed: ${*:2}"
    [[ "$(cat "$work/arguments")" == "$1" ]] || fail "apt-get $(cat "$work/arguments")"
}
refuses() { # a part of the message; arguments
    rm -f "$work/installed.deb"
    ! run "${@:2}" || fail "accepted: ${*:2}"
    grep -qF -- "$1" "$work/output" || fail "the message lacks \"$1\""
    [[ ! -e "$work/installed.deb" ]] || fail "installed anyway: ${*:2}"
}

make_key release
make_key thief
new="$(build comptoir-gateway 0.3.0-1)"
old="$(build comptoir-gateway 0.1.0-1)"
other="$(build other 1.0)"

refuses "is not signed" "$new"
sign_with release "$new" "$old" "$other"
printf 'no key\n' >"$root/usr/share/comptoir/release.pub"
refuses "there is no key to verify with" "$new"
cp "$work/release.pub" "$root/usr/share/comptoir/release.pub"
installs install "$new"
run --verify "$new" || fail "the signature is not accepted"
refuses "older than the installed 0.2.0-1" "$old"
installs "install --allow-downgrades" --downgrade "$old"
refuses "is a package of other" "$other"

# Changed, exchanged, and signed by somebody else.
cp "$new" "$work/changed.deb"
cp "$new.minisig" "$work/changed.deb.minisig"
printf x >>"$work/changed.deb"
refuses "was changed after it was signed" "$work/changed.deb"
cp "$old.minisig" "$work/changed.deb.minisig"
cp "$new" "$work/changed.deb"
refuses "is not signed with the key" "$work/changed.deb"
sign_with thief "$work/changed.deb"
refuses "is not signed with the key" "$work/changed.deb"
refuses "is not signed with the key" --verify "$work/changed.deb"
# A shop that builds its own packages.
cp "$work/thief.pub" "$root/etc/comptoir/release.pub"
installs install "$work/changed.deb"
refuses "is not signed with the key" "$new"

! COMPTOIR_SIGNING_KEY="$work/thief.key" COMPTOIR_RELEASE_KEY="$work/release.pub" "$sign" "$new" >"$work/output" 2>&1 ||
    fail "signed with a key that no machine has"
