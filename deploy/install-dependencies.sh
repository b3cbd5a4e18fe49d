#!/usr/bin/env bash
# Installs what is missing to build, check or test Comptoir. Does nothing, and says nothing, when all is there.
#
#   run    a C and C++ compiler, make, perl (OpenSSL's build is written in it), pkg-config, git, certificates, Rust,
#          Node.js and npm (for the pages)
#   lint   the same, rustfmt and Clippy
#   test   the same as run, Mosquitto and its clients, Java 17 or later, Maven (for Kafka's jars), strace, kcat,
#          Python's venv, Chromium, nginx; what is for operations
#   operations   what checks deploy/ without building anything: shellcheck, promtool, Mosquitto and its clients
#   flash  xz, and pv for its progress bar
#   arm    the same as run, C cross compilers for arm64 and armv7, QEMU's user mode; Debian's second Rust with its source,
#          unless rustup has both targets
#   package   the same as run, cargo-deb
#   image  the same as arm, what makes an image without root's devices: mmdebstrap, mtools, sfdisk, e2fsprogs, dtc, xz,
#          QEMU 9 or later (on Debian 12 from its backports)
#   firmware [BOARD]  a Rust for bare metal: rustup's target, else Debian's second Rust with its source, and a linker; for
#          the board qemu-riscv, which is meant unless another is named, QEMU for RISC-V and Mosquitto
#
# Debian 12 or later, Raspberry Pi OS and their like: by apt-get, through sudo unless root. Elsewhere it names the tools.
set -euo pipefail

readonly top="${BASH_SOURCE[0]%/*}/.."
readonly least_java=17
# For the pages' build tools. Debian 12's own is older; npm's registry carries newer ones, which go into the cache.
readonly least_node=20.19
readonly newer_node=22
readonly cache="${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/comptoir}"
readonly node_cache="$cache/node"

# rustup's own place: a shell that is not a login shell may not have it on its PATH.
PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"

say() { printf 'install-dependencies: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}
has() { # all of them
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null 2>&1 || return 1
    done
}
at_least() { [[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" == "$2" ]]; } # version, wanted

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

# ---- what is missing ----

declare -a tools=() packages=()

# The tool's name for people, Debian's package of it.
missing() {
    tools+=("$1")
    packages+=("$2")
}

look_for_build_tools() {
    has cc c++ make || missing "a C and C++ compiler with make" build-essential
    # Debian's minimal perl is always there, and lacks the modules that OpenSSL's Configure loads.
    perl -MIPC::Cmd -MFindBin -MFile::Compare -e 1 2>/dev/null || missing "perl with its standard modules" perl
    has pkg-config || missing pkg-config pkg-config
    has git || missing git git
    [[ -e /etc/ssl/certs/ca-certificates.crt || ! -e /etc/debian_version ]] ||
        missing "certificates of the authorities" ca-certificates
}

java_version() {
    local line
    line="$(java -version 2>&1 | grep -m 1 -o 'version "[0-9.]*')" || return 1
    printf '%s\n' "${line#version \"}" # "1.8.0" of old, "17.0.15", "21"
}

# Debian keeps programs for services where only root's PATH leads.
has_service() { has "$1" || [[ -x "/usr/sbin/$1" || -x "/usr/local/sbin/$1" ]]; }

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
}

look_for_operations_tools() {
    has_service mosquitto || missing "Mosquitto 2" mosquitto
    has mosquitto_pub mosquitto_sub || missing "Mosquitto's clients" mosquitto-clients
    has shellcheck || missing shellcheck shellcheck
    has systemd-analyze || missing systemd-analyze systemd
    has python3 || missing "Python 3" python3
    has xz || missing xz xz-utils
}

# Unpacked, not installed: Debian's packages of these would start a server.
look_for_unpacked() { # program, path in the package, Debian's package
    local program="$1" path="$2" package="$3" folder="$cache/$1" work
    ! has_service "$program" || return 0
    [[ ! -x "$folder/$path" ]] || return 0
    is_debian || fail "$program is needed: please install it"
    work="$(mktemp -d)"
    update_lists "$package"
    say "unpacking $program into $folder"
    if ! (cd "$work" && apt-get -qq -o "APT::Sandbox::User=$(id -un)" -o Acquire::Retries=3 download "$package" &&
        dpkg -x "$package"_*.deb root) >&2; then
        rm -rf "$work"
        fail "$program could not be had"
    fi
    mkdir -p "$folder/${path%/*}"
    mv "$work/root/$path" "$folder/$path"
    rm -rf "$work"
}

look_for_flash_tools() {
    has xz || missing xz xz-utils
    has pv || missing "pv, for a progress bar" pv
}

look_for_arm_tools() {
    local architecture
    for architecture in aarch64-linux-gnu arm-linux-gnueabihf; do
        has "$architecture-gcc" || missing "a C cross compiler, $architecture" "gcc-$architecture"
        has "$architecture-g++" || missing "a C++ cross compiler, $architecture" "g++-$architecture"
    done
    [[ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ]] || missing "arm64's C library" libc6-dev-arm64-cross
    [[ -e /usr/arm-linux-gnueabihf/lib/libc.so.6 ]] || missing "armv7's C library" libc6-dev-armhf-cross
    # The static one: it can stand for a foreign program inside another root.
    has qemu-aarch64-static qemu-arm-static || missing "QEMU's user mode" qemu-user-static
    if has rustup && [[ "$(rustup target list --installed 2>/dev/null |
        grep -cxE 'aarch64-unknown-linux-gnu|armv7-unknown-linux-gnueabihf')" == 2 ]]; then
        return
    fi
    [[ -x /usr/bin/rustc && -x /usr/bin/cargo ]] || {
        missing "Debian's Rust" rustc-web
        missing "Debian's Cargo" cargo-web
    }
    compgen -G '/usr/src/rustc-*/library/Cargo.toml' >/dev/null || missing "Rust's source" rust-web-src
    # rustup's toolchains bring theirs. Debian 12's lld is 14, which does not, and it has later ones beside.
    if ! compgen -G '/usr/lib/llvm-1[5-9]/bin/ld.lld' >/dev/null && ! compgen -G '/usr/lib/llvm-[2-9][0-9]/bin/ld.lld' >/dev/null; then
        missing "a linker that packs relocations" lld-19
    fi
}

look_for_image_tools() {
    has mmdebstrap arch-test || {
        missing mmdebstrap mmdebstrap
        missing "mmdebstrap's look at foreign architectures" arch-test
    }
    has mcopy mformat || missing mtools mtools
    has_service mkfs.vfat || missing mkfs.vfat dosfstools
    has_service mke2fs || missing mke2fs e2fsprogs
    has_service sfdisk || missing sfdisk fdisk
    has xz || missing xz xz-utils
    has dtc fdtoverlay || missing "the device tree compiler" device-tree-compiler
    # Since 9.0.
    [[ "$(qemu-system-aarch64 -machine help 2>/dev/null)" == *raspi4b* ]] ||
        missing "QEMU for arm64 with a Raspberry Pi 4" qemu-system-arm
}

target_of_board() { # Rust's name for the board's processor
    case "$board" in
    qemu-riscv) printf 'riscv32imac-unknown-none-elf\n' ;;
    esp32c3) printf 'riscv32imc-unknown-none-elf\n' ;;
    *) return 1 ;;
    esac
}

rust_sysroot() { rustc --print sysroot 2>/dev/null; }
has_bare_metal() { [[ -d "$(rust_sysroot)/lib/rustlib/$bare_metal/lib" ]]; }

look_for_firmware_tools() {
    if [[ "$board" == qemu-riscv ]]; then
        has qemu-system-riscv32 || missing "QEMU for RISC-V" qemu-system-misc
        has_service mosquitto || missing "Mosquitto 2" mosquitto
    fi
    ! has_bare_metal || return 0
    # Debian's Rust builds core from its source. It stands beside rustup's, which stays first on the PATH.
    local -a debians=()
    if ! is_installed rustc-web || ! is_installed cargo-web || ! is_installed rust-web-src; then
        # All of them, so that they are of one version.
        debians+=("a Rust for $bare_metal" rustc-web "its Cargo" cargo-web "the source of its core" rust-web-src)
    fi
    # rustup's toolchains have a linker for it, Debian's has none.
    compgen -G "$(rust_sysroot)/lib/rustlib/*/bin/rust-lld" >/dev/null || has ld.lld || debians+=("a linker for it" lld)
    ((${#debians[@]} > 0)) || return 0
    if add_bare_metal; then
        return
    fi
    local at
    for ((at = 0; at < ${#debians[@]}; at += 2)); do
        missing "${debians[at]}" "${debians[at + 1]}"
    done
}

# Whoever has rustup gets its target from there, if it can be reached.
add_bare_metal() {
    if ! has rustup || ! rustup show active-toolchain >/dev/null 2>&1; then
        return 1
    fi
    say "adding to rustup's toolchain: $bare_metal"
    # Without the network it would wait for minutes.
    timeout 120 rustup target add "$bare_metal" </dev/null >&2 && has_bare_metal
}

# ---- apt ----

is_debian() { has apt-get && has dpkg; }
is_installed() { [[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]; }

candidate() {
    local version
    has apt-cache || return 1
    version="$(LC_ALL=C apt-cache policy "$1" | sed -n 's/^  Candidate: //p')"
    [[ -n "$version" && "$version" != "(none)" ]] && printf '%s\n' "$version"
}

lists_are_new=
update_lists() { # for these packages
    [[ -z "$lists_are_new" ]] || return 0
    ((EUID == 0)) || has sudo || fail "neither root nor sudo; as root, run: apt-get install $*"
    # A source that cannot be reached need not matter: apt-get install says what it does not find.
    as_root apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq update </dev/null ||
        say "apt-get update had errors; going on with the package lists that are there"
    lists_are_new=yes
}

# Debian 12's own QEMU has no Raspberry Pi 4; the one of its backports does. All of QEMU's packages are of one version, so
# what is installed later comes from there, too. The machine's own package sources stay as they are.
readonly least_qemu=1:9
declare -a apt_from=()
apt_list=
backports_for_qemu() { # packages
    local version uri release origin component
    [[ " $* " == *" qemu-system-"* ]] || return 0
    version="$(dpkg-query -W -f '${Version}' qemu-system-common 2>/dev/null)" || true
    if [[ "$version" != *~bpo* ]]; then
        [[ " $* " == *" qemu-system-arm "* ]] || return 0
        version="$(candidate qemu-system-arm)" || true
        dpkg --compare-versions "${version:-0}" lt "$least_qemu" || return 0
    fi
    apt_list="$(mktemp)"
    chmod 644 "$apt_list"
    [[ ! -e /etc/apt/sources.list ]] || cat /etc/apt/sources.list >"$apt_list"
    # shellcheck source=/dev/null
    read -r uri release < <(
        . /etc/os-release
        apt-get indextargets --format "\$(REPO_URI) \$(RELEASE) \$(ORIGIN) \$(COMPONENT)" 'Created-By: Packages' |
            while read -r uri release origin component; do
                [[ "$release $origin $component" != "$VERSION_CODENAME Debian main" ]] || printf '%s %s-backports\n' "$uri" "$release"
            done | head -n 1
    ) || fail "QEMU 9 or later is needed, and this system's package sources are not Debian's: please install it"
    printf 'deb %s %s main\n' "$uri" "$release" >>"$apt_list"
    apt_from=(-o "Dir::Etc::SourceList=$apt_list" --target-release "$release")
    as_root apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o "Dir::Etc::SourceList=$apt_list" -qq update </dev/null ||
        fail "QEMU 9 or later is needed, and $release cannot be read from $uri"
}

apt_install() {
    local log
    say "installing by apt-get: $*"
    log="$(mktemp)"
    # --no-remove: what somebody has chosen to install is not taken away for this.
    if as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
        "${apt_from[@]}" install --no-install-recommends --no-remove -y "$@" </dev/null >"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 30 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install: $*"
    fi
}

# Debian's Mosquitto starts itself, now and at every boot, on the port that a shop's own broker may need. The tests
# start their own on free ports: so a Mosquitto that comes with them stays off.
readonly policy=/usr/sbin/policy-rc.d

refuse_mosquitto_start() {
    # Whoever has a policy of their own keeps it; what it lets start is stopped afterwards.
    [[ ! -e "$policy" ]] || return 0
    trap 'allow_starts' EXIT
    # shellcheck disable=SC2016 # $1 is the policy's
    printf '#!/bin/sh\n# comptoir: for the time of one apt-get\ncase "$1" in mosquitto*) exit 101 ;; esac\nexit 0\n' |
        as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

allow_starts() {
    if grep -qs '^# comptoir:' "$policy"; then
        as_root rm -f "$policy"
    fi
}

turn_mosquitto_off() {
    allow_starts
    if [[ -d /run/systemd/system ]]; then
        as_root systemctl --quiet disable --now mosquitto.service
        return
    fi
    if has_service invoke-rc.d; then
        as_root env PATH="$PATH:/usr/sbin:/sbin" invoke-rc.d --quiet mosquitto stop >/dev/null 2>&1 || true
    fi
    # Without systemd at work (a container, a chroot, sysvinit) this sets the links of both for a later boot.
    as_root env PATH="$PATH:/usr/sbin:/sbin" update-rc.d mosquitto disable >/dev/null 2>&1 || true
}

install_packages() {
    local package fresh_mosquitto=
    local -a absent=()
    update_lists "${packages[@]}"
    for package in "${packages[@]}"; do
        candidate "$package" >/dev/null || absent+=("$package")
        [[ "$package" != mosquitto ]] || fresh_mosquitto=yes
    done
    ((${#absent[@]} == 0)) || fail "this system's package sources lack: ${absent[*]}"
    [[ -z "$fresh_mosquitto" ]] || refuse_mosquitto_start
    backports_for_qemu "${packages[@]}"
    apt_install "${packages[@]}"
    [[ -z "$apt_list" ]] || rm -f "$apt_list"
    if [[ -n "$fresh_mosquitto" ]]; then
        turn_mosquitto_off
        say "Mosquitto is installed and its service off; to have it: systemctl enable --now mosquitto"
    fi
}

# ---- Rust ----

wanted_rust() { sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$top/Cargo.toml"; }

rust_version() { # of what is on the PATH; nothing if it does not run, as rustup's commands without a toolchain
    local version
    has cargo && cargo --version >/dev/null 2>&1 && has rustc && version="$(rustc --version 2>/dev/null)" || return 1
    version="${version#rustc }"
    printf '%s\n' "${version%% *}"
}

look_for_rust() {
    local wanted found offered rival hint
    wanted="$(wanted_rust)"
    if found="$(rust_version)" && at_least "$found" "$wanted"; then
        return
    fi
    hint="Rust $wanted or later is needed${found:+ ($found is there)}: install it with rustup"
    is_debian || fail "$hint"
    # Debian carries a second, current Rust, for its browsers. It cannot stand beside another of Debian's.
    for rival in rustup rustc cargo; do
        ! is_installed "$rival" || fail "$hint; Debian's package $rival keeps its newer one (rustc-web) away"
    done
    update_lists rustc-web cargo-web
    if ! offered="$(candidate rustc-web)" || ! at_least "$offered" "$wanted"; then
        fail "$hint"
    fi
    apt_install rustc-web cargo-web
    hash -r
    found="$(rust_version)" || fail "the installed Rust does not run"
    at_least "$found" "$wanted" || fail "$hint; another one comes first on the PATH: $(command -v rustc)"
}

look_for_rust_linters() {
    local -a components=() debians=()
    if ! cargo fmt --version >/dev/null 2>&1; then
        components+=(rustfmt)
        debians+=(rustfmt-web)
    fi
    if ! cargo clippy --version >/dev/null 2>&1; then
        components+=(clippy)
        debians+=(rust-web-clippy)
    fi
    ((${#components[@]} > 0)) || return 0
    if has rustup && rustup show active-toolchain >/dev/null 2>&1; then
        say "adding to rustup's toolchain: ${components[*]}"
        rustup component add "${components[@]}" </dev/null >&2
    elif is_debian && is_installed rustc-web; then
        update_lists "${debians[@]}"
        # Named again so that all of them move to one version, should a newer one be out.
        apt_install rustc-web cargo-web "${debians[@]}"
    else
        fail "this Rust lacks ${components[*]}"
    fi
}

# ---- Node.js ----

node_version() {
    local version
    version="$(node --version 2>/dev/null)" && printf '%s\n' "${version#v}"
}

look_for_node() {
    local found
    PATH="$node_cache/node_modules/.bin:$PATH"
    if found="$(node_version)" && at_least "$found" "$least_node" && has npm; then
        return
    fi
    if ! has npm; then
        is_debian || fail "Node.js $least_node or later with npm is needed${found:+ ($found is there)}: please install it"
        update_lists nodejs npm
        apt_install nodejs npm
        hash -r
        if found="$(node_version)" && at_least "$found" "$least_node"; then
            return
        fi
    fi
    say "Node.js $found is older than $least_node: putting $newer_node into $node_cache"
    mkdir -p "$node_cache"
    npm install --silent --no-audit --no-fund --prefix "$node_cache" "node@$newer_node" "npm@10" </dev/null >&2
    hash -r
    found="$(node_version)" || fail "the installed Node.js does not run"
    at_least "$found" "$least_node" || fail "the installed Node.js is $found"
}

# ---- packages of cargo ----

# The version is fixed: what it makes of the package's metadata and scripts is tested.
readonly cargo_deb=3.8.0

look_for_cargo_deb() {
    if [[ "$(cargo deb --version 2>/dev/null)" == "cargo-deb $cargo_deb" ]]; then
        return
    fi
    say "installing by cargo: cargo-deb $cargo_deb"
    cargo install --quiet --locked --version "$cargo_deb" cargo-deb </dev/null >&2
}

# ---- what was asked for ----

readonly purpose="${1:-}"
case "$purpose" in
run | lint | test | operations | arm | package | image | flash | firmware) ;;
*) fail "usage: install-dependencies.sh run|lint|test|operations|arm|package|image|flash|firmware [BOARD]" ;;
esac
builds_nothing=
[[ "$purpose" != operations && "$purpose" != flash ]] || builds_nothing=yes
readonly board="${2:-qemu-riscv}"
bare_metal="$(target_of_board)" || fail "there is no board $board: qemu-riscv or esp32c3"
readonly bare_metal

look() {
    tools=()
    packages=()
    [[ -n "$builds_nothing" ]] || look_for_build_tools
    [[ "$purpose" != test ]] || look_for_test_tools
    [[ "$purpose" != operations && "$purpose" != test ]] || look_for_operations_tools
    [[ "$purpose" != flash ]] || look_for_flash_tools
    [[ "$purpose" != arm && "$purpose" != image ]] || look_for_arm_tools
    [[ "$purpose" != image ]] || look_for_image_tools
    [[ "$purpose" != firmware ]] || look_for_firmware_tools
}

name_missing() {
    say "$1"
    printf '  %s\n' "${tools[@]}" >&2
    exit 1
}

look
if ((${#packages[@]} > 0)); then
    is_debian || name_missing "there is no apt-get here; please install:"
    install_packages
    hash -r
    look
    # An older Java that comes first on the PATH, say.
    ((${#packages[@]} == 0)) || name_missing "installed, yet not what the PATH leads to:"
fi
[[ "$purpose" != operations && "$purpose" != test ]] || look_for_unpacked promtool usr/bin/promtool prometheus
[[ "$purpose" != test ]] || look_for_unpacked nginx usr/sbin/nginx nginx
[[ -z "$builds_nothing" ]] || exit 0
look_for_node
look_for_rust
[[ "$purpose" != lint ]] || look_for_rust_linters
[[ "$purpose" != package && "$purpose" != image ]] || look_for_cargo_deb
