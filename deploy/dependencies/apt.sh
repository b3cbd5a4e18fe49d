# shellcheck shell=bash
# Installing Debian packages.

is_debian() { has apt-get && has dpkg; }
is_installed() { [[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]; }

candidate() { # package; prints the version that apt would install
    local version
    has apt-cache || return 1
    version="$(LC_ALL=C apt-cache policy "$1" | sed -n 's/^  Candidate: //p')"
    [[ -n "$version" && "$version" != "(none)" ]] && printf '%s\n' "$version"
}

has_new_lists=
update_lists() { # packages, for the error message
    [[ -z "$has_new_lists" ]] || return 0
    ((EUID == 0)) || has sudo || fail "root rights or sudo are needed; as root, run: apt-get install $*"
    say "reading the package lists"
    # An unreachable source may not matter: apt-get install names what it does not find.
    as_root apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq update </dev/null ||
        say "apt-get update had errors; continuing with the existing package lists"
    has_new_lists=yes
}

# Options that backports.sh sets.
declare -a apt_options=()

apt_install() { # packages
    local log
    say "installing with apt-get: $*"
    log="$(mktemp)"
    # --no-remove: never remove a package that somebody has chosen to install.
    if as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
        "${apt_options[@]}" install --no-install-recommends --no-remove -y "$@" </dev/null >"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 30 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install: $*"
    fi
}

install_packages() { # installs all of $packages
    local package index new_mosquitto= new_postgresql=
    local -a absent=()
    update_lists "${packages[@]}"
    for index in "${!packages[@]}"; do
        [[ "${packages[index]}" == postgresql ]] || continue
        packages[index]="$(postgresql_package)"
        new_postgresql=yes
    done
    for package in "${packages[@]}"; do
        candidate "$package" >/dev/null || absent+=("$package")
        [[ "$package" != mosquitto ]] || new_mosquitto=yes
    done
    ((${#absent[@]} == 0)) || fail "this system's package sources lack: ${absent[*]}"
    [[ -z "$new_mosquitto" ]] || forbid_mosquitto_start
    [[ -z "$new_postgresql" ]] || forbid_main_cluster
    add_backports_for_qemu "${packages[@]}"
    apt_install "${packages[@]}"
    remove_backports_list
    allow_main_cluster
    if [[ -n "$new_mosquitto" ]]; then
        disable_mosquitto
        say "Mosquitto is installed and its service is off; to turn it on: systemctl enable --now mosquitto"
    fi
}
