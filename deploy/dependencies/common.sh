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
# Debian installs daemons into folders that are only on root's PATH.
has_service() { has "$1" || [[ -x "/usr/sbin/$1" || -x "/usr/local/sbin/$1" ]]; }

at_least() { [[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" == "$2" ]]; } # version, minimum

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

# The missing tools: their names for messages, and their Debian packages, at equal indices.
declare -a tools=() packages=()
missing() { # name, package
    tools+=("$1")
    packages+=("$2")
}
