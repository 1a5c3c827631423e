#!/usr/bin/env bash
# Run the tests on another Python, in an environment of its own that is thrown away.
set -euo pipefail
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"$1" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
"$environment/bin/python" -m pip install --quiet --group test .
"$environment/bin/python" -m pytest -n 2 -q
