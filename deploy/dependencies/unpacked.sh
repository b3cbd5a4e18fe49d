# shellcheck shell=bash
# Single programs from Debian packages that are not installed, because installing them would start a server.

unpack() { # program, path in the package, Debian's package
    local program="$1" path="$2" package="$3" folder="$cache/$1" work
    ! has_service "$program" || return 0
    [[ ! -x "$folder/$path" ]] || return 0
    is_debian || fail "$program is needed; please install it"
    work="$(mktemp -d)"
    update_lists "$package"
    say "unpacking $program into $folder"
    if ! (cd "$work" && apt-get -qq -o "APT::Sandbox::User=$(id -un)" -o Acquire::Retries=3 download "$package" &&
        dpkg -x "$package"_*.deb root) >&2; then
        rm -rf "$work"
        fail "the package $package, for $program, cannot be downloaded"
    fi
    mkdir -p "$folder/${path%/*}"
    mv "$work/root/$path" "$folder/$path"
    rm -rf "$work"
}
