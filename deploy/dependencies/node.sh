# shellcheck shell=bash
# Node.js for the pages' build tools. If the system's is too old, a newer one from npm's registry goes into the cache,
# where the Makefile finds it.

readonly least_node=20.19
readonly newer_node=22
readonly node_cache="$cache/node"

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
        is_debian || fail "Node.js $least_node or later with npm is needed${found:+ (found $found)}; please install it"
        update_lists nodejs npm
        apt_install nodejs npm
        hash -r
        if found="$(node_version)" && at_least "$found" "$least_node"; then
            return
        fi
    fi
    say "Node.js $found is older than $least_node: installing $newer_node into $node_cache"
    mkdir -p "$node_cache"
    npm install --silent --no-audit --no-fund --prefix "$node_cache" "node@$newer_node" "npm@10" </dev/null >&2
    hash -r
    found="$(node_version)" || fail "the installed Node.js does not run"
    at_least "$found" "$least_node" || fail "the installed Node.js is $found, and $least_node or later is needed"
}
