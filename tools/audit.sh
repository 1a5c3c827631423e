#!/usr/bin/env bash
# Look for what is unsafe in the package's own code, and for known vulnerabilities in all that is installed beside it.
# The argument is the folder of the environment's commands.
set -euo pipefail
bin=${1:-.venv/bin}

"$bin/bandit" --quiet --configfile pyproject.toml --recursive paychainhq paychainhq_sync

# A mirror without advisories looks to pip-audit as if there were none, and a network without the service like a finding: so the
# service is asked beforehand for the advisories on a package that it has.
if ! "$bin/python" - 2>/dev/null <<'PY'; then
from importlib.metadata import version

import requests

answer = requests.get(f"https://pypi.org/pypi/pip/{version('pip')}/json", timeout=15)
answer.raise_for_status()
answer.json()["vulnerabilities"]
PY
    echo "pip-audit: no advisory service answers here, so nothing was audited"
    exit
fi
installed=$(mktemp)
trap 'rm -f "$installed"' EXIT
"$bin/python" -m pip --disable-pip-version-check freeze --all --exclude-editable >"$installed"
# Without --strict, what cannot be looked up is passed over, and that is a success.
"$bin/pip-audit" --strict --progress-spinner off --no-deps --disable-pip --requirement "$installed"
