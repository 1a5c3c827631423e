#!/usr/bin/env bash
# Run the tests on another Python, in an environment of its own that is thrown away: `test_on.sh PYTHON [lowest]`.
# With "lowest", the package's dependencies are the oldest that it takes.
set -euo pipefail
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"$1" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
touch "$environment/constraints.txt"
if [ "${2:-}" = lowest ]; then
    "$environment/bin/python" -c '
import tomllib
for dependency in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]:
    print(dependency.partition(",")[0].replace(">=", "=="))' | tee "$environment/constraints.txt"
fi
"$environment/bin/python" -m pip install --quiet --constraint "$environment/constraints.txt" --group test .
"$environment/bin/python" -m pytest -n 4 -q
