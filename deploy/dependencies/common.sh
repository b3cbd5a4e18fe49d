# shellcheck shell=bash
# Messages, comparisons, and the list of what is missing.

say() { printf 'install-dependencies: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

has() { # all of these commands
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null 2>&1 || return 1
    done
}
# Debian installs daemons where only root's PATH leads.
has_service() { has "$1" || [[ -x "/usr/sbin/$1" || -x "/usr/local/sbin/$1" ]]; }

at_least() { [[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" == "$2" ]]; } # version, minimum

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

# What is missing: names for people, and Debian's packages. Equal indices belong together.
declare -a tools=() packages=()
missing() { # name, package
    tools+=("$1")
    packages+=("$2")
}
