# shellcheck shell=bash
# PostgreSQL without a system cluster. Debian's package creates the cluster `main` and starts it at once and at every
# boot. The tests make their own clusters on free ports, so a PostgreSQL that is installed for them gets none.
#
# It is installed, and not unpacked into the cache like nginx, for two reasons: its programs need many libraries, and
# tests that run as root start it as another user, who has no access to root's cache.

readonly least_postgresql=15
readonly cluster_settings=/etc/postgresql-common/createcluster.d
readonly no_cluster="$cluster_settings/comptoir.conf"

has_postgresql() { # a server of any sufficient version, with psql
    local folder version
    # Debian installs each version outside the PATH.
    for folder in /usr/lib/postgresql/*; do
        if at_least "${folder##*/}" "$least_postgresql" &&
            [[ -x "$folder/bin/initdb" && -x "$folder/bin/postgres" && -x "$folder/bin/psql" ]]; then
            return
        fi
    done
    # "postgres (PostgreSQL) 17.6"
    has initdb postgres psql && read -r _ _ version _ < <(postgres --version) && at_least "$version" "$least_postgresql"
}

# Prints the server's package, for example postgresql-15. The package "postgresql" depends on it, but with an upgrade to
# the next Debian it would also install that release's server, with a cluster.
postgresql_package() {
    local package
    package="$(LC_ALL=C apt-cache depends --important postgresql 2>/dev/null |
        sed -n 's/^ *Depends: \(postgresql-[0-9]*\)$/\1/p' | head -n 1)" || true
    printf '%s\n' "${package:-postgresql}"
}

forbid_main_cluster() {
    # mosquitto.sh may have set a trap of its own.
    trap 'remove_policy; allow_main_cluster' EXIT
    # The user postgres reads the files in these folders, whatever this shell's umask is.
    (umask 022 && as_root mkdir -p "$cluster_settings")
    printf '# comptoir: for the time of one apt-get\ncreate_main_cluster = false\n' | as_root tee "$no_cluster" >/dev/null
}

# Another version that is installed later gets a cluster as usual.
allow_main_cluster() {
    [[ -e "$no_cluster" ]] || return 0
    as_root rm -f "$no_cluster"
    as_root rmdir --ignore-fail-on-non-empty "$cluster_settings" "${cluster_settings%/*}"
}
