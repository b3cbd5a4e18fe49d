# shellcheck shell=bash
# Rust, its linters and cargo-deb.

wanted_rust() { sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$top/Cargo.toml"; }

# Prints the version on the PATH. Fails if it does not run, for example because rustup has no toolchain.
rust_version() {
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
    hint="Rust $wanted or later is needed${found:+ (found $found)}; install it with rustup"
    is_debian || fail "$hint"
    # Debian maintains a second, current Rust for its browsers. It conflicts with Debian's other Rust packages.
    for rival in rustup rustc cargo; do
        ! is_installed "$rival" || fail "$hint; Debian's newer Rust (rustc-web) conflicts with the installed package $rival"
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
    local -a components=() debian=()
    if ! cargo fmt --version >/dev/null 2>&1; then
        components+=(rustfmt)
        debian+=(rustfmt-web)
    fi
    if ! cargo clippy --version >/dev/null 2>&1; then
        components+=(clippy)
        debian+=(rust-web-clippy)
    fi
    ((${#components[@]} > 0)) || return 0
    if has rustup && rustup show active-toolchain >/dev/null 2>&1; then
        say "adding to rustup's toolchain: ${components[*]}"
        rustup component add "${components[@]}" </dev/null >&2
    elif is_debian && is_installed rustc-web; then
        update_lists "${debian[@]}"
        # Rust and Cargo are named again, so that all packages move to the same version if a newer one is out.
        apt_install rustc-web cargo-web "${debian[@]}"
    else
        fail "this Rust lacks ${components[*]}; please install them"
    fi
}

# Pinned, because this version's treatment of the package's metadata and scripts is tested.
readonly cargo_deb=3.8.0

look_for_cargo_deb() {
    if [[ "$(cargo deb --version 2>/dev/null)" == "cargo-deb $cargo_deb" ]]; then
        return
    fi
    say "installing with cargo: cargo-deb $cargo_deb"
    cargo install --quiet --locked --version "$cargo_deb" cargo-deb </dev/null >&2
}

# cargo-deny is built in debug mode, which compiles twice as fast and still checks the dependencies in a second.
readonly cargo_deny=0.20.2

look_for_cargo_deny() {
    if [[ "$(cargo deny --version 2>/dev/null)" == "cargo-deny $cargo_deny" ]]; then
        return
    fi
    say "installing with cargo: cargo-deny $cargo_deny"
    cargo install --quiet --locked --debug --version "$cargo_deny" cargo-deny </dev/null >&2
}
