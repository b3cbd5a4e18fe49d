#!/usr/bin/env bash
# Tests the delays of deploy/systemd/backoff with a stub of sleep that prints its argument.
#
#   deploy/test/backoff.sh
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "${BASH_SOURCE[0]%/*}/common.sh"
mkdir "$work/bin"
# shellcheck disable=SC2016 # the stub's
printf '#!/bin/sh\necho "$1"\n[ ! -e "$RUNTIME_DIRECTORY/really" ] || exec /bin/sleep "$1"\n' >"$work/bin/sleep"
chmod +x "$work/bin/sleep"
export RUNTIME_DIRECTORY="$work" PATH="$work/bin:$PATH"
backoff() { "$here/../systemd/backoff" "$@"; }
delays() { # number of failures
    local -i n
    for ((n = 0; n < $1; n++)); do
        SERVICE_RESULT=exit-code backoff count
        printf '%s ' "$(backoff wait)"
    done
}
is "the first start" "$(backoff wait)" ""
# With the unit's RestartSec=2: 2, 4, 8 … 60.
is "failures" "$(delays 8)" " 2 6 14 30 58 58 58 "
SERVICE_RESULT=success backoff count
is "after a stop" "$(backoff wait)" ""
is "failures after it" "$(delays 3)" " 2 6 "
touch -d '-11 minutes' "$work/failures"
is "after eleven minutes of work" "$(delays 2)" " 2 "
# A stop during the delay is not a failure.
touch "$work/really"
SERVICE_RESULT=exit-code backoff count
"$here/../systemd/backoff" wait >/dev/null &
/bin/sleep 0.5
kill -TERM %1
wait %1 || is "the end by SIGTERM" "$?" 0
