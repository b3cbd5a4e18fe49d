# shellcheck shell=bash
# Kubernetes manifests, docker-compose.yml and the CI's workflow.

rendered() {
    if has kubectl; then kubectl kustomize deploy/kubernetes; else kustomize build deploy/kubernetes; fi >"$work/rendered"
}
# After kustomize has added its labels, the policy must select the gateway's pods only, and allow the cluster's DNS.
policy() {
    local document
    document="$(awk 'BEGIN { RS = "---\n" } /\nkind: NetworkPolicy\n/' "$work/rendered")"
    printf '%s\n' "$document"
    [[ "$document" == *$'\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: comptoir-gateway\n  policyTypes:'* ]] &&
        [[ "$document" == *$'kube-system\n      podSelector:\n        matchLabels:\n          k8s-app: kube-dns\n  - ports:'* ]]
}
selectors() { # of the service and the StatefulSet, and the labels of the pods
    grep -A 1 '^  selector:$' "$work/rendered" | grep -q '^    app.kubernetes.io/name: comptoir-gateway$' &&
        grep -A 2 '^  selector:$' "$work/rendered" | grep -q '^      app.kubernetes.io/name: comptoir-gateway$' &&
        grep -q '^        app.kubernetes.io/name: comptoir-gateway$' "$work/rendered"
}
if has kubectl || has kustomize; then
    try "kustomize" rendered
    try "the network policy selects only the gateway's pods, and allows DNS" policy
    try "service and StatefulSet select the gateway's pod" selectors
else
    skip "Kubernetes: neither kubectl nor kustomize is installed"
fi
if has docker && docker compose version >/dev/null 2>&1; then
    try "docker compose config" docker compose config --quiet
else
    skip "docker-compose.yml: docker compose is not installed"
fi

# The tag of an action can be moved to other code; a commit cannot.
actions_are_pinned() {
    local unpinned
    unpinned="$(grep -nE '^ *(- )?uses:' .github/workflows/*.yml | grep -vE 'uses: [A-Za-z0-9_./-]+@[0-9a-f]{40} # [a-z0-9.]+$')" || true
    printf '%s\n' "$unpinned"
    [[ -z "$unpinned" ]]
}
# Neither the pages nor the MQTT broker of docker-compose.yml has a password.
ports_are_local() {
    local ports
    ports="$(grep -E '^ +ports:' docker-compose.yml)"
    printf '%s\n' "$ports"
    # shellcheck disable=SC2016 # compose's variable
    ! grep -vE 'ports: \["(127\.0\.0\.1|\$\{COMPTOIR_BIND:-127\.0\.0\.1\}):[0-9]+:[0-9]+"\]$' <<<"$ports"
}
try "GitHub's actions are pinned by commit" actions_are_pinned
try "docker-compose.yml publishes ports on the loopback interface only, by default" ports_are_local
