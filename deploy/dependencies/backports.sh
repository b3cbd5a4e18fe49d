# shellcheck shell=bash
# QEMU from Debian's backports. Debian 12's own QEMU does not emulate a Raspberry Pi 4. All of QEMU's packages must have
# the same version, so those that are installed later come from the backports, too. The machine's own package sources
# are not changed.

readonly least_qemu=1:9

backports_list=
add_backports_for_qemu() { # packages
    local version uri release origin component
    [[ " $* " == *" qemu-system-"* ]] || return 0
    version="$(dpkg-query -W -f '${Version}' qemu-system-common 2>/dev/null)" || true
    if [[ "$version" != *~bpo* ]]; then
        [[ " $* " == *" qemu-system-arm "* ]] || return 0
        version="$(candidate qemu-system-arm)" || true
        dpkg --compare-versions "${version:-0}" lt "$least_qemu" || return 0
    fi
    backports_list="$(mktemp)"
    chmod 644 "$backports_list"
    [[ ! -e /etc/apt/sources.list ]] || cat /etc/apt/sources.list >"$backports_list"
    # shellcheck source=/dev/null
    read -r uri release < <(
        . /etc/os-release
        apt-get indextargets --format "\$(REPO_URI) \$(RELEASE) \$(ORIGIN) \$(COMPONENT)" 'Created-By: Packages' |
            while read -r uri release origin component; do
                [[ "$release $origin $component" != "$VERSION_CODENAME Debian main" ]] || printf '%s %s-backports\n' "$uri" "$release"
            done | head -n 1
    ) || fail "QEMU 9 or later is needed, and this system's package sources are not Debian's; please install it"
    printf 'deb %s %s main\n' "$uri" "$release" >>"$backports_list"
    apt_options=(-o "Dir::Etc::SourceList=$backports_list" --target-release "$release")
    as_root apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o "Dir::Etc::SourceList=$backports_list" -qq update </dev/null ||
        fail "QEMU 9 or later is needed, and $release cannot be read from $uri"
}

remove_backports_list() { [[ -z "$backports_list" ]] || rm -f "$backports_list"; }
