#!/usr/bin/env bash
# Test run in a temporary environment: `test_on.sh PYTHON [lowest|newest|prerelease [TEST...]]`.
# lowest: the oldest versions of the dependencies that pyproject.toml permits.
# newest, prerelease: the newest release or pre-release of aiohttp that it permits.
set -euo pipefail
mode=${2:-}
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"$1" -m venv "$environment"
pip() { "$environment/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install --upgrade 'pip>=25.1'
touch "$environment/constraints.txt"
dependencies() {
    "$environment/bin/python" -c '
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")'
}
if [ "$mode" = lowest ]; then
    dependencies | sed 's/,.*//; s/>=/==/' | tee "$environment/constraints.txt"
fi
pip install --constraint "$environment/constraints.txt" --group test .
case $mode in
newest | prerelease)
    pre=()
    [ "$mode" = newest ] || pre=(--pre)
    pip install --upgrade "${pre[@]}" "$(dependencies | grep '^aiohttp')"
    version=$("$environment/bin/python" -c 'import aiohttp; print(aiohttp.__version__)')
    echo "aiohttp $version"
    if [ "$mode" = prerelease ] && [[ $version =~ ^[0-9.]+$ ]]; then
        echo "the index has no pre-release after it: nothing to test"
        exit
    fi
    ;;
esac
"$environment/bin/python" -m pytest -n 4 -q "${@:3}"
