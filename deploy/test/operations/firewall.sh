# shellcheck shell=bash
# The limit of MQTT connections per address, in a network namespace.

per_address() {
    unshare --net bash -euc '
        ip link set lo up
        ip address add 10.9.0.1/32 dev lo
        ip address add 10.9.0.2/32 dev lo
        # Loading the rules again replaces them.
        nft -f deploy/mosquitto/firewall.nft
        nft -f deploy/mosquitto/firewall.nft
        exec python3 -B deploy/test/operations/connections.py'
}
if ! has nft; then
    skip "nftables is not installed" nftables
elif ! unshare --net nft list ruleset >/dev/null 2>&1; then
    skip "firewall: network namespaces and nftables need root rights and a kernel with both"
else
    try "one address cannot use up the MQTT connections" per_address
fi
