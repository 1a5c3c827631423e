#!/usr/bin/env bash
# Security audit: bandit on the package, pip-audit on the installed distributions: `audit.sh [BIN]`.
# BIN is the folder of the environment's commands.
set -euo pipefail
bin=${1:-.venv/bin}

"$bin/bandit" --quiet --configfile pyproject.toml --recursive paychainhq paychainhq_sync

# pip-audit reports no findings behind a mirror without advisories, and fails without the service.
# So first request the advisories of pip.
if ! "$bin/python" - 2>/dev/null <<'PY'; then
from importlib.metadata import version

import requests

response = requests.get(f"https://pypi.org/pypi/pip/{version('pip')}/json", timeout=15)
response.raise_for_status()
response.json()["vulnerabilities"]
PY
    echo "pip-audit: no advisory service answers here, so nothing was audited"
    exit
fi
installed=$(mktemp)
trap 'rm -f "$installed"' EXIT
"$bin/python" -m pip --disable-pip-version-check freeze --all --exclude-editable >"$installed"
# --strict makes a skipped distribution a failure.
"$bin/pip-audit" --strict --progress-spinner off --no-deps --disable-pip --requirement "$installed"
