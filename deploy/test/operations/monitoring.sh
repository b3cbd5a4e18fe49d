# shellcheck shell=bash
# Prometheus alerts and the Grafana dashboard.

# install-dependencies.sh unpacks promtool into the cache.
PATH="$PATH:${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comptoir}/promtool/usr/bin"
every_alert_has_a_test() {
    local alert
    local -i unfired=0
    while read -r alert; do
        awk -v alert="$alert" '$1 == "alertname:" { here = $2 == alert } here && /exp_alerts:$/ { found = 1 }
            END { exit !found }' deploy/test/comptoir.rules.test.yml || {
            printf '%s\n' "$alert"
            unfired+=1
        }
    done < <(sed -n 's/^ *- alert: //p' deploy/prometheus/comptoir.rules.yml)
    ((unfired == 0))
}
if has promtool; then
    try "alert rules: promtool check" promtool check rules deploy/prometheus/comptoir.rules.yml
    try "alert rules: promtool test" promtool test rules deploy/test/comptoir.rules.test.yml
    try "alert rules: every alert fires in a test" every_alert_has_a_test
else
    skip "alert rules: promtool is not installed" prometheus
fi
try "Grafana's dashboard is valid JSON" python3 -m json.tool deploy/grafana/comptoir.json
