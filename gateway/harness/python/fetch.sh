#!/usr/bin/env bash
# Installs the packages of requirements.txt into a virtual environment in the cache, $COMPTOIR_CACHE/python. Does nothing
# if they are installed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comptoir}/python
wanted="$(python3 --version) $(sha256sum <"$here/requirements.txt")"

mkdir -p "$folder"
# The lock keeps two runs from writing into the same environment.
exec 9>"$folder/lock"
flock 9

if [ -e "$folder/installed" ] && [ "$wanted" = "$(cat "$folder/installed")" ]; then
    exit 0
fi
echo "Installing Python packages for the tests into $folder"
rm -rf "$folder/env" "$folder/installed"
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
printf '%s\n' "$wanted" >"$folder/installed"
