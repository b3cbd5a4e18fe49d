# shellcheck shell=bash
# The tools for building, testing and flashing on this machine.

readonly least_java=17

look_for_build_tools() {
    has cc c++ make || missing "a C and C++ compiler with make" build-essential
    # Debian's perl-base is always installed, and lacks the modules that OpenSSL's Configure loads.
    perl -MIPC::Cmd -MFindBin -MFile::Compare -e 1 2>/dev/null || missing "perl with its standard modules" perl
    has pkg-config || missing pkg-config pkg-config
    has git || missing git git
    [[ -e /etc/ssl/certs/ca-certificates.crt || ! -e /etc/debian_version ]] || missing "CA certificates" ca-certificates
}

# Builds that stay on this machine link the system's OpenSSL, which saves compiling the bundled one.
look_for_run_tools() {
    ! is_debian || pkg-config --exists 'openssl >= 3' 2>/dev/null || missing "OpenSSL's development files" libssl-dev
}

java_version() {
    local line
    line="$(java -version 2>&1 | grep -m 1 -o 'version "[0-9.]*')" || return 1
    printf '%s\n' "${line#version \"}" # "1.8.0" before Java 9, "17.0.15", "21"
}

look_for_test_tools() {
    local version
    if ! version="$(java_version)" || ! at_least "$version" "$least_java"; then
        missing "a Java runtime $least_java or later" default-jre-headless
    fi
    has mvn || missing "Maven" maven
    has strace || missing strace strace
    has kcat || missing kcat kcat
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing "Python's venv" python3-venv
    has chromium || missing Chromium chromium
    has_postgresql || missing "PostgreSQL $least_postgresql or later" postgresql
}

# Most browser tests take a quarter less time in Chromium without a window. They can do without it, for example where
# Chromium is not Debian's.
look_for_headless_shell() {
    if has chromium-headless-shell || ! is_debian || ! candidate chromium-headless-shell >/dev/null; then
        return 0
    fi
    # A subshell, because a failure ends it.
    (apt_install chromium-headless-shell) || say "continuing without it"
}

# Another Python may come first on the PATH than the one for which Debian's package is.
has_python_yaml() { python3 -c 'import yaml' 2>/dev/null || /usr/bin/python3 -c 'import yaml' 2>/dev/null; }

look_for_operations_tools() {
    has_service mosquitto || missing "Mosquitto 2" mosquitto
    has mosquitto_pub mosquitto_sub || missing "Mosquitto's clients" mosquitto-clients
    has shellcheck || missing shellcheck shellcheck
    has openssl || missing openssl openssl
    has minisign || missing minisign minisign
    has_service nft || missing nftables nftables
    has systemd-analyze || missing systemd-analyze systemd
    has python3 || missing "Python 3" python3
    has_python_yaml || missing "Python's YAML" python3-yaml
    has xz || missing xz xz-utils
}

look_for_flash_tools() {
    has xz || missing xz xz-utils
    has pv || missing "pv, for a progress bar" pv
}
