# shellcheck shell=bash
# Rust's standard library for arm64, from Debian's archive.

# Unpacks the package into the cache, with package lists of its own, so that the machine's dpkg needs no foreign
# architecture. Prints the folder. Fails if the archive does not have the version of the installed compiler.
arm64_sysroot() {
    local version folder work
    version="$(dpkg-query -W -f '${Version}' rustc-web)" || return 1
    folder="$cache/rust-std-$version-arm64"
    if [[ ! -d "$folder" ]]; then
        mkdir -p "$cache"
        work="$(mktemp -d "$cache/rust-std.XXXXXX")"
        mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
        local -a apt=(apt-get -qq -o "Dir::State=$work/state" -o "Dir::Cache=$work/cache" -o Acquire::Retries=3
            -o Dir::State::status=/var/lib/dpkg/status -o APT::Architectures::=arm64 -o "APT::Sandbox::User=$(id -un)"
            -o "APT::Architectures::=$(dpkg --print-architecture)" -o Acquire::Languages=none)
        say "fetching Rust's standard library for arm64, $version"
        if ! "${apt[@]}" update >&2 || ! (cd "$work" && "${apt[@]}" download "libstd-rust-web-dev:arm64=$version") >&2; then
            rm -rf "$work"
            return 1
        fi
        dpkg -x "$work"/libstd-rust-web-dev_*_arm64.deb "$work/root"
        mv "$work/root" "$folder"
        rm -rf "$work"
    fi
    printf '%s/usr' "$folder"
}
