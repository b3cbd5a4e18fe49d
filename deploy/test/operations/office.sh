# shellcheck shell=bash
# Head office's deployments: docker-compose.yml with the profile `office`, the manifests, nginx, and the scripts for secrets.

# install-dependencies.sh unpacks nginx into the cache.
PATH="$PATH:${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comptoir}/nginx/usr/sbin"
readonly office_manifests=deploy/kubernetes/office

# Another Python may come first on the PATH than the one for which Debian's python3-yaml is.
python=
for candidate in python3 /usr/bin/python3; do
    [[ -n "$python" ]] || ! "$candidate" -c 'import tomllib, yaml' 2>/dev/null || python="$candidate"
done
office_py() { "$python" -B deploy/test/operations/office.py "$@"; }
# The same check must find a fault. Without this, a check that looks at nothing would pass forever.
finds() { # words of the problem, subcommand, file, sed expression that makes the fault
    local faulty="$work/faulty.${3##*.}" said
    sed -E -e "$4" "$3" >"$faulty"
    ! cmp -s "$3" "$faulty" || {
        printf 'this changes nothing: %s\n' "$4"
        return 1
    }
    said="$(office_py "$2" "$faulty")" && return 1
    printf '%s\n' "$said"
    [[ "$said" == *"$1"* ]]
}

# ---- docker-compose.yml ----

if [[ -n "$python" ]]; then
    try "compose: head office is only in its profile, sandboxed, limited, pinned and on loopback" office_py compose docker-compose.yml
    try "compose: a service outside the profile is found" finds "these services start" compose docker-compose.yml \
        '/^x-office-sandbox/,/^$/ s/^  profiles: .*/  labels: {}/'
    try "compose: a page for the network is found" finds "office: ports" compose docker-compose.yml \
        's/127\.0\.0\.1:8090:8090/8090:8090/'
    # shellcheck disable=SC2016 # compose's variable
    try "compose: a variable that everybody would have to set is found" finds "must be set" compose docker-compose.yml \
        's/PGPASSFILE: .*/PGPASSFILE: "${OFFICE_PASSFILE:?missing}"/'
    try "compose: a password in the file is found" finds "a password in" compose docker-compose.yml \
        's#postgres://office@#postgres://office:secret@#'
    try "compose: a key that the office does not have is found" finds "no key for COMPTOIR_SHOPS__KEY" compose docker-compose.yml \
        's/COMPTOIR_SHOPS__KEYS:/COMPTOIR_SHOPS__KEY:/'
    try "compose: a replica outside its nginx's network namespace is found" finds "office-2: not in the network namespace" compose \
        docker-compose.yml 's/network_mode: service:office-2-nginx/network_mode: service:office-1-nginx/'
    try "compose: another member of PostgreSQL's network is found" finds "has these members" compose docker-compose.yml \
        's/networks: \[shop, kafka\]/networks: [shop, kafka, office-database]/'
    try "compose: a container with capabilities is found" finds "office-1: capabilities" compose docker-compose.yml \
        's/^  cap_drop: \[ALL\]$/  cap_drop: []/'
    try "compose: a container that runs as root is found" finds "office-postgres: runs as root" compose docker-compose.yml \
        's/^    user: postgres$/    user: root/'
    try "compose: a container without a limit of memory is found" finds "office-2: no mem_limit" compose docker-compose.yml \
        's/^  mem_limit: 512m$/  labels: {}/'
    try "compose: an image without a full version is found" finds "no full version" compose docker-compose.yml \
        's/nginx:1\.[0-9.]+-alpine-slim/nginx:alpine/'
    try "office.toml: all keys are the office's" office_py settings "$office_manifests/office.toml" deploy/docs/office.md
    try "office.toml: a misspelt key is found" finds "no key kafka.gruop" settings "$office_manifests/office.toml" 's/^group = /gruop = /'
    try "office.toml: a misspelt key in the documentation is found" finds "no key shops.key" settings deploy/docs/office.md \
        's#^    keys = #    key = #'
else
    skip "head office's deployments: Python 3.11 or later with YAML is not installed" python3-yaml
fi
services_of() { docker compose "$@" config --services | sort | xargs; }
profiles() {
    docker compose --profile office config --quiet
    local default office
    default="$(services_of)"
    office="$(services_of --profile office)"
    printf '%s\n%s\n' "$default" "$office"
    [[ "$default" == "gateway kafka-1 kafka-2 kafka-3 mosquitto" && "$office" == *"office office-1 office-1-nginx office-2 "* ]]
}
if has docker && docker compose version >/dev/null 2>&1; then
    try "docker compose: head office starts with its profile only" profiles
else
    skip "the profile of docker-compose.yml: docker compose is not installed"
fi

# ---- Kubernetes ----

kustomize_to() { # folder, file
    if has kubectl; then kubectl kustomize "$1"; else kustomize build "$1"; fi >"$2"
}
# The overlay of the documentation. kustomize accepts relative paths only.
with_components() {
    local top_from_here
    mkdir -p "$work/overlay"
    top_from_here="$(realpath --relative-to="$work/overlay" .)"
    sed -n '/^# kustomization.yaml$/,/^```$/p' deploy/docs/office.md | sed -e '/^```$/d' -e "s#\.\./deploy/#$top_from_here/deploy/#" \
        >"$work/overlay/kustomization.yaml"
    cp "$office_manifests/office.toml" "$work/overlay"
    kustomize_to "$work/overlay" "$work/components.yaml"
}
if [[ -z "$python" ]] || ! { has kubectl || has kustomize; }; then
    skip "head office's manifests: neither kubectl nor kustomize is installed"
else
    try "office: kustomize" kustomize_to "$office_manifests" "$work/office.yaml"
    try "office: the manifests fit together, and are as strict as the gateway's" office_py manifests "$work/office.yaml"
    try "office: an Ingress is found" finds "kinds:" manifests "$work/office.yaml" 's/^kind: PodDisruptionBudget$/kind: Ingress/'
    try "office: a service for other networks is found" finds "Service: NodePort" manifests "$work/office.yaml" \
        's/^  type: ClusterIP$/  type: NodePort/'
    try "office: a page for every pod is found" finds "the page is open to" manifests "$work/office.yaml" \
        's/^          comptoir-office-client: "true"$/          app: any/'
    try "office: a probe that loopback does not answer is found" finds "livenessProbe" manifests "$work/office.yaml" \
        's#^            - /healthz$#            - /#'
    try "office: a weaker sandbox is found" finds "is not the gateway's" manifests "$work/office.yaml" \
        's/readOnlyRootFilesystem: true/readOnlyRootFilesystem: false/'
    try "office: a password outside a Secret is found" finds "not from a Secret" manifests "$work/office.yaml" \
        's/^            secretKeyRef:$/            configMapKeyRef:/'
    try "office: a port that nginx does not have is found" finds "nginx: ports" manifests "$work/office.yaml" \
        's/containerPort: 8091/containerPort: 8090/'
    try "office: the documentation's overlay, with the components" with_components
    try "office: KEDA and CloudNativePG fit the configuration" office_py components "$work/components.yaml"
    try "office: another consumer group for KEDA is found" finds "not the group" components "$work/components.yaml" \
        's/consumerGroup: head-office/consumerGroup: office/'
    try "office: another Secret than the cluster's is found" finds "not the Secret of the cluster" components "$work/components.yaml" \
        's/name: comptoir-office-db-app/name: comptoir-office-postgres/'
fi

# ---- nginx ----

nginx_accepts() { # configuration
    sed "s#/tmp/#$work/nginx-test/#" "$1" >"$work/nginx-test.conf"
    mkdir -p "$work/nginx-test"
    nginx -e stderr -t -q -c "$work/nginx-test.conf"
}
nginx_rejects() { # configuration, sed expression
    sed -E "$2" "$1" >"$work/nginx-faulty.conf"
    nginx_accepts "$work/nginx-faulty.conf" && return 1
    return 0
}
replicas_behind_nginx() { # front, replica
    rm -rf "$work/replicas"
    mkdir "$work/replicas"
    python3 -B deploy/test/operations/office_nginx.py "$(command -v nginx)" "$1" "$2" "$work/replicas"
}
replicas_would_fail() { # words of the failure, sed expressions for front and replica
    sed -E "$2" deploy/office/front.conf >"$work/front.conf"
    sed -E "$3" "$office_manifests/nginx.conf" >"$work/replica.conf"
    local said
    said="$(replicas_behind_nginx "$work/front.conf" "$work/replica.conf" 2>&1)" && return 1
    printf '%s\n' "$said"
    [[ "$said" == *"$1"* ]]
}
if has nginx; then
    for conf in deploy/office/front.conf "$office_manifests/nginx.conf"; do
        try "nginx accepts $conf" nginx_accepts "$conf"
        try "nginx rejects $conf with a misspelt directive" nginx_rejects "$conf" 's/proxy_read_timeout/proxy_red_timeout/'
    done
    try "nginx: requests succeed while a replica is stopped, has no database, or moves" replicas_behind_nginx \
        deploy/office/front.conf "$office_manifests/nginx.conf"
    try "nginx: requests that nobody repeats are found" replicas_would_fail "requests failed" \
        's/proxy_next_upstream .*/proxy_next_upstream off;/' ''
    try "nginx: a repeated POST is found" replicas_would_fail "a POST was repeated" \
        's/proxy_next_upstream error/proxy_next_upstream non_idempotent error/' ''
    # shellcheck disable=SC2016 # nginx's variable
    try "nginx: a Host that hides the browser's is found" replicas_would_fail "the browser's Host is changed" '' \
        's/Host \$http_host/Host localhost/'
    try "nginx: sales at the port of the probes are found" replicas_would_fail "shows sales" '' \
        's#return 404;#proxy_pass http://127.0.0.1:8090;#'
else
    skip "nginx is not installed" nginx
fi

# ---- the container's scripts ----

password() { deploy/office/password "$work/secrets"; }
password_is_made_once() {
    local made
    mkdir "$work/secrets"
    password
    made="$(cd "$work/secrets" && stat -c '%a %n' . ./* && cat ./*)"
    printf '%s\n' "$made"
    [[ "$(stat -c %a "$work/secrets"/{pgpass,postgres-password} | xargs)" == "600 644" ]] &&
        [[ "$(<"$work/secrets/postgres-password")" =~ ^[0-9a-f]{48}$ ]] &&
        [[ "$(<"$work/secrets/pgpass")" == "*:*:comptoir:office:$(<"$work/secrets/postgres-password")" ]] &&
        password && [[ "$made" == "$(cd "$work/secrets" && stat -c '%a %n' . ./* && cat ./*)" ]]
}
two_installations_have_two_passwords() {
    local first
    first="$(<"$work/secrets/postgres-password")"
    rm "$work/secrets/postgres-password"
    password
    [[ "$(<"$work/secrets/postgres-password")" != "$first" && "$(<"$work/secrets/pgpass")" != *"$first" ]]
}
readonly example_key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8
shop_keys() { # arguments. With a gateway that prints a key.
    mkdir -p "$work/shop-keys/bin"
    # shellcheck disable=SC2016 # for the script that it writes
    printf '#!/bin/sh\n[ "$*" = "recovery-code --shop-key" ] && echo "${KEY:?}"\n' >"$work/shop-keys/bin/gateway"
    chmod +x "$work/shop-keys/bin/gateway"
    PATH="$work/shop-keys/bin:$PATH" KEY="${KEY-$example_key}" COMPTOIR_STORE=paris-1 deploy/office/shop-keys "$work/shop-keys/file" "$@"
}
# A file may come from Windows.
shop_keys_are_added_once() {
    shop_keys && shop_keys && printf '# chain\n\nlyon-2   %s  # new\r\n' "$example_key" | shop_keys add &&
        KEY="${example_key/A/B}" shop_keys
    cat "$work/shop-keys/file"
    # The old key of a shop whose secret was replaced stays.
    [[ "$(<"$work/shop-keys/file")" == "paris-1 $example_key"$'\n'"lyon-2 $example_key"$'\n'"paris-1 ${example_key/A/B}" ]] &&
        [[ "$(stat -c %a "$work/shop-keys/file")" == 600 ]]
}
a_wrong_shop_key_changes_nothing() {
    local before line
    before="$(<"$work/shop-keys/file")"
    for line in "paris-1" "Paris $example_key" "paris-1 short" "nice-3 $example_key more"; do
        ! printf 'lille-4 %s\n%s\n' "$example_key" "$line" | shop_keys add && [[ "$(<"$work/shop-keys/file")" == "$before" ]] || return 1
    done
    ! KEY= shop_keys && [[ "$(<"$work/shop-keys/file")" == "$before" ]]
}
office_healthy() { # status that a server on loopback answers, path
    python3 -B -c '
import http.server, pathlib, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/readyz" and self.headers["Host"] == "localhost"
        self.send_response(int(sys.argv[1]) if known else 404)
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
pathlib.Path(sys.argv[2]).write_text(str(server.server_port))
server.handle_request()' "$1" "$work/port" &
    local server=$! result=0
    for _ in {1..100}; do
        [[ ! -s "$work/port" ]] || break
        sleep 0.05
    done
    COMPTOIR_HTTP__LISTEN="127.0.0.1:$(<"$work/port")" deploy/container/office-healthy "$2" || result=$?
    rm "$work/port"
    wait "$server"
    return "$result"
}
office_is_not_healthy() { ! "$@"; }
nobody_listens() { COMPTOIR_HTTP__LISTEN=127.0.0.1:1 deploy/container/office-healthy /healthz; }

try "the password of the database is made once, for its readers only" password_is_made_once
try "two installations have two passwords" two_installations_have_two_passwords
try "shop keys are added once, and old ones stay" shop_keys_are_added_once
try "a wrong shop key is refused, and changes nothing" a_wrong_shop_key_changes_nothing
try "office-healthy: a replica that answers 200" office_healthy 200 /readyz
try "office-healthy: a replica that answers 503 is not healthy" office_is_not_healthy office_healthy 503 /readyz
try "office-healthy: a replica that does not know the path is not healthy" office_is_not_healthy office_healthy 200 /elsewhere
try "office-healthy: a replica that does not listen is not healthy" office_is_not_healthy nobody_listens

# ---- the container build ----

# `docker build` without --target builds the last stage.
gateway_is_the_default_image() { # Dockerfile
    local last office
    last="$(awk '/^FROM /{stage = ""} {stage = stage $0 "\n"} END {printf "%s", stage}' "$1")"
    office="$(awk '/^FROM /{inside = /^FROM runtime AS office$/} inside' "$1")"
    printf '%s' "$last" "$office"
    [[ "$last" == *'ENTRYPOINT ["gateway"]'* && "$last" != *office* && "$office" == *'ENTRYPOINT ["office"]'* ]] &&
        [[ "$office" == *$'\nUSER comptoir\n'* && "$office" != *$'\n'EXPOSE* ]] &&
        grep -q '^ENV COMPTOIR_OFFICE_WEB_DIST=' "$1"
}
other_default_image() {
    awk '/^FROM /{n += 1} {stage[n] = stage[n] $0 "\n"} END {for (i = 0; i < n - 1; i += 1) printf "%s", stage[i]
        printf "%s%s", stage[n], stage[n - 1]}' deploy/container/Dockerfile >"$work/Dockerfile"
    ! gateway_is_the_default_image "$work/Dockerfile"
}
try "Dockerfile: the gateway is the default image, the office another one" gateway_is_the_default_image deploy/container/Dockerfile
try "Dockerfile: another default image is found" other_default_image
