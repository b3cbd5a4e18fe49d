# shellcheck shell=bash
# Replaces and erases files on the boot partition, which any computer can read. A power cut leaves the old file or the
# new one, and old contents do not stay in free clusters. The card itself may keep copies elsewhere, which nothing here
# can reach.

# Overwrites the clusters of an open file and flushes them. The file may already be unlinked.
overwrite() { # file descriptor
    local -i bytes
    bytes="$(stat --dereference --format %s "/proc/self/fd/$1")"
    # Writing whole clusters would extend the file, so the slack behind its end is not overwritten.
    dd if=/dev/zero of="/proc/self/fd/$1" bs=4096 count="$bytes" iflag=count_bytes conv=notrunc,fsync status=none
}

flush() { # file; the whole file system and the card's cache
    sync --file-system "${1%/*}"
}

# Replaces a file and erases its old contents.
replace_erased() { # new, old
    local held
    cp "$1" "$2.new"
    flush "$2"
    # While the file is open, FAT does not free its old clusters before they are overwritten.
    exec {held}<>"$2"
    mv "$2.new" "$2"
    flush "$2"
    overwrite "$held"
    exec {held}>&-
    flush "$2"
}

erase() { # file
    local held
    [[ -e "$1" ]] || return 0
    exec {held}<>"$1"
    rm "$1"
    flush "$1"
    overwrite "$held"
    exec {held}>&-
    flush "$1"
}

# Prints lines on the screen, and in the system journal.
print_lines() {
    local -a lines
    mapfile -t lines
    printf '%s\n' "${lines[@]}"
    [[ -n "${SETTINGS_ROOT:-}" || ! -w /dev/console ]] || printf 'comptoir: %s\n' "${lines[@]}" >/dev/console || true
}
